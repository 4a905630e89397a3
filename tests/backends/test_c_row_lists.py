"""Rows of many spikes are listed by bits; the sums are those of any order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnc.backends.c.backend import CBackend
from snnc.graph import Graph
from snnc.intops import IntInput, IntLinear, IntOutput, IntTimeStack
from snnc.params import Param
from snnc.types import Clock
from tests.intgraphs import ONE, proven, simulator

CHECKED = ("-std=c99", "-O1", "-fsanitize=undefined,bounds", "-fno-sanitize-recover=all")


@pytest.mark.parametrize("flags", [CHECKED, ("-std=c99", "-O2"), ("-std=c99", "-DSNN_LANES=0")])
def test_rows(tmp_path: Path, flags: tuple[str, ...]) -> None:
    rng, graph = np.random.default_rng(0), Graph("rows", 5)
    for fan_in, most in ((256, 1), (128, 1), (128, 2), (144, 1)):
        name = f"{fan_in}.{most}"
        graph.add(f"x{name}", IntInput((3, fan_in), Clock.STEP, 0, most, 1.0))
        w = rng.integers(-100, 101, (20, fan_in)).astype(np.int8)
        graph.add(f"fc{name}", IntLinear(Param(w), None, 0), f"x{name}")
        graph.add(f"stack{name}", IntTimeStack(), f"fc{name}")
        graph.add(f"out{name}", IntOutput(ONE), f"stack{name}")
    graph = proven(graph)
    CBackend().compile(graph).write(tmp_path)
    assert (tmp_path / "snn.c").read_text().count("snn_members_16(") == 2
    share = np.array([0, 0.01, 0.1, 0.5, 1])[:, None, None, None]
    x = {}
    for node in graph:
        if isinstance(node.op, IntInput):
            counts = rng.integers(1, node.op.hi + 1, (5, 6, *node.op.shape))
            x[node.name] = (rng.random(counts.shape) < share) * counts
    expected = simulator(graph).run(x)[0]
    actual = CBackend(flags=flags).run(tmp_path, x)[0]
    for key, value in expected.items():
        np.testing.assert_array_equal(actual[key], value, err_msg=key)
