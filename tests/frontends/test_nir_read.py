"""Layers, loops, sub-graphs, delays and axes of NIR files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.container import read_model
from snnc.diagnostics import CompileError
from snnc.frontends.from_hdf5 import read_hdf5
from snnc.frontends.nir_options import NirOptions
from snnc.ops import Conv2d, Input, Linear, TimeStack
from snnc.storage import dump_graph
from tests.nirfiles import chain_of, codes, read, write_nir

RNG = np.random.default_rng(0)
FIRST = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _own_numbers() -> None:
    """Give a test the same numbers whatever ran before it."""
    RNG.bit_generator.state = FIRST


LIF = {"type": "LIF", "tau": 0.001, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0}


def run(path: Path, x: np.ndarray[Any, Any], options: str = "") -> np.ndarray[Any, Any]:
    """Output of one sample."""
    out, _ = FloatSimulator(read(path, options).graph).run(x[None])
    return out["output"][0]


def layer_output(tmp_path: Path, shape: list[int], layer: dict[str, Any]) -> Any:
    """The input and output of one layer, for one step."""
    x = RNG.normal(size=shape)
    return x, run(write_nir(tmp_path / "n.nir", *chain_of(shape, layer)), x[None])[0]


def test_read_model_dispatches_on_content(tmp_path: Path) -> None:
    weight = RNG.normal(size=(3, 4)).astype(np.float32)
    layers = ({"type": "Linear", "weight": weight}, LIF)
    path = write_nir(tmp_path / "model.anything", *chain_of((4,), *layers, out=(3,)))
    model = read_model(path)
    assert [n.name for n in model.graph] == ["input", "0", "1", "output.stack", "output"]
    assert isinstance(model.graph["output.stack"].op, TimeStack)
    assert model.meta["format"] == "nir"
    assert codes(model) == ["R140"]
    own = read(path)
    assert dump_graph(model.graph) == dump_graph(own.graph)
    assert model.diagnostics == own.diagnostics


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_nir(tmp_path / "n.nir", *chain_of((4,), LIF, out=(4,)))
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "h5py" else find(name, *a)
    )
    with pytest.raises(CompileError, match=r"E641(.|\n)*snnc\[nir\]"):
        read_model(path)


def test_options_reach_the_reader(tmp_path: Path) -> None:
    path = write_nir(tmp_path / "n.nir", *chain_of((4,), LIF, out=(4,)))
    options = NirOptions(reset="subtract", readout="sum", steps=7, input_hi=3.0)
    graph = read_hdf5(path, options).graph
    assert graph.steps == 7
    op = graph["input"].op
    assert isinstance(op, Input)
    assert op.hi == 3.0
    assert [n.name for n in graph][-2:] == ["output.sum", "output"]


def test_affine_and_scale(tmp_path: Path) -> None:
    w, b = RNG.normal(size=(3, 4)), RNG.normal(size=3)
    x, y = layer_output(tmp_path, [4], {"type": "Affine", "weight": w, "bias": b})
    np.testing.assert_allclose(y, w @ x + b)
    x, y = layer_output(tmp_path, [4], {"type": "Affine", "weight": w, "bias": False})
    np.testing.assert_allclose(y, w @ x)
    s = RNG.normal(size=4)
    x, y = layer_output(tmp_path, [4], {"type": "Scale", "scale": s})
    np.testing.assert_allclose(y, s * x)


def naive_conv(
    x: Any, w: Any, stride: tuple[int, int], padding: tuple[int, int], groups: int = 1
) -> Any:
    """Cross-correlation as four loops."""
    x = np.pad(x, [(0, 0), *((p, p) for p in padding)])
    out, per, kh, kw = w.shape
    size = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:], (kh, kw), stride, strict=True)]
    y = np.zeros((out, *size))
    for o in range(out):
        first = o // (out // groups) * per
        for i, j in np.ndindex(*size):
            part = x[first : first + per, i * stride[0] :, j * stride[1] :][:, :kh, :kw]
            y[o, i, j] = (part * w[o]).sum()
    return y


@pytest.mark.parametrize(
    ("fields", "stride", "padding", "groups"),
    [
        ({"stride": [2, 1], "padding": [1, 0], "groups": 1}, (2, 1), (1, 0), 1),
        ({"stride": 1, "padding": 1, "dilation": 1, "groups": 2}, (1, 1), (1, 1), 2),
        ({"padding": "same"}, (1, 1), (1, 1), 1),
        ({"padding": "valid"}, (1, 1), (0, 0), 1),
    ],
)
def test_conv2d(
    tmp_path: Path,
    fields: dict[str, Any],
    stride: tuple[int, int],
    padding: tuple[int, int],
    groups: int,
) -> None:
    w, b = RNG.normal(size=(4, 4 // groups, 3, 3)), RNG.normal(size=4)
    layer = {"type": "Conv2d", "weight": w, "bias": b, **fields}
    x, y = layer_output(tmp_path, [4, 6, 7], layer)
    expected = naive_conv(x, w, stride, padding, groups) + b[:, None, None]
    np.testing.assert_allclose(y, expected, rtol=1e-10)


def test_conv1d_is_a_conv2d_of_one_row(tmp_path: Path) -> None:
    w = RNG.normal(size=(3, 2, 4))
    layer = {"type": "Conv1d", "weight": w, "stride": 2, "padding": 1, "dilation": 1, "groups": 1}
    x, y = layer_output(tmp_path, [2, 9], layer)
    expected = naive_conv(x[:, None], w[:, :, None], (1, 2), (0, 1))[:, 0]
    np.testing.assert_allclose(y, expected, rtol=1e-10)


def test_pools(tmp_path: Path) -> None:
    layer = {"type": "SumPool2d", "kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0]}
    x, y = layer_output(tmp_path, [3, 4, 6], layer)
    expected = x.reshape(3, 2, 2, 3, 2).sum((2, 4))
    np.testing.assert_allclose(y, expected)
    x, y = layer_output(tmp_path, [3, 4, 6], {"type": "AvgPool2d", "kernel_size": 2})
    np.testing.assert_allclose(y, x.reshape(3, 2, 2, 3, 2).mean((2, 4)))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, -1, (24,)), (1, -1, (2, 12)), (0, 1, (6, 4)), (-2, -1, (2, 12)), (0, 0, (2, 3, 4))],
)
def test_flatten(tmp_path: Path, start: int, end: int, expected: tuple[int, ...]) -> None:
    layer = {"type": "Flatten", "start_dim": start, "end_dim": end, "input_type": [2, 3, 4]}
    path = write_nir(tmp_path / "n.nir", *chain_of([2, 3, 4], layer, out=expected))
    assert run(path, np.zeros((1, 2, 3, 4))).shape == (1, *expected)


def test_flatten_that_counts_the_batch_axis(tmp_path: Path) -> None:
    flat = {"type": "Flatten", "start_dim": 1, "end_dim": -1}
    linear = {"type": "Linear", "weight": RNG.normal(size=(5, 24))}
    path = write_nir(tmp_path / "n.nir", *chain_of([2, 3, 4], flat, linear, out=(5,)))
    model = read(path)
    assert codes(model) == ["R140", "W140"]
    assert model.graph["1"].type.shape == (5,)


def test_leading_axes_of_the_input(tmp_path: Path) -> None:
    linear = {"type": "Linear", "weight": RNG.normal(size=(5, 4))}
    path = write_nir(tmp_path / "n.nir", *chain_of([100, 4], linear, LIF, out=(5,)))
    model = read(path)
    assert codes(model) == ["R140", "W140"]
    assert model.graph["input"].type.shape == (4,)
    path = write_nir(tmp_path / "n.nir", *chain_of([100, 4], linear, LIF, out=(100, 5)))
    assert read(path).graph["input"].type.shape == (100, 4)


def recurrent(tmp_path: Path, **names: str) -> tuple[Path, Any, Any]:
    """A recurrent layer and its matrices; ``hidden``: as a sub-graph of this name."""
    w, r = RNG.normal(size=(5, 4)), RNG.normal(size=(5, 5))
    inner: dict[str, Any] = {"lif": LIF, "rec": {"type": "Affine", "weight": r, "bias": w[:, 0]}}
    loop = [("lif", "rec"), ("rec", "lif")]
    ends = {"type": "Input", "shape": [4]}, {"type": "Output", "shape": [5]}
    nodes = {"input": ends[0], "fc": {"type": "Linear", "weight": w}, "output": ends[1]}
    if hidden := names.get("hidden"):
        ports = {"in": {"type": "Input", "shape": [5]}, "out": {"type": "Output", "shape": [5]}}
        edges = [("in", "lif"), *loop, ("lif", "out")]
        nodes[hidden] = {"type": "NIRGraph", "nodes": {**inner, **ports}, "edges": edges}
        path = [("input", "fc"), ("fc", hidden), (hidden, "output")]
        return write_nir(tmp_path / "sub.nir", nodes, path), w, r
    path = [("input", "fc"), ("fc", "lif"), ("lif", "output"), *loop]
    return write_nir(tmp_path / "flat.nir", {**nodes, **inner}, path), w, r


def test_a_loop_closes_over_one_step(tmp_path: Path) -> None:
    path, w, r = recurrent(tmp_path)
    x = RNG.integers(0, 2, (40, 4)).astype(float)
    v, s, expected = np.zeros(5), np.zeros(5), []
    for i in x:
        v = 0.9 * v + w @ i + r @ s + w[:, 0]
        s = (v > 1).astype(float)
        v = np.where(s, 0, v)
        expected.append(s)
    assert 10 < np.sum(expected) < 190
    np.testing.assert_array_equal(run(path, x), expected)
    delayed = [(e.src, e.dst, e.delay) for e in read(path).graph.edges if e.delay]
    assert delayed == [("lif", "rec", 1)]


def test_a_sub_graph_is_flattened(tmp_path: Path) -> None:
    path, _, _ = recurrent(tmp_path, hidden="h")
    graph = read(path).graph
    assert [n.name for n in graph] == ["input", "fc", "h.rec", "h.lif", "output.stack", "output"]
    assert str(graph["h.lif"].loc) == "h/lif"
    assert [(e.src, e.dst) for e in graph.edges if e.delay] == [("h.lif", "h.rec")]


def test_a_sub_graph_that_the_exporter_flattened(tmp_path: Path) -> None:
    w = RNG.normal(size=(5, 4))
    nodes = {
        "input": {"type": "Input", "shape": [4]},
        "fc": {"type": "Linear", "weight": w},
        "h.input": {"type": "Input", "shape": [5]},
        "h.lif": LIF,
        "h.output": {"type": "Output", "shape": [5]},
        "output": {"type": "Output", "shape": [5]},
    }
    edges = [("input", "fc"), ("fc", "h"), ("h.input", "h.lif"), ("h.lif", "h.output")]
    graph = read(write_nir(tmp_path / "n.nir", nodes, [*edges, ("h", "output")])).graph
    assert [n.name for n in graph] == ["input", "fc", "h.lif", "output.stack", "output"]


def test_feedback_over_two_layers_delays_the_way_back(tmp_path: Path) -> None:
    square = {"type": "Linear", "weight": RNG.normal(size=(3, 3))}
    nodes, edges = chain_of((3,), square, LIF, square, LIF, out=(3,))
    nodes["back"] = square
    path = write_nir(tmp_path / "n.nir", nodes, [*edges, ("3", "back"), ("back", "1")])
    assert [(e.src, e.dst) for e in read(path).graph.edges if e.delay] == [("3", "back")]


def test_a_loop_without_a_neuron_is_refused(tmp_path: Path) -> None:
    square = {"type": "Linear", "weight": RNG.normal(size=(3, 3))}
    nodes, edges = chain_of((3,), square, square, out=(3,))
    path = write_nir(tmp_path / "n.nir", nodes, [*edges, ("1", "0")])
    with pytest.raises(CompileError, match="E203"):
        read(path)


def test_delays(tmp_path: Path) -> None:
    delay = {"type": "Delay", "delay": np.full(3, 3e-4)}
    path = write_nir(tmp_path / "n.nir", *chain_of((3,), delay, out=(3,)))
    x = RNG.normal(size=(8, 3))
    y = run(path, x, "dt=1e-4")
    np.testing.assert_array_equal(y, [*np.zeros((3, 3)), *x[:5]])
    with pytest.raises(CompileError, match=r"E202.*1.5 steps"):
        read(path, "dt=2e-4")
    delay["delay"] = np.array([1e-4, 2e-4, 0])
    path = write_nir(tmp_path / "n.nir", *chain_of((3,), delay, out=(3,)))
    y = run(path, x, "dt=1e-4")
    for i, steps in enumerate((1, 2, 0)):
        np.testing.assert_array_equal(y[:, i], [*np.zeros(steps), *x[: 8 - steps, i]])
    delay["delay"] = np.full(3, -1e-4)
    path = write_nir(tmp_path / "n.nir", *chain_of((3,), delay, out=(3,)))
    with pytest.raises(CompileError, match=r"E202.*-1 steps"):
        read(path, "dt=1e-4")


def test_a_delay_closes_a_loop_by_itself(tmp_path: Path) -> None:
    nodes, edges = chain_of((3,), LIF, out=(3,))
    nodes["back"] = {"type": "Delay", "delay": np.float64(5e-4)}
    path = write_nir(tmp_path / "n.nir", nodes, [*edges, ("0", "back"), ("back", "0")])
    graph = read(path).graph
    assert [(e.src, e.dst, e.delay) for e in graph.edges if e.delay] == [("0", "0", 5)]


def test_what_arrives_is_added(tmp_path: Path) -> None:
    one, two = ({"type": "Linear", "weight": RNG.normal(size=(3, 3))} for _ in range(2))
    nodes, edges = chain_of((3,), one, out=(3,))
    nodes |= {"two": two, "half": {"type": "Scale", "scale": 0.5}}
    edges = [("input", "0"), ("input", "two"), ("0", "half"), ("two", "half"), ("half", "output")]
    path = write_nir(tmp_path / "n.nir", nodes, edges)
    x = RNG.normal(size=(2, 3))
    expected = 0.5 * (x @ one["weight"].T + x @ two["weight"].T)
    np.testing.assert_allclose(run(path, x), expected)


def test_parameters_with_a_batch_axis_and_equal_values(tmp_path: Path) -> None:
    layer = {"type": "IF", "r": np.ones((1, 2, 3)), "v_threshold": np.full((1, 2, 3), 2.0)}
    path = write_nir(tmp_path / "n.nir", *chain_of([1, 2, 3], layer, out=[1, 2, 3]))
    consts = read(path).graph["0"].op.kernel.consts  # type: ignore[attr-defined]
    assert {c.name: c.shape for c in consts} == {"dt": (), "v_threshold": (), "v_reset": ()}


def problems(path: Path, options: str = "") -> dict[str, str]:
    with pytest.raises(CompileError) as caught:
        read(path, options)
    return {d.code: d.message for d in caught.value.diagnostics}


def test_several_problems_at_once(tmp_path: Path) -> None:
    layers = (
        {"type": "LIF", "r": 1.0},
        {"type": "Warp", "speed": 9.0},
        {"type": "Linear"},
    )
    path = write_nir(tmp_path / "n.nir", *chain_of((3,), *layers))
    with pytest.raises(CompileError) as caught:
        read(path)
    found = [(d.code, str(d.loc)) for d in caught.value.diagnostics]
    assert found == [("E146", "0"), ("E210", "1"), ("E146", "2")]
    assert "tau, v_threshold" in caught.value.diagnostics[0].message


def test_shapes_that_do_not_fit_name_the_layer(tmp_path: Path) -> None:
    linear = {"type": "Linear", "weight": np.ones((5, 4))}
    many = {**LIF, "v_threshold": np.arange(1.0, 7)}
    found = problems(write_nir(tmp_path / "n.nir", *chain_of((4,), linear, many, out=(5,))))
    assert "1 (LIF): v_threshold" in found["E202"]
    found = problems(write_nir(tmp_path / "n.nir", *chain_of((7,), linear, LIF, out=(5,))))
    assert "0 (Linear)" in found["E202"]


def test_edges_to_nowhere(tmp_path: Path) -> None:
    nodes, _ = chain_of((4,), LIF, out=(4,))
    path = write_nir(tmp_path / "n.nir", nodes, [("input", "lif0"), ("lif0", "output")])
    with pytest.raises(CompileError) as caught:
        read(path)
    assert [d.code for d in caught.value.diagnostics] == ["E146"]
    with pytest.raises(CompileError, match="no Input"):
        read(write_nir(tmp_path / "n.nir", {"0": LIF}, []))


def test_what_no_output_needs_is_left_out(tmp_path: Path) -> None:
    nodes, edges = chain_of((4,), LIF, out=(4,))
    nodes["lost"] = LIF
    path = write_nir(tmp_path / "n.nir", nodes, [*edges, ("0", "lost")])
    model = read(path)
    assert "lost" not in model.graph
    assert codes(model) == ["R140", "W140"]


def test_unread_parameters_are_named(tmp_path: Path) -> None:
    layer = {**LIF, "refractory": np.ones(4)}
    model = read(write_nir(tmp_path / "n.nir", *chain_of((4,), layer, out=(4,))))
    assert "refractory" in next(d.message for d in model.diagnostics if d.code == "W140")


def test_all_zero_biases_are_dropped_and_weights_stay(tmp_path: Path) -> None:
    weight = RNG.normal(size=(2, 2, 3, 3)).astype(np.float32)
    layer = {"type": "Conv2d", "weight": weight, "bias": np.zeros(2, np.float32)}
    op = read(write_nir(tmp_path / "n.nir", *chain_of([2, 5, 5], layer))).graph["0"].op
    assert isinstance(op, Conv2d)
    assert op.bias is None
    np.testing.assert_array_equal(op.weight.data, weight)
    integers = {"type": "Linear", "weight": np.arange(6).reshape(2, 3)}
    linear = read(write_nir(tmp_path / "n.nir", *chain_of([3], integers))).graph["0"].op
    assert isinstance(linear, Linear)
    assert linear.weight.data.dtype == np.float32
