"""What the writers of operators share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from snnc.backends.onnx.block import INT64, Block, V
from snnc.graph import Node

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Site:
    """A node to write, where, and what it reads.

    Attributes:
        b: The graph that is written.
        node: The program's node.
        operands: Values (N, ...).
        shapes: Their shapes without the batch.
        now: Number of the step, int64 without axes, for operators in a loop.
    """

    b: Block
    node: Node
    operands: list[V]
    shapes: list[Shape]
    now: V | None = None

    @property
    def op(self) -> Any:
        """The program's operator."""
        return self.node.op

    @property
    def x(self) -> V:
        """The first operand."""
        return self.operands[0]

    @property
    def shape(self) -> Shape:
        """The value's shape without the batch."""
        return self.node.type.shape

    def whole(self, port: int = 0) -> V:
        """An operand in int64."""
        return self.b.cast(self.operands[port], INT64)

    def aligned(self, port: int, axes: int) -> V:
        """An operand in int64 with ``axes`` axes behind the batch; new ones are in front."""
        x, shape = self.whole(port), self.shapes[port]
        missing = axes - len(shape)
        return self.b.reshape(x, [*[1] * missing, *shape]) if missing else x


#: Writes an operator; its value may have any integer type.
Writer = Callable[[Site], V]


def flat(site: Site, x: V) -> V:
    """One row per sample."""
    return site.b.reshape(x, [prod(site.shapes[0])])
