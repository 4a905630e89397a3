"""Sequences that one loop over time keeps and the next one reads."""

from __future__ import annotations

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.layer import Layer, load, store
from snnc.backends.c.plan import counter, kept_steps
from snnc.backends.c.words import Bounds, computed, hull
from snnc.intops import IntTimeMix


def _kept(layer: Layer) -> Buffer:
    """Keep every step of the operand; the function of the earlier loop is part of the layer."""
    (x,) = layer.plan.operands(layer.node)
    (edge,) = layer.plan.graph.in_edges(layer.node.name)
    clock = layer.plan.graph[edge.src].types[edge.out].clock
    steps = kept_steps(layer.plan.graph, layer.node)
    store = Buffer(layer.id("kept"), x.ctype, x.bounds, (steps, x.size))
    layer.array(store.name, store.ctype, store.size, f"{steps} steps of {x.size}")
    layer.also[clock] = name = layer.id("keep")
    with layer.code.block(f"static void {name}(void)"):
        start = f"{counter(clock)} * {x.size}u"
        layer.code(f"memcpy(&{store.name}[{start}], {x.name}, sizeof {x.name});")
    return store


def _copied(layer: Layer, number: str) -> None:
    """Copy the kept step of this number."""
    store_, y = _kept(layer), layer.output()
    word = computed(y.bounds)
    with layer.code.block(f"static void {layer.tick}(void)"):
        layer.code(f"const uint32_t t = {number};")
        with layer.code.loop("i", y.size):
            layer.code(store(y, "i", load(store_, f"t * {y.size}u + i", word), word))
        layer.list_spikes(y)


def emit_replay(layer: Layer) -> None:
    """The steps once more."""
    _copied(layer, layer.steps)


def emit_flip(layer: Layer) -> None:
    """The last step first."""
    edge = layer.plan.graph.in_edges(layer.node.name)[0]
    done = counter(layer.plan.graph[edge.src].types[edge.out].clock)
    _copied(layer, f"{done} - 1u - {layer.steps}")


def emit_mix(layer: Layer) -> None:
    """A row of the matrix over the steps; weights of zero are skipped."""
    op = layer.node.op
    assert isinstance(op, IntTimeMix), "dispatched by type"
    store_, y = _kept(layer), layer.output()
    origin = names.comment(f"{layer.node.name}: weights over the steps")
    table = layer.tables.add(layer.id("w"), op.weight.data, origin)
    limits = int(op.weight.data.min()), int(op.weight.data.max())
    word = computed(y.bounds, limits, _partial(op, store_.bounds))
    total = Buffer(layer.id("sum"), word, y.bounds, y.shape)
    layer.array(total.name, total.ctype, total.size)
    w = layer.code
    with w.block(f"static void {layer.tick}(void)"):
        w(f"memset({total.name}, 0, sizeof {total.name});")
        with w.loop("s", op.steps):
            weight = Buffer(table.name, table.ctype, limits, op.weight.shape)
            w(f"const {word} a = {load(weight, f'{layer.steps} * {op.steps}u + s', word)};")
            with w.block("if (a != 0)"), w.loop("i", y.size):
                w(f"{total.name}[i] += a * {load(store_, f's * {y.size}u + i', word)};")
        with w.loop("i", y.size):
            w(store(y, "i", load(total, "i", word), word))
        layer.list_spikes(y)


def _partial(op: IntTimeMix, x: Bounds) -> Bounds:
    """Interval of all partial sums and products."""
    lo, hi = hull(x, (0, 0))
    rows = op.weight.data.astype(object)
    plus = [sum(w for w in row if w > 0) for row in rows]
    minus = [sum(w for w in row if w < 0) for row in rows]
    pairs = list(zip(plus, minus, strict=True))
    return (
        int(min(p * lo + m * hi for p, m in pairs)),
        int(max(p * hi + m * lo for p, m in pairs)),
    )
