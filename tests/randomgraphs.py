"""Random integer graphs over all operators and attributes."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from snnc.diagnostics import CompileError, Loc
from snnc.graph import Edge, Graph, Value
from snnc.intops import (
    IntArgMax,
    IntConcat,
    IntConv,
    IntConvTranspose,
    IntDelayLinear,
    IntEmbedding,
    IntExpand,
    IntHold,
    IntInput,
    IntLinear,
    IntMaxPool,
    IntNeuron,
    IntOutput,
    IntPad,
    IntRateCode,
    IntReduce,
    IntRepeat,
    IntReplay,
    IntRescale,
    IntReshape,
    IntSlice,
    IntStepRescale,
    IntStepTable,
    IntSum,
    IntSumPool,
    IntTake,
    IntTimeFlip,
    IntTimeLast,
    IntTimeMax,
    IntTimeMean,
    IntTimeMix,
    IntTimeStack,
    IntTimeSum,
    IntTopK,
    IntTranspose,
    IntUpsample,
)
from snnc.kernel import Kernel
from snnc.op import Op
from snnc.params import Param
from snnc.types import Clock
from tests.computedops import matmul, norm, softmax
from tests.intgraphs import ONE, proven
from tests.randomkernels import POLICIES, Builder, arithmetic, function, lif, refractory


def _function(b: Builder, value: str) -> str:
    """Of a value and another, or its own last element, which broadcasts."""
    shape, other = b.shape(value), value
    if b.rng.integers(2):
        axis = int(b.rng.integers(len(shape)))
        last = IntSlice(axis, shape[axis] - 1, shape[axis])
        other = b.graph.add(b.name("last"), last, value).name
    op = IntNeuron(function(b, shape), shape)
    return b.graph.add(b.name("function"), op, value, other).name


def _neuron(b: Builder, value: str) -> str:
    shape = b.shape(value)
    kernel = [lif, lif, refractory, arithmetic][b.rng.integers(4)](b, shape)
    operand = Value(value)
    if b.rng.random() < 0.15 and b.graph[value].type.clock.kind is Clock.STEP:
        operand = Value(value, delay=int(b.rng.integers(1, 4)))
    return b.graph.add(b.name("lif"), IntNeuron(kernel, shape), operand).name


def loop(
    b: Builder,
    value: str,
    name: str,
    kernel: Kernel,
    late: Value,
    back: Callable[[Value], str | Value] = lambda late: late,
) -> None:
    """Add a population that reads ``value`` plus what ``back`` makes of its own ``late`` spikes."""
    op = IntNeuron(kernel, b.shape(value))
    b.graph.declare(name, op, op.infer((b.graph[value].type,)), Loc(name))
    added = b.graph.add(b.name("both"), IntSum(), value, back(late)).name
    b.graph.connect(Edge(added, name))


def _recurrent(b: Builder, value: str) -> str:
    """A loop through spikes: weighted, through a second population, or as they are."""
    shape, name = b.shape(value), b.name("loop")
    kernel = [lif, refractory][b.rng.integers(2)](b, shape)
    init = b.param(shape, -2, 4) if b.rng.integers(2) else None

    def weighted(late: Value) -> str:
        weight = b.param((shape[-1], shape[-1]), -9, 9)
        return b.graph.add(b.name("back"), IntLinear(weight), late).name

    def inner(late: Value) -> str:
        scaled = b.graph.add(b.name("scale"), IntRescale(b.param((), -99, 99)), late).name
        return b.graph.add(b.name("inner"), IntNeuron(lif(b, shape), shape), scaled).name

    late = Value(name, 0, int(b.rng.integers(1, 4)), init)
    ways = [inner, lambda late: late, weighted]
    wide = shape[-1] > 100  # a full matrix would take seconds
    loop(b, value, name, kernel, late, ways[b.rng.integers(2 if wide else 3)])
    return name


def _linear(b: Builder, value: str) -> str:
    shape, out = b.shape(value), int(b.rng.integers(1, 9))
    top = (1 << (int(b.rng.integers(2, 17)) - 1)) - 1
    bias = b.param((out,), -100, 100) if b.rng.integers(2) else None
    op = IntLinear(b.param((out, shape[-1]), -top, top), bias, int(b.rng.integers(3)))
    return b.graph.add(b.name("fc"), op, value).name


#: Values of fewer elements may be followed by one with more.
_GROWS = 200


def _sizes(b: Builder, value: str, lo: int, hi: int) -> tuple[int, ...]:
    """A random size for every axis behind the channels."""
    return tuple(int(n) for n in b.rng.integers(lo, hi, len(b.shape(value)) - 1))


def _conv(b: Builder, value: str) -> str:
    channels = b.shape(value)[0]
    groups = int(b.rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
    out = groups * int(b.rng.integers(1, 4))
    size = functools.partial(_sizes, b, value)
    weight = b.param((out, channels // groups, *size(1, 4)), -7, 7)
    bias = b.param((out,), -50, 50) if b.rng.integers(2) else None
    shift = int(b.rng.integers(3))
    geometry = size(1, 3), size(0, 3), size(1, 3)
    op: Op = IntConv(weight, bias, shift, *geometry, groups)
    if b.rng.random() < 0.4 and b.graph[value].type.size < _GROWS:
        stride, padding, dilation = geometry
        op = IntConvTranspose(weight, bias, shift, stride, padding, size(0, 2), dilation, groups)
    return b.graph.add(b.name("conv"), op, value).name


def _pool(b: Builder, value: str) -> str:
    kernel = _sizes(b, value, 1, 4)
    stride = _sizes(b, value, 1, 4)
    padding = tuple(int(b.rng.integers(0, k)) for k in kernel)
    kind = [IntSumPool, IntMaxPool][b.rng.integers(2)]
    return b.graph.add(b.name("pool"), kind(kernel, stride, padding), value).name


def _upsample(b: Builder, value: str) -> str:
    if b.graph[value].type.size >= _GROWS:
        return _pool(b, value)
    factor = _sizes(b, value, 1, 3)
    some = factor[int(b.rng.integers(len(factor))) :]
    return b.graph.add(b.name("up"), IntUpsample(some), value).name


def _reshape(b: Builder, value: str) -> str:
    return b.graph.add(b.name("flat"), IntReshape((b.graph[value].type.size,)), value).name


def _rescale(b: Builder, value: str) -> str:
    shape = b.shape(value)
    multiplier, bias = b.const("m", shape, -200, 200).values, None
    if multiplier.shape == (3,) and shape != (3,):
        multiplier = b.param((), -200, 200)
    if b.rng.integers(2):
        bias = b.param((shape[0], *(1,) * (len(shape) - 1)), -9, 9)
    op = IntRescale(multiplier, int(b.rng.integers(0, 12)), b.rounding(), bias)
    return b.graph.add(b.name("scale"), op, value).name


def _sum(b: Builder, value: str) -> str:
    clock = b.graph[value].type.clock
    others = [
        n.name
        for n in b.graph
        if n.types[0].shape == b.shape(value)
        and n.types[0].clock.kind is not Clock.END
        and (n.types[0].clock.kind is not Clock.STEP or n.types[0].clock is clock)
    ]
    other: str | Value = others[int(b.rng.integers(len(others)))]
    if b.rng.random() < 0.3 and b.graph[str(other)].type.clock.kind is Clock.STEP:
        init = b.param(b.shape(value), -5, 5) if b.rng.integers(2) else None
        other = Value(str(other), delay=int(b.rng.integers(1, 4)), init=init)
    return b.graph.add(b.name("sum"), IntSum(), value, other).name


def _moved(b: Builder, value: str) -> str:
    """Elements in other places: all of them, some, or some of them twice."""
    shape = b.shape(value)
    axis = int(b.rng.integers(len(shape)))
    kind, n = b.rng.integers(4), shape[axis]
    op: Op
    if kind == 0:
        op = IntTranspose(tuple(int(i) for i in b.rng.permutation(len(shape))))
    elif kind == 1:
        start = int(b.rng.integers(n))
        stop = int(b.rng.integers(start, n)) + 1
        op = IntSlice(axis, start, stop, int(b.rng.integers(1, 4)))
    elif kind == 2:
        op = IntTake(axis, b.param((int(b.rng.integers(1, 2 * n)),), 0, n - 1))
    else:
        value = b.graph.add(b.name("one"), IntSlice(axis, n - 1, n), value).name
        more = (2,) if len(shape) == 2 and b.rng.integers(2) else ()
        op = IntExpand((*more, *shape))
    return b.graph.add(b.name("moved"), op, value).name


def _padded(b: Builder, value: str) -> str:
    ends = (tuple(int(n) for n in b.rng.integers(0, 3, len(b.shape(value)))) for _ in range(2))
    return b.graph.add(b.name("pad"), IntPad(*ends), value).name


def _concat(b: Builder, value: str) -> str:
    shape, clock = b.shape(value), b.graph[value].type.clock
    axis = int(b.rng.integers(len(shape)))
    rest = (*shape[:axis], *shape[axis + 1 :])
    others = [
        n.name
        for n in b.graph
        if n.type.clock.kind is not Clock.END
        and (n.type.clock.kind is not Clock.STEP or n.type.clock is clock)
        and len(n.type.shape) == len(shape)
        and (*n.type.shape[:axis], *n.type.shape[axis + 1 :]) == rest
    ]
    picked = [others[int(i)] for i in b.rng.integers(len(others), size=b.rng.integers(1, 3))]
    return b.graph.add(b.name("join"), IntConcat(axis), value, *picked).name


def _reduced(b: Builder, value: str) -> str:
    """A reduction that leaves an axis, the largest elements, or a row of a table for each."""
    shape = b.shape(value)
    axes = tuple(sorted(int(a) for a in b.rng.permutation(len(shape))[: len(shape) - 1]))
    kind = b.rng.integers(4)
    if kind == 0 or not axes:
        tokens = shape[-1]
        value = b.graph.add(b.name("best"), IntArgMax(len(shape) - 1), value).name
        table = b.param((tokens, int(b.rng.integers(1, 6))), -20, 20)
        return b.graph.add(b.name("row"), IntEmbedding(table), value).name
    if kind == 1:
        axis = int(b.rng.integers(len(shape)))
        k = int(b.rng.integers(1, shape[axis] + 1))
        return b.graph.add(b.name("top"), IntTopK(axis, k, bool(b.rng.integers(2))), value).name
    fn = str(b.rng.choice(["sum", "max", "min", "prod"]))
    op = IntReduce(fn, axes, bool(b.rng.integers(2)))
    return b.graph.add(b.name(fn), op, value).name


def _per_step(b: Builder, value: str) -> str:
    """A gain or offset per step, a constant per step that is added, or a static value's code."""
    shape, clock = b.shape(value), b.graph[value].type.clock
    if clock is Clock.ONCE:
        code = IntRateCode(int(b.rng.integers(1 << 32)), int(b.rng.integers(1, 1 << 40)), 16)
        return b.graph.add(b.name("rate"), code, value).name
    if clock.kind is not Clock.STEP:
        return value
    rows = int(b.rng.integers(5, 9))
    own = b.graph.steps_of(clock.phase, 0)
    rows = max(rows, own)
    part = [(), shape, (shape[0], *(1,) * (len(shape) - 1))][b.rng.integers(3)]
    if b.rng.integers(2):
        bias = b.param((rows, *shape), -99, 99) if b.rng.integers(2) else None
        factor = b.param((rows, *part), -200, 200)
        op = IntStepRescale(factor, int(b.rng.integers(0, 12)), b.rounding(), bias)
        return b.graph.add(b.name("gain"), op, value).name
    table = IntStepTable(b.param((rows, *shape), -9, 99), clock.phase)
    return b.graph.add(
        b.name("sum"), IntSum(), value, b.graph.add(b.name("table"), table).name
    ).name


