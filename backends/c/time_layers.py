"""Layers between the clocks, and what changes from step to step."""

from __future__ import annotations

from collections.abc import Callable

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.layer import Layer, load, store
from snnc.backends.c.rescale import emit_step_rescale
from snnc.backends.c.sequences import emit_flip, emit_mix, emit_replay
from snnc.backends.c.words import computed, hull, stored
from snnc.int_time_ops import IntCollect
from snnc.intops import (
    IntReplay,
    IntStepRescale,
    IntStepTable,
    IntTimeFlip,
    IntTimeLast,
    IntTimeMax,
    IntTimeMean,
    IntTimeMix,
    IntTimeStack,
    IntTimeSum,
)


def emit_time_sum(layer: Layer) -> None:
    """Add the value of every step."""
    _collect(layer, layer.output(), "{acc} + {x}")


def emit_time_max(layer: Layer) -> None:
    """Keep the largest value; the first step always counts."""
    start = _start(layer)
    first = f"{layer.steps} == {start}u"
    _collect(layer, layer.output(), f"(({first}) || ({{x}} > {{acc}})) ? {{x}} : {{acc}}")


def emit_time_mean(layer: Layer) -> None:
    """Add the value of every step; after the loop, divide what was added."""
    op, plan = layer.node.op, layer.plan
    assert isinstance(op, IntTimeMean), "dispatched by type"
    (x,), y = plan.operands(layer.node), layer.output()
    loop = layer.node.type.clock.phase
    count = max(0, plan.graph.steps_of(loop, plan.graph.max_steps) - op.start)
    total = hull((x.bounds[0] * count, x.bounds[1] * count), (0, 0))
    acc = Buffer(layer.id("acc"), stored(total), total, y.shape)
    layer.array(acc.name, acc.ctype, acc.size, f"in [{total[0]}, {total[1]}]")
    layer.states["acc"] = acc
    _collect(layer, acc, "{acc} + {x}")
    layer.also[layer.node.type.clock] = name = layer.id("mean")
    wide = (total[0] << op.shift) - count, (total[1] << op.shift) + count
    word = computed(wide, (0, count))
    w = layer.code
    with w.block(f"static void {name}(void)"):
        w(f"{word} n = 1;")
        with w.block(f"if ({layer.steps} > {op.start + 1}u)"):
            w(f"n = ({word})({layer.steps} - {op.start}u);")
        with w.loop("i", y.size):
            value = f"{load(acc, 'i', word)} * ({word}){_power(op.shift)}"
            size = "64" if word == "int64_t" else "32"
            w(store(y, "i", f"snn_div_{size}({value}, n)", word))
        layer.list_spikes(y)


def _power(shift: int) -> str:
    return f"{1 << shift}" if shift < 31 else f"INT64_C({1 << shift})"


def _start(layer: Layer) -> int:
    op = layer.node.op
    return op.start if isinstance(op, IntCollect) else 0


def _warm_up(layer: Layer) -> None:
    """Return while the steps are not collected yet."""
    if start := _start(layer):
        layer.code(f"if ({layer.steps} < {start}u) {{ return; }}")


def _collect(layer: Layer, acc: Buffer, text: str) -> None:
    (x,) = layer.plan.operands(layer.node)
    word = computed(x.bounds, acc.bounds)
    with layer.code.block(f"static void {layer.tick}(void)"):
        _warm_up(layer)
        with layer.code.loop("i", acc.size):
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


def emit_step_table(layer: Layer) -> None:
    """Copy the row of this step."""
    op = layer.node.op
    assert isinstance(op, IntStepTable), "dispatched by type"
    y, data = layer.output(), op.values.data
    origin = names.comment(f"{layer.node.name}: one row per step")
    table = layer.tables.add(layer.id("rows"), data, origin)
    bounds = (int(data.min()), int(data.max()))
    source = Buffer(table.name, table.ctype, bounds, y.shape)
    word = computed(bounds)
    with layer.code.block(f"static void {layer.tick}(void)"):
        with layer.code.loop("i", y.size):
            where = f"{layer.steps} * {y.size}u + i" if y.size > 1 else f"{layer.steps} + i"
            layer.code(store(y, "i", load(source, where, word), word))
        layer.list_spikes(y)


#: How each of these operators is written.
TIME_EMITTERS: dict[type, Callable[[Layer], None]] = {
    IntTimeSum: emit_time_sum,
    IntTimeMean: emit_time_mean,
    IntTimeMax: emit_time_max,
    IntTimeLast: emit_copy,
    IntTimeStack: emit_copy,
    IntStepTable: emit_step_table,
    IntStepRescale: emit_step_rescale,
    IntReplay: emit_replay,
    IntTimeFlip: emit_flip,
    IntTimeMix: emit_mix,
}
