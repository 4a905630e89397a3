"""What lies between the clocks, and what changes from step to step, in integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from snnc import intops, ops
from snnc.exact import ONE, Expr, leaf, nearest, rearranged
from snnc.graph import Graph, Node, Value
from snnc.params import Param, compact
from snnc.passes.quantize_rule import Rule
from snnc.passes.quantized_value import Lowered, QValue
from snnc.passes.row_scale import quantized, row_scales, stored
from snnc.passes.weight_rows import Weighted
from snnc.step_limits import step_limits
from snnc.types import Int

Floats = npt.NDArray[np.float64]
#: Fractional bits of what changes from step to step, and of means that are divided at run time.
STEP_GUARD = 14
#: The same of a mean of values that have fractional bits already, such as weighted sums.
FINE_GUARD = 8
#: Further bits of a gain per step.
GAIN_BITS = 6


def _mean(low: Lowered, node: Node, x: list[QValue]) -> None:
    """A sum that is divided at the output, by a known number in the unit, or at run time."""
    op, v = node.op, low.settled(x[0])
    assert isinstance(op, ops.TimeMean), "called for means only"
    steps = _known_steps(low.real, node.type.clock.phase)
    if steps:
        low.add(node, intops.IntTimeSum(op.start), v)
        unit = v.unit / leaf(float(steps - op.start))
        low.values[node.name, 0] = QValue(Value(node.name), unit)
    elif not op.start and _ends_at_outputs(low.real, node.name):
        low.add(node, intops.IntTimeSum(), v)
        low.values[node.name, 0] = replace(v, value=Value(node.name), per_step=True)
    else:
        (edge,) = low.real.in_edges(node.name)
        spikes = isinstance(low.real[edge.src].types[edge.out].dtype, Int)
        guard = STEP_GUARD if spikes else FINE_GUARD
        low.add(node, intops.IntTimeMean(op.start, guard), v)
        unit = v.unit / leaf(float(1 << guard))
        low.values[node.name, 0] = QValue(Value(node.name), unit)


def _known_steps(graph: Graph, phase: int) -> int:
    """Steps of a loop that can have no other number; 0 if it can."""
    fewest, most = step_limits(graph)
    return graph.steps_of(phase, most if fewest == most else 0)


def _ends_at_outputs(graph: Graph, name: str) -> bool:
    """Whether only what commutes with a division lies between a mean and the outputs."""
    for user in graph.users(name):
        op = user.op
        if isinstance(op, ops.Output):
            continue
        alone = _commutes(graph, user)
        if isinstance(op, ops.Sum):
            alone = all(_is_mean(graph, p) for p in graph.operands(user.name))
        if not alone or not _ends_at_outputs(graph, user.name):
            return False
    return True


def _commutes(graph: Graph, node: Node) -> bool:
    """Whether a division before an operator of one value is one behind it."""
    op = node.op
    if isinstance(op, ops.Pointwise):
        constants = sum(isinstance(p.op, ops.Constant) for p in graph.operands(node.name))
        return (op.fn in ("mul", "div") and constants == 1) or op.fn == "neg"
    if isinstance(op, Weighted):
        return op.bias is None
    return isinstance(op, ops.Reshape)


def _is_mean(graph: Graph, node: Node) -> bool:
    """Whether a value is nothing but means over time of the first loop, weighted."""
    if isinstance(node.op, ops.TimeMean):
        return not node.op.start and not _known_steps(graph, node.type.clock.phase)
    if not isinstance(node.op, ops.Sum) and not _commutes(graph, node):
        return False
    sources = [p for p in graph.operands(node.name) if not isinstance(p.op, ops.Constant)]
    return bool(sources) and all(_is_mean(graph, p) for p in sources)


def _collect(make: Callable[[int], ops.Op]) -> Rule:
    def rule(low: Lowered, node: Node, x: list[QValue]) -> None:
        assert isinstance(node.op, ops.Collect), "collectors only"
        v = low.settled(x[0])
        low.add(node, make(node.op.start), v)
        low.values[node.name, 0] = replace(v, value=Value(node.name))

    return rule


def _last(low: Lowered, node: Node, x: list[QValue]) -> None:
    v = low.settled(x[0])
    low.add(node, intops.IntTimeLast(), v)
    low.values[node.name, 0] = replace(v, value=Value(node.name))


def _repeat(low: Lowered, node: Node, x: list[QValue]) -> None:
    v = low.passed(node, x[0])
    low.add(node, intops.IntRepeat(), v)
    low.values[node.name, 0] = v.moved(Value(node.name), lambda unit: unit)


def _table(low: Lowered, node: Node, x: list[QValue]) -> None:
    """Constants per step wait for the unit that their consumer wants."""
    op = node.op
    assert isinstance(op, ops.StepTable), "called for tables only"
    values = op.values.data.astype(np.float64)
    if not (values % 1).any() and np.abs(values).max() < 1 << 31:
        low.add(node, intops.IntStepTable(Param(compact(values.astype(np.int64))), op.phase))
        low.values[node.name, 0] = QValue(Value(node.name), ONE)
        return
    unit = _largest(values) / leaf(float(1 << 2 * STEP_GUARD))
    table = Param(compact(nearest(leaf(values) / unit)))
    low.add(node, intops.IntStepTable(table, op.phase))
    low.values[node.name, 0] = QValue(Value(node.name), unit)


def _largest(values: Floats) -> Expr:
    """The power of two above the largest magnitude."""
    peak = float(np.abs(values).max(initial=0.0)) or 1.0
    return leaf(float(np.ldexp(1.0, int(np.frexp(peak)[1]))))


def _by_step(param: Param, rank: int) -> Floats:
    """Rows for the steps, then as many axes as one step's value has."""
    data = param.data.astype(np.float64)
    rest = data.shape[1:]
    return data.reshape(len(data), *[1] * (rank - len(rest)), *rest)


