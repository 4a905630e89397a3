"""Networks written as NIR: read back they are the same, and what NIR cannot say has a code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc import ops
from snnc.artifact import Artifact
from snnc.backends.float_sim import FloatSimulator
from snnc.backends.nir.backend import raised
from snnc.backends.nir.file import OPTIONS, SCALE, write
from snnc.backends.nir.network import network
from snnc.diagnostics import CompileError
from snnc.driver import compile_model
from snnc.frontends.from_nir import read_bytes
from snnc.frontends.nir_file import RawNode, read_file
from snnc.frontends.nir_graph import flatten
from snnc.frontends.nir_neurons import parameters
from snnc.frontends.nir_options import NirOptions
from snnc.graph import Graph, Value
from snnc.kernel import Const, Kernel, Line, State
from snnc.options import Options
from snnc.params import Param
from snnc.types import TensorType
from tests.models import model_file
from tests.nirfiles import chain_of, read, write_nir
from tests.realdata import real_files
from tests.realgraphs import mlp

h5py = pytest.importorskip("h5py")


def text(graph: Graph) -> list[str]:
    """A graph without its name."""
    return str(graph).splitlines()[1:]


def written(graph: Graph) -> bytes:
    net = network(graph)
    assert [d for d in net.problems if d.code != "W544"] == []
    return write(net, {}, {})


def read_back(data: bytes) -> Graph:
    return read_bytes(data, "net.nir", asdict(NirOptions())).graph


FILES = (
    *("01_lif/lif_norse", "01_lif/lif_rockpool", "01_lif/two_lif_neurons", "02_cnn/cnn_sinabs"),
    *("03_rnn/braille_noDelay_bias_zero", "03_rnn/braille_noDelay_noBias_subtract"),
)
CONVENTIONS = ("", "exporter=sinabs", "exporter=norse")


@pytest.mark.parametrize("name", FILES)
def test_files_of_the_nir_paper_come_back(name: str) -> None:
    """Nodes, edges and parameters; weights with a bias of zeros come back without it."""
    path = real_files("nir_paper", f"{name}.nir")
    for options in CONVENTIONS:
        graph = read(path, options).graph
        data = written(graph)
        assert text(read_back(data)) == text(graph)
        old, new = (flatten(read_file(d, "x")[0]) for d in (path.read_bytes(), data))
        assert sorted(old.edges) == sorted(new.edges)
        assert list(map(kind, old.nodes.values())) == [kind(new.nodes[node]) for node in old.nodes]
        for node, raw in old.nodes.items():
            same_parameters(raw, new.nodes[node])


def kind(node: RawNode) -> str:
    bias = node.fields.get("bias")
    return "Linear" if node.kind == "Affine" and not np.any(bias) else node.kind


def same_parameters(old: RawNode, new: RawNode) -> None:
    if "v_threshold" in old.fields or "tau" in old.fields:
        a, b = parameters(old), parameters(new)
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(np.broadcast_to(a[key], b[key].shape), b[key], key)
    if "weight" in old.fields:
        np.testing.assert_array_equal(
            np.squeeze(old.fields["weight"]), np.squeeze(new.fields["weight"])
        )


def lif(**more: Any) -> dict[str, Any]:
    fields = {"type": "LIF", "tau": [2e-3] * 3, "r": [2.0] * 3, "v_leak": [0.1, 0.0, 0.2]}
    return {**fields, "v_threshold": [1.0, 0.5, 2.0], "v_reset": [0.0, -0.1, 0.0], **more}


NEURONS = {
    "LIF": lif(),
    "IF": {"type": "IF", "r": [5.0] * 3, "v_threshold": [1.0] * 3, "v_reset": [0.1] * 3},
    "LI": {"type": "LI", "tau": [1e-3] * 3, "r": [1.5] * 3, "v_leak": [0.0] * 3},
    "I": {"type": "I", "r": [5.0] * 3},
    "CubaLIF": {**lif(), "type": "CubaLIF", "tau_mem": [2e-3] * 3, "tau_syn": [1e-3] * 3},
    "Threshold": {"type": "Threshold", "threshold": [0.5] * 3},
}
del NEURONS["CubaLIF"]["tau"]
OTHERS = (
    *("", "reset=subtract", "reset=none", "reset=subtract,timing=next", "timing=next"),
    *("timing=drop", "reset=subtract,timing=snntorch", "compare=ge", "decay=exp", "gain=one"),
    *("gain=r,initial=v_leak", "floor=zero", "reset=subtract,spikes=many,compare=ge"),
    *("synapse=jump,decay_syn=exp", "readout=mean"),
)


@pytest.mark.parametrize(
    ("neuron", "options"),
    [
        *(("LIF", o) for o in OTHERS),
        *(("CubaLIF", o) for o in OTHERS[3::4]),
        *((kind, o) for kind in ("IF", "LI", "I", "Threshold") for o in ("", "compare=ge,gain=r")),
    ],
)
def test_neurons_of_every_convention(neuron: str, options: str, tmp_path: Path) -> None:
    weight = {"type": "Linear", "weight": np.arange(12.0).reshape(3, 4)}
    path = write_nir(tmp_path / "a.nir", *chain_of((4,), weight, NEURONS[neuron], out=(3,)))
    graph = read(path, f"dt=1e-4,{options}".strip(",")).graph
    assert text(read_back(written(graph))) == text(graph)


def traced(
    reset: str, shape: tuple[int, ...] = (3,), beta: Sequence[float] = (0.9, 0.75, 0.5)
) -> Graph:
    """A network as it comes from a trace: kernels without the names of NIR."""
    lines = {
        "zero": [Line("n", "not", ("s",)), Line("w", "mul", ("u", "n"))],
        "subtract": [Line("r", "mul", ("s", "th")), Line("w", "sub", ("u", "r"))],
        "value": [Line("w", "where", ("s", "rest", "u"))],
        "none": [Line("w", "sub", ("u", "zero"))],
    }
    body = (
        Line("d", "mul", ("v", "beta")),
        Line("u", "add", ("d", "x")),
        Line("s", "ge", ("u", "th")),
        *lines[reset],
    )
    consts = (
        Const("beta", Param(np.array(beta))),
        Const("th", Param(np.array(1.5))),
        Const("rest", Param(np.array(-0.25))),
        Const("zero", Param(np.array(0.0))),
    )
    state = State("v", "w", Param(np.array(0.0)))
    g = Graph("net", 6)
    g.add("x", ops.Input(TensorType((4,)), 0.0, 1.0, 1.0))
    g.add("fc", ops.Linear(Param(np.random.default_rng(0).normal(0, 2, (3, 4)))), "x")
    g.add("lif", ops.Neuron(Kernel(("x",), (state,), consts, body, ("s",)), shape), "fc")
    g.add("all", ops.TimeStack(), "lif")
    g.add("out", ops.Output(), "all")
    return g


@pytest.mark.parametrize("reset", ["zero", "subtract", "value", "none"])
def test_a_traced_neuron_is_recognized(reset: str) -> None:
    graph = traced(reset)
    back = read_back(written(graph))
    x = (np.random.default_rng(1).random((20, 30, 4)) < 0.4).astype(float)
    (mine,), (theirs,) = (FloatSimulator(g).run(x)[0].values() for g in (graph, back))
    assert 0.05 < mine.mean() < 0.95
    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("reset", ["zero", "value"])
def test_one_decay_for_all_neurons_needs_no_resistance(reset: str) -> None:
    """Some readers take no other r than 1: voltages are counted in units of it."""
    graph = traced(reset, beta=(0.9, 0.9, 0.9))
    data = written(graph)
    (lif,) = (n for n in read_file(data, "x")[0].nodes.values() if n.kind == "LIF")
    assert (lif.fields["r"] == 1.0).all()
    np.testing.assert_allclose(lif.fields["v_threshold"], 0.15, rtol=1e-12)
    x = (np.random.default_rng(1).random((20, 30, 4)) < 0.4).astype(float)
    (mine,), (theirs,) = (FloatSimulator(g).run(x)[0].values() for g in (graph, read_back(data)))
    assert 0.05 < mine.mean() < 0.95
    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("delay", [1, 2, 5])
@pytest.mark.parametrize("back", [True, False])
def test_delays(delay: int, back: bool) -> None:
    graph, weight = traced("zero"), Param(np.random.default_rng(3).normal(0, 1, (3, 3)))
    graph.add("more", ops.Linear(weight), Value("lif", 0, delay))
    (into,) = graph.in_edges("lif")
    if back:
        graph.disconnect(into)
        graph.add("sum", ops.Sum(), "fc", "more")
        graph.connect(type(into)("sum", "lif"))
    else:
        (into,) = graph.in_edges("all")
        graph.disconnect(into)
        graph.connect(type(into)("more", "all"))
    x = (np.random.default_rng(1).random((9, 20, 4)) < 0.4).astype(float)
    again = read_back(written(graph))
    (mine,), (theirs,) = (FloatSimulator(g).run(x)[0].values() for g in (graph, again))
    np.testing.assert_array_equal(mine, theirs)


def codes(graph: Graph) -> list[str]:
    return sorted({d.code for d in raised(graph).problems})


def test_what_nir_cannot_say() -> None:
    graph = traced("zero")
    graph.add("soft", ops.Softmax(0), "fc")
    graph.add("soft over time", ops.TimeStack(), "soft")
    graph.add("second", ops.Output(), "soft over time")
    assert codes(graph) == ["E541", "W544"]
    body = (Line("u", "mul", ("v", "x")), Line("s", "ge", ("u", "x")))
    kernel = Kernel(("x",), (State("v", "u", Param(np.array(1.0))),), (), body, ("s",))
    graph = traced("zero")
    graph.add("odd", ops.Neuron(kernel, (3,)), "fc")
    assert codes(graph) == ["E542", "W544"]
    graph = traced("zero")
    other = traced("subtract")["lif"].op
    graph.add("other", other, "fc")
    assert codes(graph) == ["E543"]


def test_an_artifact_holds_the_file_and_its_scales(tmp_path: Path) -> None:
    model = model_file(tmp_path, mlp())
    made = compile_model(model, tmp_path / "net", Options(targets=("nir",)))
    assert made.artifact.manifest.targets == ("numpy", "nir")
    with h5py.File(tmp_path / "net/nir/model.nir") as file:
        about = json.loads(file[f"node/metadata/{OPTIONS}"][()])
        layers = [n for n, g in file["node/nodes"].items() if "metadata" in g]
        scale = file[f"node/nodes/{layers[0]}/metadata/{SCALE}"][()]
    program, quantized = made.artifact.graph(), made.artifact.fakequant()
    assert quantized is not None
    whole = program[layers[0]].op.params["weight"].data
    real = quantized[layers[0]].op.params["weight"].data
    np.testing.assert_allclose(whole * scale[:, None], real, rtol=1e-6)
    assert about["inputs"] == {e.name: e.scale for e in made.artifact.manifest.inputs}
    with pytest.raises(CompileError, match="E545"):
        made.artifact.run(np.zeros((1, 16, 12)), "nir")
    assert Artifact.open(tmp_path / "net").verify(np.zeros((1, 16, 12))).exact
