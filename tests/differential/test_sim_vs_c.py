"""The emitted C equals the defining simulator on every output, spike and state word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.c import blobs
from snnc.backends.c.backend import CBackend
from snnc.graph import Graph, Value
from snnc.intops import (
    IntConv,
    IntConvTranspose,
    IntInput,
    IntLinear,
    IntMaxPool,
    IntNeuron,
    IntOutput,
    IntRepeat,
    IntRescale,
    IntReshape,
    IntSum,
    IntSumPool,
    IntTimeLast,
    IntTimeMax,
    IntTimeStack,
    IntTimeSum,
    IntUpsample,
)
from snnc.kernel import ROUNDINGS, Const, Kernel, Line
from snnc.op import Op
from snnc.params import Param
from snnc.passes import run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.types import Clock
from snnc.windows import Sizes
from tests import lavagraphs, realgraphs
from tests.absolutekernels import KERNELS, network
from tests.agreement import random_reference
from tests.intgraphs import (
    ONE,
    mlp,
    proven,
    simulator,
)
from tests.randomgraphs import loop, random_graph
from tests.randomkernels import Builder, arithmetic, lif, refractory

#: Unoptimised and checked: one graph takes a tenth of a second, and overflow aborts.
CHECKED = CBackend(
    flags=(
        *("-std=c99", "-O0", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"),
        *("-fsanitize=undefined", "-fno-sanitize-recover=all"),
    )
)


def assert_equal(
    graph: Graph, folder: Path, seed: int = 0, samples: int = 5, steps: int = 7
) -> None:
    """Compile, run both, compare every integer."""
    CHECKED.compile(graph).write(folder)
    want = random_reference(graph, seed, samples, steps)
    found = CHECKED.run(folder, want.inputs, want.steps, want.words)
    assert not want.difference(found)


def fan(
    *ops: Op, shape: tuple[int, ...], lo: int = 0, hi: int = 1, clock: Clock = Clock.STEP
) -> Graph:
    """One input into every operator, each with an output; per-step values become sequences."""
    graph = Graph("fan", 5)
    graph.add("input", IntInput(shape, clock, lo, hi, 1.0))
    for i, op in enumerate(ops):
        value = graph.add(f"op{i}", op, "input").name
        if graph[value].type.clock is Clock.STEP:
            value = graph.add(f"stack{i}", IntTimeStack(), value).name
        graph.add(f"out{i}", IntOutput(ONE), value)
    return proven(graph)


def weights(*shape: int, top: int = 7, seed: int = 0) -> Param:
    values = np.random.default_rng(seed).integers(-top, top + 1, shape)
    return Param(values.astype(np.int32 if top > 127 else np.int8))


RANGES = pytest.mark.parametrize(
    ("lo", "hi"), [(0, 1), (-1, 1), (0, 255), (-300, 20), (-(1 << 33), 1 << 34)]
)
Geometry = tuple[Sizes, Sizes, Sizes, int]
CONVOLUTIONS: dict[Sizes, list[Geometry]] = {  # of an image: stride, padding, dilation, groups
    (4, 9): [((1,), (0,), (1,), 1), ((2,), (3,), (2,), 2), ((3,), (1,), (1,), 4)],
    (4, 6, 7): [
        ((1, 1), (0, 0), (1, 1), 1),
        ((2, 1), (1, 2), (1, 1), 1),
        ((1, 3), (2, 2), (2, 1), 2),
        ((2, 2), (1, 1), (1, 2), 4),
    ],
    (4, 4, 3, 5): [
        ((1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
        ((2, 1, 3), (1, 2, 0), (1, 2, 1), 2),
    ],
}
POOLS: dict[Sizes, list[tuple[Sizes, Sizes, Sizes]]] = {  # of an image: window, stride, padding
    (2, 9): [((3,), (2,), (1,)), ((2,), (4,), (0,))],
    (2, 7, 6): [
        ((2, 2), (2, 2), (0, 0)),
        ((3, 2), (1, 2), (1, 1)),
        ((2, 3), (3, 4), (1, 2)),
    ],
    (2, 3, 4, 3): [((2, 3, 1), (1, 2, 2), (1, 1, 0))],
}


@RANGES
@pytest.mark.parametrize("shape", [(6,), (2, 3, 6)])
def test_linear(tmp_path: Path, lo: int, hi: int, shape: tuple[int, ...]) -> None:
    weight, bias = weights(5, 6, top=127), weights(5, top=100)
    ops = [IntLinear(weight, b, shift) for b in (None, bias) for shift in (0, 3)]
    assert_equal(fan(*ops, shape=shape, lo=lo, hi=hi), tmp_path)


@pytest.mark.parametrize("out", [1, 8, 9, 40])
def test_pairs_of_weights(tmp_path: Path, out: int) -> None:
    """Sums that fit 16 bits, that reach their ends, and that must be read on the way."""
    rng = np.random.default_rng(out)
    rows = np.where(rng.random((4, out, 600)) < 0.5, -128, 127)
    rows[1, :, 257:] = 0  # at most 257 * 127 = 32639
    rows[2] = -128  # -76800
    rows[3] = 127
    ops = [IntLinear(Param(w.astype(np.int8))) for w in rows]
    ends = np.zeros((2, 600), np.int8)
    ends[0, :256], ends[1, :258] = -128, 127  # -32768, the end itself, and 32766
    bias = Param(rng.integers(-9, 9, out))
    ops += [IntLinear(Param(ends[np.arange(out) % 2]), bias, shift) for shift in (0, 5)]
    ops += [IntLinear(Param(rows[0].astype(np.int8)), bias, 3)]
    assert_equal(fan(*ops, shape=(600,)), tmp_path, out, samples=6, steps=3)


def test_large_tables_are_string_literals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All types of words; a table ends inside a row of text, at its end, and behind one row."""
    monkeypatch.setattr(blobs, "SMALLEST", 1)
    tops, fan_ins = (7, 127, 300, 1 << 20), (50, 4032, 4033)
    ops = [IntLinear(weights(4, n, top=top), weights(4, top=top)) for top in tops for n in fan_ins]
    for n in fan_ins:
        some = [op for op in ops if op.weight.shape[1] == n]
        assert_equal(fan(*some, shape=(n,)), tmp_path / str(n), samples=3, steps=2)
        text = (tmp_path / str(n) / "weights.c").read_text()
        assert text.isascii()
        assert "little-endian" in text


