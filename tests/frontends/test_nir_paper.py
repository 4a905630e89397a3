"""Spikes and membranes that eleven simulators and chips recorded for the networks of the NIR paper.

Every reading is exact: where a simulator computes something else than the equations of NIR, the
option that says so is in the table.  Data: ``tests/realdata.py``; Pedersen et al., Nature
Communications 15 (2024) 8122.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.graph import Graph
from snnc.passes.base import run_passes
from snnc.passes.pipeline import integer_pipeline
from tests.intgraphs import simulator
from tests.nirfiles import read, read_nodes, same_in_c, write_nir
from tests.realdata import real_files

Array = npt.NDArray[Any]

# ---- one LIF neuron, 1,000 steps: input, membrane and spikes of other simulators


@pytest.mark.parametrize(
    ("trace", "file", "options", "shift", "scale", "tolerance"),
    [
        ("norse", "norse", "", 0, 1.0, 1e-7),
        ("snntorch", "norse", "", 0, 25.0, 2e-6),  # in units of dt/tau
        ("sinabs", "norse", "exporter=sinabs,dt=1e-4,gain=one", 0, 1.0, 1e-7),
        ("rockpool", "rockpool", "exporter=rockpool", 0, 1.0, 1e-7),
        ("nengo", "norse", "exporter=nengo", 0, 10.0, 1e-7),  # in units of the threshold
        ("spyx", "norse", "exporter=spyx,timing=next", 0, 1.0, 1e-7),
        ("spinnaker2", "norse", "", 0, 25.0, 5e-4),  # the chip holds 102.02 as 102
        ("lava_cpu_float", "norse", "exporter=lava", 1, 1.0, 1e-7),
        ("exact", "norse", "decay=exp", 0, 1.0, None),  # resets within a step
        ("lava_cpu_fixed", "norse", "", 1, 1.0, None),  # integers
        ("lava_loihi_fixed", "norse", "", 1, 1.0, None),
    ],
)
def test_lif_traces(
    trace: str, file: str, options: str, shift: int, scale: float, tolerance: float | None
) -> None:
    folder = real_files("nir_paper", "01_lif")
    x, membrane, spikes = np.loadtxt(folder / f"lif_{trace}.csv", delimiter=",").T
    graph = read(folder / f"lif_{file}.nir", options).graph
    (neuron,) = (n.name for n in graph if type(n.op).__name__ == "Neuron")
    words = f"{neuron}.s", f"{neuron}.v"
    _, records = FloatSimulator(graph).run(x.reshape(1, -1, 1), record=words)
    mine, v = (records[w].reshape(-1) for w in words)
    later = 1 if trace == "spyx" else shift  # spyx returns the spikes of the membrane before
    assert spikes.sum() == 4
    np.testing.assert_array_equal(mine[: len(x) - later], spikes[later:])
    if tolerance is not None:
        error = np.abs(scale * v[: len(x) - shift] - membrane[shift:])
        assert error.max() < tolerance


def test_the_exact_solution_until_its_first_spike() -> None:
    folder = real_files("nir_paper", "01_lif")
    x, membrane, spikes = np.loadtxt(folder / "lif_exact.csv", delimiter=",").T
    graph = read(folder / "lif_norse.nir", "decay=exp").graph
    _, records = FloatSimulator(graph).run(x.reshape(1, -1, 1), record=["1.v"])
    first = int(np.flatnonzero(spikes)[0])
    assert first == 460
    error = np.abs(records["1.v"].reshape(-1)[:first] - membrane[:first])
    assert membrane[:first].max() > 0.09
    assert error.max() < 1e-12


# ---- the recurrent Braille network: spikes of every hidden neuron in 256 steps

ZERO, SUBTRACT = "noDelay_bias_zero", "noDelay_noBias_subtract"
FOLDER = ("nir_paper", "03_rnn")


def stimulus() -> Array:
    """Spikes of the 12 sensors, (256, 12)."""
    return np.load(real_files(*FOLDER, "braille_input_ds_test0.npy")).astype(np.float64)


def hidden(path: Path, options: str, **inputs: Array) -> tuple[Graph, Array]:
    """The float graph, and its hidden spikes (256, neurons)."""
    graph = read(path, options).graph
    fed = {name: x[None] for name, x in {"input": stimulus(), **inputs}.items()}
    _, records = FloatSimulator(graph).run(fed, record=["lif1.lif.s"])
    return graph, records["lif1.lif.s"][0]


def braille(name: str) -> Path:
    return real_files(*FOLDER, f"braille_{name}.nir")


def recorded(who: str, name: str) -> Array:
    return np.squeeze(np.load(real_files(*FOLDER, f"{who}_activity_{name}.npy")))


@pytest.mark.parametrize(
    ("who", "name", "options", "shift", "entries"),
    [
        ("snntorch", ZERO, "", 0, 9_728),
        ("snntorch", SUBTRACT, "reset=subtract,timing=snntorch", 0, 10_240),
        ("spyx", ZERO, "exporter=spyx", 1, 9_690),  # resets by subtraction here too
        ("spyx", SUBTRACT, "exporter=spyx", 1, 10_200),
        ("norse", ZERO, "loop=current", 0, 9_728),  # no recurrent bias in the first step
        ("norse", SUBTRACT, "loop=current", 0, 10_240),  # resets to zero here too
        ("nengo", ZERO, "exporter=nengo", 1, 9_690),
        ("nengo", SUBTRACT, "exporter=nengo", 1, 10_200),  # resets to zero here too
    ],
)
def test_braille_activities(who: str, name: str, options: str, shift: int, entries: int) -> None:
    _, mine = hidden(braille(name), options)
    theirs = recorded(who, name)
    mine = mine[: len(mine) - shift]
    assert mine.size == entries
    assert theirs.sum() > 100
    np.testing.assert_array_equal(mine, theirs[shift:])


@pytest.mark.parametrize(("name", "reset"), [(ZERO, "zero"), (SUBTRACT, "subtract")])
def test_braille_on_spinnaker2(tmp_path: Path, name: str, reset: str) -> None:
    """The chip holds integer weights of 8 bits, truncated, and receives spikes one step later.

    A bias is a constant current to the membrane there, as large as the synapse makes it in the
    end: in NIR that is a leak potential.
    """
    nodes, edges = read_nodes(braille(name))
    lif, layers = nodes["lif1.lif"], [nodes["fc1"], nodes["lif1.w_rec"]]
    unit = max(np.abs(n["weight"].astype(np.float64)).max() for n in layers) / 127
    bias = sum(np.asarray(n.pop("bias", 0.0), np.float64) for n in layers)
    for layer in layers:
        layer["type"] = "Linear"
        layer["weight"] = np.trunc(layer["weight"].astype(np.float64) / unit) * unit
    lif["v_leak"] = lif["r"] * lif["w_in"] * bias
    path = write_nir(tmp_path / "chip.nir", nodes, edges)
    x = np.roll(stimulus(), 1, axis=0)
    assert not x[0].any()
    _, mine = hidden(path, f"dt=1e-4,reset={reset}", input=x)
    theirs = recorded("s2", name)
    assert theirs.sum() == 119
    np.testing.assert_array_equal(mine, theirs)


def test_braille_in_rockpool(tmp_path: Path) -> None:
    """Given the recorded spikes on the way back: the recording starts from an unknown state.

    The notebook of the paper ran other samples before, and Rockpool keeps its state.  What is left
    of it after 40 steps decides no spike: the neurons then fire as recorded, some twice a step.
    """
    nodes, edges = read_nodes(braille(SUBTRACT))
    nodes["back"] = {"type": "Input", "shape": [40]}
    edges = [("back", b) if (a, b) == ("lif1.lif", "lif1.w_rec") else (a, b) for a, b in edges]
    path = write_nir(tmp_path / "open.nir", nodes, edges)
    theirs = recorded("rockpool", SUBTRACT)
    before = np.concatenate([np.zeros((1, 40)), theirs[:-1]])
    _, mine = hidden(path, "exporter=rockpool,dt=1e-4", back=before)
    late = slice(40, None)
    assert mine[late].size == 8_640
    assert theirs[late].sum() > 80
    assert theirs[late].max() == 2
    np.testing.assert_array_equal(mine[late], theirs[late])


def test_braille_in_lava_dl(tmp_path: Path) -> None:
    """It drops the bias on the way back, and rounds its states to multiples of 1/4096.

    With that rounding, towards zero and after every decay, all 9,728 entries are equal; it is no
    rule of NIR, and without it 9 differ.
    """
    nodes, edges = read_nodes(braille(ZERO))
    nodes["lif1.w_rec"] = {"type": "Linear", "weight": nodes["lif1.w_rec"]["weight"]}
    _, mine = hidden(write_nir(tmp_path / "lava.nir", nodes, edges), "exporter=lava")
    theirs = recorded("lava", ZERO).T
    assert (mine.sum(), theirs.sum()) == (108, 109)
    assert np.count_nonzero(mine != theirs) == 9


# ---- integers


@pytest.mark.parametrize(
    ("who", "name", "options", "shift"),
    [
        ("snntorch", ZERO, "", 0),
        ("spyx", SUBTRACT, "exporter=spyx", 1),
        ("snntorch", SUBTRACT, "reset=subtract,timing=snntorch", 0),
    ],
)
def test_integers_of_16_bits_spike_as_recorded_and_c_equals_the_simulator(
    tmp_path: Path, who: str, name: str, options: str, shift: int
) -> None:
    graph, _ = hidden(braille(name), options)
    program = run_passes(graph, integer_pipeline(bits=16))
    sim = simulator(program)
    inputs = {"input": stimulus()[None].astype(np.int64)}
    outputs, words = sim.run(inputs, None, sim.words())
    mine = words["lif1.lif.s"][0]
    np.testing.assert_array_equal(mine[: len(mine) - shift], recorded(who, name)[shift:])
    same_in_c(program, tmp_path, inputs, outputs, words)
