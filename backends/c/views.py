"""Matrices that a product reads and writes where they lie, instead of moving their elements.

Transposing, slicing and reshaping only number the elements of an array in another way.  A product
can follow if that is a walk with steps of constant size, and nobody needs the moved copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from snnc.backends.c.buffers import Buffer, bounds_of
from snnc.backends.c.packing import MOST_REPEATS
from snnc.backends.c.sums import matmul_bounds
from snnc.backends.c.words import fits, stored
from snnc.graph import Edge, Node
from snnc.intops import IntMatmul, IntReshape, IntSlice, IntTranspose

if TYPE_CHECKING:
    from snnc.backends.c.plan import Plan

#: Operators that only number elements in another way.
MOVES = (IntTranspose, IntSlice, IntReshape)


@dataclass(frozen=True, slots=True)
class View:
    """Matrices, one after the other, in an array.

    Attributes:
        buffer: The array.
        start: Element number of the first element.
        step: From a matrix to the next one.
        row: From a row to the next one.
        column: From a column to the next one.
        edge: Where the array comes from, if it is read.
    """

    buffer: Buffer
    start: int
    step: int
    row: int
    column: int
    edge: Edge | None = None

    @property
    def matrix(self) -> str:
        """C expression of the place of matrix ``i``."""
        text = f"{self.buffer.name} + {self.start}u" if self.start else self.buffer.name
        return f"{text} + i * {self.step}u" if self.step else text


def has_rows(plan: Plan, node: Node) -> bool:
    """Whether a product adds those rows of its right matrix that the left one lists."""
    if not plan.machine.is_host or not isinstance(node.op, IntMatmul):
        return False
    if plan.chained(node) or plan.is_inner(node):
        return True
    a, b = plan.operands(node)
    sums = matmul_bounds(a.bounds, b.bounds, a.shape[-1])
    return lists(a) and a.shape[:-2] == b.shape[:-2] and fits(sums, "int32_t")


def lists(left: Buffer) -> bool:
    """Whether the rows of a left matrix can be listed."""
    return left.ctype == "uint8_t" and left.bounds[1] <= MOST_REPEATS


def read_view(plan: Plan, edge: Edge) -> View:
    """How a product reads an operand: where its elements lay first, if it can."""
    rows, columns = plan.graph[edge.src].types[edge.out].shape[-2:]
    found = View(plan.operand(edge), 0, rows * columns, columns, 1, edge)
    left = edge.port == 0 or plan.is_inner(plan.graph[edge.dst])
    chain, here = list[Node](), edge
    while not here.delay and isinstance(plan.graph[here.src].op, MOVES):
        chain.insert(0, plan.graph[here.src])
        (here,) = plan.graph.in_edges(here.src)
        if here.delay:
            break
        source = plan.graph[here.src]
        buffer = plan.value(here.src, here.out)
        if buffer.channels or source.type.clock is not chain[0].type.clock:
            break
        moved = _moved(np.arange(buffer.size).reshape(source.types[here.out].shape), chain)
        walk = None if moved is None else _walk(moved)
        if walk and (walk[3] == 1 or (left and walk[2] == 1)):
            found = View(buffer, *walk, here)
    return found


def written_view(plan: Plan, node: Node) -> View | None:
    """How a product puts its result where a transposition would move it, if one would."""
    edges = plan.graph.out_edges(node.name)
    if len(edges) != 1 or edges[0].delay or not has_rows(plan, node) or plan.is_inner(node):
        return None
    user, op = plan.graph[edges[0].dst], node.op
    assert isinstance(op, IntMatmul), "has rows"
    if not isinstance(user.op, IntTranspose) or user.type.clock is not node.type.clock:
        return None
    if op.shift or is_followed(plan, user) or any(e.delay for e in plan.graph.out_edges(user.name)):
        return None
    perm = user.op.perm
    numbers = np.arange(node.type.size).reshape(user.type.shape)
    walk = _walk(numbers.transpose([perm.index(i) for i in range(len(perm))]))
    buffer = plan.value(user.name)
    if walk is None or walk[3] != 1 or buffer.channels or buffer.ctype != stored(bounds_of(node)):
        return None
    return View(buffer, *walk)


def is_followed(plan: Plan, node: Node) -> bool:
    """Whether all that reads the result of a move reads the array before it."""
    edges = plan.graph.out_edges(node.name)
    if not isinstance(node.op, IntTranspose | IntSlice) or not edges:
        return False
    return all(_follows(plan, e, node) for e in edges)


def is_written(plan: Plan, node: Node) -> bool:
    """Whether a product has put the result of a transposition in its place."""
    if not isinstance(node.op, IntTranspose):
        return False
    (edge,) = plan.graph.in_edges(node.name)
    return not edge.delay and written_view(plan, plan.graph[edge.src]) is not None


def _follows(plan: Plan, edge: Edge, node: Node) -> bool:
    user = plan.graph[edge.dst]
    if edge.delay:
        return False
    if isinstance(user.op, IntMatmul):
        source = read_view(plan, edge).edge if has_rows(plan, user) else None
        return source is not None and plan.index[source.src] < plan.index[node.name]
    if isinstance(user.op, MOVES):
        edges = plan.graph.out_edges(user.name)
        return bool(edges) and all(_follows(plan, e, node) for e in edges)
    return False


def _moved(numbers: npt.NDArray[np.int64], chain: list[Node]) -> npt.NDArray[np.int64] | None:
    """Element numbers after some moves; None if one of them goes backwards."""
    for node in chain:
        match node.op:
            case IntTranspose(perm):
                numbers = numbers.transpose(perm)
            case IntSlice(axis, first, stop, step):
                if min(first, stop, step) < 0:
                    return None
                numbers = numbers.take(range(first, stop, step), axis)
            case _:
                numbers = numbers.reshape(node.type.shape)
    return numbers


def _walk(numbers: npt.NDArray[np.int64]) -> tuple[int, int, int, int] | None:
    """Start and steps (matrix, row, column) of a walk over matrices, if there is one."""
    matrices = numbers.reshape(-1, *numbers.shape[-2:])
    start = int(matrices[0, 0, 0])
    steps = [
        int(matrices.take(1, axis).flat[0]) - start if extent > 1 else 1
        for axis, extent in enumerate(matrices.shape)
    ]
    walked = start + sum(
        step * np.arange(n).reshape([-1 if k == axis else 1 for k in range(3)])
        for axis, (n, step) in enumerate(zip(matrices.shape, steps, strict=True))
    )
    if min(steps) < 0 or not np.array_equal(matrices, walked):
        return None
    return start, steps[0], steps[1], steps[2]
