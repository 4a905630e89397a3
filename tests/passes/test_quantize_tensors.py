"""Operators on tensors in integers: units move with elements, results are the float model's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError, Loc
from snnc.encode import encode_input
from snnc.graph import Edge, Graph, Value
from snnc.layers import input_table
from snnc.ops import (
    ArgMax,
    Concat,
    Constant,
    Conv2d,
    Embedding,
    Expand,
    Input,
    Linear,
    Matmul,
    Output,
    Pointwise,
    Reduce,
    Repeat,
    Reshape,
    Slice,
    Softmax,
    Sum,
    Take,
    TimeMean,
    TimeStack,
    TimeSum,
    TopK,
    Transpose,
)
from snnc.params import Param
from snnc.passes import Context, run_passes
from snnc.passes.pipeline import integer_pipeline, real_pipeline
from snnc.passes.quantize import Quantize
from snnc.types import Clock, Int, TensorType
from tests.differential.test_sim_vs_c import assert_equal
from tests.intgraphs import simulator
from tests.realgraphs import lif, noise, param


def agreement(graph: Graph, samples: int = 100, steps: int = 12) -> tuple[float, dict[str, float]]:
    """Share of equal spikes, and the largest error of each output, next to the fake-quantized."""
    ctx = Context()
    program = run_passes(graph, integer_pipeline(), ctx)
    assert ctx.fake_quantized is not None
    reference, sim = FloatSimulator(ctx.fake_quantized), simulator(program)
    rng = np.random.default_rng(3)
    x = {
        name: rng.integers(lo, hi + 1, (samples, *((steps,) if clock == "step" else ()), *shape))
        for name, (shape, clock, lo, hi) in sim.inputs.items()
    }
    scaled = {k: v * program[k].op.scale for k, v in x.items()}  # type: ignore[attr-defined]
    outputs, words = sim.run(x, record=sim.words())
    real, expected = reference.run(scaled, record=reference.words())
    spikes = [w for w in words if w.rpartition(".")[2].startswith("s") and w in expected]
    equal = min([float(np.mean(words[w] == expected[w])) for w in spikes], default=1.0)
    errors = {}
    for name, value in outputs.items():
        out = program[name].op
        found = value * out.scale.data / (steps if out.per_step else 1)  # type: ignore[attr-defined]
        size = np.abs(real[name]).max() or 1.0
        errors[name] = float(np.abs(found - real[name]).max() / size)
    return equal, errors


def patches(between: str) -> Graph:
    """A convolution whose channels have scales of their own, moved, and a population behind it."""
    rng = np.random.default_rng(0)
    g = Graph("moved", 12)
    g.add("x", Input(TensorType((2, 6, 6)), 0.0, 1.0, 1.0))
    w = noise(rng, 3, 2, 3, 3) * np.array([1, 0.1, 0.02])[:, None, None, None]
    g.add("conv", Conv2d(param(w), param([0.1, -0.01, 0.001])), "x")
    value = "conv"
    if between == "tokens":
        g.add("rows", Reshape((3, 16)), "conv")
        value = g.add("tokens", Transpose((1, 0)), "rows").name
    if between == "slice":
        value = g.add("slice", Slice(0, 0, 3, 2), "conv").name
    if between == "take":
        value = g.add("take", Take(0, Param(np.array([2, 0, 1, 2]))), "conv").name
    if between == "expand":
        g.add("corner", Slice(1, 1, 2), "conv")
        value = g.add("expand", Expand((3, 4, 4)), "corner").name
    if between == "join":
        g.add("last", Slice(0, 2, 3), "conv")
        value = g.add("join", Concat(0), "last", "conv").name
    g.add("sum", TimeSum(), lif(g, "lif", value, beta=0.8, theta=0.05))
    g.add("out", Output(), "sum")
    return g


@pytest.mark.parametrize("between", ["tokens", "slice", "take", "expand", "join"])
def test_spikes_behind_moved_weights(between: str) -> None:
    equal, _ = agreement(patches(between))
    assert equal >= 0.999


def test_spikes_joined_with_numbers_feed_a_layer() -> None:
    """A layer folds the unit of every part into the weights of that part."""
    rng = np.random.default_rng(1)
    g = Graph("join", 12)
    g.add("x", Input(TensorType((6,)), -1.0, 1.0, 1 / 128))
    g.add("fc", Linear(param(noise(rng, 5, 6))), "x")
    s = lif(g, "lif", "fc", theta=0.7)
    g.add("join", Concat(0), s, "x", "fc")
    g.add("head", Linear(param(noise(rng, 4, 16)), param(noise(rng, 4))), "join")
    g.add("sum", TimeSum(), "head")
    g.add("out", Output(), "sum")
    equal, errors = agreement(g)
    assert equal >= 0.999
    assert errors["out"] < 2e-3


def test_a_mean_joins_only_means() -> None:
    rng = np.random.default_rng(1)
    g = Graph("join", 12)
    g.add("x", Input(TensorType((6,)), 0.0, 1.0, 1.0))
    g.add("a", TimeMean(), "x")
    g.add("fc", Linear(param(noise(rng, 5, 6))), "x")
    g.add("b", TimeMean(), "fc")
    g.add("join", Concat(0), "a", "b")
    g.add("out", Output(), "join")
    assert agreement(g)[1]["out"] < 1e-3


def reduction(fn: str, axes: tuple[int, ...], keepdims: bool = False) -> Graph:
    """Per-channel scales before and behind a reduction; a population reads it."""
    rng = np.random.default_rng(0)
    g = Graph("reduced", 12)
    g.add("x", Input(TensorType((2, 6, 6)), 0.0, 1.0, 1.0))
    w = noise(rng, 3, 2, 3, 3) * np.array([1, 0.3, 0.1])[:, None, None, None]
    g.add("conv", Conv2d(param(w), param([0.1, -0.01, 0.02])), "x")
    value = g.add("less", Reduce(fn, axes, keepdims), "conv").name
    g.add("sum", TimeSum(), lif(g, "lif", value, beta=0.8, theta=0.3))
    g.add("out", Output(), "sum")
    g.add("mean", TimeMean(), "less")
    g.add("numbers", Output(), "mean")
    return g


@pytest.mark.parametrize("fn", ["sum", "mean", "max", "min"])
@pytest.mark.parametrize("axes", [(1, 2), (0,), (0, 1, 2)])
def test_reductions(fn: str, axes: tuple[int, ...]) -> None:
    equal, errors = agreement(reduction(fn, axes, keepdims=len(axes) == 1))
    assert equal >= 0.999
    assert errors["numbers"] < 1e-3


def test_a_product_of_spikes_is_a_logical_and() -> None:
    g = Graph("and", 12)
    g.add("x", Input(TensorType((4, 3)), 0.0, 1.0, 1.0))
    g.add("all", Reduce("prod", (1,)), "x")
    g.add("sum", TimeSum(), "all")
    g.add("out", Output(), "sum")
    program = run_passes(g, integer_pipeline())
    assert program["all"].type.dtype.bounds == (0, 1)  # type: ignore[union-attr]
    assert agreement(g)[1]["out"] == 0


def test_the_largest_of_numbers_with_scales_of_their_own() -> None:
    rng = np.random.default_rng(2)
    g = Graph("best", 12)
    g.add("x", Input(TensorType((20,)), 0.0, 1.0, 1.0))
    g.add("fc", Linear(param(noise(rng, 5, 20) * [[1], [0.9], [0.03], [1.1], [0.2]])), "x")
    g.add("best", ArgMax(0), "fc")
    g.add("stack", TimeStack(), "best")
    g.add("out", Output(), "stack")
    ctx = Context()
    program = run_passes(g, integer_pipeline(), ctx)
    assert ctx.fake_quantized is not None
    x = rng.integers(0, 2, (300, 12, 20))
    found = simulator(program).run(x)[0]["out"]
    expected = FloatSimulator(ctx.fake_quantized).run(x)[0]["out"]
    assert len(np.unique(expected)) == 5
    assert np.mean(found == expected) >= 0.999


def tokens() -> Graph:
    rng = np.random.default_rng(3)
    g = Graph("tokens", 8)
    g.add("x", Input(TensorType((6,), Int(0, 30), Clock.ONCE), 0.0, 30.0, 1.0))
    g.add("rows", Embedding(param(noise(rng, 31, 7) * 2.0 ** rng.integers(-6, 2, 7))), "x")
    g.add("fc", Linear(param(noise(rng, 9, 7))), "rows")
    g.add("sum", TimeSum(), lif(g, "lif", "fc", theta=0.9))
    g.add("out", Output(), "sum")
    return g


def test_rows_of_a_table_feed_a_layer_and_neurons() -> None:
    equal, _ = agreement(tokens())
    assert equal >= 0.999


def test_numbers_outside_the_vocabulary_are_refused() -> None:
    (entry,) = input_table(run_passes(tokens(), integer_pipeline()), {}, {})
    assert entry.strict
    found, _ = encode_input(np.array([[0.0, 30, 1, 2, 3, 4]]), entry)
    np.testing.assert_array_equal(found, [[0, 30, 1, 2, 3, 4]])
    for bad in ([31, 0, 0, 0, 0, 0], [0, -1, 0, 0, 0, 0], [0.5, 0, 0, 0, 0, 0]):
        with pytest.raises(CompileError, match="E425"):
            encode_input(np.array([bad]), entry)


def test_a_history_of_spikes_stays_spikes() -> None:
    """Neuron i is read i + 1 steps late, from a history that moves on every step."""
    rng = np.random.default_rng(4)
    g = Graph("history", 12)
    g.add("x", Input(TensorType((6,)), 0.0, 1.0, 1.0))
    g.add("fc", Linear(param(noise(rng, 3, 6))), "x")
    s = g.add("column", Reshape((3, 1)), lif(g, "lif", "fc", theta=0.7)).name
    g.declare("older", Slice(1, 0, 3), (TensorType((3, 3)),), Loc("older"))
    g.add("history", Concat(1), s, Value("older", delay=1))
    g.connect(Edge("history", "older", 0))
    g.add("flat", Reshape((12,)), "history")
    g.add("late", Take(0, Param(np.array([1, 6, 11]))), "flat")
    g.add("sum", TimeSum(), lif(g, "head", "late", theta=1.5))
    g.add("out", Output(), "sum")
    program = run_passes(g, integer_pipeline(), Context())
    assert program["history"].type.dtype == Int(0, 1)
    assert not [n.name for n in program if n.name.endswith(".past")]
    equal, errors = agreement(g)
    assert equal == 1.0
    assert errors["out"] < 1e-4


def test_weights_of_the_finer_of_two_joined_parts_do_not_vanish() -> None:
    rng = np.random.default_rng(5)
    g = Graph("fine", 12)
    g.add("x", Input(TensorType((6,)), 0.0, 1.0, 1 / 65536))
    g.add("fc", Linear(param(noise(rng, 3, 6))), "x")
    g.add("join", Concat(0), "x", lif(g, "lif", "fc", theta=0.7))
    g.add("head", Linear(param(noise(rng, 4, 9))), "join")
    g.add("sum", TimeSum(), "head")
    g.add("out", Output(), "sum")
    ctx = Context()
    run_passes(g, integer_pipeline(), ctx)
    assert ctx.fake_quantized is not None
    old, new = (h["head"].op.weight.data for h in (g, ctx.fake_quantized))  # type: ignore[attr-defined]
    assert np.abs(new - old).max() < np.abs(old).max() / 127


def test_parameters_that_are_read_as_values(tmp_path: Path) -> None:
    """A matrix that values multiply, a layer and a table of parameters alone, an output."""
    rng = np.random.default_rng(5)
    g = Graph("parameters", 12)
    g.add("x", Input(TensorType((3, 4)), 0.0, 1.0, 1 / 16))
    g.add("mix", Constant(param(noise(rng, 5, 3))))
    g.add("counts", Constant(Param(np.array([[3.0, -1, 0, 2]]))))
    g.add("product", Matmul(), "mix", "x")
    g.add("head", Linear(param(noise(rng, 4, 4) / 4)), "counts")
    g.add("wide", Expand((5, 4)), "head")
    g.add("repeat", Repeat(), "wide")
    g.add("sum", Sum(), "product", "repeat")
    g.add("total", TimeSum(), lif(g, "lif", "sum", theta=0.7))
    g.add("out", Output(), "total")
    g.add("numbers", TimeMean(), "sum")
    g.add("mean", Output(), "numbers")
    g.add("same", Output(), "head")
    equal, errors = agreement(g)
    assert equal >= 0.999
    assert errors["mean"] < 1e-3
    assert errors["same"] < 1e-3
    assert_equal(run_passes(g, integer_pipeline()), tmp_path)


def test_the_profile_of_the_chip_refuses_what_it_would_round() -> None:
    g = Graph("shares", 12)
    g.add("x", Input(TensorType((2, 3)), 0.0, 1.0, 1.0))
    g.add("fc", Linear(Param(np.ones((4, 3)))), "x")
    g.add("shares", Softmax(0), "fc")
    g.add("sum", TimeSum(), "shares")
    g.add("out", Output(), "sum")
    with pytest.raises(CompileError, match="shares: Softmax does not give whole numbers"):
        run_passes(g, [*real_pipeline(), Quantize(profile="loihi")])


def test_an_element_is_not_less_than_itself_as_the_kth_largest() -> None:
    rng = np.random.default_rng(4)
    g = Graph("top", 12)
    g.add("x", Input(TensorType((20,)), 0.0, 1.0, 1.0))
    g.add("fc", Linear(param(noise(rng, 9, 20) * rng.uniform(0.1, 1, (9, 1)))), "x")
    g.add("top", TopK(0, 3), "fc")
    g.add("third", Slice(0, 2, 3), "top")
    g.add("all", Expand((9,)), "third")
    g.add("winner", Pointwise("ge"), "fc", "all")
    g.add("stack", TimeStack(), "winner")
    g.add("out", Output(), "stack")
    program = run_passes(g, integer_pipeline())
    found = simulator(program).run(rng.integers(0, 2, (100, 12, 20)))[0]["out"]
    assert (found.sum(-1) >= 3).all()
