"""Programs that once gave wrong integers without a word."""

import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy

from snnc.backends.float_sim import FloatSimulator
from snnc.backends.numpy.simulator import Simulator
from snnc.diagnostics import CompileError, Loc
from snnc.graph import Edge, Graph, Value
from snnc.intops import IntNeuron
from snnc.ops import (
    BatchNorm,
    Conv2d,
    Input,
    Linear,
    MaxPool2d,
    Neuron,
    Output,
    Reshape,
    TimeLast,
    TimeMean,
    TimeStack,
    TimeSum,
)
from snnc.passes import Context, run_passes
from snnc.passes.pipeline import integer_pipeline, real_pipeline
from snnc.storage import dump_graph
from snnc.types import TensorType
from tests.kerneltext import kernel
from tests.realgraphs import compartments, constant, differences, lif, param, pointwise, recurrent

X = np.random.default_rng(1).integers(0, 2, (50, 32, 6))
W = np.random.default_rng(2).normal(size=(5, 6))


def start(shape: tuple[int, ...] = (6,), step: float = 1.0) -> Graph:
    g = Graph("g", 16)
    g.add("x", Input(TensorType(shape), 0.0, 1.0, step))
    return g


def sequence(g: Graph, value: str | Value, name: str = "out") -> Graph:
    g.add(f"{name}.stack", TimeStack(), value)
    g.add(name, Output(), f"{name}.stack")
    return g


def last(g: Graph, value: str | Value, name: str = "out") -> Graph:
    g.add(f"{name}.sum", TimeSum(), value)
    g.add(name, Output(), f"{name}.sum")
    return g


def results(g: Graph, x: np.ndarray, bits: int = 8) -> dict[str, tuple[np.ndarray, ...]]:
    """Output -> what the integers mean, the fake-quantized model's, the float model's."""
    ctx = Context()
    program = run_passes(g, integer_pipeline(bits), ctx)
    text, blob = dump_graph(program)
    integers = Simulator(json.loads(text), safetensors.numpy.load(blob)).run(x)[0]
    assert ctx.fake_quantized is not None
    real = x * program["x"].op.scale  # type: ignore[attr-defined]
    fake = FloatSimulator(ctx.fake_quantized).run(real)[0]
    plain = FloatSimulator(g).run(real)[0]
    scale = {k: program[k].op.scale.data for k in integers}  # type: ignore[attr-defined]
    return {k: (v * scale[k], fake[k], plain[k]) for k, v in integers.items()}


def wrong(g: Graph, x: np.ndarray = X, bits: int = 8) -> float:
    """Largest share of output values that differ from the fake-quantized model."""
    return max(float(np.mean(a != b)) for a, b, _ in results(g, x, bits).values())


def test_two_neurons_share_one_linear() -> None:
    g = start()
    g.add("fc", Linear(param(W)), "x")
    sequence(g, lif(g, "a", "fc"), "o1")
    sequence(g, lif(g, "b", "fc", 0.5, [30.0, 0.2, 0.3, 0.4, 0.01]), "o2")
    assert wrong(g) < 1e-3


def test_a_neuron_and_a_readout_share_one_linear() -> None:
    g = start()
    g.add("fc", Linear(param(W)), "x")
    last(g, "fc", "current")
    sequence(g, lif(g, "a", "fc", 0.9, 0.1), "spikes")
    r = results(g, X)
    np.testing.assert_allclose(r["current"][0], r["current"][1], atol=1e-2)
    assert np.array_equal(r["spikes"][0], r["spikes"][1])


def test_a_pool_and_a_neuron_share_one_convolution() -> None:
    g = start((2, 4, 4))
    w = np.random.default_rng(3).normal(size=(3, 2, 3, 3))
    g.add("conv", Conv2d(param(w), None, (1, 1), (1, 1)), "x")
    g.add("pool", MaxPool2d((2, 2), (2, 2)), "conv")
    sequence(g, lif(g, "a", "pool", 0.9, 100.0), "o1")
    sequence(g, lif(g, "b", "conv"), "o2")
    assert wrong(g, np.random.default_rng(0).integers(0, 2, (20, 8, 2, 4, 4))) < 1e-3


def test_a_mean_plus_something_else_is_divided_before() -> None:
    g = start()
    s = lif(g, "a", "x", 0.9, 1.5)
    g.add("mean", TimeMean(), s)
    g.add("last", TimeLast(), s)
    g.add("out", Output(), pointwise(g, "add", "add", "mean", "last"))
    ((found, expected, _),) = results(g, X).values()
    assert np.mean(np.abs(found - expected) > 1e-3) < 0.01  # but for a spike that rounding moves


