"""A population in words of 16 bits (``lanes``): its arrays and its ``tick``."""

from __future__ import annotations

import numpy as np

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.kernel import proven, used_leaves
from snnc.backends.c.lanes import Lanes, NoLanesError, constant
from snnc.backends.c.layer import Layer
from snnc.backends.c.nest import Nest, Shape, nest_of, row_major
from snnc.backends.c.words import fits
from snnc.backends.c.writer import CWriter
from snnc.kernel import Kernel
from snnc.params import Param

#: Neurons in a vector: gcc -O2 leaves loops over other numbers of them alone.
VECTOR = 16


def lanes_of(
    layer: Layer, kernel: Kernel, shape: Shape, operands: list[Buffer], outputs: list[Buffer]
) -> Lanes | None:
    """The kernel in words of 16 bits; None if it has no such form or too few neurons."""
    used = used_leaves(kernel)
    if not outputs or any(b.ctype != "uint8_t" for b in outputs) or kernel.tables:
        return None
    loops = loops_of(kernel, shape, operands, outputs)
    if loops.inner % (VECTOR // 2):  # half a vector of bytes belongs to one of 16-bit words
        return None
    at = loops.at(outputs[0].walk(shape))
    lanes = Lanes(kernel, {})
    try:
        for name, buffer in zip(kernel.inputs, operands, strict=True):
            if name in used:
                place = loops.at(buffer.walk(shape))
                lanes.load(name, buffer.ctype, f"{buffer.name}[{place}]", buffer.bounds)
        for i, state in enumerate(kernel.states):
            if not fits(proven(state), "int32_t"):
                return None
            if state.name in used:
                low, high = words_of(layer, i, state.name)
                wide = not fits(proven(state), "int16_t")
                lanes.load_words(
                    state.name, f"{low}[{at}]", f"{high}[{at}]" if wide else "", proven(state)
                )
        for i, const in enumerate(kernel.consts):
            if const.name not in used:
                continue
            data = const.values.data
            lo, hi = int(data.min()), int(data.max())
            if lo == hi:
                if fits((lo, hi), "int32_t"):
                    lanes.env[const.name] = constant(lo)
                continue
            if const.index is not None:
                return None
            origin = names.comment(f"{layer.node.name}.{const.name} {const.origin}")
            table = layer.tables.add(layer.id(f"c{i}_{const.name}"), data, origin)
            text = f"{table.name}[{loops.at(row_major(const.shape, shape))}]"
            lanes.load(const.name, table.ctype, text, (lo, hi))
            lanes.factors[const.name] = text
        lanes.translate()
    except NoLanesError:
        return None
    if any(kernel.outputs[k] not in lanes.env for k in range(len(outputs))):
        return None
    return lanes


def loops_of(kernel: Kernel, shape: Shape, operands: list[Buffer], outputs: list[Buffer]) -> Nest:
    """Loops over the population, the states of which lie as its outputs."""
    used = used_leaves(kernel)
    walks = [b.walk(shape) for b in outputs]
    read = zip(kernel.inputs, operands, strict=True)
    walks += [b.walk(shape) for name, b in read if name in used]
    walks += [row_major(c.shape, shape) for c in kernel.consts if c.name in used]
    return nest_of(shape, walks)


def words_of(layer: Layer, i: int, state: str) -> tuple[str, str]:
    """Arrays of the low and the high words of a state."""
    stem = f"s{i}_{state}"[:20]
    return layer.id(f"{stem}_l"), layer.id(f"{stem}_h")


def emit_lanes(
    layer: Layer, lanes: Lanes, loops: Nest, states: list[Buffer], outputs: list[Buffer]
) -> tuple[list[str], list[str], list[str]]:
    """Declarations, lines of ``reset`` and the function ``tick``."""
    data, reset, code = CWriter(), CWriter(), CWriter()
    kernel = lanes.kernel
    at = loops.at(outputs[0].walk(outputs[0].shape))
    stores, copies = [], []
    for i, (state, buffer) in enumerate(zip(kernel.states, states, strict=True)):
        low, high = words_of(layer, i, state.name)
        wide = not fits(proven(state), "int16_t")
        for array, bits in ((low, 0), (high, 16))[: 1 + wide]:
            data(f"SNN_STATE uint16_t {array}[{buffer.size}];")
            _start(reset, array, buffer.size, state.init, bits)
        text = f"((int32_t)(uint16_t)({low}[i] ^ 32768u) - 32768)"
        if wide:
            text = f"((int32_t){high}[i] - 32768) * 65536 + {low}[i]"
        copies.append(f"{buffer.name}[i] = ({buffer.ctype})({text});")
        if state.next != state.name:
            value = lanes.env[state.next]
            stores.append(f"{low}[{at}] = {value.low};")
            if wide:
                stores.append(f"{high}[{at}] = {lanes.high(value)};")
    with code.block(f"static void {layer.tick}(void)"):
        for name, buffer in zip(kernel.outputs, outputs, strict=True):
            stores.append(f"{buffer.name}[{at}] = (uint8_t){lanes.env[name].low};")
        with loops.open(code):
            code(*lanes.live(stores), *stores)
        for buffer in outputs:
            code(*layer.listing(buffer))
    if states:
        declared = (f"SNN_STATE {b.ctype} {b.name}[{b.size}];" for b in states)
        data("#ifdef SNN_TRACE", *declared, "#endif")
        layer.trace("#if SNN_LANES")
        with layer.trace.loop("i", outputs[0].size):
            layer.trace(*copies)
        layer.trace("#endif")
    return data.text.splitlines(), reset.text.splitlines(), code.text.splitlines()


def _start(w: CWriter, array: str, size: int, init: Param, bits: int) -> None:
    """Set one word of a state to its initial value, which is the same for all neurons."""
    values = np.unique(init.data)
    assert values.size == 1, "checked by the caller"
    # high words have 2**15 added, see ``lanes``
    word = (int(values[0]) >> bits) + (32768 if bits else 0) & 65535
    if word == 0:
        w(f"memset({array}, 0, sizeof {array});")
        return
    with w.loop("i", size):
        w(f"{array}[i] = {word}u;")
