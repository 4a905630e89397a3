"""A population in words of 16 bits (``lanes``): its arrays and its ``tick``."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.kernel import proven, used_leaves
from snnc.backends.c.lane import NoLanesError, constant
from snnc.backends.c.lanes import Lanes
from snnc.backends.c.layer import Layer
from snnc.backends.c.nest import Nest, Shape, Walk, nest_of, row_major
from snnc.backends.c.words import fits
from snnc.backends.c.writer import CWriter
from snnc.kernel import Const, Kernel
from snnc.params import Param

#: Neurons in a vector: gcc -O2 leaves loops over other numbers of them alone.
VECTOR = 16
#: Neurons in the widest vector, whose results are bytes.
WIDE = 64
#: Most neurons in a loop that constants are repeated for.
LONGEST = 512


@dataclass(frozen=True, slots=True)
class Population:
    """What a ``tick`` in words of 16 bits loops over.

    Attributes:
        kernel: The kernel; constants are one number or a vector.
        shape: Of the neurons.
        operands: What it reads.
        outputs: What it writes; states lie as the first of them.
        start: Number of the first neuron in all arrays, if this is a part of them.
        is_rest: Whether these are fewer neurons than a vector has, behind those that fill some.
    """

    kernel: Kernel
    shape: Shape
    operands: list[Buffer]
    outputs: list[Buffer]
    start: int | None = None
    is_rest: bool = False

    @property
    def loops(self) -> Nest:
        """Loops over the population."""
        used = used_leaves(self.kernel)
        consts = [row_major(c.shape, self.shape) for c in self.kernel.consts if c.name in used]
        return nest_of(self.shape, [*self.walks, *consts])

    @property
    def walks(self) -> list[Walk]:
        """Where outputs and operands lie."""
        used = used_leaves(self.kernel)
        read = zip(self.kernel.inputs, self.operands, strict=True)
        arrays = [*self.outputs, *(b for name, b in read if name in used)]
        return [b.walk(self.shape) for b in arrays]

    def at(self, array: Walk) -> str:
        """Element number in an array."""
        place = self.loops.at(array)
        return f"{self.start}u + {place}" if self.start else place

    def parts(self) -> list[Population]:
        """The same in loops that vectors do: whole vectors and a rest, or rows of channels."""
        loops, half = self.loops, VECTOR // 2
        if len(loops.loops) != 1 or loops.inner <= half or loops.inner % half == 0:
            return self._channels()
        if any(b.size != loops.inner for b in (*self.outputs, *self.operands)):
            return [self]
        whole = loops.inner // half * half
        return [self._some(0, whole), self._some(whole, loops.inner - whole)]

    def _some(self, start: int, count: int) -> Population:
        """Some of the neurons of a population that lies in a row."""

        def cut(const: Const) -> Const:
            data = const.values.data.reshape(-1)
            many = data.size > 1 and const.index is None
            return replace(const, values=Param(data[start : start + count])) if many else const

        def flat(buffers: list[Buffer]) -> list[Buffer]:
            return [replace(b, shape=(count,), channels=0) for b in buffers]

        kernel = replace(self.kernel, consts=tuple(map(cut, self.kernel.consts)))
        arrays = flat(self.operands), flat(self.outputs)
        return Population(kernel, (count,), *arrays, start, count < VECTOR // 2)

    def _channels(self) -> list[Population]:
        """The same with constants repeated, where a loop over few of them would be all there is.

        Neurons that lie one behind the other in all arrays, with constants per channel, say, are
        as well rows of several times as many channels, and a rest.
        """
        used, loops = used_leaves(self.kernel), self.loops
        consts = [c for c in self.kernel.consts if c.name in used and c.values.data.size > 1]
        if len(loops.loops) != 2 or not consts or len(nest_of(self.shape, self.walks).loops) != 1:
            return [self]
        (rows, _), (inner, axis) = loops.loops
        ones = [int(a == axis) for a in range(len(self.shape))]
        if any(list(row_major(c.shape, self.shape).strides) != ones for c in consts):
            return [self]
        if inner > LONGEST // 2:
            return [self]
        long = min(rows, max(1, LONGEST // math.lcm(inner, WIDE)) * WIDE // math.gcd(inner, WIDE))
        count = rows // long
        parts = [self._rows(count, long * inner, 0)]
        if rest := rows - count * long:
            parts.append(self._rows(1, rest * inner, count * long * inner))
        return parts

    def _rows(self, rows: int, inner: int, start: int) -> Population:
        """Some of the neurons, as rows."""

        def repeated(const: Const) -> Const:
            data = const.values.data.reshape(-1)
            return replace(const, values=Param(np.resize(data, inner) if data.size > 1 else data))

        def flat(buffers: list[Buffer]) -> list[Buffer]:
            return [replace(b, shape=(rows, inner), channels=0) for b in buffers]

        kernel = replace(self.kernel, consts=tuple(map(repeated, self.kernel.consts)))
        return Population(kernel, (rows, inner), flat(self.operands), flat(self.outputs), start)


def lanes_of(layer: Layer, population: Population) -> list[tuple[Population, Lanes]]:
    """The kernel in words of 16 bits, part by part; empty if it has no such form."""
    for parts in (population.parts(), [population]):
        found = [(part, _lanes(layer, part)) for part in parts]
        known = [(part, lanes) for part, lanes in found if lanes is not None]
        if len(known) == len(parts):
            return known
    return []


def _lanes(layer: Layer, population: Population) -> Lanes | None:
    """The kernel in words of 16 bits; None if it has no such form or too few neurons."""
    kernel, shape, outputs = population.kernel, population.shape, population.outputs
    used = used_leaves(kernel)
    if not outputs or any(b.ctype != "uint8_t" for b in outputs) or kernel.tables:
        return None
    loops = population.loops
    # half a vector of bytes belongs to one of 16-bit words
    if loops.inner % (VECTOR // 2) and not population.is_rest:
        return None
    at = population.at(outputs[0].walk(shape))
    lanes = Lanes(kernel, {})
    try:
        for name, buffer in zip(kernel.inputs, population.operands, strict=True):
            if name in used:
                place = population.at(buffer.walk(shape))
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
            part = f"c{i}{'' if population.start is None else f'r{population.start}'}_{const.name}"
            table = layer.tables.add(layer.id(part), data, origin)
            text = f"{table.name}[{loops.at(row_major(const.shape, shape))}]"
            lanes.load(const.name, table.ctype, text, (lo, hi))
            lanes.factors[const.name] = text
        lanes.translate()
    except NoLanesError:
        return None
    if any(kernel.outputs[k] not in lanes.env for k in range(len(outputs))):
        return None
    return lanes


def words_of(layer: Layer, i: int, state: str) -> tuple[str, str]:
    """Arrays of the low and the high words of a state."""
    stem = f"s{i}_{state}"[:20]
    return layer.id(f"{stem}_l"), layer.id(f"{stem}_h")


def emit_lanes(
    layer: Layer, parts: list[tuple[Population, Lanes]], states: list[Buffer]
) -> tuple[list[str], list[str], list[str]]:
    """Declarations, lines of ``reset`` and the function ``tick``."""
    data, reset, code = CWriter(), CWriter(), CWriter()
    kernel = parts[0][1].kernel
    size, copies = states[0].size if states else 0, []
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
    with code.block(f"static void {layer.tick}(void)"):
        for population, lanes in parts:
            stores = _stores(layer, population, lanes)
            with population.loops.open(code):
                code(*lanes.live(stores), *stores)
        for k in range(len(kernel.outputs)):
            code(*layer.listing(layer.plan.value(layer.node.name, k)))
    if states:
        declared = (f"SNN_STATE {b.ctype} {b.name}[{b.size}];" for b in states)
        data("#ifdef SNN_TRACE", *declared, "#endif")
        layer.trace("#if SNN_LANES")
        with layer.trace.loop("i", size):
            layer.trace(*copies)
        layer.trace("#endif")
    return data.text.splitlines(), reset.text.splitlines(), code.text.splitlines()


def _stores(layer: Layer, population: Population, lanes: Lanes) -> list[str]:
    """Statements that write states and outputs."""
    outputs, kernel = population.outputs, lanes.kernel
    at, stores = population.at(outputs[0].walk(population.shape)), []
    for i, state in enumerate(kernel.states):
        if state.next == state.name:
            continue
        low, high = words_of(layer, i, state.name)
        value = lanes.env[state.next]
        stores.append(f"{low}[{at}] = {value.low};")
        if not fits(proven(state), "int16_t"):
            stores.append(f"{high}[{at}] = {lanes.high(value)};")
    for name, buffer in zip(kernel.outputs, outputs, strict=True):
        stores.append(f"{buffer.name}[{at}] = (uint8_t){lanes.env[name].low};")
    return stores


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
