"""Operators that move elements: a loop nest that reads with other strides than it writes."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from math import prod

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.layer import Layer, load, store
from snnc.backends.c.words import computed
from snnc.intops import IntConcat, IntExpand, IntPad, IntSlice, IntTake, IntTranspose, IntUpsample
from snnc.op import Op
from snnc.params import Param


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of the result: the operand's element number grows by ``stride`` along it.

    With an ``index`` it is ``index[i] * stride``.
    """

    extent: int
    stride: int
    index: Param | None = None


def walk(op: Op, shape: tuple[int, ...]) -> tuple[list[Axis], int]:
    """How to read an operand of ``shape`` in the order of the result, and where to start."""
    plain = [Axis(n, prod(shape[i + 1 :])) for i, n in enumerate(shape)]
    start = 0
    match op:
        case IntTranspose(perm):
            axes = [plain[p] for p in perm]
        case IntSlice(axis, first, stop, step):
            own = plain[axis].stride
            count = len(range(first, stop, step))
            axes = [*plain[:axis], Axis(count, own * step), *plain[axis + 1 :]]
            start = first * own
        case IntExpand(to):
            padded = [Axis(1, 0)] * (len(to) - len(shape)) + plain
            axes = [a if a.extent == n else Axis(n, 0) for a, n in zip(padded, to, strict=True)]
        case IntTake(axis, index):
            taken = Axis(index.data.size, plain[axis].stride, index)
            axes = [*plain[:axis], taken, *plain[axis + 1 :]]
        case IntUpsample(factor):
            times = (*[1] * (len(shape) - len(factor)), *factor)
            pairs = zip(plain, times, strict=True)
            axes = [part for own, n in pairs for part in (own, Axis(n, 0))]
        case _:
            raise AssertionError(f"{type(op).__name__} does more than move elements")
    return merged(axes), start


def merged(axes: list[Axis]) -> list[Axis]:
    """The same walk with as few loops as possible."""
    found: list[Axis] = []
    for axis in axes:
        last = found[-1] if found else None
        if axis.extent == 1 and axis.index is None:
            continue
        plain = last is not None and last.index is None and axis.index is None
        if last is not None and plain and last.stride == axis.extent * axis.stride:
            found[-1] = Axis(last.extent * axis.extent, axis.stride)
        else:
            found.append(axis)
    return found or [Axis(1, 0)]


def emit_move(layer: Layer) -> None:
    """``y[i] = x[where(i)]``, element by element in the order of ``y``."""
    (x,), y = layer.plan.operands(layer.node), layer.output()
    axes, start = walk(layer.node.op, x.shape)
    w, word = layer.code, computed(x.bounds)
    there = [f"{start}u"] if start else []
    here = ""
    with w.block(f"static void {layer.tick}(void)"):
        with ExitStack() as stack:
            for n, axis in enumerate(axes):
                i = f"i{n}"
                stack.enter_context(w.loop(i, axis.extent))
                here = f"({here}) * {axis.extent}u + {i}" if here else i
                if axis.index is not None:
                    origin = names.comment(f"{layer.node.name}: index")
                    table = layer.tables.add(layer.id("index"), axis.index.data, origin)
                    i = f"(size_t){table.name}[{i}]"
                if axis.stride:
                    there.append(i if axis.stride == 1 else f"{i} * {axis.stride}u")
            value = load(x, " + ".join(there) or "0u", word)
            w(store(y, here, value, word))
        layer.list_spikes(y)


def emit_pad(layer: Layer) -> None:
    """The elements in their places; static arrays are zero around them, and stay so."""
    op = layer.node.op
    assert isinstance(op, IntPad), "dispatched by type"
    (x,), y = layer.plan.operands(layer.node), layer.output()
    w, word, here, there = layer.code, computed(x.bounds), "", ""
    with w.block(f"static void {layer.tick}(void)"):
        with ExitStack() as stack:
            for n, (before, size) in enumerate(zip(op.before, x.shape, strict=True)):
                stack.enter_context(w.loop(f"i{n}", size))
                own = f"i{n} + {before}u" if before else f"i{n}"
                here = f"({here}) * {y.shape[n]}u + {own}" if here else own
                there = f"({there}) * {size}u + i{n}" if there else f"i{n}"
            w(store(y, here or "0u", load(x, there or "0u", word), word))
        layer.list_spikes(y)


def emit_concat(layer: Layer) -> None:
    """Block after block of every operand."""
    op = layer.node.op
    assert isinstance(op, IntConcat), "dispatched by type"
    parts, y = layer.plan.operands(layer.node), layer.output()
    w = layer.code
    outer, row = prod(y.shape[: op.axis]), prod(y.shape[op.axis :])
    with w.block(f"static void {layer.tick}(void)"):
        start = 0
        for x in parts:
            _block(layer, x, y, outer, (start, row))
            start += x.size // outer
        layer.list_spikes(y)


def _block(layer: Layer, x: Buffer, y: Buffer, outer: int, place: tuple[int, int]) -> None:
    """Copy the rows of one operand to ``start`` in each row of the result."""
    w, word = layer.code, computed(x.bounds)
    start, row = place
    each = x.size // outer
    with ExitStack() as stack:
        here, there = "", ""
        if outer > 1:
            stack.enter_context(w.loop("o", outer))
            here, there = f"o * {row}u + ", f"o * {each}u + "
        here += f"{start}u + " if start else ""
        stack.enter_context(w.loop("i", each))
        w(store(y, f"{here}i", load(x, f"{there}i", word), word))
