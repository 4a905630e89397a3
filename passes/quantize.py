"""Lower the real graph to integer operators.

Every integer value has a *unit*: the exact real value of one step, per row where weights are
scaled per row.  Units are symbolic (``snnc.exact``) and fold forward for free: into the weights of
the next layer, into thresholds, into output scales.  Only where units must agree (sums, readouts)
does a value get multiplied.

Weights that feed a neuron wait for it: the neuron decides the number of guard bits F, so that its
median threshold is at least ``2**14`` integer steps, and the accumulator is shifted by F.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

from snnc import intops, ops
from snnc.diagnostics import CompileError, Diagnostic, error, fail
from snnc.exact import ONE, leaf
from snnc.exact_functions import ConstantError
from snnc.graph import Graph, Node, Value
from snnc.passes import past_values
from snnc.passes.base import Context, Pass
from snnc.passes.choose_codes import Chooser, weighted_names
from snnc.passes.constant_values import as_value
from snnc.passes.moved_spikes import moved_spikes
from snnc.passes.quantize_attention import ATTENTION_RULES
from snnc.passes.quantize_codes import CODE_RULES
from snnc.passes.quantize_exact import exact_neuron, exact_refused, exact_weights
from snnc.passes.quantize_layers import LAYER_RULES
from snnc.passes.quantize_network import NETWORK_RULES, is_constant
from snnc.passes.quantize_norms import NORM_RULES
from snnc.passes.quantize_reductions import REDUCTION_RULES
from snnc.passes.quantize_rule import Rule
from snnc.passes.quantize_tensors import TENSOR_RULES
from snnc.passes.quantize_time import TIME_RULES
from snnc.passes.quantized_value import Lowered, QValue
from snnc.passes.weight_rows import Weighted
from snnc.profile import PROFILES
from snnc.quantization import USUAL, Plan
from snnc.types import SPIKE, Int

#: Steps of an input's grid, up to which it is kept.
MOST_STEPS = 1 << 16


@dataclass(frozen=True)
class Quantize(Pass):
    """Replace real operators by integer ones.

    Attributes:
        bits: Of a weight, 2 to 16; 2 means -1, 0, 1.
        input_bits: Of an input that is not on a grid of its own, 2 to 16.
        profile: Numeric profile, a name of ``snnc.profile.PROFILES``.
        plan: How integers are chosen, and exceptions by layer.
    """

    name: ClassVar[str] = "quantize"
    bits: int = 8
    input_bits: int = 8
    profile: str = "default"
    plan: Plan = USUAL

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
        problems = self.plan.check_method()
        neurons = [n.name for n in graph if isinstance(n.op, ops.Neuron)]
        problems += self.plan.check_names(weighted_names(graph), neurons)
        problems += [p for n in graph for p in _unsupported(graph, n)]
        if PROFILES[self.profile].exact:
            taken = EXACT_TAKES | set(EXACT)
            problems += [_not_exact(n, self.profile) for n in graph if type(n.op) not in taken]
        if problems:
            raise CompileError(problems)

    def run(self, graph: Graph, ctx: Context) -> Graph:
        profile = PROFILES[self.profile]
        empty = Graph(graph.name, graph.steps, graph.max_steps, graph.later_steps)
        chooser = Chooser(self.plan, graph, ctx.calibration, ctx, ctx.reused)
        low = Lowered(graph, empty, ctx, self.bits, profile, chooser)
        rules = RULES | EXACT if profile.exact else RULES
        histories = moved_spikes(graph, lambda e: graph[e.src].types[e.out].dtype == SPIKE)
        for node in graph:
            if isinstance(node.op, ops.Input):
                self._input(low, node)
            elif any(e.delay for e in graph.out_edges(node.name)):
                past_values.announce(low, node, node.name in histories)
        for node in graph:
            if isinstance(node.op, ops.Input | ops.Constant) or is_constant(graph, node.name):
                continue
            operands = _operands(low, node)
            if operands is None:
                continue  # its producer failed and is reported
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
    if isinstance(op.type.dtype, Int):  # a promise, e.g. of token numbers
        return *op.type.dtype.bounds, 1.0
    peak = max(abs(op.lo), abs(op.hi)) or 1.0
    if op.step > 0 and peak / op.step < most + 1:
        lo, hi = round(op.lo / op.step), round(op.hi / op.step)
        whole = 1 / op.step if op.step < 1 and lo >= 0 else 0.0
        if max(abs(lo), abs(hi)) <= most and whole < most + 0.5:
            return min(lo, 0), max(hi, round(whole), 1), op.step
    top = (1 << (bits - 1)) - 1 if op.lo < 0 else (1 << bits) - 1
    return (-top if op.lo < 0 else 0), top, peak / top


def _operands(low: Lowered, node: Node) -> list[QValue] | None:
    """What the node reads; parameters that its rule takes in itself are not values."""
    edges = low.real.in_edges(node.name)
    known = [is_constant(low.real, e.src) for e in edges]
    folded = isinstance(node.op, ops.Pointwise | ops.Neuron | ops.Concat) and not all(known)
    found: list[QValue | None] = []
    for e, constant in zip(edges, known, strict=True):
        if not constant:
            v = past_values.arriving(low, e)
            found.append(None if v is None else low.sole(v))
        elif not folded:
            found.append(as_value(low, e.src))
    operands = [v for v in found if v is not None]
    return operands if len(operands) == len(found) else None


def _not_exact(node: Node, profile: str) -> Diagnostic:
    text = f"operator {type(node.op).__name__} has no form in the profile {profile}"
    return error("E210", text, node.loc, help="compile with --profile default")


def _unsupported(graph: Graph, node: Node) -> list[Diagnostic]:
    """Why ``quantize`` cannot take a node; all nodes are asked before any work starts."""
    op, found = node.op, []
    if is_constant(graph, node.name):
        return []
    edges = graph.in_edges(node.name)
    for e in edges:
        source = graph[e.src]
        spikes = isinstance(source.op, ops.Neuron) and source.types[e.out].dtype == SPIKE
        if e.delay and spikes and e.init is not None and (e.init.data % 1).any():
            text = f"{node.name} reads spikes that start at fractions of one"
            found.append(error("E212", text, node.loc, help="start them at 0 or 1"))
    if isinstance(op, ops.Pointwise):
        constants = [is_constant(graph, e.src) for e in graph.in_edges(node.name)]
        affine = {"mul": (1, 1), "add": (1, 1), "div": (0, 1), "sub": (1, 1)}
        allowed = op.fn in affine and sum(constants) == 1
        if op.fn == "div" and allowed and constants[0]:
            allowed = False
        if op.fn == "neg":
            allowed = True
        dynamic = [e for e in graph.in_edges(node.name) if not is_constant(graph, e.src)]
        same = all(graph[e.src].types[e.out].shape == node.type.shape for e in dynamic)
        allowed = allowed and same
        if not allowed:
            text = f"operator {op.fn!r} outside a neuron has no integer form"
            hint = "keep it inside a neuron's update, or move it out of the exported module"
            found.append(error("E210", text, node.loc, help=hint))
    elif not isinstance(op, ops.Input | ops.Constant) and type(op) not in RULES:
        found.append(error("E210", f"operator {type(op).__name__} has no integer form", node.loc))
    return found


#: How each real operator becomes integers.
RULES: dict[type[ops.Op], Rule] = {
    **LAYER_RULES,
    **NORM_RULES,
    **ATTENTION_RULES,
    **TENSOR_RULES,
    **REDUCTION_RULES,
    **TIME_RULES,
    **CODE_RULES,
    **NETWORK_RULES,
}

#: What exact profiles do otherwise.
EXACT: dict[type[ops.Op], Rule] = {
    **dict.fromkeys(get_args(Weighted), exact_weights),
    ops.Neuron: exact_neuron,
    **dict.fromkeys((*NORM_RULES, ops.Softmax), exact_refused),
}

#: What exact profiles take at all; what else there is would be rounded.
EXACT_TAKES: frozenset[type[ops.Op]] = frozenset(
    (
        *(ops.Input, ops.Constant, ops.Output, ops.Pointwise, ops.Sum, ops.Neuron),
        *get_args(Weighted),
        *CODE_RULES,
        ops.StepTable,
        *(ops.SumPool1d, ops.SumPool2d, ops.SumPool3d),
        *(ops.AvgPool1d, ops.AvgPool2d, ops.AvgPool3d),
        *(ops.MaxPool1d, ops.MaxPool2d, ops.MaxPool3d),
        *(ops.Reshape, ops.Transpose, ops.Slice, ops.Concat, ops.Expand, ops.Take, ops.Upsample),
        *(ops.Repeat, ops.TimeSum, ops.TimeMean, ops.TimeLast, ops.TimeMax, ops.TimeStack),
    )
)
