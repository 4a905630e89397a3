"""``IntRescale`` and ``IntStepRescale``: a change of unit, the same at every step or not."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.layer import Layer, load, store
from snnc.backends.c.nest import Nest, nest, row_major
from snnc.backends.c.shifts import Var, rounded
from snnc.backends.c.words import Bounds, computed, literal, product
from snnc.intops import IntRescale, IntStepRescale
from snnc.params import Param


@dataclass(frozen=True, slots=True)
class RescaleWords:
    """Intervals inside an IntRescale: of the product, and of the result before the bias."""

    product: Bounds
    shifted: Bounds


def rescale_words(op: IntRescale | IntStepRescale, x: Bounds) -> RescaleWords:
    """Bound the intermediate values."""
    factor = (int(op.multiplier.data.min()), int(op.multiplier.data.max()))
    wide = product(x, factor)
    return RescaleWords(wide, (wide[0] >> op.shift, -(-wide[1] >> op.shift)))


def emit_rescale(layer: Layer) -> None:
    """``rsh(x * multiplier, shift) + bias`` with constants that broadcast."""
    op = layer.node.op
    assert isinstance(op, IntRescale), "dispatched by type"
    params = [op.multiplier] if op.bias is None else [op.multiplier, op.bias]
    with layer.code.block(f"static void {layer.tick}(void)"):
        _rescaled(layer, op, [p.shape for p in params], "")


def emit_step_rescale(layer: Layer) -> None:
    """The same with a row of the constants for every step."""
    op = layer.node.op
    assert isinstance(op, IntStepRescale), "dispatched by type"
    params = [op.multiplier] if op.bias is None else [op.multiplier, op.bias]
    with layer.code.block(f"static void {layer.tick}(void)"):
        _rescaled(layer, op, [p.shape[1:] for p in params], layer.steps)


def _rescaled(
    layer: Layer, op: IntRescale | IntStepRescale, shapes: list[tuple[int, ...]], step: str
) -> None:
    (x,), y = layer.plan.operands(layer.node), layer.output()
    w = layer.code
    words = rescale_words(op, x.bounds)
    walks = [b.walk(y.shape) for b in (y, x)] + [row_major(s, y.shape) for s in shapes]
    with nest(w, y.shape, walks) as loops:
        word = computed(x.bounds, words.product)
        factor = constant(layer, "m", op.multiplier, loops, word, step)
        w(f"const {word} m = {load(x, loops.at(walks[1]), word)} * {factor};")
        text, word = rounded(Var("m", word, words.product), op.shift, op.rounding)
        if op.bias is not None:
            bias = (int(op.bias.data.min()), int(op.bias.data.max()))
            total = (words.shifted[0] + bias[0], words.shifted[1] + bias[1])
            wide = computed(words.shifted, bias, total)
            text = f"({wide}){text} + {constant(layer, 'b', op.bias, loops, wide, step)}"
            word = wide
        w(store(y, loops.at(walks[0]), text, word))
    layer.list_spikes(y)


def constant(layer: Layer, part: str, param: Param, loops: Nest, word: str, step: str = "") -> str:
    """An element of a constant; with ``step``, the variable that numbers the rows, of a row."""
    lo, hi = int(param.data.min()), int(param.data.max())
    if lo == hi:
        return literal(lo, word)
    origin = names.comment(f"{layer.node.name}: {'multiplier' if part == 'm' else 'bias'}")
    table = layer.tables.add(layer.id(part), param.data, origin)
    shape = param.shape[1:] if step else param.shape
    where = loops.at(row_major(shape, layer.node.type.shape))
    if step:
        where = f"{step} * {prod(shape)}u + {where}"
    return load(Buffer(table.name, table.ctype, (lo, hi), param.shape), where, word)