def _delays(b: Builder, value: str) -> str:
    """Weights with delays: of its own at every synapse, or one per input."""
    t = b.graph[value].type
    if t.clock.kind is not Clock.STEP:
        return value
    out, columns = int(b.rng.integers(1, 7)), int(b.rng.integers(1, 2 * t.size + 1))
    top = (1 << (int(b.rng.integers(2, 17)) - 1)) - 1
    weight = b.param((out, columns), -top, top)
    kept = Param(np.where(b.rng.random((out, columns)) < 0.5, weight.data, 0))
    longest = int(b.rng.choice([0, 1, 3, 9]))
    bias = b.param((out,), -100, 100) if b.rng.integers(2) else None
    index, delay = b.param((columns,), 0, t.size - 1), b.param((columns,), 0, longest)
    op = IntDelayLinear(kept, index, delay, bias, int(b.rng.integers(3)))
    return b.graph.add(b.name("late"), op, value).name


def _next_loop(b: Builder, value: str) -> str:
    """Into the next loop over time: a value that is held, or a sequence that is read again."""
    clock = b.graph[value].type.clock
    kind = int(b.rng.integers(4))
    if kind == 0 or b.graph.steps_of(clock.phase, 0) != b.graph.steps_of(clock.phase + 1, 0):
        held = b.graph.add(b.name("mean"), _collector(b, value), value).name
        return b.graph.add(b.name("hold"), IntHold(clock.phase + 1), held).name
    if kind == 3:
        own = b.graph.steps_of(clock.phase, 0) or int(b.rng.integers(2, 7))
        mix = IntTimeMix(b.param((own, own), -9, 9))
        return b.graph.add(b.name("mix"), mix, value).name
    return b.graph.add(b.name("again"), [IntReplay(), IntTimeFlip()][kind - 1], value).name


