"""Integers against the float model with the same weights: spikes agree, ranges hold."""

import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy

from snnc.backends.float_sim import FloatSimulator
from snnc.backends.numpy.simulator import Simulator
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.intops import IntLinear, IntNeuron
from snnc.ops import (
    AvgPool2d,
    Constant,
    Conv2d,
    Input,
    Linear,
    MaxPool2d,
    Output,
    Pointwise,
    Reshape,
    TimeMean,
    TimeStack,
    TimeSum,
)
from snnc.params import Param
from snnc.passes import Context, run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.storage import dump_graph
from snnc.types import TensorType
from tests.kerneltext import LIF, ZOO, kernel, population
from tests.realgraphs import constant, lif, mlp, param, recurrent, residual_conv

RNG = np.random.default_rng(0)
FIRST = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _own_numbers() -> None:
    """Give a test the same numbers whatever ran before it."""
    RNG.bit_generator.state = FIRST


def simulator(graph: Graph) -> Simulator:
    text, blob = dump_graph(graph)
    return Simulator(json.loads(text), safetensors.numpy.load(blob))


@pytest.mark.parametrize("name", ZOO)
def test_every_kernel_agrees_with_the_float_model(name: str) -> None:
    k = ZOO[name]
    real = population(k, 4)
    graph = run_passes(real, integer_pipeline())
    sim, reference = simulator(graph), FloatSimulator(real)
    x = {i: RNG.integers(-60, 100, (200, 32, 4)) for i in k.inputs}
    _, words = sim.run(x, record=sim.words())
    floats = {i: v / 64 for i, v in x.items()}
    _, expected = reference.run(floats, record=reference.words())
    spikes = f"n.{k.outputs[0]}"
    assert 0.05 < words[spikes].mean() < 0.6
    assert np.mean(words[spikes] == (expected[spikes] != 0)) >= 0.999


@pytest.mark.parametrize("name", ZOO)
def test_proven_ranges_hold_in_every_step(name: str) -> None:
    graph = run_passes(population(ZOO[name], 4), integer_pipeline())
    sim = simulator(graph)
    low, high = -128, 128
    extremes = [np.full((1, 200, 4), v) for v in (low, high)]
    mixed = RNG.choice([low, high], (30, 200, 4))
    x = np.concatenate([*extremes, mixed])
    op = graph["n"].op
    assert isinstance(op, IntNeuron)
    _, words = sim.run(dict.fromkeys(ZOO[name].inputs, x), record=sim.words())
    for s in (*op.kernel.states, *op.kernel.body):
        if (word := f"n.{s.name}") in words:
            assert s.lo <= words[word].min(), word
            assert words[word].max() <= s.hi, word


def test_integrate_and_fire_and_powers_of_two_are_exact() -> None:
    for name in ("if", "lif to value"):
        k = ZOO[name]
        real = population(k, 4)
        sim = simulator(run_passes(real, integer_pipeline()))
        x = RNG.integers(-60, 100, (100, 8, 4))
        a = sim.run(x)[0]["out.s"]
        assert np.array_equal(a, FloatSimulator(real).run(x / 64)[0]["out.s"])


@pytest.mark.parametrize("bits", [2, 3, 4, 8, 16])
@pytest.mark.parametrize("make", [mlp, residual_conv, recurrent])
def test_networks_agree_with_their_fake_quantized_float_model(bits: int, make: object) -> None:
    ctx = Context()
    graph = run_passes(make(), integer_pipeline(bits), ctx)  # type: ignore[operator]
    assert ctx.fake_quantized is not None
    reference = FloatSimulator(ctx.fake_quantized)
    (shape, _, _, hi) = simulator(graph).inputs["x"]
    x = RNG.integers(0, hi + 1, (100, 16, *shape))
    sim = simulator(graph)
    _, words = sim.run(x, record=sim.words())
    scale = graph["x"].op.scale  # type: ignore[attr-defined]
    _, expected = reference.run(x * scale, record=reference.words())
    for word in (w for w in words if w.endswith(".s0")):
        assert np.mean(words[word] == expected[word]) >= 0.999, word
        assert 0.02 < words[word].mean() < 0.98


