"""The other layers: elementwise integers and what collects values over the steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snnc.backends.c import names
from snnc.backends.c.broadcast import element, elements
from snnc.backends.c.events import emit_conv2d, emit_linear, emit_max_pool, emit_pool
from snnc.backends.c.layer import Layer, load, store
from snnc.backends.c.moves import emit_concat, emit_move
from snnc.backends.c.neuron import emit_neuron
from snnc.backends.c.norms import emit_norm
from snnc.backends.c.plan import Buffer
from snnc.backends.c.reductions import emit_argmax, emit_embedding, emit_reduce
from snnc.backends.c.shifts import Var, rounded
from snnc.backends.c.words import LIMITS, Bounds, computed, literal, prefix_sums, product
from snnc.intops import (
    IntArgMax,
    IntConcat,
    IntConv2d,
    IntEmbedding,
    IntExpand,
    IntInput,
    IntLayerNorm,
    IntLinear,
    IntMaxPool2d,
    IntNeuron,
    IntOutput,
    IntReduce,
    IntRescale,
    IntReshape,
    IntRMSNorm,
    IntSlice,
    IntSum,
    IntSumPool2d,
    IntTake,
    IntTimeLast,
    IntTimeMax,
    IntTimeStack,
    IntTimeSum,
    IntTranspose,
)
from snnc.ops import Op
from snnc.params import Param


def emit_input(layer: Layer) -> None:
    """``outside`` judges a frame before anything changes, ``tick`` takes it."""
    op = layer.node.op
    assert isinstance(op, IntInput), "dispatched by type"
    y, w = layer.output(), layer.code
    word = computed(y.bounds)
    tests = []
    limits = LIMITS[y.ctype]
    if op.lo > limits[0]:
        tests.append(f"(v < {literal(op.lo, word)})")
    if op.hi < limits[1]:
        tests.append(f"(v > {literal(op.hi, word)})")
    with w.block(f"static int {layer.id('outside')}(const {y.ctype} *x)"):
        if tests:
            w("int outside = 0;")
            with w.loop("i", y.size):
                w(f"const {word} v = {load(Buffer('x', y.ctype, y.bounds, y.shape), 'i', word)};")
                w(f"outside |= {' | '.join(tests)};")
            w("return outside;")
        else:
            w("(void)x;", "return 0;")
    with w.block(f"static void {layer.tick}(const {y.ctype} *x)"):
        w(f"memcpy({y.name}, x, sizeof {y.name});")
        layer.list_spikes(y)


def emit_sum(layer: Layer) -> None:
    """Elementwise sum, operand after operand."""
    operands, y = layer.plan.operands(layer.node), layer.output()
    bounds = [b.bounds for b in operands]
    word = computed(*bounds, prefix_sums(bounds))
    with layer.code.block(f"static void {layer.tick}(void)"):
        with layer.code.loop("i", y.size):
            layer.code(store(y, "i", " + ".join(load(b, "i", word) for b in operands), word))
        layer.list_spikes(y)


@dataclass(frozen=True, slots=True)
class RescaleWords:
    """Intervals inside an IntRescale: of the product, and of the result before the bias."""

    product: Bounds
    shifted: Bounds


def rescale_words(op: IntRescale, x: Bounds) -> RescaleWords:
    """Bound the intermediate values."""
    factor = (int(op.multiplier.data.min()), int(op.multiplier.data.max()))
    wide = product(x, factor)
    return RescaleWords(wide, (wide[0] >> op.shift, -(-wide[1] >> op.shift)))


def emit_rescale(layer: Layer) -> None:
    """``rsh(x * multiplier, shift) + bias`` with constants that broadcast."""
    op = layer.node.op
    assert isinstance(op, IntRescale), "dispatched by type"
    (x,), y = layer.plan.operands(layer.node), layer.output()
    w = layer.code
    words = rescale_words(op, x.bounds)
    params = [op.multiplier] if op.bias is None else [op.multiplier, op.bias]
    with w.block(f"static void {layer.tick}(void)"):
        with elements(w, y.shape, [p.shape for p in params]) as nested:
            word = computed(x.bounds, words.product)
            factor = _constant(layer, "m", op.multiplier, nested, word)
            w(f"const {word} m = {load(x, 'i', word)} * {factor};")
            text, word = rounded(Var("m", word, words.product), op.shift, op.rounding)
            if op.bias is not None:
                bias = (int(op.bias.data.min()), int(op.bias.data.max()))
                total = (words.shifted[0] + bias[0], words.shifted[1] + bias[1])
                wide = computed(words.shifted, bias, total)
                text = f"({wide}){text} + {_constant(layer, 'b', op.bias, nested, wide)}"
                word = wide
            w(store(y, "i", text, word))
        layer.list_spikes(y)


def _constant(layer: Layer, part: str, param: Param, nested: bool, word: str) -> str:
    lo, hi = int(param.data.min()), int(param.data.max())
    if lo == hi:
        return literal(lo, word)
    origin = names.comment(f"{layer.node.name}: {'multiplier' if part == 'm' else 'bias'}")
    table = layer.tables.add(layer.id(part), param.data, origin)
    where = element(param.shape, layer.node.type.shape, nested)
    return load(Buffer(table.name, table.ctype, (lo, hi), param.shape), where, word)


def emit_time_sum(layer: Layer) -> None:
    """Add the value of every step."""
    _collect(layer, "{acc} + {x}")


def emit_time_max(layer: Layer) -> None:
    """Keep the largest value; the first step always counts."""
    _collect(layer, "((snn_steps == 0u) || ({x} > {acc})) ? {x} : {acc}")


def _collect(layer: Layer, text: str) -> None:
    (x,), acc = layer.plan.operands(layer.node), layer.output()
    word = computed(x.bounds, acc.bounds)
    with layer.code.block(f"static void {layer.tick}(void)"), layer.code.loop("i", acc.size):
        layer.code(f"const {word} x = {load(x, 'i', word)};")
        layer.code(f"const {word} old = {load(acc, 'i', word)};")
        layer.code(store(acc, "i", text.format(acc="old", x="x"), word))
    layer.reset(f"memset({acc.name}, 0, sizeof {acc.name});")


def emit_copy(layer: Layer) -> None:
    """Keep the value of this step: the last one, one of a sequence, one out of a queue."""
    (x,), y = layer.plan.operands(layer.node), layer.output()
    word = computed(x.bounds)
    with layer.code.block(f"static void {layer.tick}(void)"):
        if x.ctype == y.ctype:
            layer.code(f"memcpy({y.name}, {x.name}, sizeof {y.name});")
        else:
            with layer.code.loop("i", y.size):
                layer.code(store(y, "i", load(x, "i", word), word))
        layer.list_spikes(y)
    layer.reset(f"memset({y.name}, 0, sizeof {y.name});")


#: How each operator is written; most IntReshape and IntOutput nodes are only names (``Plan``).
EMITTERS: dict[type[Op], Callable[[Layer], None]] = {
    IntInput: emit_input,
    IntLinear: emit_linear,
    IntConv2d: emit_conv2d,
    IntSumPool2d: emit_pool,
    IntMaxPool2d: emit_max_pool,
    IntSum: emit_sum,
    IntRescale: emit_rescale,
    IntNeuron: emit_neuron,
    IntTimeSum: emit_time_sum,
    IntTimeMax: emit_time_max,
    IntTimeLast: emit_copy,
    IntTimeStack: emit_copy,
    IntReshape: emit_copy,
    **dict.fromkeys((IntTranspose, IntSlice, IntExpand, IntTake), emit_move),
    IntConcat: emit_concat,
    IntReduce: emit_reduce,
    IntArgMax: emit_argmax,
    IntEmbedding: emit_embedding,
    IntLayerNorm: emit_norm,
    IntRMSNorm: emit_norm,
    IntOutput: emit_copy,
}
