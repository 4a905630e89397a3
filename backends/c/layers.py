"""The other layers, and which function writes which operator."""

from __future__ import annotations

from collections.abc import Callable

from snnc.backends.c.attention import emit_matmul, emit_softmax
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.coding import emit_rate_code
from snnc.backends.c.delays import emit_delays
from snnc.backends.c.events import emit_linear
from snnc.backends.c.lane_neuron import VECTOR
from snnc.backends.c.layer import Layer, load, store
from snnc.backends.c.moves import emit_concat, emit_move, emit_pad
from snnc.backends.c.nest import nest
from snnc.backends.c.neuron import emit_neuron
from snnc.backends.c.norms import emit_norm
from snnc.backends.c.reductions import emit_argmax, emit_embedding, emit_reduce, emit_top_k
from snnc.backends.c.rescale import emit_rescale
from snnc.backends.c.time_layers import TIME_EMITTERS, emit_copy
from snnc.backends.c.windows import emit_conv, emit_max_pool, emit_pool
from snnc.backends.c.words import LIMITS, computed, literal, prefix_sums
from snnc.intops import (
    IntArgMax,
    IntConcat,
    IntConv,
    IntConvTranspose,
    IntDelayLinear,
    IntEmbedding,
    IntExpand,
    IntInput,
    IntLayerNorm,
    IntLinear,
    IntMatmul,
    IntMaxPool,
    IntNeuron,
    IntOutput,
    IntPad,
    IntRateCode,
    IntReduce,
    IntRescale,
    IntReshape,
    IntRMSNorm,
    IntSlice,
    IntSoftmax,
    IntSum,
    IntSumPool,
    IntTake,
    IntTopK,
    IntTranspose,
    IntUpsample,
)
from snnc.ops import Op


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
    # of numbers from 0 to 2**n - 1, none has one of the other bits
    bits = limits[1] - op.hi if op.lo == 0 and y.ctype[0] == "u" and op.hi & (op.hi + 1) == 0 else 0
    with w.block(f"static int {layer.id('outside')}(const {y.ctype} *x)"):
        if bits:
            own = y.ctype == "uint8_t" and layer.plan.machine.is_host
            if own:
                w("#ifdef SNN_OWN_OUTSIDE", f"return snn_outside(x, {y.size}u, {bits}u);", "#else")
            w(f"{y.ctype} outside = 0u;")
            # gcc -O2 has vectors for loops of whole ones; the last may look at elements again
            whole = y.size // VECTOR * VECTOR
            loops = [(0, whole)] if whole else []
            if whole < y.size:
                loops.append((max(0, y.size - VECTOR), y.size))
            for start, end in loops:
                with w.block(f"for (size_t i = {start}u; i < {end}u; i++)"):
                    w(f"outside = ({y.ctype})(outside | x[i]);")
            w(f"return (outside & {bits}u) != 0u;", *(["#endif"] if own else []))
        elif tests:
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
        walks = [b.walk(y.shape) for b in (y, *operands)]
        with nest(layer.code, y.shape, walks) as loops:
            to, *places = (loops.at(place) for place in walks)
            pairs = zip(operands, places, strict=True)
            layer.code(store(y, to, " + ".join(load(b, i, word) for b, i in pairs), word))
        layer.list_spikes(y)


#: How each operator is written; most IntReshape and IntOutput nodes are only names (``Plan``).
EMITTERS: dict[type[Op], Callable[[Layer], None]] = {
    IntInput: emit_input,
    IntLinear: emit_linear,
    IntDelayLinear: emit_delays,
    IntConv: emit_conv,
    IntConvTranspose: emit_conv,
    IntSumPool: emit_pool,
    IntMaxPool: emit_max_pool,
    IntSum: emit_sum,
    IntRescale: emit_rescale,
    IntNeuron: emit_neuron,
    **TIME_EMITTERS,
    IntReshape: emit_copy,
    **dict.fromkeys((IntTranspose, IntSlice, IntExpand, IntTake, IntUpsample), emit_move),
    IntConcat: emit_concat,
    IntPad: emit_pad,
    IntReduce: emit_reduce,
    IntArgMax: emit_argmax,
    IntTopK: emit_top_k,
    IntEmbedding: emit_embedding,
    IntMatmul: emit_matmul,
    IntSoftmax: emit_softmax,
    IntLayerNorm: emit_norm,
    IntRMSNorm: emit_norm,
    IntRateCode: emit_rate_code,
    IntOutput: emit_copy,
}
