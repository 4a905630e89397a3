"""Writes the nodes of one ONNX graph: the network itself, or the body of a loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

BOOL, UINT8 = TensorProto.BOOL, TensorProto.UINT8
INT32, INT64, UINT64 = TensorProto.INT32, TensorProto.INT64, TensorProto.UINT64
DOUBLE = TensorProto.DOUBLE
KINDS: dict[int, Any] = {
    DOUBLE: np.float64,
    BOOL: np.bool_,
    UINT8: np.uint8,
    TensorProto.INT8: np.int8,
    INT32: np.int32,
    INT64: np.int64,
    UINT64: np.uint64,
}
Bounds = tuple[int, int]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class V:
    """A value: its name, its element type, and its range where that is known."""

    name: str
    type: int
    bounds: Bounds = (-(1 << 63), (1 << 63) - 1)


def storage(bounds: Bounds) -> int:
    """The type in which values of a range are handed on."""
    lo, hi = bounds
    if lo >= 0 and hi <= 255:
        return UINT8
    return INT32 if lo >= -(1 << 31) and hi < 1 << 31 else INT64


class Block:
    """Nodes and constants of one graph, in order.

    Attributes:
        scope: Name of the program's node that is being written; what it needs is named after it.
        taken: Names of the whole model that are in use.
    """

    def __init__(self, taken: set[str]) -> None:
        self.taken, self.scope = taken, ""
        self.nodes: list[NodeProto] = []
        self._constants: dict[tuple[Any, ...], TensorProto] = {}
        self._count = 0

    def fresh(self, kind: str) -> str:
        """A name of its own."""
        found = stem = f"{self.scope}/{kind}"
        while found in self.taken:
            self._count += 1
            found = f"{stem}.{self._count}"
        self.taken.add(found)
        return found

    def op(self, kind: str, *inputs: V, type: int | None = None, **attributes: Any) -> V:
        """Append a node of one output."""
        out = V(self.fresh(kind), inputs[0].type if type is None else type)
        names = [v.name for v in inputs]
        self.nodes.append(helper.make_node(kind, names, [out.name], out.name, **attributes))
        return out

    def constant(self, value: npt.ArrayLike, type: int = INT64) -> V:
        """A constant; equal ones are stored once."""
        array = np.ascontiguousarray(value, KINDS[type]).reshape(np.shape(value))
        key = (type, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(array, self.fresh("constant"))
        return V(self._constants[key].name, type)

    def cast(self, x: V, type: int) -> V:
        """The value in another type."""
        if x.type == type:
            return x
        return replace(self.op("Cast", x, type=type, to=type), bounds=x.bounds)

    def binary(self, kind: str, a: V, b: V | int | Array) -> V:
        """An operator of two values of one type, of which the second may be a constant."""
        if not isinstance(b, V):
            b = self.constant(b, a.type)
        logical = kind in ("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal")
        return self.op(kind, a, b, type=BOOL if logical else a.type)

    def add(self, a: V, b: V | int | Array) -> V:
        """``a + b``."""
        return self.binary("Add", a, b)

    def sub(self, a: V, b: V | int | Array) -> V:
        """``a - b``."""
        return self.binary("Sub", a, b)

    def mul(self, a: V, b: V | int | Array) -> V:
        """``a * b``."""
        return self.binary("Mul", a, b)

    def where(self, c: V, a: V, b: V) -> V:
        """``a`` where ``c`` holds, else ``b``."""
        return self.op("Where", c, a, b, type=a.type)

    def reshape(self, x: V, shape: Sequence[int]) -> V:
        """The elements of every sample in another shape; the batch, in front, is kept."""
        # 0 means: as before; no axis of a sample is empty
        return self.op("Reshape", x, self.constant([0, *shape]))

    def gather(self, x: V, index: npt.ArrayLike, axis: int) -> V:
        """Elements ``index`` of one axis, counted with the batch."""
        return self.op("Gather", x, self.constant(index), axis=axis)

    def slice(self, x: V, axis: int, start: int, stop: int, step: int = 1) -> V:
        """``x[start:stop:step]`` of one axis, counted with the batch."""
        return self.slices(x, [(axis, start, stop, step)])

    def slices(self, x: V, cuts: Sequence[tuple[int, int, int, int]]) -> V:
        """``x[start:stop:step]`` of several axes: (axis, start, stop, step) each."""
        axes, starts, stops, steps = (self.constant(column) for column in zip(*cuts, strict=True))
        return self.op("Slice", x, starts, stops, axes, steps)

    def reduce(self, kind: str, x: V, axes: Sequence[int], keepdims: bool) -> V:
        """ReduceSum, ReduceMax, ReduceMin or ReduceProd over axes, counted with the batch."""
        return self.op(kind, x, self.constant(list(axes)), keepdims=int(keepdims))

    def name(self, x: V, name: str) -> V:
        """The same value under another name, which nothing else has."""
        self.nodes.append(helper.make_node("Identity", [x.name], [name], f"{name}/Identity"))
        return replace(x, name=name)

    def graph(
        self, name: str, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]
    ) -> GraphProto:
        """What has been written, as a graph."""
        return helper.make_graph(self.nodes, name, inputs, outputs, list(self._constants.values()))
