"""Stock Lava processes give the simulator's integers: every output, spike and state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnc.backends.lava.stock.backend import StockBackend
from snnc.graph import Graph
from tests.agreement import random_reference
from tests.lavaenv import needs_lava
from tests.netfiles import Layer, cuba, program, read, write_net
from tests.stockgraphs import random_network

pytestmark = needs_lava
BACKEND = StockBackend(timeout=30, limit=120)


def assert_equal(graph: Graph, folder: Path, samples: int, steps: int) -> None:
    """Every word, without tolerance, of samples one after another."""
    BACKEND.compile(graph).write(folder)
    want = random_reference(graph, 1, samples, steps)
    assert not want.difference(BACKEND.run(folder, want.inputs, want.steps, want.words))
    spikes = [v for k, v in want.results[1].items() if k.endswith(".s")]
    assert any(0 < s.mean() < 1 for s in spikes)


def dense(rng: np.random.Generator, rows: int, columns: int, neuron: Layer) -> Layer:
    weight = 2 * rng.integers(-60, 60, (rows, columns))
    return {"type": "dense", "weight": weight, "neuron": neuron, "bias": rng.integers(-9, 30, rows)}


def test_loops_and_delays(tmp_path: Path) -> None:
    """Recurrent neurons, currents, and delays of several kinds; samples without gaps."""
    rng = np.random.default_rng(0)
    back = {"type": "dense_rec", "weight_rec": 2 * rng.integers(-40, 60, (8, 8))}
    first = {**dense(rng, 8, 6, cuba(4096, 300, 100)), **back}
    second = {**dense(rng, 5, 8, cuba(700, 200, 150)), "bias": np.zeros(5)}
    second["delay"] = rng.integers(0, 5, 8)
    net = write_net(tmp_path / "a.net", first, second)
    assert_equal(program(read(net, "delay_shift=1").graph, 64), tmp_path / "net", 5, 9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 5, 7, 9, 11, 12, 14, 20])
def test_random_networks(seed: int, tmp_path: Path) -> None:
    assert_equal(random_network(seed), tmp_path, 4, 1 + seed % 9)