def test_spikes_of_negative_amplitude_keep_their_maximum() -> None:
    k = kernel(
        """
        v1 = 0.9 * v + x
        s = v1 >= 1.5
        y = where(s, -1.5, 0.0)
        v' = v1 + y
        """,
        outputs="y",
    )
    g = start((2, 4, 4))
    g.add("n", Neuron(k, (2, 4, 4)), "x")
    g.add("pool", MaxPool2d((2, 2), (2, 2)), "n")
    last(g, "pool")
    assert wrong(g, np.random.default_rng(0).integers(0, 2, (20, 8, 2, 4, 4))) == 0


@pytest.mark.parametrize("theta", [1.0, 1e-2, 1e-4, 1e-6])
def test_a_row_of_zero_weights_keeps_its_bias(theta: float) -> None:
    w = np.delete(W, 4, 0) * theta
    w[2] = 0
    g = start()
    g.add("fc", Linear(param(w), param([0, 0, 0.42 * theta, 0])), "x")
    sequence(g, lif(g, "a", "fc", 0.9, theta))
    assert wrong(g) < 1e-3


def test_a_row_of_zero_weights_does_not_coarsen_the_readout() -> None:
    w = np.random.default_rng(1).normal(size=(4, 6)) * 1e-3
    w[2] = 0
    g = start()
    g.add("fc", Linear(param(w)), "x")
    last(g, "fc")
    ((a, b, _),) = results(g, X).values()
    assert np.abs(a - b).max() < 1e-2 * np.abs(b).max()


def test_outputs_of_several_amplitudes_keep_their_fractions() -> None:
    g = start()
    g.add("fc", Linear(param(W)), "x")
    amplitude = constant(g, [0.2, 0.31, 0.57, 0.83, 1.0])
    last(g, pointwise(g, "amp", "mul", lif(g, "a", "fc"), amplitude))
    ((a, b, _),) = results(g, X).values()
    assert np.abs(a - b).max() < 2e-2 * np.abs(b).max()


@pytest.mark.parametrize("weight", [1.0, 0.5, 0.25, 0.2])
def test_a_sum_that_hits_the_threshold_exactly_fires(weight: float) -> None:
    k = kernel("v1 = v + x\ns = v1 >= 1.0\nv' = where(s, 0.0, v1)")
    g = start((1,))
    g.add("fc", Linear(param([[weight]])), "x")
    g.add("n", Neuron(k, (1,)), "fc")
    ((a, b, _),) = results(sequence(g, "n"), np.ones((1, 40, 1), np.int64)).values()
    assert np.array_equal(a, b)


@pytest.mark.parametrize("levels", [15, 127, 255])
def test_a_white_pixel_reaches_the_threshold_one(levels: int) -> None:
    k = kernel("v1 = v + x\ns = v1 >= 1.0\nv' = where(s, 0.0, v1)")
    g = start((1,), 1 / levels)
    g.add("n", Neuron(k, (1,)), "x")
    ((a, _, _),) = results(sequence(g, "n"), np.full((1, 8, 1), levels)).values()
    assert a.all()


def test_pixels_and_spikes_into_one_neuron_keep_both_resolutions() -> None:
    rng = np.random.default_rng(0)
    g = start((16,), 1 / 255)
    g.add("fc", Linear(param(rng.normal(size=(8, 16)) * 0.5)), "x")
    loop = Linear(param(rng.normal(size=(8, 8)) / 2))
    g.declare("loop", loop, (TensorType((8,)),), Loc("loop"))
    s = lif(g, "lif", pointwise(g, "lif.in", "add", "fc", "loop"))
    g.connect(Edge(s, "loop", delay=1))
    sequence(g, s)
    ((a, b, c),) = results(g, rng.integers(0, 256, (100, 16, 16))).values()
    assert np.mean(a != b) < 1e-3
    assert np.mean(b != c) < 0.03  # as good as without the recurrent weights


def test_a_convolution_flattened_before_its_neuron_compiles() -> None:
    w = np.random.default_rng(3).normal(size=(3, 2, 3, 3))
    g = start((2, 4, 4))
    g.add("conv", Conv2d(param(w), None, (1, 1), (1, 1)), "x")
    g.add("flat", Reshape((48,)), "conv")
    sequence(g, lif(g, "a", "flat"))
    assert wrong(g, np.random.default_rng(0).integers(0, 2, (20, 8, 2, 4, 4))) < 1e-3


