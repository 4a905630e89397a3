"""Elementwise functions outside neurons: before the loop, in it and behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.kernel import REAL_FUNCTIONS
from snnc.ops import (
    Input,
    Linear,
    Output,
    Pointwise,
    TimeLast,
    TimeMean,
    TimeStack,
    TimeSum,
)
from snnc.passes import Context, run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.types import Clock, TensorType
from tests.differential.test_sim_vs_c import assert_equal
from tests.differential.test_sim_vs_lava import compare as compare_lava
from tests.intgraphs import simulator
from tests.lavaenv import needs_lava
from tests.realgraphs import constant, noise, param

CLOCKS = {"once": Clock.ONCE, "step": Clock.STEP, "end": Clock.STEP}
#: Largest error of each function of values up to about 1: tables are interpolated.
ERRORS = {
    "sigmoid": 3e-5,
    "tanh": 2e-4,
    "exp": 3e-4,
    "expm1": 3e-4,
    "softplus": 6e-5,
    "log": 1e-4,
    "wrap": 3e-4,
    "div": 3e-4,
    "reciprocal": 3e-4,
    "pow": 2.5e-3,
    "erf": 2e-4,
}
#: Those of which a value is 0 or 1, or a whole number.
WHOLE = {"floor", "ceil", "round", "trunc"}
LOGIC = {"and", "or", "xor", "not"}
POSITIVE = {"reciprocal", "sqrt", "log", "log1p"}
NONE = {"eq", "ne"}
STEPS = 6


def values(g: Graph, count: int, where: str) -> list[str]:
    """Weighted sums of inputs, of the clock ``where``; bounded by about 1."""
    rng, found = np.random.default_rng(0), []
    for i in range(count):
        kind = TensorType((7,), clock=CLOCKS[where])
        g.add(f"x{i}", Input(kind, 0.0, 1.0, 1 / 128))
        g.add(f"fc{i}", Linear(param(noise(rng, 5, 7) / 4), param(noise(rng, 5) / 4)), f"x{i}")
        last = f"fc{i}"
        found.append(g.add(f"last{i}", TimeLast(), last).name if where == "end" else last)
    return found


def gallery(where: str, functions: list[str]) -> Graph:
    """Every function of the same values, each with an output."""
    g = Graph(where, STEPS)
    names = values(g, 2, where)
    above = g.add("above", Pointwise("ge"), *names).name
    size = g.add("squared", Pointwise("square"), names[1]).name
    positive = g.add("positive", Pointwise("add"), size, constant(g, 0.25)).name
    negative = g.add("negative", Pointwise("lt"), names[1], constant(g, 0.0)).name
    large = g.add("large", Pointwise("mul"), names[0], constant(g, 5.0)).name
    for fn in functions:
        operands = names[: REAL_FUNCTIONS[fn]]
        if fn == "where":
            operands = [above, *names]
        if fn in LOGIC:
            operands = [above, negative][: REAL_FUNCTIONS[fn]]
        if fn in WHOLE:
            operands = [large]
        if fn in POSITIVE:
            operands = [positive]
        if fn == "div":
            operands = [names[0], positive]
        if fn == "pow":
            operands = [positive, constant(g, 2.3)]
        if fn == "wrap":
            operands = [large, constant(g, 0.7)]
        last = g.add(f"{fn}.value", Pointwise(fn), *operands).name
        if where == "step":
            last = g.add(f"{fn}.stack", TimeStack(), last).name
        g.add(fn, Output(), last)
    return g


FUNCTIONS = sorted(set(REAL_FUNCTIONS) - NONE)


def compare(graph: Graph) -> tuple[Graph, dict[str, float]]:
    """The program, and the largest error of each output next to the fake-quantized model."""
    ctx = Context()
    program = run_passes(graph, integer_pipeline(), ctx)
    assert ctx.fake_quantized is not None
    sim, rng = simulator(program), np.random.default_rng(1)
    x = {}
    for name, (shape, clock, lo, hi) in sim.inputs.items():
        head = (200, STEPS) if clock == "step" else (200,)
        x[name] = rng.integers(lo, hi + 1, (*head, *shape))
    found, _ = sim.run(x, STEPS)
    scaled = {k: v * program[k].op.scale for k, v in x.items()}  # type: ignore[attr-defined]
    expected, _ = FloatSimulator(ctx.fake_quantized).run(scaled, STEPS)
    errors = {}
    for name, value in found.items():
        out = program[name].op
        real = value * out.scale.data / (STEPS if out.per_step else 1)  # type: ignore[attr-defined]
        assert np.ptp(expected[name]) > 0, f"{name} is constant"
        errors[name] = float(np.abs(real - expected[name]).max())
    return program, errors


@pytest.mark.parametrize("where", CLOCKS)
def test_every_function_at_every_clock(where: str, tmp_path: Path) -> None:
    program, errors = compare(gallery(where, FUNCTIONS))
    for fn, error in errors.items():
        assert error < (1e-9 if fn in WHOLE else ERRORS.get(fn, 5e-5)), fn
    assert_equal(program, tmp_path)


@needs_lava
def test_functions_in_lava(tmp_path: Path) -> None:
    for where in ("once", "end"):
        program = run_passes(gallery(where, ["mul", "sigmoid", "ge"]), integer_pipeline())
        compare_lava(program, tmp_path / where, steps=STEPS)


def test_operands_that_broadcast(tmp_path: Path) -> None:
    """A gate per channel, a row, a number, with scales of their own."""
    rng = np.random.default_rng(0)
    g = Graph("broadcast", STEPS)
    shapes = {"x": (3, 2, 4), "channel": (3, 1, 1), "row": (4,), "number": (1,)}
    for name, shape in shapes.items():
        g.add(name, Input(TensorType(shape), 0.0, 1.0, 1 / 64))
        fan_in = shape[-1]
        weight = noise(rng, fan_in, fan_in) * 2.0 ** rng.integers(-3, 1, (fan_in, 1))
        g.add(f"{name}.fc", Linear(param(weight / 2)), name)
    for fn in ("mul", "add", "maximum"):
        last = "x.fc"
        for other in ("channel", "row", "number"):
            last = g.add(f"{fn}.{other}", Pointwise(fn), last, f"{other}.fc").name
        g.add(f"{fn}.sum", TimeSum(), last)
        g.add(fn, Output(), f"{fn}.sum")
    program, errors = compare(g)
    assert max(errors.values()) < 1e-3
    assert_equal(program, tmp_path)


def test_clamps_and_constants_behind_the_last_step() -> None:
    g = Graph("clamp", STEPS)
    (x,) = values(g, 1, "end")
    low = g.add("low", Pointwise("maximum"), x, constant(g, -0.013)).name
    g.add("clamped", Pointwise("minimum"), low, constant(g, 0.11))
    g.add("out", Output(), "clamped")
    assert max(compare(g)[1].values()) < 1e-5


def mean_then(make: Callable[[Graph, str], str]) -> Graph:
    g = Graph("mean", STEPS)
    (x,) = values(g, 1, "step")
    mean = g.add("mean", TimeMean(), x).name
    g.add("out", Output(), make(g, mean))
    return g


def leaky(g: Graph, mean: str) -> str:
    small = g.add("small", Pointwise("mul"), mean, constant(g, 0.1)).name
    return g.add("leaky", Pointwise("maximum"), mean, small).name


@pytest.mark.parametrize("fn", ["leaky", "sigmoid", "square"])
def test_functions_of_a_mean_over_time(fn: str) -> None:
    def make(g: Graph, mean: str) -> str:
        return leaky(g, mean) if fn == "leaky" else g.add("y", Pointwise(fn), mean).name

    assert max(compare(mean_then(make))[1].values()) < 1e-4


def test_gelu_silu_and_powers() -> None:
    """Compositions, and exponents of every kind."""
    g = Graph("composed", STEPS)
    x, _ = values(g, 2, "end")
    half = g.add("half", Pointwise("mul"), x, constant(g, 0.5)).name
    scaled = g.add("scaled", Pointwise("div"), x, constant(g, 2**0.5)).name
    bell = g.add("bell", Pointwise("erf"), scaled).name
    more = g.add("more", Pointwise("add"), bell, constant(g, 1.0)).name
    g.add("gelu", Pointwise("mul"), half, more)
    g.add("silu", Pointwise("mul"), x, g.add("gate", Pointwise("sigmoid"), x).name)
    size = g.add("size", Pointwise("abs"), x).name
    above = g.add("above", Pointwise("add"), size, constant(g, 0.5)).name
    names = ["gelu", "silu"]
    for exponent in (-2, -0.5, 0.5, 1, 2, 5, 1.7):
        name = f"power{exponent}"
        names.append(g.add(name, Pointwise("pow"), above, constant(g, exponent)).name)
    names.append(g.add("base", Pointwise("pow"), constant(g, 3.0), x).name)
    names.append(g.add("both", Pointwise("pow"), above, x).name)
    for name in names:
        g.add(f"{name}.out", Output(), name)
    errors = compare(g)[1]
    assert {k: e for k, e in errors.items() if e > 5e-4} == {}


@pytest.mark.parametrize("limit", [0.5, 0.75])
def test_angles_wrap_at_the_upper_end(limit: float) -> None:
    """``wrap`` maps both ends of the interval to the upper one."""
    g = Graph("wrap", 1)
    g.add("x", Input(TensorType((5,), clock=Clock.ONCE), -8.0, 8.0, 1 / 64))
    ticks = np.array([-3, -1, 0, 1, 3]) * limit
    zero = g.add("zero", Pointwise("mul"), "x", constant(g, 0.0)).name
    moved = g.add("moved", Pointwise("add"), zero, constant(g, ticks)).name
    g.add("y", Pointwise("wrap"), moved, constant(g, limit))
    g.add("out", Output(), "y")
    program = run_passes(g, integer_pipeline())
    found = simulator(program).run(np.zeros((1, 5), np.int64))[0]["out"][0]
    real = found * program["out"].op.scale.data  # type: ignore[attr-defined]
    assert real == pytest.approx([limit, limit, 0, limit, limit], abs=1e-4)


@pytest.mark.parametrize("fn", ["log", "sqrt"])
def test_arguments_outside_a_domain_are_refused(fn: str) -> None:
    g = Graph("domain", STEPS)
    (x,) = values(g, 1, "end")
    g.add("y", Pointwise(fn), x)
    g.add("out", Output(), "y")
    with pytest.raises(CompileError, match="E316") as e:
        run_passes(g, integer_pipeline())
    assert "clamp" in str(e.value)
    ctx = Context()
    run_passes(gallery("end", [fn]), integer_pipeline(), ctx)
    assert not ctx.diagnostics


@pytest.mark.parametrize("fn", sorted(NONE))
def test_what_has_no_integer_form_is_refused(fn: str) -> None:
    with pytest.raises(CompileError, match="E220"):
        run_passes(gallery("end", [fn]), integer_pipeline())