def _collector(b: Builder, value: str) -> Op:
    start = int(b.rng.integers(1, 4)) if b.rng.random() < 0.3 else 0
    if own := b.graph.steps_of(b.graph[value].type.clock.phase, 0):
        start = min(start, own - 1)
    kinds = [IntTimeSum, IntTimeMax, lambda n: IntTimeMean(n, int(b.rng.integers(0, 15)))]
    made: Op = kinds[b.rng.integers(3)](start)
    return made


_SHAPELESS: list[Callable[[Builder, str], str]] = [
    *(_neuron, _neuron, _linear, _rescale, _sum, _recurrent, _moved, _padded, _concat, _reduced),
    norm,
    _per_step,
    _delays,
    matmul,
    softmax,
    _function,
]
_SPATIAL: list[Callable[[Builder, str], str]] = [_conv, _conv, _pool, _upsample, _reshape]


def random_graph(seed: int, max_steps: int = 64) -> Graph:
    """A small valid graph with proven ranges; equal seeds give equal graphs."""
    for attempt in range(100):
        try:
            return proven(_draft(np.random.default_rng([seed, attempt])), max_steps)
        except CompileError:
            continue  # windows larger than the image, or words beyond 63 bits: draw again
    raise AssertionError(f"no valid graph for seed {seed}")