def test_linear_whose_sum_exceeds_32_bits(tmp_path: Path) -> None:
    op = IntLinear(Param(np.full((2, 300), (1 << 24) - 1, np.int32)))
    assert_equal(fan(op, shape=(300,)), tmp_path)


@RANGES
@pytest.mark.parametrize("shape", CONVOLUTIONS)
def test_convolutions(tmp_path: Path, lo: int, hi: int, shape: Sizes) -> None:
    bias, kernel = weights(8, top=50), (3, 2, 2)[: len(shape) - 1]
    ops: list[Op] = []
    for i, (stride, padding, dilation, groups) in enumerate(CONVOLUTIONS[shape]):
        weight = weights(8, 4 // groups, *kernel)
        ops.append(IntConv(weight, bias, i, stride, padding, dilation, groups))
        extra = tuple(s - 1 for s in stride)
        ops.append(IntConvTranspose(weight, bias, i, stride, padding, extra, dilation, groups))
    assert_equal(fan(*ops, shape=shape, lo=lo, hi=hi), tmp_path, samples=3, steps=4)


@RANGES
@pytest.mark.parametrize("shape", POOLS)
def test_pools(tmp_path: Path, lo: int, hi: int, shape: Sizes) -> None:
    ops = [kind(*p) for kind in (IntSumPool, IntMaxPool) for p in POOLS[shape]]
    assert_equal(fan(*ops, shape=shape, lo=lo, hi=hi), tmp_path, samples=3, steps=4)


@RANGES
def test_upsampling(tmp_path: Path, lo: int, hi: int) -> None:
    ops = [IntUpsample(f) for f in ((3,), (1, 2), (2, 1, 3), (1, 2, 2, 1))]
    assert_equal(fan(*ops, shape=(2, 3, 2, 3), lo=lo, hi=hi), tmp_path, samples=3, steps=4)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rescale_at_every_rounding(tmp_path: Path, rounding: str) -> None:
    multiplier = Param(np.array([-3, 1, 200, -32768])[:, None])
    bias = Param(np.array([1, -5, 0, 9])[:, None])
    ops = [IntRescale(multiplier, n, rounding, bias) for n in (0, 1, 7, 30, 31, 40)]
    assert_equal(fan(*ops, shape=(4, 40), lo=-(1 << 16), hi=1 << 16), tmp_path)


def test_rounding_of_every_small_integer(tmp_path: Path) -> None:
    ops = [IntRescale(Param(np.array(1)), 3, rounding) for rounding in ROUNDINGS]
    graph = fan(*ops, shape=(257,), lo=-128, hi=128)
    CHECKED.compile(graph).write(tmp_path)
    x = {"input": np.arange(-128, 129)[None, None]}
    expected, _ = simulator(graph).run(x)
    actual, _ = CHECKED.run(tmp_path, x)
    for i in range(len(ROUNDINGS)):
        np.testing.assert_array_equal(actual[f"out{i}"], expected[f"out{i}"])


CROSSINGS = (IntTimeSum, IntTimeLast, IntTimeMax, IntTimeStack)


@pytest.mark.parametrize(("lo", "hi"), [(0, 1), (-9, -2), (3, 200), (-(1 << 33), 1 << 34)])
@pytest.mark.parametrize("steps", [0, 1, 7])
def test_time(tmp_path: Path, lo: int, hi: int, steps: int) -> None:
    graph = fan(*(kind() for kind in CROSSINGS), shape=(3, 4), lo=lo, hi=hi)
    assert_equal(graph, tmp_path, steps=steps)


def test_static_input_reaches_neurons_and_the_output(tmp_path: Path) -> None:
    b = Builder(np.random.default_rng(3), Graph("static", 6))
    g = b.graph
    g.add("image", IntInput((2, 3, 3), Clock.ONCE, 0, 255, 1.0))
    g.add("flat", IntReshape((18,)), "image")
    g.add("fc", IntLinear(weights(4, 18)), "flat")
    g.add("echo", IntOutput(ONE), "fc")
    g.add("repeat", IntRepeat(), "fc")
    g.add("lif", IntNeuron(lif(b, (4,)), (4,)), "repeat")
    g.add("sum", IntSum(), "lif", "fc")
    g.add("count", IntTimeSum(), "sum")
    g.add("head", IntLinear(weights(3, 4), weights(3)), "count")
    g.add("out", IntOutput(ONE), "head")
    assert_equal(proven(g), tmp_path)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (3, 2, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_kernels(tmp_path: Path, shape: tuple[int, ...], seed: int) -> None:
    b = Builder(np.random.default_rng(seed), Graph("kernel", 5))
    ops = [IntNeuron(kernel(b, shape), shape) for kernel in (lif, refractory, arithmetic)]
    assert_equal(fan(*ops, shape=shape, lo=-40, hi=90), tmp_path, seed)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("shift", [1, 8, 12, 16, 20])
def test_shifted_products_beyond_32_bits(tmp_path: Path, rounding: str, shift: int) -> None:
    """Decays near 1, near 0 and on both sides, for values of which the products need 64 bits."""
    one, n = 1 << shift, 300
    rng = np.random.default_rng(shift)
    spread = rng.integers(0, one + 1, n)
    spread[:4] = 0, 1, one - 1, one
    factors = [one, one - 1, max(1, one // 10), -one, spread, one - spread // 16, 3 * one]
    ops = []
    for top in (1 << 17, 1 << 24, (1 << 31) - 1):
        body = []
        for i in range(len(factors)):
            body.append(Line(f"m{i}", "mul", ("x", f"a{i}") if i % 2 else (f"a{i}", "x")))
            body.append(Line(f"d{i}", "rsh", (f"m{i}",), shift, rounding))
        limit = Const("top", Param(np.array(top))), Const("bottom", Param(np.array(-top)))
        clip = Line("low", "minimum", ("i", "top")), Line("x", "maximum", ("low", "bottom"))
        consts = tuple(Const(f"a{i}", Param(np.array(a))) for i, a in enumerate(factors))
        outputs = tuple(f"d{i}" for i in range(len(factors)))
        ops.append(IntNeuron(Kernel(("i",), (), limit + consts, (*clip, *body), outputs), (n,)))
    g = Graph("shifts", 3)
    g.add("input", IntInput((n,), Clock.STEP, -(1 << 31), (1 << 31) - 1, 1.0))
    for i, op in enumerate(ops):
        g.add(f"n{i}", op, "input")
        for out in range(len(factors)):
            g.add(f"stack{i}.{out}", IntTimeStack(), Value(f"n{i}", out))
            g.add(f"out{i}.{out}", IntOutput(ONE), f"stack{i}.{out}")
    assert_equal(proven(g), tmp_path, shift, samples=9, steps=3)


def test_spike_lists_of_every_pattern(tmp_path: Path) -> None:
    size = 256 * 8 + 5
    graph = fan(IntLinear(weights(3, size, top=100)), shape=(size,))
    CHECKED.compile(graph).write(tmp_path)
    bits = np.unpackbits(np.arange(256, dtype=np.uint8))
    rows = np.append(bits, [1, 0, 1, 1, 0]), np.append(1 - bits, [0] * 5)
    x = {"input": np.stack(rows).astype(np.int64)[:, None]}
    expected, actual = simulator(graph).run(x)[0], CHECKED.run(tmp_path, x)[0]
    np.testing.assert_array_equal(actual["out0"], expected["out0"])


def test_inputs_and_constants_that_broadcast(tmp_path: Path) -> None:
    b = Builder(np.random.default_rng(1), Graph("broadcast", 5))
    shape = (2, 3, 4)
    for i, small in enumerate([(2, 1, 1), (1, 3, 1), (1, 1, 4), (2, 1, 4), (1, 1, 1), (2, 3, 1)]):
        b.graph.add(f"in{i}", IntInput(small, Clock.STEP, -40, 90, 1.0))
        b.graph.add(f"lif{i}", IntNeuron(lif(b, shape), shape), f"in{i}")
        b.graph.add(f"sum{i}", IntTimeSum(), f"lif{i}")
        b.graph.add(f"out{i}", IntOutput(ONE), f"sum{i}")
    assert_equal(proven(b.graph), tmp_path)


@pytest.mark.parametrize("delay", [1, 2, 5])
@pytest.mark.parametrize("init", [None, (), (4,)])
def test_delayed_values(tmp_path: Path, delay: int, init: tuple[int, ...] | None) -> None:
    b = Builder(np.random.default_rng(2), Graph("delay", 5))
    start = None if init is None else b.param(init, -9, 9)
    g = b.graph
    g.add("x", IntInput((4,), Clock.STEP, 0, 1, 1.0))
    late = Value("x", 0, delay, start)
    g.add("lif", IntNeuron(lif(b, (4,)), (4,)), late)
    g.add("fc", IntLinear(weights(4, 4)), late)
    g.add("view", IntReshape((2, 2)), late)
    g.add("later", IntReshape((4,)), Value("view", 0, 1))
    g.add("sum", IntSum(), "lif", "fc", "later")
    g.add("stack", IntTimeStack(), "sum")
    g.add("last", IntTimeLast(), late)
    g.add("out", IntOutput(ONE), "stack")
    g.add("out2", IntOutput(ONE), "last")
    assert_equal(proven(g), tmp_path)


@pytest.mark.parametrize("name", lavagraphs.GRAPHS)
def test_loops_and_delays(tmp_path: Path, name: str) -> None:
    assert_equal(proven(lavagraphs.GRAPHS[name]()), tmp_path, samples=6, steps=12)


@pytest.mark.parametrize(
    "make", [realgraphs.recurrent, realgraphs.compartments, realgraphs.differences]
)
def test_quantized_graphs(make: Callable[[], Graph], tmp_path: Path) -> None:
    graph = run_passes(make(), integer_pipeline())
    assert_equal(graph, tmp_path, samples=6, steps=20)


def test_kernels_in_absolute_formats(tmp_path: Path) -> None:
    graph = run_passes(network(*KERNELS.values()), integer_pipeline())
    assert_equal(graph, tmp_path, samples=6, steps=40)


@pytest.mark.parametrize("delay", [1, 3])
@pytest.mark.parametrize("init", [None, (), (3, 1, 1)])
def test_a_population_that_reads_its_own_spikes(
    tmp_path: Path, delay: int, init: tuple[int, ...] | None
) -> None:
    b = Builder(np.random.default_rng(7), Graph("self", 5))
    g, shape = b.graph, (3, 2, 4)
    g.add("x", IntInput(shape, Clock.STEP, -20, 90, 1.0))
    start = None if init is None else b.param(init, -3, 5)
    loop(b, "x", "spikes", lif(b, shape), Value("spikes", 0, delay, start))
    g.add("stack", IntTimeStack(), "spikes")
    g.add("out", IntOutput(ONE), "stack")
    assert_equal(proven(g), tmp_path)


def test_several_outputs_of_a_neuron_feed_events(tmp_path: Path) -> None:
    b = Builder(np.random.default_rng(5), Graph("graded", 5))
    g = b.graph
    g.add("x", IntInput((6,), Clock.STEP, -20, 60, 1.0))
    g.add("n", IntNeuron(refractory(b, (6,)), (6,)), "x")
    g.add("fc0", IntLinear(weights(3, 6)), Value("n", 0))
    g.add("fc1", IntLinear(weights(3, 6)), Value("n", 1))
    g.add("sum", IntSum(), "fc0", "fc1")
    g.add("count", IntTimeMax(), "sum")
    g.add("out", IntOutput(ONE), "count")
    assert_equal(proven(g), tmp_path)


def test_a_spike_list_of_more_than_65536_neurons(tmp_path: Path) -> None:
    op = IntSumPool((64, 64), (64, 64), (0, 0))
    assert_equal(fan(op, shape=(17, 64, 64)), tmp_path, samples=2, steps=2)


def test_mlp_at_2_to_16_bits(tmp_path: Path) -> None:
    for bits in (2, 4, 8, 16):
        assert_equal(mlp(bits), tmp_path / str(bits), seed=bits, samples=8, steps=20)


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs_with_checked_arithmetic(tmp_path: Path, seed: int) -> None:
    assert_equal(random_graph(seed), tmp_path, seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_two_thousand_random_graphs_with_checked_arithmetic(tmp_path: Path, block: int) -> None:
    for seed in range(1000 + 100 * block, 1100 + 100 * block):
        assert_equal(random_graph(seed), tmp_path / str(seed), seed)
