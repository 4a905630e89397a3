"""What ``quantize`` knows of a value while it lowers the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.diagnostics import Diagnostic
from snnc.exact import Expr, apply, floats, leaf, nearest, rearranged
from snnc.graph import Edge, Graph, Node, Value
from snnc.interval import Interval
from snnc.intops import IntExpand, IntRescale
from snnc.params import Param, compact
from snnc.passes.base import Context
from snnc.passes.common_measure import multiples
from snnc.passes.row_blocks import MadeRows
from snnc.passes.weight_rows import Weighted, matrix, row_shape, shape_of
from snnc.profile import Profile

if TYPE_CHECKING:
    from snnc.passes.choose_codes import Chooser

Transform = Callable[[Expr], Expr]
Saved = tuple[Graph, Graph, dict[tuple[str, int], "QValue"], int]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
#: Fractional bits that a common unit of values in different units keeps of the largest.
COMMON_GUARD = 12
#: Bits of the multiplier for a ratio of units.
RATIO_BITS = 20
#: Bits of the widest product, and of a value below which it loses none for its sake.
MOST_BITS, LEAST_BITS = 61, 24


@dataclass(frozen=True, eq=False)
class Root:
    """Weights that wait for their neuron to choose scale and guard bits.

    Attributes:
        node: The real layer.
        units: Of its inputs, broadcasting to the weights, rows first.
    """

    node: Node
    op: Weighted
    units: Floats

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weights, rows first."""
        return shape_of(self.op)

    @property
    def rows(self) -> MadeRows:
        """(rows, columns) weights times the units of their inputs."""
        found = matrix(self.op)
        if not (self.units != 1.0).any():
            return found
        return found.changed(lambda block, some: np.multiply(block, self.columns(some), out=block))

    def columns(self, some: slice) -> Floats:
        """The units of the inputs that some rows meet, as one row or as many."""
        if self.units.ndim == 1:
            return self.units[None]
        own = self.units[some]
        return np.broadcast_to(own, (len(own), *self.shape[1:])).reshape(len(own), -1)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape in which one number per row broadcasts against the layer's output."""
        return row_shape(self.op)


@dataclass(frozen=True, eq=False)
class QValue:
    """An integer value: the real value is ``unit * n``, divided by T if ``per_step``.

    With a ``root`` the unit is not known yet; ``transforms`` are what will happen to it.
    """

    value: Value
    unit: Expr
    per_step: bool = False
    root: Root | None = None
    transforms: tuple[Transform, ...] = ()

    def moved(self, value: Value, transform: Transform) -> QValue:
        """The value behind an operator that changes the unit by ``transform``."""
        if self.root is not None:
            return replace(self, value=value, transforms=(*self.transforms, transform))
        return replace(self, value=value, unit=transform(self.unit))

    @property
    def known(self) -> Expr:
        """The unit; where it is not known yet, one that differs between rows as it may."""
        if self.root is None:
            return self.unit
        rows = np.arange(1.0, len(self.root) + 1).reshape(self.root.row_shape)
        return self.resolved(leaf(rows)).unit

    def resolved(self, unit: Expr) -> QValue:
        """The value once its root has ``unit``."""
        for transform in self.transforms:
            unit = transform(unit)
        return replace(self, unit=unit, root=None, transforms=())


