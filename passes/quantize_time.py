"""What lies between the clocks, in integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from snnc import intops, ops
from snnc.graph import Node, Value
from snnc.passes.quantize_rule import Rule
from snnc.passes.quantized_value import Lowered, QValue


def _mean(low: Lowered, node: Node, x: list[QValue]) -> None:
    v = low.settled(x[0])
    low.add(node, intops.IntTimeSum(), v)
    low.values[node.name, 0] = replace(v, value=Value(node.name), per_step=True)


def _crossing(make: Callable[[], ops.Op]) -> Rule:
    def rule(low: Lowered, node: Node, x: list[QValue]) -> None:
        v = low.settled(x[0])
        low.add(node, make(), v)
        low.values[node.name, 0] = replace(v, value=Value(node.name))

    return rule


def _repeat(low: Lowered, node: Node, x: list[QValue]) -> None:
    v = low.passed(node, x[0])
    low.add(node, intops.IntRepeat(), v)
    low.values[node.name, 0] = v.moved(Value(node.name), lambda unit: unit)


#: The rules.
TIME_RULES: dict[type[ops.Op], Rule] = {
    ops.Repeat: _repeat,
    ops.TimeSum: _crossing(intops.IntTimeSum),
    ops.TimeMean: _mean,
    ops.TimeLast: _crossing(intops.IntTimeLast),
    ops.TimeMax: _crossing(intops.IntTimeMax),
    ops.TimeStack: _crossing(intops.IntTimeStack),
}