def _draft(rng: np.random.Generator) -> Graph:
    policy = str(rng.choice(POLICIES))
    b = Builder(rng, Graph("random", int(rng.integers(1, 8))), policy=policy)
    shape = _input_shape(rng)
    lo, hi = [(0, 1), (0, 1), (-128, 127), (0, 255), (-3, 5)][rng.integers(5)]
    clock = Clock.STEP if rng.random() < 0.7 else Clock.ONCE
    value = b.graph.add("input", IntInput(shape, clock, lo, hi, 1.0)).name
    if rng.integers(2):
        b.graph.later_steps = (int(rng.integers(0, 7)),)
    for _ in range(int(rng.integers(1, 7))):
        if b.graph[value].type.clock is Clock.ONCE and rng.random() < 0.4:
            value = b.graph.add(b.name("repeat"), IntRepeat(), value).name
        if b.graph[value].type.clock.kind is Clock.STEP and rng.random() < 0.12:
            value = _next_loop(b, value)
        layers = _SHAPELESS + (_SPATIAL if len(b.shape(value)) > 1 else [])
        value = layers[rng.integers(len(layers))](b, value)
        if rng.random() < 0.2 and b.graph[value].type.clock.kind is Clock.STEP:
            _output(b, value)
    _output(b, value)
    if b.graph.phases < 2:
        b.graph.later_steps = ()
    return b.graph


def _input_shape(rng: np.random.Generator) -> tuple[int, ...]:
    """An image or a vector, sometimes of one element or of thousands."""
    kind = rng.random()
    if kind < 0.5:
        axes, largest = [(1, 24), (2, 8), (2, 8), (2, 8), (3, 5)][rng.integers(5)]
        return (int(rng.integers(1, 4)), *(int(n) for n in rng.integers(3, largest, axes)))
    if kind < 0.55:
        return (1,)
    return (int(rng.integers(4990, 5011)),) if kind < 0.56 else (int(rng.integers(1, 20)),)


def _output(b: Builder, value: str) -> None:
    clock = b.graph[value].type.clock
    out = int(b.rng.integers(len(b.graph[value].types)))
    operand = Value(value, out)
    if clock.kind is Clock.STEP:
        own = b.graph.steps_of(clock.phase, 0)
        start = int(b.rng.integers(0, own or 4)) if b.rng.random() < 0.2 else 0
        kinds = [lambda: _collector(b, value), IntTimeLast, lambda: IntTimeStack(start)]
        op = kinds[b.rng.integers(3)]()
        operand = Value(b.graph.add(b.name("time"), op, operand).name)
        if not isinstance(op, IntTimeStack) and b.rng.integers(2):
            late = [_linear, _function, _reduced, _moved][b.rng.integers(4)]
            operand = Value(late(b, operand.src))
    b.graph.add(b.name("out"), IntOutput(ONE), operand)
