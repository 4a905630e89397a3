"""The profile ``loihi`` is one arithmetic: in the simulator, C, our Lava and Lava's own LIF."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from snnc.backends.c.backend import CBackend
from snnc.backends.lava.backend import LavaBackend
from snnc.graph import Graph
from tests.agreement import random_reference
from tests.differential.test_sim_vs_c import CHECKED
from tests.lavaenv import ENV, needs_lava
from tests.netfiles import Layer, cuba, program, read, simulator, write_net

Backend = CBackend | LavaBackend


def dense(rng: np.random.Generator, rows: int, columns: int, neuron: Layer) -> Layer:
    """A layer of chip weights."""
    weight = 2 * rng.integers(-128, 128, (rows, columns))
    return {
        "type": "dense",
        "weight": weight,
        "neuron": neuron,
        "bias": rng.integers(-99, 99, rows),
    }


def strong(rng: np.random.Generator) -> list[Layer]:
    """Currents that wrap and voltages that saturate; a decay for each neuron."""
    weight = 254 * np.sign(rng.normal(size=(6, 700)) + np.array([[2], [-2], [2], [-2], [0], [0]]))
    neuron = cuba(rng.integers(0, 3, 6), rng.integers(0, 4097, 6), 9000)
    first = {"type": "dense", "weight": weight, "neuron": neuron}
    return [first, dense(rng, 4, 6, cuba(9, 99, 300) | {"refDelay": 3})]


def images(rng: np.random.Generator) -> list[Layer]:
    """Encoding neurons, a convolution, a pool, delays and an average."""
    neuron = cuba(4096, 123, 80)
    image = {"type": "input", "shape": np.array([2, 6, 6]), "weight": [76.0], "bias": [64.0]}
    weight = 2 * rng.integers(-20, 20, (4, 2, 3, 3, 1))
    conv = {"type": "conv", "weight": weight, "padding": 1, "neuron": cuba(300, 60, 200)}
    pool = {"type": "pool", "weight": np.full((1, 1, 2, 2), 44), "stride": 2, "neuron": neuron}
    last = {**dense(rng, 6, 36, cuba(1000, 100, 400)), "delay": rng.integers(0, 5, 6)}
    average = {"type": "average", "shape": np.array([3])}
    return [{**image, "neuron": neuron}, conv, pool, {"type": "flatten"}, last, average]


def loops(rng: np.random.Generator) -> list[Layer]:
    """Recurrent adaptive neurons, and graded spikes behind them."""
    adaptive = {"type": "ALIF", "iDecay": 700, "vDecay": 300, "thDecay": 90, "refDecay": 500}
    adaptive |= {"vThMant": 60, "vThStep": 40}
    back = 2 * rng.integers(-60, 60, (5, 5))
    first = {**dense(rng, 5, 8, adaptive), "type": "dense_rec", "weight_rec": back}
    graded = cuba(500, 200, 300) | {"gradedSpike": True, "wgtExp": 1}
    second = {"type": "dense", "weight": 2 * rng.integers(-9, 9, (3, 4))}
    return [first, dense(rng, 4, 5, graded), {**second, "neuron": cuba(0, 10, 1 << 18)}]


NETS: dict[str, Callable[[np.random.Generator], list[Layer]]] = {
    "strong": strong,
    "images": images,
    "loops": loops,
}


def network(name: str, folder: Path, seed: int = 0) -> Graph:
    """The integers of a network."""
    layers = NETS[name](np.random.default_rng(seed))
    shift = seed % 2 if name != "loops" else 0  # graded spikes cannot be delayed
    options = f"delay_shift={shift},compare={('gt', 'ge')[seed // 2 % 2]}"
    return program(read(write_net(folder / "a.net", *layers), options).graph, 256)


def assert_equal(graph: Graph, backend: Backend, folder: Path, samples: int, steps: int) -> None:
    """Every output, spike and state word, without tolerance."""
    backend.compile(graph).write(folder)
    want = random_reference(graph, 1, samples, steps)
    assert not want.difference(backend.run(folder, want.inputs, want.steps, want.words))
    spikes = [v for k, v in want.results[1].items() if k.endswith((".s", ".fires"))]
    assert sum(s.sum() for s in spikes) > 0


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("seed", [0, 3])
def test_c(name: str, seed: int, tmp_path: Path) -> None:
    assert_equal(network(name, tmp_path, seed), CHECKED, tmp_path / "c", 6, 40)


@needs_lava
@pytest.mark.parametrize("name", ["strong", "loops"])
def test_lava(name: str, tmp_path: Path) -> None:
    backend = LavaBackend(timeout=30, limit=120)
    assert_equal(network(name, tmp_path), backend, tmp_path / "lava", 2, 12)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("seed", range(4, 24))
def test_many_networks_in_c(name: str, seed: int, tmp_path: Path) -> None:
    assert_equal(network(name, tmp_path, seed), CHECKED, tmp_path / "c", 6, 100)


def populations(rng: np.random.Generator, kinds: int) -> dict[str, npt.NDArray[np.int64]]:
    """Sums up to 2**17, which wrap, decays from none to all, and biases."""
    decays = np.array([0, 1, 2, 410, 2048, 4095, 4096])
    pick = rng.integers(0, len(decays), (2, kinds))
    size = 2 ** rng.integers(6, 18, (kinds, 5, 1))
    return {
        "a": rng.integers(-size, size + 1, (kinds, 5, 80)) + size // 2,
        "du": decays[pick[0]] - 1,
        "dv": np.minimum(decays[pick[1]], 4095),
        "vth": rng.integers(1, 1 << 17, kinds),
        "bias": rng.integers(-4096, 4096, (kinds, 5)),
    }


@needs_lava
def test_stock_lava_neurons(tmp_path: Path) -> None:
    """Spikes, currents and voltages of lava-nc's own LIF, wrapping and saturating."""
    job = populations(np.random.default_rng(0), 5)
    np.savez(tmp_path / "in.npz", **job)
    assert ENV is not None
    script = Path(__file__).with_name("stock_lif.py")
    command = [ENV.python, script, tmp_path / "in.npz", tmp_path / "out.npz"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    want = np.load(tmp_path / "out.npz")
    for k in range(5):
        du, dv, vth = (int(job[name][k]) for name in ("du", "dv", "vth"))
        neuron = cuba(du + 1, dv, vth)
        layer = {"type": "dense", "weight": np.eye(5), "bias": job["bias"][k], "neuron": neuron}
        options = "input_lo=-200000,input_hi=200000"
        sim = simulator(program(read(write_net(tmp_path / "a.net", layer), options).graph, 256))
        _, words = sim.run(job["a"][k].T[None], record=sim.words())
        for word, value in words.items():
            name = word.rpartition(".")[2]
            assert np.array_equal(value[0].T, want[name][k]), (k, word)
    jumps = np.abs(np.diff(want["u"], axis=2)).max()
    assert jumps > 1 << 23
    assert np.abs(want["v"]).max() == (1 << 23) - 1
    assert want["s"].any()
