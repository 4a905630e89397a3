"""Real NIR files, and activities that other simulators recorded: nobody here made them.

The data are not in the repository; see ``tests/nirfiles.py``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from snnc.backends.c.backend import CBackend
from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError, Severity
from snnc.frontends.from_nir import read_nir
from snnc.graph import Graph
from snnc.passes.base import run_passes
from snnc.passes.pipeline import integer_pipeline
from tests.intgraphs import simulator
from tests.nirfiles import read
from tests.realdata import real_files

Array = npt.NDArray[Any]

#: Files that no reading makes sense of, and what is wrong with them.
BROKEN = {
    "braille__c381ba29.nir": ("E146", "the graph has no Input node"),
    "nirviz_srnn.nir": ("E322", "cu1: tau_mem is -1.27593"),  # random numbers for time constants
    "braille_noDelay_bias_zero_subgraph.nir": ("E146", "names 'lif', and there is no such node"),
    "braille_noDelay_noBias_subtract_subgraph.nir": ("E146", "names 'lif', and there is no"),
}


def every_file() -> list[Path]:
    found = sorted(real_files("nir_corpus").glob("*.nir"))
    return [*found, *sorted(real_files("nir_paper").rglob("*.nir"))]


def test_every_valid_file_is_read_and_every_broken_one_refused_with_a_reason() -> None:
    read_ones = []
    for path in every_file():
        start = time.monotonic()
        if path.name in BROKEN:
            code, text = BROKEN[path.name]
            with pytest.raises(CompileError) as caught:
                read_nir(path)
            errors = [d for d in caught.value.diagnostics if d.severity is Severity.ERROR]
            assert code in {d.code for d in errors}
            assert text in str(caught.value)
        else:
            read_nir(path).graph.verify()
            read_ones.append(path.name)
        assert time.monotonic() - start < 10
    assert len(read_ones) == 17  # nir 1.0.8 reads 10 of the 21 files, one of them broken


def test_old_files_mean_what_their_successors_mean() -> None:
    """Ages of one network differ in metadata, a batch axis and Flatten; the arithmetic is one."""
    old = [real_files("nir_corpus", f"scnn_mnist__{age}.nir") for age in ("669fbfad", "e5ac8325")]
    new = real_files("nir_paper", "02_cnn", "cnn_sinabs.nir")
    x = (np.random.default_rng(0).random((1, 12, 2, 34, 34)) < 0.05).astype(float)
    out = [FloatSimulator(read(p, "readout=sum").graph).run(x)[0]["output"] for p in (*old, new)]
    np.testing.assert_array_equal(out[0], out[2])
    np.testing.assert_array_equal(out[1], out[2])


# ---- one LIF neuron, 1,000 steps: input, membrane and spikes of other simulators


@pytest.mark.parametrize(
    ("trace", "file", "options", "shift", "tolerance"),
    [
        ("norse", "lif_norse.nir", "", 0, 1e-7),
        ("rockpool", "lif_rockpool.nir", "exporter=rockpool", 0, 1e-7),
        ("sinabs", "lif_norse.nir", "exporter=sinabs,dt=1e-4,gain=one", 0, 1e-7),
        ("exact", "lif_norse.nir", "", 0, None),
        ("snntorch", "lif_norse.nir", "", 0, None),  # its membrane is in other units
        ("spinnaker2", "lif_norse.nir", "", 0, None),
        ("nengo", "lif_norse.nir", "", 0, None),
        ("spyx", "lif_norse.nir", "", 1, None),  # returns spikes one step later
        ("lava_cpu_float", "lif_norse.nir", "", 1, 2e-4),
        ("lava_cpu_fixed", "lif_norse.nir", "", 1, None),
        ("lava_loihi_fixed", "lif_norse.nir", "", 1, None),
    ],
)
def test_lif_traces_of_the_nir_paper(
    trace: str, file: str, options: str, shift: int, tolerance: float | None
) -> None:
    x, membrane, spikes = np.loadtxt(
        real_files("nir_paper", "01_lif", f"lif_{trace}.csv"), delimiter=","
    ).T
    graph = read(real_files("nir_paper", "01_lif", file), options).graph
    (neuron,) = (n.name for n in graph if type(n.op).__name__ == "Neuron")
    words = f"{neuron}.s", f"{neuron}.v"
    _, records = FloatSimulator(graph).run(x.reshape(1, -1, 1), record=words)
    mine, v = (records[w].reshape(-1)[: len(x) - shift] for w in words)
    assert spikes.sum() == 4
    np.testing.assert_array_equal(mine, spikes[shift:])
    if tolerance is not None:
        np.testing.assert_allclose(v, membrane[shift:], rtol=0, atol=tolerance)


# ---- the recurrent Braille network: spikes of every hidden neuron in 256 steps


def hidden(name: str, options: str) -> tuple[Graph, Array, Array]:
    """The float graph, its input (1, 256, 12), and its hidden spikes (256, neurons)."""
    folder = real_files("nir_paper", "03_rnn")
    graph = read(folder / f"braille_{name}.nir", options).graph
    x = np.load(folder / "braille_input_ds_test0.npy")[None].astype(np.float64)
    _, records = FloatSimulator(graph).run(x, record=["lif1.lif.s"])
    return graph, x, records["lif1.lif.s"][0]


def recorded(simulator_name: str, name: str) -> Array:
    path = real_files("nir_paper", "03_rnn", f"{simulator_name}_activity_{name}.npy")
    return np.squeeze(np.load(path))


@pytest.mark.parametrize(
    ("who", "name", "options", "shift", "entries"),
    [
        ("snntorch", "noDelay_bias_zero", "", 0, 9_728),
        ("spyx", "noDelay_bias_zero", "reset=subtract", 1, 9_690),
        ("snntorch", "noDelay_noBias_subtract", "reset=subtract,timing=snntorch", 0, 10_240),
        ("spyx", "noDelay_noBias_subtract", "exporter=spyx", 1, 10_200),
        ("norse", "noDelay_noBias_subtract", "", 0, 10_240),  # resets to zero here
    ],
)
def test_braille_activities(who: str, name: str, options: str, shift: int, entries: int) -> None:
    _, _, mine = hidden(name, options)
    theirs = recorded(who, name)
    mine = mine[: len(mine) - shift]
    assert mine.size == entries
    assert theirs.sum() > 100
    np.testing.assert_array_equal(mine, theirs[shift:])


@pytest.mark.parametrize(
    ("who", "name", "options", "different"),
    [
        ("norse", "noDelay_bias_zero", "", 23),
        ("s2", "noDelay_bias_zero", "", 148),
        ("nengo", "noDelay_bias_zero", "", 209),
        ("rockpool", "noDelay_noBias_subtract", "", 84),
        ("s2", "noDelay_noBias_subtract", "reset=subtract", 109),
        ("nengo", "noDelay_noBias_subtract", "reset=subtract", 168),
    ],
)
def test_simulators_that_compute_something_else(
    who: str, name: str, options: str, different: int
) -> None:
    """Not equal in any reading tried: the numbers record by how much, not that it is right."""
    _, _, mine = hidden(name, options)
    assert int((mine != recorded(who, name)).sum()) == different


# ---- integers


@pytest.mark.parametrize(
    ("who", "name", "options", "shift"),
    [
        ("snntorch", "noDelay_bias_zero", "", 0),
        ("spyx", "noDelay_noBias_subtract", "exporter=spyx", 1),
        ("snntorch", "noDelay_noBias_subtract", "reset=subtract,timing=snntorch", 0),
    ],
)
def test_integers_of_16_bits_spike_as_recorded_and_c_equals_the_simulator(
    tmp_path: Path, who: str, name: str, options: str, shift: int
) -> None:
    graph, x, _ = hidden(name, options)
    program = run_passes(graph, integer_pipeline(bits=16))
    sim = simulator(program)
    inputs = {"input": x.astype(np.int64)}
    outputs, words = sim.run(inputs, None, sim.words())
    mine = words["lif1.lif.s"][0]
    np.testing.assert_array_equal(mine[: len(mine) - shift], recorded(who, name)[shift:])
    same_in_c(program, tmp_path, inputs, outputs, words)


def same_in_c(
    program: Graph,
    folder: Path,
    inputs: dict[str, Array],
    outputs: dict[str, Array],
    words: dict[str, Array],
) -> None:
    """The C program gives every output and every word of the simulator."""
    backend = CBackend()
    backend.compile(program).write(folder)
    found, states = backend.run(folder, inputs, None, list(words))
    assert set(found) == set(outputs)
    assert set(states) == set(words)
    for key, value in {**outputs, **words}.items():
        np.testing.assert_array_equal(found[key] if key in found else states[key], value)


def frames(count: int, bins: int = 300) -> tuple[Array, Array]:
    """N-MNIST recordings as counts per millisecond, (N, 300, 2, 34, 34), and labels."""
    d = np.load(real_files("nmnist", "nmnist_test_first50.npz"))
    x = np.zeros((count, bins, 2, 34, 34), np.int64)
    for i in range(count):
        s = slice(d["offset"][i], d["offset"][i + 1])
        t = np.minimum(d["t"][s] // 1000, bins - 1)
        np.add.at(x[i], (t, d["p"][s], d["y"][s], d["x"][s]), 1)
    return x, d["label"][:count]


def test_cnn_sinabs_on_nmnist(tmp_path: Path) -> None:
    x, labels = frames(4)
    path = real_files("nir_paper", "02_cnn", "cnn_sinabs.nir")
    graph = read(path, f"exporter=sinabs,readout=sum,input_hi={x.max()}").graph
    real, _ = FloatSimulator(graph, np.float32).run(x)
    np.testing.assert_array_equal(real["output"].argmax(1), labels)
    program = run_passes(graph, integer_pipeline())
    sim = simulator(program)
    outputs, words = sim.run({"input": x}, None, ["12.s", "10.v"])
    np.testing.assert_array_equal(outputs["output"].argmax(1), labels)
    assert words["12.s"].sum() > 1000
    same_in_c(program, tmp_path, {"input": x}, outputs, words)


@pytest.mark.slow
def test_accuracy_of_cnn_sinabs_on_nmnist() -> None:
    """The paper reports 97.1 to 98.5 % on the whole test set."""
    x, labels = frames(50)
    path = real_files("nir_paper", "02_cnn", "cnn_sinabs.nir")
    graph = read(path, f"exporter=sinabs,readout=sum,input_hi={x.max()}").graph
    program = run_passes(graph, integer_pipeline())
    sim, real = simulator(program), FloatSimulator(graph, np.float32)
    hits, same = 0, 0
    for i in range(0, 50, 5):
        part, truth = x[i : i + 5], labels[i : i + 5]
        integers = sim.run({"input": part})[0]["output"].argmax(1)
        floats = real.run(part)[0]["output"].argmax(1)
        hits += int((floats == truth).sum())
        same += int((integers == floats).sum())
    assert hits >= 48
    assert same >= 48