def test_guard_bits_lift_thresholds_to_fourteen_bits() -> None:
    for bits in (2, 4, 8):
        graph = run_passes(mlp(), integer_pipeline(bits))
        for node in graph:
            if isinstance(node.op, IntNeuron):
                (theta,) = (c for c in node.op.kernel.consts if c.name.startswith("theta"))
                assert np.median(theta.values.data) >= 1 << 13


def test_residual_convolutions_share_their_unit() -> None:
    graph = run_passes(residual_conv(), integer_pipeline())
    assert "lif2.unit" in graph  # the spikes of the shortcut are scaled into the membrane's unit


@pytest.mark.parametrize("between", ["flatten", "average", "maximum", "flatten and average"])
def test_what_lies_between_weights_and_their_neuron(between: str) -> None:
    rng = np.random.default_rng(0)  # its own: tests run in any order
    g = Graph("between")
    g.add("x", Input(TensorType((2, 6, 6)), 0.0, 1.0, 1.0))
    w = rng.integers(-100, 101, (3, 2, 3, 3)) / 60
    g.add("conv", Conv2d(param(w), param([0.1, -0.1, 0.2])), "x")
    last = "conv"
    if "average" in between:
        last = g.add("pool", AvgPool2d((2, 2), (2, 2)), last).name
    if between == "maximum":
        last = g.add("pool", MaxPool2d((2, 2), (2, 2)), last).name
    if "flatten" in between:
        last = g.add("flat", Reshape((g[last].type.size,)), last).name
    g.add("sum", TimeSum(), lif(g, "lif", last, beta=0.8, theta=0.7))
    g.add("out", Output(), "sum")
    ctx = Context()
    graph = run_passes(g, integer_pipeline(), ctx)
    assert ctx.fake_quantized is not None
    x = rng.integers(0, 2, (60, 12, 2, 6, 6))
    _, words = simulator(graph).run(x, record=["lif.s0"])
    _, expected = FloatSimulator(ctx.fake_quantized).run(x, record=["lif.s0"])
    assert np.mean(words["lif.s0"] == expected["lif.s0"]) >= 0.999
    assert 0.05 < words["lif.s0"].mean() < 0.95


def test_mean_readout_with_bias_needs_no_number_of_steps() -> None:
    g = Graph("mean")
    g.add("x", Input(TensorType((6,)), 0.0, 1.0, 1.0))
    s = lif(g, "lif", "x")
    g.add("mean", TimeMean(), s)
    w, b = RNG.normal(size=(3, 6)), RNG.normal(size=3)
    g.add("fc", Linear(param(w), param(b)), "mean")
    g.add("out", Output(), "fc")
    graph = run_passes(g, integer_pipeline(16))
    x = RNG.integers(0, 2, (50, 9, 6))
    y = simulator(graph).run(x)[0]["out"] * graph["out"].op.scale.data / 9  # type: ignore[attr-defined]
    np.testing.assert_allclose(y, FloatSimulator(g).run(x)[0]["out"], atol=2e-3)


def test_membrane_readout_folds_the_units_into_the_weights() -> None:
    from snnc.graph import Value
    from snnc.ops import Neuron, TimeLast

    g = Graph("readout")
    g.add("x", Input(TensorType((6,)), 0.0, 1.0, 1.0))
    g.add("fc", Linear(param(RNG.normal(size=(8, 6)))), "x")
    k = kernel(LIF, outputs="s v1", a=RNG.uniform(0.3, 0.9, 8), theta=1.0)
    g.add("n", Neuron(k, (8,)), "fc")
    g.add("last", TimeLast(), Value("n", 1))
    g.add("out.fc", Linear(param(RNG.normal(size=(4, 8)))), "last")
    g.add("out", Output(), "out.fc")
    ctx = Context()
    graph = run_passes(g, integer_pipeline(16), ctx)
    x = RNG.integers(0, 2, (50, 9, 6))
    y = simulator(graph).run(x)[0]["out"] * graph["out"].op.scale.data  # type: ignore[attr-defined]
    assert ctx.fake_quantized is not None
    expected = FloatSimulator(ctx.fake_quantized).run(x)[0]["out"]
    np.testing.assert_allclose(y, expected, atol=2e-3)


def code_of(graph: Graph, **options: int) -> str:
    with pytest.raises(CompileError) as e:
        run_passes(graph, integer_pipeline(**options))
    return " ".join(d.code for d in e.value.diagnostics)


