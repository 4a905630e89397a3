"""Lava gives the simulator's integers: every output, spike and state, without tolerance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnc.backends.lava.backend import LavaBackend
from snnc.graph import Graph
from snnc.passes import run_passes
from snnc.passes.pipeline import integer_pipeline
from tests.absolutekernels import KERNELS, network
from tests.agreement import random_reference
from tests.intgraphs import mlp, simulator
from tests.lavaenv import needs_lava
from tests.lavagraphs import GRAPHS

pytestmark = needs_lava


def compare(graph: Graph, folder: Path, samples: int = 3, steps: int = 5) -> None:
    want = random_reference(graph, 7, samples, steps)
    LavaBackend().compile(graph).write(folder)
    backend = LavaBackend(timeout=30, limit=120)
    assert not want.difference(backend.run(folder, want.inputs, want.steps, want.words))


def test_feed_forward(tmp_path: Path) -> None:
    """More samples than run side by side: two turns of 35."""
    compare(mlp(sizes=(30, 20, 10, 4)), tmp_path, samples=70, steps=16)


@pytest.mark.parametrize("name", GRAPHS)
def test_delicate_graphs(name: str, tmp_path: Path) -> None:
    compare(GRAPHS[name](), tmp_path)


def test_kernels_in_absolute_formats(tmp_path: Path) -> None:
    compare(run_passes(network(*KERNELS.values()), integer_pipeline()), tmp_path, steps=30)


def test_no_samples_and_no_steps(tmp_path: Path) -> None:
    graph = mlp()
    LavaBackend().compile(graph).write(tmp_path)
    for shape in ((0, 5, 12), (2, 0, 12)):
        x = {"image": np.zeros(shape, np.int64)}
        want, _ = simulator(graph).run(x)
        got, _ = LavaBackend().run(tmp_path, x)
        np.testing.assert_array_equal(got["out"], want["out"], strict=True)
