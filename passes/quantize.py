"""Lower the real graph to integer operators.

Every integer value has a *unit*: the exact real value of one step, per row where weights are
scaled per row.  Units are symbolic (``snnc.exact``) and fold forward for free: into the weights of
the next layer, into thresholds, into output scales.  Only where units must agree (sums, readouts)
does a value get multiplied.

Weights that feed a neuron wait for it: the neuron decides the number of guard bits F, so that its
median threshold is at least ``2**14`` integer steps, and the accumulator is shifted by F.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from snnc import intops, ops
from snnc.conv_ops import Pair
from snnc.diagnostics import CompileError, Diagnostic, error, fail
from snnc.exact import ONE, ConstantError, Expr, floats, leaf, nearest, signs
from snnc.graph import Graph, Node, Value
from snnc.intops import IntOutput, IntRescale
from snnc.params import Param, compact
from snnc.passes import past_values
from snnc.passes.base import Context, Pass
from snnc.passes.quantize_exact import exact_neuron, exact_weights
from snnc.passes.quantize_neuron import lower_neuron
from snnc.passes.quantize_weights import fold_unit
from snnc.passes.quantized_value import Lowered, QValue, Root
from snnc.profile import PROFILES
from snnc.types import SPIKE

#: Steps of an input's grid, up to which it is kept.
MOST_STEPS = 1 << 16
#: Fractional bits of a sum of values in different units, and of a bias behind a pool.
SUM_GUARD = 8
#: Fractional bits of a value to which a constant is added outside a neuron.
OFFSET_GUARD = 14


@dataclass(frozen=True)
class Quantize(Pass):
    """Replace real operators by integer ones.

    Attributes:
        bits: Of a weight, 2 to 16; 2 means -1, 0, 1.
        input_bits: Of an input that is not on a grid of its own, 2 to 16.
        profile: Numeric profile, a name of ``snnc.profile.PROFILES``.
    """

    name: ClassVar[str] = "quantize"
    bits: int = 8
    input_bits: int = 8
    profile: str = "default"

    def requires(self, graph: Graph) -> None:
        for what, value in (("bits", self.bits), ("input_bits", self.input_bits)):
            if not 2 <= value <= 16:
                why = "1 bit leaves no symmetric integer but 0" if value == 1 else ""
                flag = f"--{what.replace('_', '-')}"
                notes = (why,) if why else ()
                raise fail("E320", f"{flag} is {value}, possible are 2 to 16", None, *notes)
        if self.profile not in PROFILES:
            known = ", ".join(sorted(PROFILES))
            raise fail("E325", f"unknown numeric profile {self.profile!r}", help=f"known: {known}")
        problems = [p for n in graph for p in _unsupported(graph, n)]
        if problems:
            raise CompileError(problems)

    def run(self, graph: Graph, ctx: Context) -> Graph:
        profile = PROFILES[self.profile]
        low = Lowered(graph, Graph(graph.name, graph.steps), ctx, self.bits, profile)
        rules = RULES | EXACT if profile.exact else RULES
        for node in graph:
            if isinstance(node.op, ops.Input):
                self._input(low, node)
            elif any(e.delay for e in graph.out_edges(node.name)):
                past_values.announce(low, node)
        for node in graph:
            if isinstance(node.op, ops.Input | ops.Constant) or _constant(graph, node.name):
                continue
            dynamic = [e for e in graph.in_edges(node.name) if not _constant(graph, e.src)]
            operands = [
                low.sole(v) for e in dynamic if (v := past_values.arriving(low, e)) is not None
            ]
            if not dynamic and not isinstance(node.op, ops.Neuron):
                text = f"operator {type(node.op).__name__} of parameters alone has no integer form"
                hint = "start states from zeros, or keep its result as a parameter of the model"
                low.problems.append(error("E210", text, node.loc, help=hint))
            elif len(operands) == len(dynamic):  # else an operand failed and is reported
                try:
                    rules[type(node.op)](low, node, operands)
                except (ZeroDivisionError, OverflowError, ConstantError) as e:
                    text = f"a constant of {node.name}: {e}"
                    low.problems.append(error("E326", text, node.loc))
        past_values.finish(low)
        if low.problems:
            raise CompileError(low.problems)
        ctx.fake_quantized = low.fake
        return low.out

    def _input(self, low: Lowered, node: Node) -> None:
        op = node.op
        assert isinstance(op, ops.Input), "called for inputs only"
        most = 1 << 31 if low.profile.exact else MOST_STEPS
        lo, hi, scale = input_format(op, self.input_bits, most)
        low.out.add(
            node.name,
            intops.IntInput(op.type.shape, op.type.clock, lo, hi, scale),
            loc=node.loc,
        )
        whole = float(round(1 / scale)) if scale < 1 else 0.0
        exact = ONE / leaf(whole) if whole and 1 / whole == scale else leaf(scale)
        low.values[node.name, 0] = QValue(Value(node.name), exact)
        low.ctx.note(node.name, input=f"{scale:g} * [{lo}, {hi}]")


def input_format(op: ops.Input, bits: int, most: int = MOST_STEPS) -> tuple[int, int, float]:
    """Integer range and scale of an input.

    Data on a grid (``k/255``, ``k/16``, 0/1) of ``most`` steps keep it exactly; others get ``bits``
    bits over their observed range.

    >>> from snnc.types import TensorType
    >>> input_format(ops.Input(TensorType((4,)), 0.0, 0.9, 1 / 16), 8)
    (0, 16, 0.0625)
    >>> input_format(ops.Input(TensorType((4,)), -1e308, 1.0, 0.5), 8)[:2]
    (-127, 127)
    """
    peak = max(abs(op.lo), abs(op.hi)) or 1.0
    if op.step > 0 and peak / op.step < most + 1:
        lo, hi = round(op.lo / op.step), round(op.hi / op.step)
        whole = 1 / op.step if op.step < 1 and lo >= 0 else 0.0
        if max(abs(lo), abs(hi)) <= most and whole < most + 0.5:
            return min(lo, 0), max(hi, round(whole), 1), op.step
    top = (1 << (bits - 1)) - 1 if op.lo < 0 else (1 << bits) - 1
    return (-top if op.lo < 0 else 0), top, peak / top


def _constant(graph: Graph, name: str) -> bool:
    op = graph[name].op
    if isinstance(op, ops.Constant):
        return True
    edges = graph.in_edges(name)
    return isinstance(op, ops.Pointwise) and all(_constant(graph, e.src) for e in edges)


def _unsupported(graph: Graph, node: Node) -> list[Diagnostic]:
    """Why ``quantize`` cannot take a node; all nodes are asked before any work starts."""
    op, found = node.op, []
    if _constant(graph, node.name):
        return []
    for e in graph.in_edges(node.name):
        source = graph[e.src]
        spikes = isinstance(source.op, ops.Neuron) and source.types[e.out].dtype == SPIKE
        if e.delay and spikes and e.init is not None and (e.init.data % 1).any():
            text = f"{node.name} reads spikes that start at fractions of one"
            found.append(error("E212", text, node.loc, help="start them at 0 or 1"))
    if isinstance(op, ops.Pointwise):
        constants = [_constant(graph, e.src) for e in graph.in_edges(node.name)]
        affine = {"mul": (1, 1), "add": (1, 1), "div": (0, 1), "sub": (1, 1)}
        allowed = op.fn in affine and sum(constants) == 1
        if op.fn == "div" and allowed and constants[0]:
            allowed = False
        if op.fn == "neg":
            allowed = True
        dynamic = [e for e in graph.in_edges(node.name) if not _constant(graph, e.src)]
        same = all(graph[e.src].types[e.out].shape == node.type.shape for e in dynamic)
        allowed = allowed and same
        if not allowed:
            text = f"operator {op.fn!r} outside a neuron has no integer form"
            hint = "keep it inside a neuron's update, or move it out of the exported module"
            found.append(error("E210", text, node.loc, help=hint))
    elif isinstance(op, ops.Collect) and op.start:
        text = f"{node.name} discards the first {op.start} steps, which has no integer form"
        hint = "discard them outside, or collect all steps"
        found.append(error("E210", text, node.loc, help=hint))
    elif not isinstance(op, ops.Input | ops.Constant) and type(op) not in RULES:
        found.append(error("E210", f"operator {type(op).__name__} has no integer form", node.loc))
    return found


def _weights(low: Lowered, node: Node, x: list[QValue]) -> None:
    op = node.op
    assert isinstance(op, ops.Linear | ops.Conv2d), "called for weights only"
    source = low.settled(x[0])
    effective = fold_unit(op, source.unit, low.real.in_edges(node.name)[0], low.real)
    if effective is None:
        text = f"the input of {node.name} has a scale that changes within one channel"
        low.problems.append(error("E223", text, node.loc))
        return
    if source.per_step and op.bias is not None:
        text = f"{node.name} adds a bias to a mean over time"
        hint = "average after the layer, or sum instead of averaging"
        low.problems.append(error("E224", text, node.loc, help=hint))
        return
    weights, columns = effective
    root = Root(node, op, weights, columns)
    zero = Param(np.zeros(op.weight.shape, np.int8))
    if isinstance(op, ops.Linear):
        placeholder: ops.Op = intops.IntLinear(zero)
    else:
        placeholder = intops.IntConv2d(zero, None, 0, op.stride, op.padding, op.dilation, op.groups)
    low.add(node, placeholder, source)
    low.values[node.name, 0] = QValue(Value(node.name), ONE, source.per_step, root)


def _pool(make: Callable[[Pair, Pair, Pair], ops.Op], mean: bool) -> Rule:
    """A rule for pools: the unit stays, divided by the window for a mean."""

    def rule(low: Lowered, node: Node, x: list[QValue]) -> None:
        op, v = node.op, low.passed(node, x[0])
        assert isinstance(op, ops.SumPool2d | ops.AvgPool2d | ops.MaxPool2d), "pools only"
        (edge,) = low.real.in_edges(node.name)
        if not _per_channel(v.unit, low.real[edge.src].types[edge.out].shape):
            text = f"the input of {node.name} has a scale that changes within one channel"
            low.problems.append(error("E223", text, node.loc))
            return
        low.add(node, make(op.kernel, op.stride, op.padding), v)
        area = leaf(float(op.kernel[0] * op.kernel[1])) if mean else ONE
        low.values[node.name, 0] = v.moved(Value(node.name), lambda unit: unit / area)

    return rule


def _per_channel(unit: Expr, shape: tuple[int, ...]) -> bool:
    if unit.number is not None:
        return True
    full = np.broadcast_to(floats(unit), shape)
    return bool((full == full[:, :1, :1]).all())


def _reshape(low: Lowered, node: Node, x: list[QValue]) -> None:
    op, v = node.op, low.passed(node, x[0])
    assert isinstance(op, ops.Reshape), "called for reshapes only"
    (edge,) = low.real.in_edges(node.name)
    old = low.real[edge.src].types[edge.out].shape
    low.add(node, intops.IntReshape(op.shape), v)

    def unit(u: Expr) -> Expr:
        if u.number is not None or u.shape == ():
            return u
        return leaf(np.broadcast_to(floats(u), old).reshape(op.shape))

    low.values[node.name, 0] = v.moved(Value(node.name), unit)


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


def _sum(low: Lowered, node: Node, x: list[QValue]) -> None:
    if len({v.per_step for v in x}) > 1:
        text = f"{node.name} adds a mean over time and a value that is none"
        low.problems.append(error("E224", text, node.loc, help="sum over time instead"))
        return
    operands = [low.settled(v) for v in x]
    first = operands[0].unit
    if any(v.unit != first for v in operands):
        sizes = np.broadcast_arrays(*(np.abs(floats(v.unit)) for v in operands))
        target = leaf(np.maximum.reduce(sizes)) / leaf(float(1 << SUM_GUARD))
        operands = [low.rescaled(node, v, target) for v in operands]
    low.add(node, intops.IntSum(), *operands)
    per_step = any(v.per_step for v in operands)
    low.values[node.name, 0] = QValue(Value(node.name), operands[0].unit, per_step)


def _affine(low: Lowered, node: Node, x: list[QValue]) -> None:
    """A leftover ``c * x``, ``x / c``, ``x + c`` or ``c - x``."""
    op, v = node.op, low.settled(x[0])
    assert isinstance(op, ops.Pointwise), "called for pointwise operators only"
    edges = low.real.in_edges(node.name)
    constants = [low.constant(e.src) for e in edges if _constant(low.real, e.src)]
    c = constants[0] if constants else -ONE
    if op.fn in ("mul", "div", "neg"):
        c = ONE / c if op.fn == "div" else c
        if (signs(c) > 0).all():
            low.values[node.name, 0] = replace(v, unit=v.unit * c)
            return
        magnitude = leaf(np.maximum(np.abs(floats(c)), np.finfo(np.float64).tiny))
        low.add(node, IntRescale(Param(compact(signs(c)))), v)
        low.values[node.name, 0] = QValue(Value(node.name), v.unit * magnitude, v.per_step)
        return
    if v.per_step:
        low.problems.append(error("E224", f"{node.name} adds to a mean over time", node.loc))
        return
    minus = op.fn == "sub" and _constant(low.real, edges[0].src)
    c = -c if op.fn == "sub" and not minus else c
    unit = v.unit / leaf(float(1 << OFFSET_GUARD))
    factor = Param(compact(np.array(-(1 << OFFSET_GUARD) if minus else 1 << OFFSET_GUARD)))
    low.add(node, IntRescale(factor, 0, "half_away", Param(compact(nearest(c / unit)))), v)
    low.values[node.name, 0] = QValue(Value(node.name), unit)


def _output(low: Lowered, node: Node, x: list[QValue]) -> None:
    v = low.settled(x[0])
    (edge,) = low.real.in_edges(node.name)
    stacked = isinstance(low.real[edge.src].op, ops.TimeStack)
    scale = floats(v.unit)
    if not stacked and scale.size > 1 and not (scale == scale.reshape(-1)[0]).all():
        # Rows with scales of their own: one common unit, so that integers compare across rows.
        largest = leaf(float(np.abs(scale).max()) / (1 << SUM_GUARD))
        v = low.rescaled(node, v, largest)
        scale = floats(v.unit)
    if scale.size > 1 and (scale == scale.reshape(-1)[0]).all():
        scale = scale.reshape(-1)[0]
    low.add(node, IntOutput(Param(np.asarray(scale)), v.per_step), v)
    low.values[node.name, 0] = replace(v, value=Value(node.name))


Rule = Callable[[Lowered, Node, list[QValue]], None]


#: How each real operator becomes integers.
RULES: dict[type[ops.Op], Rule] = {
    ops.Linear: _weights,
    ops.Conv2d: _weights,
    ops.SumPool2d: _pool(intops.IntSumPool2d, mean=False),
    ops.AvgPool2d: _pool(intops.IntSumPool2d, mean=True),
    ops.MaxPool2d: _pool(intops.IntMaxPool2d, mean=False),
    ops.Reshape: _reshape,
    ops.Sum: _sum,
    ops.Pointwise: _affine,
    ops.Neuron: lower_neuron,
    ops.Repeat: _repeat,
    ops.TimeSum: _crossing(intops.IntTimeSum),
    ops.TimeMean: _mean,
    ops.TimeLast: _crossing(intops.IntTimeLast),
    ops.TimeMax: _crossing(intops.IntTimeMax),
    ops.TimeStack: _crossing(intops.IntTimeStack),
    ops.Output: _output,
}

#: What exact profiles do otherwise.
EXACT: dict[type[ops.Op], Rule] = {
    ops.Linear: exact_weights,
    ops.Conv2d: exact_weights,
    ops.Neuron: exact_neuron,
}
