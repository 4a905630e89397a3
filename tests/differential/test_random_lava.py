"""Random graphs: Lava's processes give the simulator's integers, in one process and in many.

In one process, on threads (``tests/lavathreads.py``), a graph takes a tenth of a second; on Lava's
own runtime, which starts a process for every layer, a second.  The campaign:
``pytest -m slow tests/differential/test_random_lava.py``.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import pytest

from snnc.backends.lava.backend import LavaBackend
from snnc.backends.numpy.arrays import read_results, write_results
from snnc.graph import Graph
from snnc.intops import INTOPS
from tests.agreement import Reference, Results, agree_on_random_graphs, random_reference
from tests.covering import COVERING
from tests.intgraphs import fitting
from tests.lavaenv import ENV, needs_lava
from tests.randomgraphs import random_graph

pytestmark = needs_lava

THREADS = Path(__file__).parents[1] / "lavathreads.py"
BLOCK = 25
IN_SUITE = 100
CAMPAIGN = 1000
#: In which every operator occurs, see the last test.
ON_THE_RUNTIME = (*COVERING, 0, 1)
RUNTIME_CAMPAIGN = 200


def emit(graph: Graph, seed: int, folder: Path) -> Reference:
    """Write a network, inputs and what is asked of it; give what the definition finds."""
    want = random_reference(graph, seed, 5, 7)
    LavaBackend().compile(graph).write(folder / "net")
    write_results(folder / "in.npz", want.inputs, {})
    together = 2 if seed % 2 else 64  # of five samples: the last has one beside it, or all four
    asked = {"steps": fitting(graph, 7), "words": want.words, "together": together}
    asked["outputs"] = list(want.results[0])
    (folder / "asked.json").write_text(json.dumps(asked))
    return want


def on_threads(folders: list[Path]) -> list[Results]:
    """What Lava's models give, all networks in one interpreter."""
    assert ENV is not None
    command = [str(ENV.python), str(THREADS), *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return [read_results(folder / "out.npz") for folder in folders]


def difference(graph: Graph, seed: int) -> str:
    """The first word that differs on threads, or an empty string."""
    with tempfile.TemporaryDirectory() as name:
        return emit(graph, seed, Path(name)).difference(*on_threads([Path(name)]))


def run_block(first: int, folder: Path) -> None:
    """Compare ``BLOCK`` graphs; a failure shows the smallest graph that still differs."""
    seeds = range(first, first + BLOCK)
    folders = [folder / str(seed) for seed in seeds]
    wanted = [emit(random_graph(s), s, f) for s, f in zip(seeds, folders, strict=True)]
    found = zip(seeds, wanted, on_threads(folders), strict=True)
    agree_on_random_graphs([s for s, want, got in found if want.difference(got)], difference)


def on_the_runtime(seed: int, folder: Path) -> None:
    """Compare one graph, with a process of the operating system for every layer."""
    want = emit(random_graph(seed), seed, folder)
    backend = LavaBackend(timeout=60, limit=300)
    got = backend.run(folder / "net", want.inputs, want.steps, want.words)
    assert not want.difference(got)


@pytest.mark.parametrize("first", range(0, IN_SUITE, BLOCK))
def test_on_threads(first: int, tmp_path: Path) -> None:
    run_block(first, tmp_path)


@pytest.mark.parametrize("seed", ON_THE_RUNTIME)
def test_on_the_runtime(seed: int, tmp_path: Path) -> None:
    on_the_runtime(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(IN_SUITE, CAMPAIGN, BLOCK))
def test_the_campaign_on_threads(first: int, tmp_path: Path) -> None:
    run_block(first, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", sorted({*range(RUNTIME_CAMPAIGN)} - {*ON_THE_RUNTIME}))
def test_the_campaign_on_the_runtime(seed: int, tmp_path: Path) -> None:
    on_the_runtime(seed, tmp_path)


def test_every_operator_was_compared() -> None:
    found = {type(n.op).__name__ for seed in ON_THE_RUNTIME for n in random_graph(seed)}
    assert found >= set(INTOPS)
