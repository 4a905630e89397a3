"""Random graphs: NumPy, ONNX Runtime and torch agree on every word; failures are shrunk.

The campaign: ``pytest -m slow tests/differential/test_random_runtimes.py``.  ``SNNC_GRAPHS=2000``
before pytest runs so many in the ordinary tests, at 40 ms each.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.base import Arrays
from snnc.backends.onnx.backend import OnnxBackend
from snnc.backends.onnx.session import Model
from snnc.backends.torch.batches import run
from snnc.graph import Graph
from tests.differential.test_sim_vs_torch import module
from tests.intgraphs import fitting, has_steps, random_inputs, simulator
from tests.randomgraphs import random_graph
from tests.shrink import shrink

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

BLOCK = 25
IN_SUITE = int(os.environ.get("SNNC_GRAPHS", "50"))
CAMPAIGN = 50_000


def difference(graph: Graph, seed: int) -> str:
    """The first word in which a runtime differs, or an empty string."""
    sim = simulator(graph)
    x = random_inputs(graph, np.random.default_rng(seed), 5, 7)
    given = None if has_steps(graph) else fitting(graph, 7)
    want, words = sim.run(x, given, sim.words()), sim.words()
    if found := _first(want, run(module(graph), x, given, words)):
        return f"torch: {found}"
    with tempfile.TemporaryDirectory() as name:
        OnnxBackend().compile(graph).write(Path(name))
        got = Model(Path(name)).run(x, given, words)
    return f"onnx: {found}" if (found := _first(want, got)) else ""


def _first(want: tuple[Arrays, Arrays], got: tuple[Arrays, Arrays]) -> str:
    for expected, actual in zip(want, got, strict=True):
        if list(expected) != list(actual):
            return f"words {list(actual)}, expected {list(expected)}"
        for word, value in expected.items():
            if not np.array_equal(actual[word], value):
                return word
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
