"""Ranges of values while the network is still being lowered.

``prove-ranges`` comes last and decides. Here a rule of ``quantize`` asks how large an operand can
become, to give it as many bits as its product leaves room for.
"""

from __future__ import annotations

from snnc import ops
from snnc.graph import Edge
from snnc.interval import Interval, RangeOverflowError
from snnc.intops import IntNeuron
from snnc.passes.kernel_ranges import kernel_ranges
from snnc.passes.past_values import LIMIT
from snnc.passes.prove_ranges import RANGES, STEPS, fixed_range
from snnc.passes.quantized_value import Lowered, QValue
from snnc.types import SPIKE

#: Ranges of the nodes' outputs; None if there is no bound yet.
_Known = dict[tuple[str, int], Interval | None]


def largest(low: Lowered, v: QValue) -> int | None:
    """The largest magnitude that the value may have, or None if that is not known yet."""
    found = _value(low, v.value.src, v.value.out, {})
    if found is None:
        return None
    lo, hi = found.bounds
    return max(-lo, hi)


def _value(low: Lowered, name: str, out: int, known: _Known) -> Interval | None:
    kept = low.ranges.get((name, out))
    if kept is not None and kept[0] is low.out[name]:
        return kept[1]
    if (name, out) not in known:
        known[name, out] = None  # what a loop finds of itself
        try:
            known[name, out] = _found(low, name, out, known)
        except RangeOverflowError:
            known[name, out] = None
        if (found := known[name, out]) is not None:
            low.ranges[name, out] = low.out[name], found
    return known[name, out]


def _found(low: Lowered, name: str, out: int, known: _Known) -> Interval | None:
    node = low.out[name]
    shape = node.types[out].shape
    if any(v.value.src == name for v in low.past.values()):
        return Interval.of(-LIMIT, LIMIT).broadcast(shape)
    if isinstance(node.op, ops.Neuron):  # announced only
        return Interval.of(0, 1).broadcast(shape) if node.types[out].dtype == SPIKE else None
    if isinstance(node.op, IntNeuron):
        fixed = fixed_range(node.op.kernel, node.op.kernel.outputs[out])
        if fixed is not None:
            return fixed.broadcast(shape)
    operands = [_arriving(low, e, known) for e in low.out.in_edges(name)]
    given = [x for x in operands if x is not None]
    if len(given) != len(operands):
        return None
    steps = low.out.steps_of(node.type.clock.phase, 0)
    if isinstance(node.op, IntNeuron):
        found = kernel_ranges(node.op.kernel, given, node.op.shape, steps or STEPS[0][1])
        for i, word in enumerate(node.op.kernel.outputs):
            known[name, i] = Interval.of(*found.env[word].bounds).broadcast(node.op.shape)
        return known[name, out]
    rule = RANGES.get(type(node.op))
    return None if rule is None else rule(node, given, steps or STEPS[0][0])


def _arriving(low: Lowered, edge: Edge, known: _Known) -> Interval | None:
    found = _value(low, edge.src, edge.out, known)
    if found is None or not edge.delay:
        return found
    start = Interval.of(0, 0) if edge.init is None else Interval.exactly(edge.init)
    return found.join(start.broadcast(found.lo.shape))
