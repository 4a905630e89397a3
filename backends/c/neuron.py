"""``IntNeuron``: one function that advances a whole population by a step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.kernel import assignments, proven, used_leaves
from snnc.backends.c.lane_neuron import Population, emit_lanes, lanes_of
from snnc.backends.c.layer import Layer, load, store
from snnc.backends.c.nest import Nest, Shape, nest, row_major
from snnc.backends.c.shifts import Var
from snnc.backends.c.tails import with_tails, without_indices
from snnc.backends.c.words import Bounds, computed, index_type, literal, stored
from snnc.backends.c.writer import CWriter
from snnc.intops import IntNeuron
from snnc.kernel import Const, Kernel, State
from snnc.params import Param


def emit_neuron(layer: Layer) -> None:
    """Write states, constants and ``tick`` of a population, for vectors (``lanes``) and without."""
    op = layer.node.op
    assert isinstance(op, IntNeuron), "dispatched by type"
    kernel, shape = with_tails(layer.plan, layer.node), op.shape
    if layer.plan.machine.is_host:
        kernel = without_indices(kernel)
    operands = layer.plan.operands(layer.node)
    outputs = [layer.output(i) for i in range(len(kernel.outputs))]
    lanes = []
    uniform = all(np.unique(s.init.data).size == 1 for s in kernel.states)
    if uniform and layer.plan.machine.is_host:
        lanes = lanes_of(layer, Population(kernel, shape, operands, outputs))
    parts = _scalar(layer, kernel, operands, outputs)
    both = [(layer.data, parts[0]), (layer.reset, parts[1]), (layer.code, parts[2])]
    if not lanes:
        for w, lines in both:
            w(*lines)
        return
    vectors = emit_lanes(layer, lanes, list(layer.states.values()))
    for (w, lines), vector in zip(both, vectors, strict=True):
        if lines or vector:
            w("#if SNN_LANES", *vector, "#else", *lines, "#endif")


def _scalar(
    layer: Layer, kernel: Kernel, operands: list[Buffer], outputs: list[Buffer]
) -> tuple[list[str], list[str], list[str]]:
    """Declarations, lines of ``reset`` and the function ``tick``, in words of 32 and 64 bits."""
    part = replace(layer, data=CWriter(), code=CWriter(), reset=CWriter())
    shape, used = outputs[0].shape, used_leaves(kernel)
    channels = outputs[0].channels
    states = [_state(part, i, s, shape, channels) for i, s in enumerate(kernel.states)]
    leaves: list[tuple[str, Buffer]] = [
        *zip(kernel.inputs, operands, strict=True),
        *zip((s.name for s in kernel.states), states, strict=True),
    ]
    leaves = [(name, buffer) for name, buffer in leaves if name in used]
    consts = [(i, c) for i, c in enumerate(kernel.consts) if c.name in used]
    walks = [b.walk(shape) for b in (*outputs, *states, *(b for _, b in leaves))]
    walks += [row_major(c.shape, shape) for _, c in consts]
    w = part.code
    # without vectors, a spike is listed where it is found
    listed = [b for b in outputs if b.ids and not layer.plan.machine.is_host]
    with w.block(f"static void {layer.tick}(void)"):
        w(*(f"uint32_t n{k} = 0u;" for k in range(len(listed))))
        with nest(w, shape, walks) as loops:
            env: dict[str, Var] = {}
            for n, (name, buffer) in enumerate(leaves):
                word = computed(buffer.bounds)
                local = f"u{n}_{names.slug(name)}"
                index = loops.at(buffer.walk(shape))
                w(f"const {word} {local} = {load(buffer, index, word)};")
                env[name] = Var(local, word, buffer.bounds)
            for i, const in consts:
                env[const.name] = _const(part, i, const, shape, loops)
            env |= {t.name: _table(part, i, t) for i, t in enumerate(kernel.tables)}
            w(*assignments(kernel, env))
            for state, buffer in zip(kernel.states, states, strict=True):
                value = env[state.next]
                if state.next != state.name:
                    w(store(buffer, loops.at(buffer.walk(shape)), value.text, value.word))
            for name, buffer in zip(kernel.outputs, outputs, strict=True):
                place = loops.at(buffer.walk(shape))
                value_of = store(buffer, place, env[name].text, env[name].word)
                guard = buffer.only_listed
                w(*(("#ifdef SNN_TRACE", value_of, "#endif") if guard else (value_of,)))
                if buffer in listed:
                    at = f"n{listed.index(buffer)}"
                    number = f"({index_type(buffer.size)})({place})"
                    w(f"if ({env[name].text} != 0) {{ {buffer.ids}[{at}] = {number}; {at}++; }}")
        for k, buffer in enumerate(listed):
            w(f"{buffer.ids}_n = n{k};")
        for buffer in outputs:
            if buffer not in listed:
                part.list_spikes(buffer)
    return part.data.text.splitlines(), part.reset.text.splitlines(), w.text.splitlines()


def _state(layer: Layer, i: int, state: State, shape: Shape, channels: int) -> Buffer:
    bounds = proven(state)
    name = layer.id(f"s{i}_{state.name}")
    buffer = Buffer(name, stored(bounds), bounds, shape, channels=channels)
    layer.array(buffer.name, buffer.ctype, buffer.size, f"in [{state.lo}, {state.hi}]")
    fill(layer, buffer, state.init, shape)
    layer.states[state.name] = buffer
    return buffer


def fill(layer: Layer, buffer: Buffer, init: Param | None, shape: Shape) -> None:
    """Add to ``reset`` what sets an array to a constant that broadcasts to ``shape``."""
    w = layer.reset
    if init is None or not init.data.any():
        w(f"memset({buffer.name}, 0, sizeof {buffer.name});")
        return
    bounds = (int(init.data.min()), int(init.data.max()))
    word = computed(bounds)
    if bounds[0] == bounds[1]:
        with w.loop("i", buffer.size):
            w(store(buffer, "i", literal(bounds[0], word), word))
        return
    origin = names.comment(f"{layer.node.name}: initial value")
    table = layer.tables.add(f"{buffer.name.split('[')[0]}_0"[:30], init.data, origin)
    source = Buffer(table.name, table.ctype, bounds, init.shape)
    walks = [buffer.walk(shape), source.walk(shape)]
    with nest(w, shape, walks) as loops:
        to, value = loops.at(walks[0]), load(source, loops.at(walks[1]), word)
        w(store(buffer, to, value, word))


def _const(layer: Layer, i: int, const: Const, shape: Shape, loops: Nest) -> Var:
    data = const.values.data
    bounds: Bounds = (int(data.min()), int(data.max()))
    word = computed(bounds)
    if bounds[0] == bounds[1]:
        return Var(literal(bounds[0], word), word, bounds)
    origin = names.comment(f"{layer.node.name}.{const.name} {const.origin}")
    table = layer.tables.add(layer.id(f"c{i}_{const.name}"), data, origin)
    where = loops.at(row_major(const.shape, shape))
    if const.index is not None:
        index = np.where(const.index.data < 0, const.index.data + data.size, const.index.data)
        which = layer.tables.add(layer.id(f"c{i}i_{const.name}"), index, origin)
        where = f"{which.name}[{where}]"
    local = f"k{i}_{names.slug(const.name)}"
    source = Buffer(table.name, table.ctype, bounds, const.shape)
    layer.code(f"const {word} {local} = {load(source, where, word)};")
    return Var(local, word, bounds)


def _table(layer: Layer, i: int, table: Const) -> Var:
    """The vector that ``lookup`` reads."""
    data = table.values.data
    origin = names.comment(f"{layer.node.name}.{table.name} {table.origin}")
    stored_table = layer.tables.add(layer.id(f"t{i}_{table.name}"), data, origin)
    bounds: Bounds = (int(data.min()), int(data.max()))
    return Var(stored_table.name, stored_table.ctype, bounds)
