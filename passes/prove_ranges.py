"""Prove that no accumulator, state or output overflows, for all inputs and all steps.

Every value gets the exact interval that follows from the weights: a row's accumulator lies in
``[sum of negative weights, sum of positive weights]`` for binary inputs, not ``fan-in * 2**bits``.
States get an inductive invariant (``passes/kernel_ranges.py``).  The types of the graph then
carry the intervals, and backends choose words from them.

Sums over time grow with the number of steps: their proof holds up to ``Graph.max_steps``, which
every backend enforces.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from snnc import intops
from snnc.diagnostics import CompileError, Diagnostic, error, fail
from snnc.graph import Edge, Graph, Node
from snnc.interval import Interval, RangeOverflowError, ZeroDivisorError, guard
from snnc.kernel import PREDICATES, Kernel
from snnc.ops import Op
from snnc.params import Param
from snnc.passes.base import Context, Pass
from snnc.passes.kernel_ranges import annotate, kernel_ranges
from snnc.types import Clock, Int

#: Steps for which sums over time are proven if the user names no number.
SUM_STEPS = 1 << 16
#: Steps for which states without a bound for all T (integrators without leak) are proven.
INTEGRATOR_STEPS = 4096


@dataclass(frozen=True)
class ProveRanges(Pass):
    """Fill every integer type, kernel line and state with its proven interval.

    Attributes:
        max_steps: Longest sequence to prove; 0 chooses 2**16, or 4096 with leakless integrators.
    """

    name: ClassVar[str] = "prove-ranges"
    max_steps: int = 0

    def run(self, graph: Graph, ctx: Context) -> Graph:
        nodes = list(graph)
        ranges = _known(nodes)
        problems: list[Diagnostic] = []
        limit = self.max_steps or SUM_STEPS
        for node in sorted(nodes, key=lambda n: _is_late(n, graph)):
            operands = [_arriving(e, ranges) for e in graph.in_edges(node.name)]
            known = [x for x in operands if x is not None]
            if len(known) != len(operands):
                continue  # the producer failed, or its range is not known yet: reported below
            try:
                if isinstance(node.op, intops.IntNeuron):
                    limit = self._neuron(graph, node, known, ranges, limit)
                else:
                    ranges[node.name, 0] = _evaluate(node, known, limit)
            except ZeroDivisorError:
                text = f"{node.name} divides by a value that may be zero"
                hint = "add a positive constant to the divisor, or clamp it"
                problems.append(error("E313", text, node.loc, help=hint))
            except RangeOverflowError:
                problems.append(_overflow(node))
        if problems:
            raise CompileError(problems)
        if missing := [n for n in nodes if (n.name, 0) not in ranges]:
            why = "a value that is fed back through a delay has no bound yet"
            raise fail("E311", f"cannot bound the range of {missing[0].name}", missing[0].loc, why)
        for node in nodes:
            types = tuple(
                replace(t, dtype=Int(*ranges[node.name, i].bounds))
                for i, t in enumerate(node.types)
            )
            graph.replace(replace(graph[node.name], types=types))
            ctx.note(node.name, types=", ".join(map(str, types)))
        graph.max_steps = limit
        return graph

    def _neuron(
        self,
        graph: Graph,
        node: Node,
        inputs: list[Interval],
        ranges: dict[tuple[str, int], Interval],
        limit: int,
    ) -> int:
        op = node.op
        assert isinstance(op, intops.IntNeuron), "called for neurons only"
        steps = self.max_steps or INTEGRATOR_STEPS
        found = kernel_ranges(op.kernel, inputs, op.shape, steps)
        graph.replace(replace(node, op=replace(op, kernel=annotate(op.kernel, found))))
        for i, out in enumerate(op.kernel.outputs):
            ranges[node.name, i] = Interval.of(*found.env[out].bounds).broadcast(op.shape)
        return limit if found.bounded else min(limit, steps)

    def ensures(self, graph: Graph) -> None:
        for node in graph:
            assert all(isinstance(t.dtype, Int) and t.dtype.lo is not None for t in node.types)


def _known(nodes: list[Node]) -> dict[tuple[str, int], Interval]:
    """What needs no proof: spikes are 0 or 1 and clamped values inside, whatever feeds them.

    It is what a recurrent connection starts from.
    """
    found = {}
    for node in nodes:
        if isinstance(node.op, intops.IntNeuron):
            for i, out in enumerate(node.op.kernel.outputs):
                if (interval := _fixed_range(node.op.kernel, out)) is not None:
                    found[node.name, i] = interval.broadcast(node.op.shape)
    return found


def _fixed_range(kernel: Kernel, name: str) -> Interval | None:
    line = kernel.line(name)
    while line is not None and line.fn == "copy":
        line = kernel.line(line.args[0])
    if line is not None and line.fn in PREDICATES:
        return Interval.of(0, 1)
    limits = {c.name: c.values for c in kernel.consts if c.index is None}
    above = kernel.line(line.args[0]) if line is not None and line.fn == "minimum" else None
    if line is None or above is None or above.fn != "maximum":
        return None
    low, high = limits.get(above.args[1]), limits.get(line.args[1])
    return None if low is None or high is None else Interval.of(low.data.min(), high.data.max())


def _arriving(edge: Edge, ranges: dict[tuple[str, int], Interval]) -> Interval | None:
    """What the consumer sees: a delayed edge also brings its initial value."""
    found = ranges.get((edge.src, edge.out))
    if found is None or not edge.delay:
        return found
    start = Interval.of(0, 0) if edge.init is None else Interval.exactly(edge.init)
    return found.join(start.broadcast(found.lo.shape))


def _is_late(node: Node, graph: Graph) -> bool:
    """Sums over time and what follows them need the final number of steps: last."""
    return node.type.clock is Clock.END


def _overflow(node: Node) -> Diagnostic:
    return error(
        "E310",
        f"{node.name} needs more than 63 bits in the worst case",
        node.loc,
        "no target has wider words, and snnc never wraps or saturates silently",
        help="use fewer weight bits, or a smaller --max-steps",
    )


def _evaluate(node: Node, x: list[Interval], steps: int) -> Interval:
    op, shape = node.op, node.type.shape
    match op:
        case intops.IntInput():
            return Interval.of(op.lo, op.hi).broadcast(shape)
        case intops.IntLinear():
            return _affine(_linear(op.weight, x[0]), op.shift, op.bias)
        case intops.IntConv2d():
            bias = None if op.bias is None else Param(op.bias.data[:, None, None])
            return _affine(_conv2d(op, x[0]), op.shift, bias)
        case intops.IntSumPool2d() | intops.IntMaxPool2d():
            return _pool(op, x[0])
        case intops.IntReshape():
            return x[0].reshape(op.shape)
        case intops.IntSum():
            total = x[0]
            for other in x[1:]:
                total = total + other
            return total
        case intops.IntRescale():
            y = (x[0] * Interval.exactly(op.multiplier)).rsh(op.shift, op.rounding)
            return (y if op.bias is None else y + Interval.exactly(op.bias)).broadcast(shape)
        case intops.IntTimeSum():
            total = x[0] * Interval.of(steps, steps)
            return total.join(Interval.of(0, 0).broadcast(shape))
        case intops.IntTimeLast() | intops.IntTimeMax():
            return x[0].join(Interval.of(0, 0).broadcast(shape))
        case intops.IntRepeat() | intops.IntTimeStack() | intops.IntOutput():
            return x[0]
    return _unknown(op)


def _unknown(op: Op) -> Interval:
    raise AssertionError(f"no range rule for {type(op).__name__}")


def _affine(acc: Interval, shift: int, bias: Param | None) -> Interval:
    y = acc.shl(shift)
    return y if bias is None else y + Interval.exactly(bias)


def _split(weight: Param) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    w = weight.data.astype(np.int64).reshape(weight.shape[0], -1)
    return np.maximum(w, 0), np.minimum(w, 0)


def _product(w: npt.NDArray[np.int64], x: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """``x @ w.T`` of integers, in float64 where that is exact."""
    largest = float(np.abs(x.astype(np.float64)).max(initial=0))  # int64 has no -min
    bound = float(np.abs(w).sum(1).max(initial=0)) * largest
    guard(bound)
    if bound < float(1 << 53):
        return (x.astype(np.float64) @ w.T.astype(np.float64)).astype(np.int64)
    return x @ w.T


def _linear(weight: Param, x: Interval) -> Interval:
    plus, minus = _split(weight)
    lo = _product(plus, x.lo) + _product(minus, x.hi)
    return Interval(lo, _product(plus, x.hi) + _product(minus, x.lo))


def _conv2d(op: intops.IntConv2d, x: Interval) -> Interval:
    out, per_group, kh, kw = op.weight.shape
    plus, minus = _split(op.weight)
    windows = [_windows(v, (kh, kw), op.stride, op.padding, op.dilation, 0) for v in (x.lo, x.hi)]
    height, width = windows[0].shape[1:3]
    lo, hi = [
        w.transpose(1, 2, 0, 3, 4).reshape(height * width, op.groups, per_group * kh * kw)
        for w in windows
    ]
    parts_lo, parts_hi = [], []
    each = out // op.groups
    for g in range(op.groups):
        p, m = plus[g * each : (g + 1) * each], minus[g * each : (g + 1) * each]
        parts_lo.append(_product(p, lo[:, g]) + _product(m, hi[:, g]))
        parts_hi.append(_product(p, hi[:, g]) + _product(m, lo[:, g]))
    low, high = (np.concatenate(p, 1).T.reshape(out, height, width) for p in (parts_lo, parts_hi))
    return Interval(low, high)


def _windows(
    x: npt.NDArray[np.int64],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    fill: int,
) -> npt.NDArray[np.int64]:
    """Windows of (C, H, W) as (C, H', W', kH, kW)."""
    pad = ((0, 0), (padding[0], padding[0]), (padding[1], padding[1]))
    x = np.pad(x, pad, constant_values=fill)
    reach = (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)
    view = np.lib.stride_tricks.sliding_window_view(x, reach, (1, 2))
    return view[:, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def _pool(op: intops.IntSumPool2d | intops.IntMaxPool2d, x: Interval) -> Interval:
    summing = isinstance(op, intops.IntSumPool2d)
    fill = 0 if summing else int(np.iinfo(np.int64).min)
    lo, hi = (_windows(v, op.kernel, op.stride, op.padding, (1, 1), fill) for v in (x.lo, x.hi))
    if not summing:
        return Interval(lo.max((3, 4)), hi.max((3, 4)))
    guard(hi.astype(float).sum((3, 4)), lo.astype(float).sum((3, 4)))
    return Interval(lo.sum((3, 4)), hi.sum((3, 4)))
