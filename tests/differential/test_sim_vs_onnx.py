"""The ONNX model equals the defining simulator on every output, spike and state word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnc.backends.onnx.backend import OnnxBackend
from snnc.backends.onnx.kernel import live_lines
from snnc.backends.onnx.registry import BOUNDARY, COLLECTORS, SEQUENCES, WRITERS
from snnc.backends.onnx.session import Model
from snnc.diagnostics import CompileError
from snnc.graph import Graph, Value
from snnc.intops import (
    INTOPS,
    IntConv,
    IntConvTranspose,
    IntInput,
    IntLinear,
    IntNeuron,
    IntOutput,
    IntRescale,
    IntSum,
    IntTimeMax,
    IntTimeMean,
    IntTimeStack,
    IntTimeSum,
)
from snnc.kernel import INT_FUNCTIONS, ROUNDINGS
from snnc.op import Op
from snnc.params import Param
from snnc.passes import run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.types import Clock
from tests.absolutekernels import KERNELS, network
from tests.agreement import random_reference
from tests.covering import COVERING
from tests.intgraphs import (
    ONE,
    mlp,
    proven,
    random_inputs,
    simulator,
)
from tests.lavagraphs import GRAPHS
from tests.randomgraphs import random_graph
from tests.randomkernels import Builder, lif

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def assert_equal(
    graph: Graph, folder: Path, seed: int = 0, samples: int = 5, steps: int = 7
) -> None:
    OnnxBackend().compile(graph).write(folder)
    want, model = random_reference(graph, seed, samples, steps), Model(folder)
    assert model.words() == simulator(graph).words()
    assert not want.difference(model.run(want.inputs, want.steps, want.words))


def test_every_operator_is_written() -> None:
    assert {*WRITERS, *COLLECTORS, *SEQUENCES, *BOUNDARY} == set(INTOPS)


def test_the_graphs_compared_have_every_operator_and_function() -> None:
    nodes = [n for seed in COVERING for n in random_graph(seed)]
    assert {type(n.op).__name__ for n in nodes} == set(INTOPS)
    kernels = [n.op.kernel for n in nodes if isinstance(n.op, IntNeuron)]
    assert {y.fn for k in kernels for y in live_lines(k)} == set(INT_FUNCTIONS)


@pytest.mark.parametrize("seed", COVERING)
def test_random_graphs_are_valid_and_equal(seed: int, tmp_path: Path) -> None:
    graph = random_graph(seed)
    assert_equal(graph, tmp_path, seed)
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)  # with shape inference


@pytest.mark.parametrize("name", GRAPHS)
def test_delicate_graphs(name: str, tmp_path: Path) -> None:
    assert_equal(proven(GRAPHS[name]()), tmp_path)


def test_kernels_in_absolute_formats(tmp_path: Path) -> None:
    assert_equal(run_passes(network(*KERNELS.values()), integer_pipeline()), tmp_path, steps=30)


def fan(*ops: Op, shape: tuple[int, ...], lo: int, hi: int) -> Graph:
    """One input per step into every operator; all are sequences."""
    graph = Graph("fan", 5)
    graph.add("input", IntInput(shape, Clock.STEP, lo, hi, 1.0))
    for i, op in enumerate(ops):
        graph.add(f"op{i}", op, "input")
        graph.add(f"stack{i}", IntTimeStack(), f"op{i}")
        graph.add(f"out{i}", IntOutput(ONE), f"stack{i}")
    return proven(graph)


@pytest.mark.parametrize(
    ("lo", "hi"), [(0, 1), (0, 127), (0, 255), (-128, 127), (-300, 20), (-(1 << 33), 1 << 34)]
)
def test_products_in_every_type(lo: int, hi: int, tmp_path: Path) -> None:
    """Bytes at their ends, where processors without a dot product of bytes saturate, and words."""
    rng = np.random.default_rng(0)
    ends = Param(rng.choice([-128, 127], (4, 2, 3, 3)).astype(np.int8))
    wide = Param(rng.integers(-300, 300, (4, 2, 3, 3)).astype(np.int16))
    ops: list[Op] = []
    for weight in (ends, wide):
        bias = Param(rng.integers(-99, 99, 4))
        ops.append(IntConv(weight, bias, 2, (2, 1), (1, 2), (1, 2), 2))
        extra = (1, 0)
        ops.append(IntConvTranspose(weight, bias, 0, (2, 1), (1, 3), extra, (1, 2), 2))
        ops.append(IntLinear(Param(weight.data.reshape(12, 6)), None, 1))
    assert_equal(fan(*ops, shape=(4, 5, 6), lo=lo, hi=hi), tmp_path, samples=4)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rounding_of_every_small_integer(rounding: str, tmp_path: Path) -> None:
    ops = [IntRescale(Param(np.array(1)), shift, rounding) for shift in (0, 1, 3, 8)]
    graph = fan(*ops, shape=(257,), lo=-128, hi=128)
    OnnxBackend().compile(graph).write(tmp_path)
    x = {"input": np.arange(-128, 129)[None, None]}
    want, got = simulator(graph).run(x)[0], Model(tmp_path).run(x)[0]
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], name)


def streamed() -> Graph:
    """Neurons, a delay with values before the first, warm-up, a mean and a maximum."""
    b = Builder(np.random.default_rng(5), Graph("streamed", 8))
    g = b.graph
    g.add("x", IntInput((6,), Clock.STEP, -20, 60, 1.0))
    g.add("fc", IntLinear(b.param((6, 6), -9, 9)), "x")
    g.add("lif", IntNeuron(lif(b, (6,)), (6,)), "fc")
    g.add("late", IntSum(), "fc", Value("lif", delay=3, init=b.param((6,), -5, 5)))
    for i, op in enumerate((IntTimeSum(2), IntTimeMean(1, 6), IntTimeMax(3), IntTimeStack(2))):
        g.add(f"kept{i}", op, "late")
        g.add(f"out{i}", IntOutput(ONE), f"kept{i}")
    return proven(g)


@pytest.mark.parametrize("cut", [1, 2, 5, 8])
def test_a_sequence_may_be_run_in_parts(cut: int, tmp_path: Path) -> None:
    graph = streamed()
    OnnxBackend().compile(graph).write(tmp_path)
    x = random_inputs(graph, np.random.default_rng(1), 4, 9)["x"].astype(np.int32)
    want, _ = simulator(graph).run(x)
    model = Model(tmp_path)
    session, _ = model.session()
    names = [o.name for o in session.get_outputs()]
    # only the states are carried: a run from their defaults gives the first part
    first = dict(zip(names, session.run(None, {"x": x[:, :cut]}), strict=True))
    states = {given: first[left] for given, left in model.interface["states"].items()}
    states["steps_done"] = first["next_steps_done"]
    second = dict(zip(names, session.run(None, {"x": x[:, cut:], **states}), strict=True))
    for name in ("out0", "out1", "out2"):
        np.testing.assert_array_equal(second[name], want[name], name)
    both = np.concatenate([first["out3"], second["out3"]], 1)
    np.testing.assert_array_equal(both, want["out3"])


def test_layers_keep_their_names(tmp_path: Path) -> None:
    OnnxBackend().compile(mlp()).write(tmp_path)
    graph = onnx.load(tmp_path / "model.onnx").graph
    (scan,) = [n for n in graph.node if n.op_type == "Scan"]
    (body,) = [a.g for a in scan.attribute if a.name == "body"]
    made = {o for n in body.node for o in n.output}
    assert {"fc0", "lif0", "fc1", "lif1"} <= made
    assert next(o.name for o in graph.output) == "out"
    assert {i.name for i in graph.input} >= {"image", "state:lif0.v", "state:lif1.v"}


def test_no_float_is_computed(tmp_path: Path) -> None:
    for i, seed in enumerate(COVERING):
        OnnxBackend().compile(random_graph(seed)).write(tmp_path / str(i))
        model = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / str(i) / "model.onnx"))
        graphs = [model.graph]
        graphs += [a.g for n in model.graph.node for a in n.attribute if a.HasField("g")]
        for g in graphs:
            kinds = {t.data_type for t in g.initializer}
            kinds |= {v.type.tensor_type.elem_type for v in (*g.input, *g.output, *g.value_info)}
            assert kinds <= {2, 3, 6, 7, 9, 13}  # (u)int8, int32, int64, bool, uint64


def test_no_samples_and_no_steps(tmp_path: Path) -> None:
    OnnxBackend().compile(mlp()).write(tmp_path)
    x = {"image": np.zeros((0, 5, 12), np.int64)}
    want, got = simulator(mlp()).run(x)[0], OnnxBackend().run(tmp_path, x)[0]
    np.testing.assert_array_equal(got["out"], want["out"], strict=True)
    with pytest.raises(CompileError, match=r"E421.*at least one step"):
        OnnxBackend().run(tmp_path, {"image": np.zeros((2, 0, 12), np.int64)})


def test_equal_graphs_give_equal_bytes() -> None:
    assert OnnxBackend().emit(random_graph(9)).files == OnnxBackend().emit(random_graph(9)).files
