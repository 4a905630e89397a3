"""Choose a neuron's unit and lower its kernel.

The unit follows the weights of the neuron's main input: ``U = s_r * gain * 2**-F`` per row.  Other
weights into the same neuron get the same row scale, chosen for all of them together; values that
come with a unit of their own are multiplied into ``U``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.diagnostics import error
from snnc.exact import ONE, Expr, floats, leaf
from snnc.graph import Node, Value
from snnc.intops import IntNeuron
from snnc.passes.kernel_form import NotScaleFreeError, analyse
from snnc.passes.lower_kernel import gains, guard_bits, lower_kernel
from snnc.passes.quantize_weights import place
from snnc.passes.quantized_value import Lowered, QValue, Root
from snnc.passes.row_scale import row_scales

Floats = npt.NDArray[np.float64]


def lower_neuron(low: Lowered, node: Node, x: list[QValue]) -> None:
    """Replace a Neuron by an IntNeuron."""
    op = node.op
    assert isinstance(op, ops.Neuron), "called for neurons only"
    try:
        analysis = analyse(op.kernel)
        gain = gains(analysis, op.kernel.inputs)
        inputs, unit, guard = _common_unit(low, node, x, analysis, list(gain.values()))
        lowered = lower_kernel(op.kernel, analysis, gain, unit, low.profile)
    except NotScaleFreeError as e:
        text = f"the update of neuron {node.name} has no scale-free integer form"
        hint = "thresholds, resets and leaks must scale with the membrane"
        low.problems.append(error("E220", text, node.loc, str(e), *op.kernel.text, help=hint))
        return
    except (ZeroDivisionError, OverflowError) as e:
        low.problems.append(error("E326", f"a constant of {node.name}: {e}", node.loc))
        return
    for code, text, hint in lowered.problems:
        low.problems.append(error(code, f"{node.name}: {text}", node.loc, help=hint))
    low.add(node, IntNeuron(lowered.kernel, op.shape), *inputs)
    for i, output_unit in enumerate(lowered.units):
        low.values[node.name, i] = QValue(Value(node.name, i), output_unit)
    low.ctx.note(node.name, guard_bits=guard, formula=op.kernel.text)


def _common_unit(
    low: Lowered, node: Node, x: list[QValue], analysis: object, gain: list[Expr]
) -> tuple[list[QValue], Expr, int]:
    """Bring all inputs to one unit; returns them, the unit divided by the gain, and F."""
    from snnc.passes.kernel_form import Analysis

    assert isinstance(analysis, Analysis), "made by analyse()"
    if not x:
        return [], ONE, 0
    waiting = [i for i, v in enumerate(x) if v.root is not None]
    joint = _joint(x, gain, waiting)
    main = waiting[0] if waiting else 0
    root = x[main].root
    if root is not None:
        stacked = [_root(x[i]).rows * ratio[:, None] for i, ratio in joint.items()]
        scales = row_scales(np.concatenate(stacked, 1), low.bits)
        base = x[main].resolved(root.per_row(scales)).unit * gain[main]
    else:
        base = x[main].unit * gain[main]
    guard = guard_bits(analysis, base, low.profile)
    fine = leaf(float(1 << guard))
    unit = base / fine
    inputs = []
    for i, v in enumerate(x):
        if i in joint:
            place(low, _root(v), scales, joint[i], guard)
            inputs.append(QValue(v.value, unit, v.per_step))
            continue
        v = low.settled(v)
        inputs.append(low.rescaled(node, QValue(v.value, v.unit * gain[i], v.per_step), unit))
    return inputs, unit, guard


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
    rows = len(_root(x[main]).weights)
    found = {main: np.ones(rows)}
    for i in waiting[1:]:
        root = _root(x[i])
        ratio = gain[i] / gain[main]
        one = root.per_row(np.ones(rows))
        if len(root.weights) != rows or type(root.op) is not type(_root(x[main]).op):
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