def _affine(low: Lowered, node: Node, x: list[QValue]) -> None:
    """A gain and an offset per step: the unit follows the largest gain of each element."""
    op, v = node.op, low.settled(x[0])
    assert isinstance(op, ops.StepAffine), "called for gains per step only"
    rank = len(node.type.shape)
    scale = _by_step(op.scale, rank)
    peak = np.abs(scale).max(0)
    peak = np.ldexp(1.0, np.frexp(np.where(peak == 0, 1.0, peak))[1])
    unit = v.unit * leaf(peak) / leaf(float(1 << STEP_GUARD))
    offset = None if op.offset is None else leaf(_by_step(op.offset, rank))
    _add_gains(low, node, v, leaf(scale) / leaf(peak), offset, unit)


def _add_gains(
    low: Lowered, node: Node, v: QValue, gain: Expr, offset: Expr | None, unit: Expr
) -> None:
    """Put ``gain[t] * x * 2**STEP_GUARD + offset[t] / unit``; gains are at most 1."""
    factor = nearest(gain * leaf(float(1 << (STEP_GUARD + GAIN_BITS))))
    shift = GAIN_BITS
    while shift and not (factor & 1).any():
        factor, shift = factor >> 1, shift - 1
    bias = None if offset is None else Param(compact(nearest(offset / unit)))
    op = intops.IntStepRescale(Param(compact(factor)), shift, low.profile.rounding, bias)
    low.add(node, op, v)
    low.values[node.name, 0] = QValue(Value(node.name), unit)


def _mix(low: Lowered, node: Node, x: list[QValue]) -> None:
    """Every row of the matrix over the steps has a scale of its own; a gain per step follows."""
    op, v = node.op, low.settled(x[0])
    assert isinstance(op, ops.TimeMix), "called for matrices over the steps only"
    weight = op.weight.data.astype(np.float64)
    bits = low.bits_of(node.name)
    scales = row_scales(weight, bits, low.chooser.table_method(node.name, node.loc))
    codes = quantized(weight, scales.floats, bits)
    matrix = intops.IntTimeMix(Param(stored(codes, bits)))
    kept = Param(codes * scales.floats[:, None])
    low.fake.replace(replace(low.fake[node.name], op=replace(op, weight=kept)))
    low.ctx.note(node.name, weights=int(codes.size), weight_bits=bits)
    column = (-1, *[1] * len(node.type.shape))
    exact = scales.exact(column)
    if op.bias is None and len(np.unique(scales.floats)) == 1:
        low.add(node, matrix, v)
        own = scales.exact((-1,))
        unit = v.unit * rearranged(own, (len(weight),), lambda s: s[0])
        low.values[node.name, 0] = QValue(Value(node.name), unit)
        return
    name = low.out.fresh(f"{node.name}.mix")
    low.out.add(name, matrix, v.value, loc=node.loc)
    peak = _largest(scales.floats)
    unit = v.unit * peak / leaf(float(1 << STEP_GUARD))
    offset = None if op.bias is None else leaf(op.bias.data.astype(np.float64).reshape(column))
    _add_gains(low, node, replace(v, value=Value(name)), exact / peak, offset, unit)


def _hold(low: Lowered, node: Node, x: list[QValue]) -> None:
    op, v = node.op, low.passed(node, x[0])
    assert isinstance(op, ops.Hold), "called for values held only"
    low.add(node, intops.IntHold(op.phase), v)
    low.values[node.name, 0] = v.moved(Value(node.name), lambda unit: unit)


def _sequence(make: Callable[[], ops.Op]) -> Rule:
    def rule(low: Lowered, node: Node, x: list[QValue]) -> None:
        v = low.settled(x[0])
        low.add(node, make(), v)
        low.values[node.name, 0] = replace(v, value=Value(node.name))

    return rule


#: The rules.
TIME_RULES: dict[type[ops.Op], Rule] = {
    ops.Repeat: _repeat,
    ops.TimeSum: _collect(intops.IntTimeSum),
    ops.TimeMean: _mean,
    ops.TimeLast: _last,
    ops.TimeMax: _collect(intops.IntTimeMax),
    ops.TimeStack: _collect(intops.IntTimeStack),
    ops.StepTable: _table,
    ops.StepAffine: _affine,
    ops.Hold: _hold,
    ops.Replay: _sequence(intops.IntReplay),
    ops.TimeFlip: _sequence(intops.IntTimeFlip),
    ops.TimeMix: _mix,
}
