"""Integer rules of exact profiles: the model is in whole numbers already, and stays as it is.

Weights are kept code for code, and kernels are lowered without a rounding of their own.  What is
not a whole number is an error: nothing is rounded to make it one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc import ops
from snnc.diagnostics import error
from snnc.exact import Expr, floats, leaf, signs
from snnc.graph import Node, Value
from snnc.intops import IntNeuron
from snnc.params import Param, compact
from snnc.passes.lower_exact import NotWholeError, lower_exact
from snnc.passes.quantize_neuron import lower_neuron
from snnc.passes.quantized_value import Lowered, QValue
from snnc.passes.weight_rows import Weighted, in_integers, is_encoder, rows_first

_HINT = "a file of lava-dl must hold whole numbers; compile other models with --profile default"


def exact_weights(low: Lowered, node: Node, x: list[QValue]) -> None:
    """Keep the integers of a layer with weights."""
    op, source = node.op, low.settled(x[0])
    assert isinstance(op, Weighted), "called for weights only"
    source = replace(source, unit=_scalar(source))
    units = floats(source.unit)
    if units.size > 1 and not (units == units.flat[0]).all():
        text = f"the input of {node.name} has a scale that changes between channels"
        low.problems.append(error("E327", text, node.loc, help=_HINT))
        return
    weight = rows_first(op)
    bias = None if op.bias is None else op.bias.data.astype(np.float64) / units.reshape(-1)[0]
    for what, data in (("weight", weight), ("bias", bias)):
        if data is None:
            continue
        if (broken := np.argwhere((data != np.rint(data)) | (np.abs(data) >= 1 << 31))).size:
            index = [int(i) for i in broken[0]]
            why = "not a whole number of 32 bits"
            text = f"{node.name}: {what}{index} is {data[tuple(index)]:g}, {why}"
            low.problems.append(error("E327", text, node.loc, help=_HINT))
            return
    codes = Param(compact(weight.astype(np.int64)))
    offset = None if bias is None else Param(compact(bias.astype(np.int64)))
    low.add(node, in_integers(op, codes, offset), source)
    low.values[node.name, 0] = QValue(Value(node.name), source.unit, source.per_step)
    low.ctx.note(node.name, weights=int(codes.data.size), zero_weights=int((codes.data == 0).sum()))


def exact_refused(low: Lowered, node: Node, x: list[QValue]) -> None:
    """Refuse what never gives whole numbers."""
    text = f"{node.name}: {type(node.op).__name__} does not give whole numbers"
    low.problems.append(error("E327", text, node.loc, help=_HINT))


def exact_neuron(low: Lowered, node: Node, x: list[QValue]) -> None:
    """Lower the kernel line by line."""
    op = node.op
    assert isinstance(op, ops.Neuron), "called for neurons only"
    inputs = [low.settled(v) for v in x]
    if any(v.per_step for v in inputs):
        text = f"{node.name} reads a mean over time"
        low.problems.append(error("E224", text, node.loc, help="sum over time instead"))
        return
    try:
        kernel, units = lower_exact(op.kernel, [_scalar(v) for v in inputs])
    except NotWholeError as e:
        if is_encoder(low.real, node.name):  # not the chip's
            lower_neuron(low, node, x)
            return
        text = f"the update of neuron {node.name} is not in whole numbers"
        low.problems.append(error("E327", text, node.loc, str(e), *op.kernel.text, help=_HINT))
        return
    low.add(node, IntNeuron(kernel, op.shape), *inputs)
    for i, unit in enumerate(units):
        low.values[node.name, i] = QValue(Value(node.name, i), unit)
    low.ctx.note(node.name, formula=op.kernel.text)


def _scalar(v: QValue) -> Expr:
    """The unit as one number, where all channels have exactly the same."""
    values = floats(v.unit)
    if v.unit.number is None and values.size and (values == values.flat[0]).all():
        same = leaf(values.flat[0])
        return same if not signs(v.unit - same).any() else v.unit
    return v.unit
