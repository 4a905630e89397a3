"""Operators that rearrange, select or reduce the elements of one sample."""

from __future__ import annotations

import math
from dataclasses import dataclass

from snnc.op import Op, Types, broadcast, checked_axes, checked_axis, one
from snnc.params import Param
from snnc.types import FLOAT32, DType, Int, TensorType, latest

#: What ``Reduce`` does with the elements along its axes.
REDUCTIONS = ("sum", "mean", "max", "min", "prod")


@dataclass(frozen=True, slots=True)
class Reshape(Op):
    """Row-major reshape of one sample."""

    shape: tuple[int, ...]

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        y = TensorType(self.shape, x.dtype, x.clock)
        if x.size != y.size:
            raise ValueError(f"cannot reshape {x} to {self.shape}")
        return (y,)


@dataclass(frozen=True, slots=True)
class Transpose(Op):
    """Axis i of the result is axis ``perm[i]`` of the input."""

    perm: tuple[int, ...]

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        if sorted(self.perm) != list(range(len(x.shape))):
            raise ValueError(f"{self.perm} is no order of the axes of {x}")
        return (TensorType(tuple(x.shape[p] for p in self.perm), x.dtype, x.clock),)


@dataclass(frozen=True, slots=True)
class Slice(Op):
    """Elements ``start``, ``start + step``, … before ``stop`` of one axis.

    ``0 <= start < stop <= size`` and ``step >= 1``: there is at least one.
    """

    axis: int
    start: int
    stop: int
    step: int = 1

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        axis = checked_axis(self.axis, x.shape)
        if not 0 <= self.start < self.stop <= x.shape[axis] or self.step < 1:
            raise ValueError(f"[{self.start}:{self.stop}:{self.step}] of axis {axis} of {x}")
        count = len(range(self.start, self.stop, self.step))
        return (TensorType((*x.shape[:axis], count, *x.shape[axis + 1 :]), x.dtype, x.clock),)


@dataclass(frozen=True, slots=True)
class Concat(Op):
    """The inputs one after the other along one axis."""

    axis: int

    def infer(self, inputs: Types) -> Types:
        if not inputs:
            raise ValueError("concatenates nothing")
        first = inputs[0].shape
        axis = checked_axis(self.axis, first)
        rest = {(*x.shape[:axis], *x.shape[axis + 1 :]) for x in inputs}
        if len({len(x.shape) for x in inputs}) > 1 or len(rest) > 1:
            raise ValueError(f"cannot join {[x.shape for x in inputs]} along axis {axis}")
        shape = (*first[:axis], sum(x.shape[axis] for x in inputs), *first[axis + 1 :])
        return (TensorType(shape, _joint(inputs), latest(tuple(x.clock for x in inputs))),)


def _joint(inputs: Types) -> DType:
    """The type that holds the elements of all inputs."""
    found = [x.dtype for x in inputs]
    known = [d.bounds for d in found if isinstance(d, Int) and d.lo is not None]
    if len(known) < len(found):
        return FLOAT32
    return Int(min(lo for lo, _ in known), max(hi for _, hi in known))


@dataclass(frozen=True, slots=True)
class Expand(Op):
    """Broadcast to ``shape``, aligned right, without copies of new values."""

    shape: tuple[int, ...]

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        if broadcast((x.shape, self.shape)) != self.shape:
            raise ValueError(f"cannot expand {x} to {self.shape}")
        return (TensorType(self.shape, x.dtype, x.clock),)


@dataclass(frozen=True, slots=True)
class Take(Op):
    """Elements ``index`` (1-D, constant) of one axis, in that order, with repetitions."""

    axis: int
    index: Param

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        axis = checked_axis(self.axis, x.shape)
        index = self.index.data
        if not self.index.is_integer or index.ndim != 1 or not index.size:
            raise ValueError(f"index must be a list of integers, got {self.index}")
        if index.min() < 0 or index.max() >= x.shape[axis]:
            span = f"{index.min()} to {index.max()}"
            raise ValueError(f"indices {span} of axis {axis} of {x}")
        shape = (*x.shape[:axis], index.size, *x.shape[axis + 1 :])
        return (TensorType(shape, x.dtype, x.clock),)


@dataclass(frozen=True, slots=True)
class Reduce(Op):
    """Sum, mean, max, min or prod over ``axes``; with ``keepdims`` they stay, with extent 1."""

    fn: str
    axes: tuple[int, ...]
    keepdims: bool = False

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        if self.fn not in REDUCTIONS:
            raise ValueError(f"{self.fn!r} is none of {', '.join(REDUCTIONS)}")
        axes = checked_axes(self.axes, x.shape)
        count = math.prod(x.shape[a] for a in axes)
        if not count:
            raise ValueError(f"{self.fn} of nothing: {x}")
        shape = tuple(
            1 if a in axes else n for a, n in enumerate(x.shape) if self.keepdims or a not in axes
        )
        return (TensorType(shape, self._dtype(x.dtype, count), x.clock),)

    def _dtype(self, dtype: DType, count: int) -> DType:
        if not isinstance(dtype, Int) or dtype.lo is None:
            return FLOAT32
        if self.fn in ("max", "min"):
            return dtype
        if self.fn == "sum":
            return Int(dtype.bounds[0] * count, dtype.bounds[1] * count)
        return dtype if dtype == Int(0, 1) and self.fn == "prod" else FLOAT32


@dataclass(frozen=True, slots=True)
class TopK(Op):
    """The ``k`` largest elements along one axis, the largest first, or their ``positions``.

    Of equal elements the first comes first.
    """

    axis: int
    k: int
    positions: bool = False

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        axis = checked_axis(self.axis, x.shape)
        if not 1 <= self.k <= x.shape[axis]:
            raise ValueError(f"the {self.k} largest of {x.shape[axis]} elements: {x}")
        shape = (*x.shape[:axis], self.k, *x.shape[axis + 1 :])
        dtype = Int(0, x.shape[axis] - 1) if self.positions else x.dtype
        return (TensorType(shape, dtype, x.clock),)


@dataclass(frozen=True, slots=True)
class ArgMax(Op):
    """Position of the largest element along one axis, which goes; of several, the first."""

    axis: int

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        axis = checked_axis(self.axis, x.shape)
        if not x.shape[axis]:
            raise ValueError(f"position in nothing: {x}")
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        return (TensorType(shape, Int(0, x.shape[axis] - 1), x.clock),)
