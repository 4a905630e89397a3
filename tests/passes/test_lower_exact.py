"""Kernels of dyadic numbers: the integers compute exactly what the floats do."""

from __future__ import annotations

import random

import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.exact import ONE, leaf
from snnc.graph import Graph
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param
from snnc.passes import run_passes
from snnc.passes.lower_exact import NotWholeError, lower_exact
from snnc.passes.prove_ranges import ProveRanges
from snnc.passes.quantize import Quantize
from tests.intgraphs import simulator
from tests.kerneltext import kernel, population

ROUNDINGS = ("trunc", "floor", "ceil", "round")


def integers(graph: Graph) -> Graph:
    """The integer program, without what comes before and after."""
    return run_passes(graph, (Quantize(profile="loihi"), ProveRanges(64)))


def assert_equal(k: Kernel, seed: int = 0, low: float = -30.0, high: float = 30.0) -> None:
    """Every output of 8 samples of 20 steps, on a grid of 1/64."""
    graph = population(k, 4, low, high)
    program = integers(graph)
    rng = np.random.default_rng(seed)
    n = {x: rng.integers(low * 64, high * 64 + 1, (8, 20, 4)) for x in k.inputs}
    got, _ = simulator(program).run(n)
    want, _ = FloatSimulator(graph).run({x: a / 64 for x, a in n.items()})
    for name, value in got.items():
        scale = program[name].op.scale.data  # type: ignore[attr-defined]
        assert np.array_equal(value * scale, want[name]), (name, k.text)


def random_kernel(seed: int) -> Kernel:
    """Straight-line code of sums, products with dyadic constants, roundings, choices and words."""
    r = random.Random(seed)
    consts = {f"c{i}": r.choice((0.5, 3.0, -0.75, 8.0, 0.0625, -5.0, 1.0)) for i in range(3)}
    consts |= {"four": 4.0, "half": 16.0}
    numbers, flags = ["x", "v"], []
    lines: list[Line] = []
    for i in range(r.randint(5, 14)):
        name, kind = f"l{i}", r.randint(0, 8)
        a, b = r.choice(numbers), r.choice((*numbers, *consts))
        match kind:
            case 0 | 1:
                lines.append(Line(name, r.choice(("add", "sub", "maximum", "minimum")), (a, b)))
            case 2:
                lines.append(Line(name, "mul", (r.choice(list(consts)), a)))
                if len(lines) > 6:
                    lines.append(Line(f"{name}r", "trunc", (name,)))
                    name = f"{name}r"
            case 3:
                lines.append(Line(name, "div", (a, "four")))
            case 4:
                lines.append(Line(name, r.choice(ROUNDINGS), (a,)))
            case 5:
                lines.append(Line(name, r.choice(("neg", "abs", "relu")), (a,)))
            case 6:
                lines.append(Line(name, r.choice(("ge", "gt", "le", "lt", "eq", "ne")), (a, b)))
                flags.append(name)
            case 7:
                lines.append(Line(name, "wrap", (a, "half")))
            case _ if flags:
                fn = r.choice(("where", "mul"))
                args = (r.choice(flags), a, b) if fn == "where" else (r.choice(flags), a)
                lines.append(Line(name, fn, args))
            case _:
                continue
        if kind != 6:
            numbers.append(name)
    last = lines[-1].name
    lines += [Line("whole", "round", (r.choice(numbers),)), Line("word", "wrap", ("whole", "half"))]
    fixed = tuple(Const(k, Param(np.float64(v))) for k, v in consts.items())
    state = State("v", "word", Param(np.float64(r.randint(-3, 3))))
    return Kernel(("x",), (state,), fixed, tuple(lines), (last, "word"))


@pytest.mark.parametrize("seed", range(40))
def test_random_kernels_compute_what_they_say(seed: int) -> None:
    assert_equal(random_kernel(seed), seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40, 1000))
def test_many_random_kernels(seed: int) -> None:
    assert_equal(random_kernel(seed), seed)


def test_a_traced_trunc_is_one_shift() -> None:
    text = """
    t = 0.75 * x
    r = where(t >= 0.0, floor(t), ceil(t))
    v' = r
    """
    k = kernel(text, outputs="r")
    assert_equal(k)
    made, units = lower_exact(k, [ONE])
    assert [(line.fn, line.shift, line.rounding) for line in made.body if line.fn == "rsh"] == [
        ("rsh", 2, "trunc")
    ]
    assert units == [ONE]


def test_units_of_inputs_move_the_point() -> None:
    k = kernel("y = 64 * x\nv' = trunc(y)", outputs="y")
    assert lower_exact(k, [leaf(1 / 32)])[0].body[0].shift == 1  # 64 / 32
    assert lower_exact(k, [leaf(3.0)])[1] == [ONE]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("v' = 0.3 * x", "finite binary fraction|fractional bits"),
        ("v' = 0.5 * x", "a fraction is left"),
        ("v' = exp(x)", "not a whole number"),
        ("v' = x / 3", "not a whole number"),
        ("y = x * x * x * x * x * x * x\nv' = trunc(y)", "fractional bits"),
    ],
)
def test_what_is_not_dyadic_is_refused(text: str, why: str) -> None:
    with pytest.raises(NotWholeError, match=why):
        lower_exact(kernel(text, outputs="v"), [leaf(1 / 64)])


def test_the_error_has_the_program() -> None:
    with pytest.raises(CompileError) as caught:
        integers(population(kernel("v' = 0.3 * x", outputs="v"), 4))
    (found,) = caught.value.diagnostics
    assert found.code == "E327"
    assert any("v'" in note for note in found.notes)
