"""Layers with delays: a wheel over time, into whose slots every event adds what arrives later."""

from __future__ import annotations

import numpy as np

from snnc.backends.c import names
from snnc.backends.c.buffers import Delay
from snnc.backends.c.layer import Layer, load, store
from snnc.backends.c.plan import Plan
from snnc.backends.c.sums import sum_bounds
from snnc.backends.c.words import SIZES, computed, literal
from snnc.backends.c.writer import CWriter
from snnc.intops import IntDelayLinear


def emit_delays(layer: Layer) -> None:
    """``event`` walks the synapses of one input; ``tick`` reads and clears one slot.

    Synapses lie input after input, those without weight are left out.  The slots are
    ``wheel[delay + 1][out]``; ``now`` is the one that is read in this step.
    """
    op = layer.node.op
    assert isinstance(op, IntDelayLinear), "dispatched by type"
    (x,), y = layer.plan.operands(layer.node), layer.output()
    out, slots = op.weight.shape[0], int(op.delay.data.max()) + 1
    column, row = np.nonzero(op.weight.data.T)  # by column
    order = np.lexsort((row, op.delay.data[column], op.index.data[column]))
    column, row = column[order], row[order]
    values, place = op.weight.data[row, column], op.delay.data[column].astype(np.int64) * out + row
    if not len(column):
        values = place = np.zeros(1, np.int64)  # no synapse at all, and C has no empty arrays
    origin = names.comment(f"{layer.node.name}: weight, synapse after synapse")
    weight = layer.tables.add(layer.id("w"), values, origin)
    origin = names.comment(f"{layer.node.name}: slots of delay times {out}, plus output")
    target = layer.tables.add(layer.id("t"), place, origin, "uint32_t")
    first = np.searchsorted(op.index.data[column], np.arange(x.size + 1))
    origin = names.comment(f"{layer.node.name}: first synapse of every input")
    start = layer.tables.add(layer.id("f"), first, origin, "uint32_t")
    word = computed(y.bounds, sum_bounds(op, x.bounds))
    wheel, now = layer.id("wheel"), layer.id("now")
    layer.array(wheel, word, slots * out, f"{slots} slots")
    layer.counter(now, "first element of the slot of this step")
    layer.reset(f"memset({wheel}, 0, sizeof {wheel});", f"{now} = 0u;")
    w = layer.code
    payload = "" if x.is_spikes else f", {word} x"
    head = f"static void {layer.id('event')}(uint32_t id{payload})"
    synapses = f"for (uint32_t s = {start.name}[id]; s < {start.name}[id + 1u]; s++)"
    with w.block(head), w.block(synapses):
        w(f"uint32_t place = {now} + {target.name}[s];")
        w(f"place -= (place >= {slots * out}u) ? {slots * out}u : 0u;")
        value = f"({word}){weight.name}[s]"
        w(f"{wheel}[place] += {value if x.is_spikes else f'x * {value}'};")
    with w.block(f"static void {layer.tick}(void)"):
        if x.ids:
            with w.block(f"for (uint32_t n = 0u; n < {x.ids}_n; n++)"):
                w(f"{layer.id('event')}({x.ids}[n]);")
        else:
            with w.block(f"for (uint32_t id = 0u; id < {x.size}u; id++)"):
                given = "" if x.is_spikes else f", {load(x, 'id', word)}"
                w(f"if ({x.name}[id] != 0) {{ {layer.id('event')}(id{given}); }}")
        with w.loop("i", out):
            value = f"{wheel}[{now} + i]"
            if op.shift:
                value += f" * {literal(1 << op.shift, word)}"
            w(store(y, "i", value + _bias(layer, op, word), word))
            w(f"{wheel}[{now} + i] = 0;")
        w(f"{now} += {out}u;", f"{now} = ({now} == {slots * out}u) ? 0u : {now};")
        layer.list_spikes(y)


def _bias(layer: Layer, op: IntDelayLinear, word: str) -> str:
    if op.bias is None or not op.bias.data.any():
        return ""
    origin = names.comment(f"{layer.node.name}: bias")
    table = layer.tables.add(layer.id("b"), op.bias.data, origin)
    return f" + ({word}){table.name}[i]"


def shift(plan: Plan, delay: Delay) -> list[str]:
    """Statements that move a queue on by a step."""
    depth, to = delay.edge.delay, delay.buffer
    source, w = plan.value(delay.edge.src, delay.edge.out), CWriter()
    if depth > 1:
        size = (depth - 1) * to.size * SIZES[to.ctype]
        w(f"memmove({delay.name}[0], {delay.name}[1], {size}u);")
    with w.loop("i", to.size):
        cast = "" if source.ctype == to.ctype else f"({to.ctype})"
        w(f"{delay.name}[{depth - 1}][i] = {cast}{source.name}[i];")
    return w.text.splitlines()
