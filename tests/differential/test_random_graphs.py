"""Random graphs over all operators: NumPy and C agree on every word; failures are shrunk.

The campaign: ``pytest -m slow tests/differential/test_random_graphs.py``.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.c.backend import CBackend
from snnc.graph import Graph
from tests.intgraphs import fitting, has_steps, random_inputs, simulator
from tests.randomgraphs import random_graph
from tests.shrink import shrink

#: tcc needs 10 ms for a graph, gcc 100.
TCC = shutil.which("tcc") is not None
FAST = CBackend(compiler="tcc" if TCC else "", flags=("-std=c99", "-w", "-O0"))
BLOCK = 100
IN_SUITE = 2000 if TCC else 300
CAMPAIGN = 50_000


def difference(graph: Graph, seed: int, backend: CBackend = FAST) -> str:
    """The first word in which the backends differ, or an empty string."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        backend.compile(graph).write(folder)
        sim = simulator(graph)
        x = random_inputs(graph, np.random.default_rng(seed), 5, 7)
        given = None if has_steps(graph) else fitting(graph, 7)
        outputs, words = sim.run(x, given, sim.words())
        found = backend.run(folder, x, given, sim.words())
    for expected, actual in zip((outputs, words), found, strict=True):
        if list(expected) != list(actual):
            return f"words {list(actual)}, expected {list(expected)}"
        for word, value in expected.items():
            if not np.array_equal(actual[word], value):
                place = np.argwhere(actual[word] != value)[0].tolist()
                return f"{word}{place}"
    return ""


def run_block(first: int) -> None:
    """Compare ``BLOCK`` graphs; a failure shows the smallest graph that still differs."""
    for seed in range(first, first + BLOCK):
        graph = random_graph(seed)
        if difference(graph, seed):
            small = shrink(graph, lambda g, s=seed: bool(difference(g, s)))  # type: ignore[misc]
            pytest.fail(f"seed {seed} differs at {difference(small, seed)}:\n{small}")


@pytest.mark.parametrize("first", range(0, IN_SUITE, BLOCK))
def test_random_graphs(first: int) -> None:
    run_block(first)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(IN_SUITE, CAMPAIGN, BLOCK))
def test_the_campaign_of_random_graphs(first: int) -> None:
    run_block(first)