@dataclass
class Lowered:
    """The lowering in progress: the real graph, the integer graph, and the values between them."""

    real: Graph
    out: Graph
    ctx: Context
    bits: int
    profile: Profile
    chooser: Chooser
    values: dict[tuple[str, int], QValue] = field(default_factory=dict)
    past: dict[tuple[str, int], QValue] = field(default_factory=dict)  # numbers of earlier steps
    ranges: dict[tuple[str, int], tuple[Node, Interval]] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)
    fake: Graph = field(init=False)

    def __post_init__(self) -> None:
        self.fake = self.real.copy()

    def bits_of(self, layer: str) -> int:
        """Of a weight of a layer."""
        return self.chooser.plan.of(layer).bits or self.bits

    def saved(self) -> Saved:
        """What ``restore`` needs to undo everything that happens from now on."""
        return self.out.copy(), self.fake.copy(), dict(self.values), len(self.problems)

    def restore(self, saved: Saved) -> None:
        """Undo everything since ``saved``."""
        self.out, self.fake, self.values, count = saved
        del self.problems[count:]

    def add(self, node: Node, op: ops.Op, *operands: QValue) -> None:
        """Put the integer operator for ``node``."""
        values = [v.value for v in operands]
        if node.name not in self.out:
            self.out.add(node.name, op, *values, loc=node.loc)
            return
        types = op.infer(tuple(self.out.type_of(v) for v in values))  # it was announced
        self.out.replace(Node(node.name, op, types, node.loc))
        for port, v in enumerate(values):
            self.out.connect(Edge(v.src, node.name, port, v.out, v.delay, v.init))

    def constant(self, name: str) -> Expr:
        """The exact value of a constant node."""
        op = self.real[name].op
        if isinstance(op, ops.Constant):
            return leaf(op.value.data)
        assert isinstance(op, ops.Pointwise), f"{name} is not constant"
        return apply(op.fn, *(self.constant(e.src) for e in self.real.in_edges(name)))

    def settled(self, v: QValue) -> QValue:
        """The value with its unit decided, for consumers that leave no choice."""
        from snnc.passes.quantize_weights import settle

        return v if v.root is None else settle(self, v)

    def sole(self, v: QValue) -> QValue:
        """The operand; its weights are settled if more than one consumer reads it."""
        if v.root is None or len(self.real.out_edges(v.value.src)) <= 1:
            return v
        return self.settled(v)

    def passed(self, node: Node, v: QValue) -> QValue:
        """The operand of ``node``; it may keep waiting if ``node`` alone decides about it."""
        return v if len(self.real.out_edges(node.name)) == 1 else self.settled(v)

    def uniform(self, node: Node, v: QValue, axes: tuple[int, ...] | None = None) -> QValue:
        """The value in a unit that does not change along ``axes`` (None: along none at all).

        Units that are multiples of one lose nothing.
        """
        shape = self.out.type_of(v.value).shape
        over = tuple(range(len(shape))) if axes is None else axes
        if v.unit.number is not None:
            return v
        sizes = np.broadcast_to(np.abs(floats(v.unit)), shape)
        largest = sizes.max(over, keepdims=axes is not None)
        if (sizes == largest).all():
            first = tuple(slice(1) if a in over else slice(None) for a in range(len(shape)))
            pick = (lambda x: x.reshape(-1)[0]) if axes is None else (lambda x: x[first])
            return replace(v, unit=rearranged(v.unit, shape, pick))
        units = np.broadcast_to(floats(v.unit), shape)
        if (found := multiples(units, over)) is not None:
            count, unit = found
            return self.multiplied(node, v, count, unit if axes else unit.reshape(()))
        return self.rescaled(node, v, leaf(largest) / leaf(float(1 << COMMON_GUARD)))

    def narrowed(self, node: Node, v: QValue, bits: int) -> QValue:
        """The value with its last bits rounded away, so that its magnitude has ``bits`` at most."""
        return self.coarser(node, v, self.excess(v, bits))

    def excess(self, v: QValue, room: int) -> int:
        """By how many bits the value is wider than ``room``; 0 if that is too few for any."""
        from snnc.passes.early_ranges import largest

        size = largest(self, v)
        return 0 if size is None or room < LEAST_BITS else max(0, size.bit_length() - room)

    def multiplied(self, node: Node, v: QValue, count: Ints, unit: Floats) -> QValue:
        """The value, exactly ``count * unit`` times its integers, in units of ``unit``."""
        name = self.out.fresh(f"{node.name}.unit")
        self.out.add(name, IntRescale(Param(compact(count))), v.value, loc=node.loc)
        return QValue(Value(name), leaf(unit), v.per_step)

    def coarser(self, node: Node, v: QValue, bits: int) -> QValue:
        """The value in steps that are ``2**bits`` times as large."""
        if bits <= 0:
            return v
        name = self.out.fresh(f"{node.name}.unit")
        op = IntRescale(Param(compact(np.array(1))), bits, self.profile.rounding)
        self.out.add(name, op, v.value, loc=node.loc)
        return replace(v, value=Value(name), unit=v.unit * leaf(float(1 << bits)))

    def rescaled(self, node: Node, v: QValue, target: Expr) -> QValue:
        """The value in units of ``target``, through an IntRescale unless they are equal.

        A value that is too wide for the product loses its last bits before it.
        """
        ratio = v.unit / target
        if ratio.number == 1:
            return v
        smallest = float(np.abs(floats(ratio)).min())
        exponent = int(np.frexp(smallest)[1])  # ratio < 2**exponent
        shift = min(max(0, RATIO_BITS - exponent), 40)
        multiplier = nearest(ratio * leaf(float(1 << shift)))
        if shift and not (multiplier & ((1 << shift) - 1)).any():
            multiplier, shift = multiplier >> shift, 0
        factor = int(np.abs(multiplier).max(initial=0)).bit_length()
        if excess := self.excess(v, MOST_BITS - factor):
            return self.rescaled(node, self.coarser(node, v, excess), target)
        shape = self.out.type_of(v.value).shape
        wide = tuple(np.broadcast_shapes(shape, ratio.shape))
        if wide != shape:  # its elements meet units of several kinds
            copies = self.out.fresh(f"{node.name}.copies")
            self.out.add(copies, IntExpand(wide), v.value, loc=node.loc)
            v = replace(v, value=Value(copies))
        name = self.out.fresh(f"{node.name}.unit")
        op = IntRescale(Param(compact(multiplier)), shift, self.profile.rounding)
        self.out.add(name, op, v.value, loc=node.loc)
        return QValue(Value(name), target, v.per_step)
