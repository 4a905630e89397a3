"""Integer operators that rearrange, select or reduce the elements of one sample."""

from __future__ import annotations

from dataclasses import dataclass, replace

from snnc.op import Op, Types, one
from snnc.pool_ops import Upsample
from snnc.tensor_ops import ArgMax, Concat, Expand, Reduce, Reshape, Slice, Take, TopK, Transpose
from snnc.types import INT, TensorType
from snnc.windows import Sizes


def whole(types: Types) -> Types:
    """The same types, of integers."""
    return tuple(replace(t, dtype=INT) for t in types)


@dataclass(frozen=True, slots=True)
class IntReshape(Reshape):
    """Row-major reshape of one sample."""

    def infer(self, inputs: Types) -> Types:
        return whole(Reshape.infer(self, inputs))


@dataclass(frozen=True, slots=True)
class IntTranspose(Transpose):
    """Axis i of the result is axis ``perm[i]`` of the input."""

    def infer(self, inputs: Types) -> Types:
        return whole(Transpose.infer(self, inputs))


@dataclass(frozen=True, slots=True)
class IntSlice(Slice):
    """Elements ``start``, ``start + step``, … before ``stop`` of one axis."""

    def infer(self, inputs: Types) -> Types:
        return whole(Slice.infer(self, inputs))


@dataclass(frozen=True, slots=True)
class IntConcat(Concat):
    """The inputs one after the other along one axis; all are in the same unit."""

    def infer(self, inputs: Types) -> Types:
        return whole(Concat.infer(self, inputs))


@dataclass(frozen=True, slots=True)
class IntExpand(Expand):
    """Broadcast to ``shape``, aligned right."""

    def infer(self, inputs: Types) -> Types:
        return whole(Expand.infer(self, inputs))


@dataclass(frozen=True, slots=True)
class IntTake(Take):
    """Elements ``index`` of one axis, in that order, with repetitions."""

    def infer(self, inputs: Types) -> Types:
        return whole(Take.infer(self, inputs))


@dataclass(frozen=True, slots=True)
class IntUpsample(Upsample):
    """Nearest neighbour: each element ``factor`` times along each of the last axes."""

    def infer(self, inputs: Types) -> Types:
        return whole(Upsample.infer(self, inputs))


@dataclass(frozen=True, slots=True)
class IntReduce(Reduce):
    """Sum, max, min or prod over ``axes``; a mean is a sum in a smaller unit."""

    def infer(self, inputs: Types) -> Types:
        if self.fn == "mean":
            raise ValueError("the mean of integers is their sum, in another unit")
        return whole(Reduce.infer(self, inputs))


@dataclass(frozen=True, slots=True)
class IntArgMax(ArgMax):
    """Position of the largest element along one axis, which goes; of several, the first."""

    def infer(self, inputs: Types) -> Types:
        return whole(ArgMax.infer(self, inputs))


@dataclass(frozen=True, slots=True)
class IntTopK(TopK):
    """The ``k`` largest elements along one axis, or their positions; of equal ones, the first."""

    def infer(self, inputs: Types) -> Types:
        return whole(TopK.infer(self, inputs))


@dataclass(frozen=True, slots=True)
class IntPad(Op):
    """Zeros before and after the elements of every axis."""

    before: Sizes
    after: Sizes

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        if not len(x.shape) == len(self.before) == len(self.after):
            raise ValueError(f"{len(self.before)} and {len(self.after)} sides for {x}")
        if min((*self.before, *self.after), default=0) < 0:
            raise ValueError(f"padding {self.before} and {self.after} must not be negative")
        sides = zip(self.before, x.shape, self.after, strict=True)
        return (TensorType(tuple(map(sum, sides)), INT, x.clock),)
