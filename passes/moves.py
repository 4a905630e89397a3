"""What operators that only move elements do to an array of one sample.

Units, proven intervals and other facts about elements move with them.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from snnc.op import Op
from snnc.pool_ops import Upsample
from snnc.tensor_ops import Expand, Reshape, Slice, Take, Transpose

#: Operators of one operand whose result has elements of it, in other places.
MOVES = (Reshape, Transpose, Slice, Expand, Take, Upsample)
T = TypeVar("T", bound=np.generic)


def moved(op: Op, x: npt.NDArray[T]) -> npt.NDArray[Any]:
    """The elements of ``x``, which has the operand's shape, where ``op`` puts them."""
    match op:
        case Reshape(shape=shape):
            return x.reshape(shape)
        case Transpose(perm=perm):
            return x.transpose(perm)
        case Slice(axis=axis, start=start, stop=stop, step=step):
            return x[(slice(None),) * axis + (slice(start, stop, step),)]
        case Expand(shape=shape):
            return np.broadcast_to(x, shape)
        case Take(axis=axis, index=index):
            return np.take(x, index.data, axis)
        case Upsample(factor=factor):
            for axis, times in enumerate(factor, x.ndim - len(factor)):
                x = np.repeat(x, times, axis)
            return x
    raise AssertionError(f"{type(op).__name__} does more than move elements")
