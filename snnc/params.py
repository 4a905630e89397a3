"""Immutable constant tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Elements that a hash looks at, at either end.
_HASHED = 1024
#: Elements that are looked at together: a cache holds them.
BLOCK = 1 << 16


class Param:
    """A read-only array that is equal by value.

    Of a large one no more than some rows need be in memory, made anew whenever they are read.

    >>> Param(np.zeros(3)) == Param(np.zeros(3))
    True
    >>> str(Param(np.zeros((2, 3), np.float32)))
    'f32[2,3]'
    """

    __slots__ = ("_make", "_whole", "dtype", "shape")
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    _whole: Array | None
    _make: Callable[[int, int], Array]

    def __init__(self, data: npt.ArrayLike) -> None:
        given = np.asarray(data)
        whole = np.ascontiguousarray(given).reshape(given.shape)
        if whole is given or whole.base is not None:
            whole = whole.copy()
        self._keep(whole)

    @classmethod
    def taking(cls, data: Array) -> Param:
        """A new array that nobody else has, which is not copied: large weights are much memory."""
        found = object.__new__(cls)
        found._keep(np.ascontiguousarray(data).view())
        return found

    @classmethod
    def made(
        cls, shape: tuple[int, ...], dtype: npt.DTypeLike, make: Callable[[int, int], Array]
    ) -> Param:
        """An array whose rows from one number to another ``make`` gives, the same every time."""
        found = object.__new__(cls)
        found.shape, found.dtype, found._make, found._whole = shape, np.dtype(dtype), make, None
        return found

    def _keep(self, whole: Array) -> None:
        whole.setflags(write=False)
        self.shape, self.dtype, self._whole = tuple(whole.shape), whole.dtype, whole

    def __reduce__(self) -> tuple[type[Param], tuple[Array]]:
        return Param, (self.data,)

    @property
    def data(self) -> Array:
        """The whole array, which stays in memory from now on."""
        if self._whole is None:
            self._keep(np.ascontiguousarray(self._make(0, self.shape[0])))
        assert self._whole is not None, "just made"
        return self._whole

    def rows(self, start: int, stop: int) -> Array:
        """Part of an array with axes: its rows from ``start`` to before ``stop``, read-only."""
        return self._make(start, stop) if self._whole is None else self._whole[start:stop]

    def blocks(self, size: int = BLOCK) -> Iterator[Array]:
        """The array in parts of about ``size`` elements, whole rows each."""
        if not self.shape:
            yield self.data
            return
        each = max(1, size * self.shape[0] // max(1, self.size))
        for start in range(0, self.shape[0], each):
            yield self.rows(start, min(start + each, self.shape[0]))

    def raw(self) -> Iterator[bytes | memoryview]:
        """The bytes of the elements in order, part after part, on a little-endian processor."""
        for block in self.blocks():
            flat = np.ascontiguousarray(block, block.dtype.newbyteorder("<")).reshape(-1)
            yield flat.view(np.uint8).data

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * self.dtype.itemsize

    @property
    def is_integer(self) -> bool:
        """Whether the elements are integers."""
        return bool(np.issubdtype(self.dtype, np.integer))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Param)
            and self.dtype == other.dtype
            and self.shape == other.shape
            and all(a == b for a, b in zip(self.raw(), other.raw(), strict=True))
        )

    def __hash__(self) -> int:
        if not self.shape:
            return hash((str(self.dtype), self.data.tobytes()))
        count = -(-_HASHED * self.shape[0] // max(1, self.size))  # the ends of it tell as much
        ends = (
            self.rows(0, min(count, self.shape[0])),
            self.rows(max(0, self.shape[0] - count), self.shape[0]),
        )
        some = [np.ascontiguousarray(end).reshape(-1) for end in ends]
        return hash(
            (str(self.dtype), self.shape, some[0][:_HASHED].tobytes(), some[1][-_HASHED:].tobytes())
        )

    def __str__(self) -> str:
        kind = {"f": "f", "i": "i", "u": "u", "b": "u"}[self.dtype.kind]
        width = 1 if self.dtype.kind == "b" else 8 * self.dtype.itemsize
        return f"{kind}{width}[{','.join(map(str, self.shape))}]"

    def __repr__(self) -> str:
        return f"Param({self.data!r})"


def compact(data: Array, signed: bool = True) -> Array:
    """Integers in the smallest type that holds them.

    >>> compact(np.array([-1, 200])).dtype, compact(np.array([200]), signed=False).dtype
    (dtype('int16'), dtype('uint8'))
    """
    lo, hi = (int(data.min()), int(data.max())) if data.size else (0, 0)
    for width in (8, 16, 32, 64):
        kind = np.dtype(f"{'int' if signed else 'uint'}{width}")
        info = np.iinfo(kind)
        if info.min <= lo and hi <= info.max:
            return data.astype(kind)
    raise AssertionError("wider than 64 bits")
