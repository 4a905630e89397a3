"""Integer weights of one layer, once its scale and guard bits are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.exact import Expr, floats, leaf, nearest
from snnc.params import Param, compact
from snnc.passes.parts import Chosen, Part
from snnc.passes.placed import Placed
from snnc.passes.quantized_value import Lowered, QValue
from snnc.passes.row_blocks import MadeRows, Rows, blocks, peaks
from snnc.passes.row_scale import stored
from snnc.passes.weight_grid import bits_of
from snnc.passes.weight_rows import IntWeighted, Weighted, shape_of, with_rows
from snnc.quantization import KEPT

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
#: Weight and guard bits together of a layer that feeds no neuron: what its bias is rounded to.
READOUT_BITS = 16


def units_of(op: Weighted, unit: Expr, shape: tuple[int, ...]) -> Floats:
    """The units of a layer's inputs, broadcasting to its weights, rows first.

    The unit of an input of ``shape`` does not change behind the channels, or before the last axis
    for a linear layer.
    """
    per_input = np.broadcast_to(floats(unit), shape)
    if isinstance(op, ops.Linear):
        return per_input.reshape(-1, shape[-1])[0, :]
    if isinstance(op, ops.DelayLinear):
        return per_input.reshape(-1)[op.index.data]
    channels = per_input.reshape(shape[0], -1)[:, 0]
    group = np.repeat(np.arange(op.groups), shape_of(op)[0] // op.groups)
    found: Floats = channels.reshape(op.groups, -1)[group]
    return found.reshape(*found.shape, *[1] * len(op.stride))


def settle(low: Lowered, v: QValue) -> QValue:
    """Quantize waiting weights for a consumer that is no neuron."""
    assert v.root is not None, "nothing waits"
    root = v.root
    bits = low.bits_of(root.node.name)
    part = Part(root, np.ones(len(root)), 0, bits)
    chosen = low.chooser.choose(low.fake, [part], None)
    scales = chosen.scales
    used = min(bits, bits_of(chosen.parts[0].codes)) if chosen.method == KEPT else bits
    shift = 0 if root.op.bias is None else max(0, READOUT_BITS - used)  # for the bias alone
    place(low, part, chosen, 0, shift)
    if (settled := low.values.get((root.node.name, 0))) is not None:  # for its other consumers
        unit = scales.exact(root.row_shape) / leaf(float(1 << shift))
        low.values[root.node.name, 0] = settled.resolved(unit) if settled.root else settled
    return v.resolved(scales.exact(root.row_shape) / leaf(float(1 << shift)))


def place(low: Lowered, part: Part, chosen: Chosen, index: int, shift: int, spare: int = 0) -> None:
    """Write the integers of ``ratio * (W x + b)`` in units of ``scales * 2**-shift``.

    ``index`` is the part's place in what was chosen; the last ``spare`` bits of biases are 0.
    """
    root, ratio, own = part.root, part.ratio, chosen.parts[index]
    node, op, codes = root.node, root.op, own.codes
    scales = chosen.scales.floats / (1 << part.finer)
    weight = Param.taking(stored(codes.reshape(root.shape), part.bits))
    bias = real_bias = None
    if own.bias is not None:
        step = leaf(scales) / leaf(float(1 << shift))
        coarse = step * leaf(float(1 << spare))
        offsets = nearest(leaf(own.bias) * leaf(ratio) / coarse) << spare
        bias, real_bias = Param(compact(offsets)), Param(offsets * floats(step) / ratio)
    old = low.out[node.name]
    assert isinstance(old.op, IntWeighted), f"{node.name} has no weights"
    low.out.replace(replace(old, op=replace(old.op, weight=weight, bias=bias, shift=shift)))
    low.fake.replace(replace(node, op=with_rows(op, _real(part, codes, scales), real_bias)))
    if low.ctx.placed is not None:
        fine = scales / (ratio * 2.0**shift)
        placed = Placed(part.rows[:] / scales[:, None], part.bits, spare, fine)
        low.ctx.placed[node.name] = placed
    facts = weight_facts(part.rows, codes, scales * own.factor, part.bits)
    low.ctx.note(node.name, **facts, guard_bits=shift)


def _real(part: Part, codes: Ints, scales: Floats) -> MadeRows:
    """The weights as their integers have them, without the units of inputs."""
    root, ratio = part.root, part.ratio
    scaled, united = (ratio != 1.0).any(), (root.units != 1.0).any()

    def rows(start: int, stop: int) -> Floats:
        some = slice(start, stop)
        back = np.multiply(codes[some], scales[some, None])
        if scaled:
            back /= ratio[some, None]
        if united:
            columns = root.columns(some)
            back /= np.where(columns == 0, 1.0, columns)
        return back

    return MadeRows(root.rows.shape, rows)


def weight_facts(rows: Rows, codes: Ints, scales: Floats, bits: int) -> dict[str, float]:
    """What the user may want to know of quantized weights, rows with a scale each."""
    # Squares in units of a power of two, which changes nothing but that huge weights have some.
    unit = np.ldexp(1.0, int(np.frexp(peaks(rows).max(initial=0.0))[1]) - 1)
    errors, sizes = [], []
    for some, own in blocks(rows):
        lost = (own - codes[some] * scales[some, None]) / unit
        errors.append(float(np.square(lost, out=lost).sum()))
        sizes.append(float(np.square(np.divide(own, unit, out=lost), out=lost).sum()))
    error = math.sqrt(math.fsum(errors) / max(1, codes.size))
    size = math.sqrt(math.fsum(sizes) / max(1, codes.size)) or 1.0
    return {
        "weights": int(codes.size),
        "weight_bits": bits,
        "zero_weights": int(codes.size - np.count_nonzero(codes)),
        "rms_error": error / size,
    }
