"""Immutable constant tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: Elements that a hash looks at, at least.
_HASHED = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Param:
    """A read-only array that is equal by value.

    >>> Param(np.zeros(3)) == Param(np.zeros(3))
    True
    >>> str(Param(np.zeros((2, 3), np.float32)))
    'f32[2,3]'
    """

    data: npt.NDArray[Any]

    def __post_init__(self) -> None:
        data = np.ascontiguousarray(self.data).reshape(np.shape(self.data))
        if data is self.data or data.base is not None:
            data = data.copy()
        data.setflags(write=False)
        object.__setattr__(self, "data", data)

    @classmethod
    def taking(cls, data: npt.NDArray[Any]) -> Param:
        """A new array that nobody else has, which is not copied: large weights are much memory."""
        found = object.__new__(cls)
        whole = np.ascontiguousarray(data).view()
        whole.setflags(write=False)
        object.__setattr__(found, "data", whole)
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return tuple(self.data.shape)

    @property
    def is_integer(self) -> bool:
        """Whether the elements are integers."""
        return bool(np.issubdtype(self.data.dtype, np.integer))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Param)
            and self.data.dtype == other.data.dtype
            and self.data.shape == other.data.shape
            and self.data.tobytes() == other.data.tobytes()
        )

    def __hash__(self) -> int:
        flat = self.data.reshape(-1)  # some of a large array tell as much
        some = flat[:: max(1, flat.size // _HASHED)].tobytes()
        return hash((str(self.data.dtype), self.data.shape, some))

    def __str__(self) -> str:
        kind = {"f": "f", "i": "i", "u": "u", "b": "u"}[self.data.dtype.kind]
        width = 1 if self.data.dtype.kind == "b" else 8 * self.data.dtype.itemsize
        return f"{kind}{width}[{','.join(map(str, self.data.shape))}]"


def compact(data: npt.NDArray[Any], signed: bool = True) -> npt.NDArray[Any]:
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