def test_bad_numbers_have_their_own_codes() -> None:
    assert code_of(mlp(), bits=1) == "E320"
    assert code_of(mlp(), bits=17) == "E320"
    assert code_of(mlp(theta=0.0)) == "E321 E321"
    assert code_of(mlp(theta=-1.0)) == "E321 E321"


def test_a_threshold_of_zero_without_a_membrane_is_a_sign() -> None:
    g = Graph("sign", 4)
    g.add("x", Input(TensorType((3,)), -1.0, 1.0, 1 / 8))
    zero = g.add("zero", Constant(Param(np.zeros(())))).name
    g.add("s", Pointwise("ge"), "x", zero)
    g.add("stack", TimeStack(), "s")
    g.add("y", Output(), "stack")
    program = run_passes(g, integer_pipeline())
    x = np.array([[[-1, 0, 1]] * 4])
    np.testing.assert_array_equal(simulator(program).run(x)[0]["y"], [[[0, 1, 1]] * 4])
    assert code_of(mlp(beta=1.5)) == "E322 E322"
    assert code_of(mlp(beta=-0.1)) == "E322 E322"
    assert code_of(mlp(beta=1 - 2.0**-20)) == "E323 E323"


def test_a_bad_threshold_names_the_neurons() -> None:
    with pytest.raises(CompileError, match=r"1 of 20 neurons \(\[3\]: -0.5\)"):
        run_passes(mlp((12, 20), theta=[1.0] * 3 + [-0.5] + [1.0] * 16), integer_pipeline())


def test_all_unsupported_operators_are_reported_at_once() -> None:
    g = mlp()
    for i, fn in enumerate(("eq", "ne")):
        g.add(f"bad{i}", Pointwise(fn), "fc0", constant(g, 0.3))
        g.add(f"bad{i}.sum", TimeSum(), f"bad{i}")
        g.add(f"bad{i}.out", Output(), f"bad{i}.sum")
    assert code_of(g) == "E220 E220"


def test_a_kernel_without_an_integer_form_is_refused_with_its_formula() -> None:
    k = kernel(LIF.replace("v1 >= theta", "eq(v1, theta)"), a=0.9, theta=1.0)
    with pytest.raises(CompileError, match=r"E220[\s\S]*s = v1 == theta"):
        run_passes(population(k, 4), integer_pipeline())


def test_zero_weights_compile() -> None:
    g = Graph("zero")
    g.add("x", Input(TensorType((3,)), 0.0, 1.0, 1.0))
    g.add("fc", Linear(Param(np.zeros((2, 3), np.float32))), "x")
    g.add("sum", TimeSum(), lif(g, "lif", "fc"))
    g.add("out", Output(), "sum")
    graph = run_passes(g, integer_pipeline())
    assert isinstance(graph["fc"].op, IntLinear)
    assert not simulator(graph).run(np.ones((1, 5, 3), np.int64))[0]["out"].any()


def test_constants_of_the_graph_are_not_left_over() -> None:
    graph = run_passes(residual_conv(), integer_pipeline())
    assert not any(isinstance(n.op, Constant | Pointwise) for n in graph)


def test_feed_forward_and_recurrent_weights_share_their_row_scale() -> None:
    graph = run_passes(recurrent(), integer_pipeline())
    assert [n.name for n in graph if n.name.endswith(".unit")] == []
    (edge,) = graph.in_edges("loop")
    assert (edge.src, edge.delay) == ("lif", 1)


def test_a_membrane_fed_back_through_weights_saturates_and_is_reported() -> None:
    g = recurrent()
    (edge,) = g.in_edges("loop")
    g.disconnect(edge)
    g.connect(replace(edge, src="lif.add"))
    ctx = Context()
    program = run_passes(g, integer_pipeline(), ctx)
    (edge,) = program.in_edges("loop")
    assert (edge.src, edge.delay) == ("lif.past", 1)
    assert "W312" in [d.code for d in ctx.diagnostics]


def test_a_constant_that_cannot_be_decided_is_an_error_of_the_model() -> None:
    k = kernel(LIF.replace("a * v", "a * v * floor(exp(b))"), a=0.9, b=-0.5, theta=1.0)
    assert code_of(population(k, 4)) == "E326"
