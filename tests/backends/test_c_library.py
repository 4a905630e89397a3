"""A process that runs many compiled networks keeps few of them loaded."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.c import library
from tests.differential.test_random_graphs import FAST, difference
from tests.intgraphs import mlp, random_inputs
from tests.randomgraphs import random_graph


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_libraries_are_unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_MOST_LOADED", 2)
    for seed in range(6):
        assert not difference(random_graph(seed), seed)
    gc.collect()
    maps = Path("/proc/self/maps").read_text().splitlines()
    loaded = {line.split()[-1] for line in maps if "libsnn.so" in line}
    assert len(loaded) == 2
    assert all(Path(path).exists() for path in loaded)


def test_a_library_in_use_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(library, "_MOST_LOADED", 1)
    graph = mlp()
    FAST.compile(graph).write(tmp_path)
    held = library.load_library(tmp_path, FAST.compiler, FAST.flags)
    x = random_inputs(graph, np.random.default_rng(0), 3, 4)
    before = held.run(x, None, [])[0]
    assert not difference(random_graph(1), 1)
    after = held.run(x, None, [])[0]
    assert all(np.array_equal(before[k], after[k]) for k in before)