LOOPS = {
    "the last input": "v1 = 0.9*v + 0.5*x\ns = v1 + u >= 1.0\nv' = where(s, 0.0, v1)\nu' = x",
    "a spike into a state that starts at a half": (
        "v1 = 0.9*v + x - 0.7*p\ns = v1 >= 1.0\nv' = where(s, 0.0, v1)\np' = s"
    ),
    "a weak coupling": (
        "i1 = 0.9*i + x\nv1 = 0.9*v + 0.0001*i1\ns = v1 >= 0.001\nv' = where(s, 0.0, v1)\ni' = i1"
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_kernels_whose_states_are_not_membranes(name: str) -> None:
    g = start()
    g.add("fc", Linear(param(W)), "x")
    init = {"init_p": 0.5} if "p'" in LOOPS[name] else {}
    g.add("n", Neuron(kernel(LOOPS[name], **init), (5,)), "fc")
    assert wrong(sequence(g, "n")) < 1e-3


def test_a_counter_is_exact() -> None:
    text = (
        "v1 = where(r > 0, 0.0, 0.9*v + x)\ns = v1 >= 1.0\nv' = where(s, 0.0, v1)\n"
        "r' = where(s, 5.0, maximum(r - 1.0, 0.0))"
    )
    g = start()
    g.add("fc", Linear(param(W)), "x")
    g.add("n", Neuron(kernel(text), (5,)), "fc")
    assert wrong(sequence(g, "n")) < 1e-3


def test_a_membrane_is_fed_back_through_weights() -> None:
    g = recurrent()
    (edge,) = g.in_edges("loop")
    g.disconnect(edge)
    g.connect(replace(edge, src="lif.add"))
    loop = g["loop"]
    assert isinstance(loop.op, Linear)
    g.replace(replace(loop, op=replace(loop.op, weight=param(0.1 * loop.op.weight.data))))
    assert wrong(g) == 0


def test_a_layer_between_the_halves_of_a_neuron() -> None:
    program = run_passes(compartments(), integer_pipeline())
    assert sum(isinstance(n.op, IntNeuron) for n in program) > 1
    assert wrong(compartments()) == 0


def test_arithmetic_between_spikes_outside_of_neurons() -> None:
    for integers, fake, _ in results(differences(), X).values():
        assert (fake < 0).any()
        np.testing.assert_allclose(integers, fake, atol=2e-3)


@pytest.mark.parametrize("increment", [1e-5, 1e-4])
def test_a_slow_adaptation_keeps_its_speed(increment: float) -> None:
    text = "v1 = 0.9*v + x\ns = v1 >= 1.0 + a\nv' = where(s, 0.0, v1)\na' = a + k * s"
    g = start()
    g.add("fc", Linear(param(np.abs(W))), "x")
    g.add("n", Neuron(kernel(text, "s a", k=increment), (5,)), "fc")
    g.add("a.last", TimeLast(), Value("n", 1))
    g.add("a", Output(), "a.last")
    integers, fake, _ = results(sequence(g, "n"), np.ones((1, 32, 6), int))["a"]
    assert (fake > 0).all()
    np.testing.assert_allclose(integers, fake, rtol=0.05)


def test_a_constant_that_vanishes_is_reported() -> None:
    g = start()
    g.add("fc", Linear(param(W)), "x")
    k = kernel("v1 = 0.9*v + x + tiny\ns = v1 >= 1.0\nv' = where(s, 0.0, v1)", tiny=1e-12)
    g.add("n", Neuron(k, (5,)), "fc")
    ctx = Context()
    run_passes(sequence(g, "n"), integer_pipeline(), ctx)
    assert [(d.code, d.notes) for d in ctx.diagnostics] == [("W314", ("1e-12 becomes 0",))]


def test_a_membrane_that_rests_below_a_negative_threshold() -> None:
    text = "v1 = v + 0.1 * (x - (v + 65.0))\ns = v1 >= -50.0\nv' = where(s, -70.0, v1)"
    g = start()
    g.add("fc", Linear(param(100 * np.abs(W))), "x")
    g.add("n", Neuron(kernel(text, init_v=-65.0), (5,)), "fc")
    assert wrong(sequence(g, "n")) < 1e-3


def test_a_pacemaker_without_inputs_fires() -> None:
    g = start()
    k = kernel("v1 = 0.9 * v + i\ns = v1 >= 0.55\nv' = where(s, 0.0, v1)", i=0.1)
    g.add("n", Neuron(k, (6,)))
    assert wrong(sequence(g, "n")) == 0


def folded(g: Graph, x: np.ndarray = X) -> None:
    after = run_passes(g, real_pipeline())
    a, b = FloatSimulator(g).run(x)[0], FloatSimulator(after).run(x)[0]
    np.testing.assert_allclose(a["out"], b["out"], rtol=1e-9, atol=1e-9)


NORM = (param([0.1, -0.2, 0.3, 0.4]), param([1, 2, 3, 4]), param([1, -2, 3, 0.5]), None)


@pytest.mark.parametrize("shape", [(), (4,), (4, 4), (4, 1, 1)])
def test_a_norm_behind_an_added_constant_of_any_shape(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    g = start((2, 4, 4))
    g.add("conv", Conv2d(param(rng.normal(size=(4, 2, 3, 3))), None, (1, 1), (1, 1)), "x")
    g.add("bn", BatchNorm(*NORM), pointwise(g, "p", "add", "conv", constant(g, rng.random(shape))))
    folded(last(g, "bn"), rng.integers(0, 2, (3, 8, 2, 4, 4)))


@pytest.mark.parametrize("features", [4, 5])
def test_a_norm_over_tokens_does_not_scale_features(features: int) -> None:
    rng = np.random.default_rng(0)
    g = start((4, 6))
    g.add("fc", Linear(param(rng.normal(size=(features, 6)))), "x")
    g.add("bn", BatchNorm(*NORM), "fc")
    folded(last(g, "bn"), rng.integers(0, 2, (3, 8, 4, 6)))


def test_a_norm_and_a_mean_read_the_step_they_are_told() -> None:
    norm = BatchNorm(param(np.full(6, 0.1)), param(np.ones(6)))
    g = start()
    g.add("bn", norm, Value(lif(g, "a", "x", 0.9, 1.5), 0, 1))
    folded(last(g, "bn"))
    g = start()
    g.add("mean", TimeMean(), Value(lif(g, "a", "x", 0.9, 1.5), 0, 1, param(np.ones(6))))
    g.add("fc", Linear(param(W)), "mean")
    g.add("out", Output(), "fc")
    folded(g)


@pytest.mark.parametrize("blocks", [2, 8])
def test_a_residual_stream_of_currents_does_not_widen_per_block(blocks: int) -> None:
    rng = np.random.default_rng(0)
    g = start()
    x = g.add("fc", Linear(param(rng.normal(size=(6, 6)))), "x").name
    for i in range(blocks):
        s = lif(g, f"lif{i}", x, 0.5)
        y = g.add(f"fc{i}", Linear(param(rng.normal(size=(6, 6)))), s).name
        x = pointwise(g, f"add{i}", "add", x, y)
    assert wrong(sequence(g, lif(g, "end", x, 0.5))) < 1e-3


def test_two_linear_layers_behind_one_another_fit_their_words() -> None:
    rng = np.random.default_rng(0)
    g = start()
    g.add("fc1", Linear(param(rng.normal(size=(6, 6)))), "x")
    g.add("fc2", Linear(param(rng.normal(size=(3, 6)))), "fc1")
    last(g, "fc2")
    ((a, b, _),) = results(g, X).values()
    assert np.abs(a - b).max() < 2e-2 * np.abs(b).max()


def test_a_moving_threshold_is_not_called_zero() -> None:
    text = (
        "v1 = 0.9*v + x\ns = v1 - th >= 0\nv' = where(s, 0.0, v1)\n"
        "th' = 0.9*th + where(s, 0.5, 0.1)"
    )
    g = start()
    g.add("fc", Linear(param(W)), "x")
    g.add("n", Neuron(kernel(text, init_th=1.0), (5,)), "fc")
    assert wrong(sequence(g, "n")) < 1e-3


def test_a_gain_of_mixed_sign_from_a_transcendental_function() -> None:
    k = kernel(
        "v1 = 0.9*v + tanh(w) * x\ns = v1 >= 0.55\nv' = where(s, 0.0, v1)",
        w=[-1.0, 1.0, 0.5, 0.3, -0.2, 0.1],
    )
    g = start()
    g.add("n", Neuron(k, (6,)), "x")
    assert wrong(sequence(g, "n")) < 1e-3


def test_max_pool_windows_of_padding_alone_are_refused() -> None:
    g = start((1, 4, 4))
    g.add("pool", MaxPool2d((2, 2), (2, 2), (2, 2)), "x")
    with pytest.raises(CompileError):
        run_passes(last(g, "pool"), integer_pipeline())
