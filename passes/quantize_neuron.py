"""Choose a neuron's unit and lower its kernel.

The unit follows the weights of the neuron's main input: ``U = s_r * gain * 2**-F`` per row.  Other
weights into the same neuron get the same row scale, chosen for all of them together; values that
come with a unit of their own are multiplied into ``U``.  A kernel that is not scale-free gets
absolute formats instead, and its inputs are multiplied into units of ``2**-F``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.diagnostics import error, fail, warning
from snnc.exact import ONE, Expr, floats, leaf
from snnc.exact_functions import ConstantError
from snnc.graph import Node, Value
from snnc.intops import IntNeuron
from snnc.kernel import Kernel
from snnc.passes.absolute_kernel import absolute_kernel
from snnc.passes.check_kernel import disagreement
from snnc.passes.counters import counts
from snnc.passes.early_ranges import largest
from snnc.passes.fake_kernel import fake_kernel
from snnc.passes.fixed_values import NoIntegerFormError
from snnc.passes.kernel_form import Analysis, NotScaleFreeError, analyse, names_in
from snnc.passes.kernel_units import (
    exact_bits,
    fraction_bits,
    gains,
    guard_bits,
    thresholds,
    unit_free,
)
from snnc.passes.lower_kernel import lower_kernel
from snnc.passes.parts import Part
from snnc.passes.quantize_weights import place
from snnc.passes.quantized_value import Lowered, QValue, Root
from snnc.passes.row_blocks import MadeRows
from snnc.passes.row_scale import row_scales
from snnc.passes.switched_kernel import Lowering
from snnc.passes.visible_signs import visible_signs
from snnc.passes.weight_grid import bits_of
from snnc.passes.weight_rows import scaled_rows
from snnc.quantization import KEPT

Floats = npt.NDArray[np.float64]

#: Guard bits more where an input is rounded in every step, as a residual stream is: one spike in
#: 20,000 that differs becomes one in 200 behind a few blocks.
MIXED_BITS = 6
#: Bits of what may be a count of spikes.
COUNT_BITS = 8
#: What helps against constants that are far too large.
SCALED = "scale inputs as in training, and compare the parameters of the neuron with its inputs"


def lower_neuron(low: Lowered, node: Node, x: list[QValue]) -> None:
    """Replace a Neuron by an IntNeuron."""
    op = node.op
    assert isinstance(op, ops.Neuron), "called for neurons only"
    before = low.saved()
    try:
        analysis = analyse(op.kernel)
        _check_units(op.kernel, analysis)
        gain = gains(analysis, op.kernel.inputs)
        inputs, unit, guard, spare = _common_unit(low, node, x, analysis, gain)
        lowered = lower_kernel(op.kernel, analysis, gain, unit, low.profile, spare)
    except NotScaleFreeError as e:
        low.restore(before)
        _lower_absolute(low, node, x, str(e))
        return
    except (ZeroDivisionError, OverflowError, ConstantError) as e:
        low.problems.append(error("E326", f"a constant of {node.name}: {e}", node.loc, help=SCALED))
        return
    for code, text, hint in lowered.problems:
        low.problems.append(error(code, f"{node.name}: {text}", node.loc, help=hint))
    _report(low, node, lowered.losses)
    low.add(node, IntNeuron(lowered.kernel, op.shape), *inputs)
    if not lowered.problems:
        fake = fake_kernel(lowered.kernel, lowered.units, lowered.factors, gain, unit)
        step = floats(unit * leaf(float(1 << spare)))
        if wrong := disagreement(op.kernel, fake, analysis.predicates, step, op.shape):
            text = f"{wrong} of {node.name} is not lowered as it is written"
            notes = ("this is a bug of snnc; nothing was written", *op.kernel.text)
            raise fail("E901", text, node.loc, *notes, help="please report it with this text")
        low.fake.replace(replace(node, op=ops.Neuron(fake, op.shape)))
        low.ctx.neurons[node.name] = Lowering(lowered, gain, unit)
    for i, output_unit in enumerate(lowered.units):
        low.values[node.name, i] = QValue(Value(node.name, i), output_unit)
    low.ctx.note(node.name, guard_bits=guard, formula=op.kernel.text)


def _lower_absolute(low: Lowered, node: Node, x: list[QValue], why: str) -> None:
    """Lower a kernel that is not scale-free, for the reason ``why``."""
    op = node.op
    assert isinstance(op, ops.Neuron), "called for neurons only"
    bits = fraction_bits(op.kernel, low.profile)
    settled = [low.settled(v) for v in x]
    whole = tuple(v.unit.number == 1 for v in settled)
    try:
        lowered = absolute_kernel(visible_signs(op.kernel), whole, bits, low.profile)
    except NoIntegerFormError as e:
        text = f"the update of neuron {node.name} has no integer form"
        notes = (f"not scale-free: {why}", f"not in fixed point: {e}", *op.kernel.text)
        low.problems.append(error("E220", text, node.loc, *notes, help="compare `snnc ops`"))
        return
    except (ZeroDivisionError, OverflowError, ConstantError) as e:
        low.problems.append(error("E326", f"a constant of {node.name}: {e}", node.loc, help=SCALED))
        return
    target = ONE / leaf(float(1 << bits))
    inputs = [
        v if exact else low.rescaled(node, v, target)
        for v, exact in zip(settled, whole, strict=True)
    ]
    _report(low, node, lowered.losses)
    low.add(node, IntNeuron(lowered.kernel, op.shape), *inputs)
    for i, output_unit in enumerate(lowered.units):
        low.values[node.name, i] = QValue(Value(node.name, i), output_unit)
    units = {f"unit.{state}": 2.0**-f for state, f in lowered.fractions.items()}
    low.ctx.note(node.name, fraction_bits=bits, formula=op.kernel.text, **units)


def _report(low: Lowered, node: Node, losses: list[str]) -> None:
    if losses:
        text = f"a constant of {node.name} is small for its fixed-point format"
        hint = "compare with `snnc verify`, or scale the neuron's numbers up"
        low.ctx.emit(warning("W314", text, node.loc, *dict.fromkeys(losses), help=hint))


def _check_units(kernel: Kernel, analysis: Analysis) -> None:
    """Every number must be tied to an input's unit, by a sum or a comparison.

    A counter is not: in units of a membrane its steps would be rounded.
    """
    if not kernel.inputs:
        return
    ties = [(s.name, names_in(s.value) - analysis.predicates) for s in analysis.steps]
    ties += [
        (s.name, names_in(analysis.values[s.next]) - analysis.predicates)
        for s in kernel.states
        if s.next in analysis.values
    ]
    known = set(kernel.inputs)
    while True:
        more = {n for name, names in ties if known & {name, *names} for n in (name, *names)}
        if more <= known:
            break
        known |= more
    for state in kernel.states:
        if state.name not in known | analysis.predicates:
            text = f"state {state.name} is a number of its own, such as a counter"
            raise NotScaleFreeError(text)


def _common_unit(
    low: Lowered, node: Node, x: list[QValue], analysis: Analysis, input_gains: dict[str, Expr]
) -> tuple[list[QValue], Expr, int, int]:
    """Bring all inputs to one unit.

    Returns them, the unit divided by the gain, F, and how many of its bits only halvings need.
    """
    gain, names = list(input_gains.values()), tuple(input_gains)
    op = node.op
    assert isinstance(op, ops.Neuron), "called for neurons only"
    if counts(op.kernel):
        return [], ONE, 0, 0
    if not x:
        guard = guard_bits(analysis, ONE, low.profile)
        return [], ONE / leaf(float(1 << guard)), guard, 0
    free = unit_free(analysis, names)
    tied = [i for i, name in enumerate(names) if name not in free]
    x = [v if i in tied else low.settled(v) for i, v in enumerate(x)]
    waiting = [i for i, v in enumerate(x) if v.root is not None]
    joint = _joint(x, gain, waiting)
    main = (*waiting, *tied, 0)[0]
    root = x[main].root
    finer: dict[int, int] = {}
    chosen, parts = None, {}
    if root is not None:
        layers = {i: low.bits_of(_root(x[i]).node.name) for i in joint}
        finer = _finer({i: scaled_rows(_root(x[i]).rows, r) for i, r in joint.items()}, layers)
        parts = {i: Part(_root(x[i]), r, finer[i], layers[i]) for i, r in joint.items()}
        chosen = low.chooser.choose(low.fake, list(parts.values()), node)
        base = x[main].resolved(chosen.scales.exact(root.row_shape)).unit * gain[main]
    else:
        base = x[main].unit * gain[main]
    bits = guard_bits(analysis, base, low.profile)
    spare = exact_bits(analysis, names, base, low.real.steps)
    if not thresholds(analysis):  # what is handed on must not be coarser than what came in
        own = [x[i].unit * gain[i] for i in tied if x[i].root is None]
        bits = max([bits, *(min(_bits_finer(base, u), low.profile.max_guard) for u in own)])
        if chosen is not None and chosen.method == KEPT:  # integers of fewer bits, coarser for that
            spared = min(
                p.bits - bits_of(c.codes) for p, c in zip(parts.values(), chosen.parts, strict=True)
            )
            bits = min(bits + max(0, spared), low.profile.max_guard)
    others = [i for i in tied if i != main and i not in joint]
    if any(_rounded(x[i].unit * gain[i] / base) and _wide(low, x[i]) for i in others):
        bits = min(bits + MIXED_BITS, low.profile.max_guard)
    bits = _wanted_guard(low, node, parts, bits)
    guard = max([bits, *finer.values()]) + spare
    fine = leaf(float(1 << guard))
    unit = base / fine
    inputs = []
    for i, v in enumerate(x):
        if chosen is not None and i in parts:
            place(low, parts[i], chosen, list(parts).index(i), guard - finer[i], spare)
            inputs.append(QValue(v.value, unit, v.per_step))
            continue
        v = low.settled(v)
        if i not in tied:
            inputs.append(v)
            continue
        inputs.append(low.rescaled(node, QValue(v.value, v.unit * gain[i], v.per_step), unit))
    return inputs, unit, guard, spare


def _wanted_guard(low: Lowered, node: Node, parts: dict[int, Part], bits: int) -> int:
    """Guard bits as the user wants them for the neuron or for what feeds it, else ``bits``."""
    names = [node.name, *(p.name for p in parts.values())]
    wanted = {n: g for n in names if (g := low.chooser.plan.of(n).guard) is not None}
    if len(set(wanted.values())) > 1:
        text = f"{low.chooser.plan.file} gives {' and '.join(wanted)} different guard bits"
        why = f"they are those of one neuron, {node.name}"
        raise fail("E331", text, node.loc, why, help="name one of them")
    return next(iter(wanted.values()), bits)


def _rounded(ratio: Expr) -> bool:
    """Whether a value in ``ratio`` units is rounded when it is brought to one of them."""
    return bool((np.frexp(np.abs(floats(ratio)))[0] != 0.5).any())


def _wide(low: Lowered, v: QValue) -> bool:
    """Whether a value is more than a count of few bits, whose multiple is as good as a constant."""
    size = None if v.root is not None else largest(low, v)
    return size is None or size >= 1 << COUNT_BITS


def _bits_finer(base: Expr, unit: Expr) -> int:
    """By how many powers of two, rounded up, the finest ``unit`` is finer than ``base``."""
    mantissa, exponent = np.frexp(np.abs(floats(base / unit)).max())
    return max(0, int(exponent) - int(mantissa == 0.5))


def _finer(rows: dict[int, MadeRows], bits: dict[int, int]) -> dict[int, int]:
    """By how many powers of two each input's weights are smaller than those of the largest.

    Pixels of unit 1/255 next to spikes of unit 1 would otherwise share one scale and vanish.
    """
    if len(rows) == 1:
        return dict.fromkeys(rows, 0)
    own = {i: row_scales(r, bits[i]).floats for i, r in rows.items()}
    top = np.maximum.reduce(list(own.values()))
    ratios = {i: np.sort(top / s)[len(s) // 2] for i, s in own.items()}
    found = {i: max(0, int(np.frexp(r)[1]) - 1) for i, r in ratios.items()}
    least = min(found.values())
    return {i: k - least for i, k in found.items()}


def _root(v: QValue) -> Root:
    assert v.root is not None, "no weights wait"
    return v.root


def _joint(x: list[QValue], gain: list[Expr], waiting: list[int]) -> dict[int, Floats]:
    """Waiting inputs that can share row scales, with the factor of each of their rows.

    The main one has factor 1; another joins if its gain differs by one factor per row, and if its
    weights reach the neuron without a change of unit.
    """
    if not waiting:
        return {}
    main = waiting[0]
    rows = len(_root(x[main]))
    found = {main: np.ones(rows)}
    for i in waiting[1:]:
        root = _root(x[i])
        ratio = gain[i] / gain[main]
        one = leaf(np.ones(rows).reshape(root.row_shape))
        if len(root) != rows or type(root.op) is not type(_root(x[main]).op):
            continue
        if any(v.resolved(one).unit != one for v in (x[i], x[main])):
            continue
        values = floats(ratio)
        try:
            per_row = np.broadcast_to(values, one.shape).reshape(rows)
        except ValueError:
            continue
        if (per_row > 0).all():
            found[i] = per_row
    return found
