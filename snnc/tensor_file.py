"""Tensors in the format of safetensors, written and read a part at a time.

The library makes and takes whole files in memory.  What is written here is what it writes, byte for
byte; large tensors that are read stay in the file, and their rows are read when they are needed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from snnc.content import Streamed
from snnc.diagnostics import fail
from snnc.params import Param
from snnc.untrusted import HEADER_LIMIT, UnsafeError, check_safetensors

#: Names of types in the order of the library, which puts the last ones first.
_TYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "float16": "F16",
    "int32": "I32", "uint32": "U32", "float32": "F32", "complex64": "C64",
    "float64": "F64", "int64": "I64", "uint64": "U64",
}  # fmt: skip
_PLACES = {name: i for i, name in enumerate(_TYPES)}
_DTYPES = {short: np.dtype(name) for name, short in _TYPES.items()}
#: Tensors of so many bytes stay in their file.
LARGE = 1 << 16


def written(tensors: Mapping[str, Param]) -> Streamed:
    """The file that holds the tensors."""
    names = sorted(tensors, key=lambda n: (-_PLACES[tensors[n].dtype.name], n))
    table, end = {}, 0
    for name in names:
        tensor, start = tensors[name], end
        end += tensor.nbytes
        kind, shape = _TYPES[tensor.dtype.name], list(tensor.shape)
        table[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)

    def parts() -> Iterator[bytes | memoryview]:
        yield len(text).to_bytes(8, "little") + text
        for name in names:
            yield from tensors[name].raw()

    return Streamed(parts)


class _Stored:
    """A file that tensors stay in: it is open for as long as one of them lives."""

    def __init__(self, file: BinaryIO) -> None:
        self._number = os.dup(file.fileno())
        self._name = Path(str(file.name)).name
        self._state = self._seen()

    def __del__(self) -> None:
        os.close(self._number)

    def _seen(self) -> tuple[int, int]:
        found = os.fstat(self._number)
        return found.st_size, found.st_mtime_ns

    def read(self, start: int, size: int) -> npt.NDArray[np.uint8]:
        """Bytes of the file; CompileError E103 if it was written to since it was opened."""
        found = np.empty(size, np.uint8)
        room, done = found.data, 0
        try:
            while done < size and (count := os.preadv(self._number, [room[done:]], start + done)):
                done += count
        except OSError as e:
            raise fail("E103", f"cannot read {self._name}: {e.strerror}") from e
        if done < size or self._state != self._seen():
            text = f"{self._name} was changed while it was read"
            raise fail("E103", text, help="run this again once the file is complete")
        return found


def read(file: BinaryIO, start: int, size: int) -> dict[str, Param]:
    """Tensors of a file of safetensors that lies in another one, at ``start``.

    Raises:
        UnsafeError: It is damaged, or has a type that NumPy lacks.
    """
    file.seek(start)
    head = file.read(8)
    head += file.read(min(int.from_bytes(head, "little"), HEADER_LIMIT, max(0, size - 8)))
    header = check_safetensors(head, size)
    stored, found, end = _Stored(file), {}, 0
    first = start + len(head)
    for name, shape, dtype, place in sorted(_entries(header), key=lambda e: e[3]):
        if place != (end, end + prod(shape) * dtype.itemsize):
            raise UnsafeError(f"tensor {name!a:.60} has other bytes than its shape")
        end = place[1]
        found[name] = _tensor(stored, first + place[0], shape, dtype)
    if len(head) + end != size:
        raise UnsafeError("it has bytes that belong to no tensor")
    return found


def _entries(
    header: Mapping[str, Any],
) -> Iterator[tuple[str, tuple[int, ...], np.dtype[Any], tuple[int, int]]]:
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise UnsafeError(f"tensor {name!a:.60} has no type, shape and place")
        if (dtype := _DTYPES.get(str(entry["dtype"]))) is None:
            raise UnsafeError(f"tensor {name!a:.60} has type {entry['dtype']!a:.60}")
        shape, place = (_whole(name, entry[key]) for key in ("shape", "data_offsets"))
        if len(place) != 2:
            raise UnsafeError(f"tensor {name!a:.60} has no place")
        yield name, shape, dtype, (place[0], place[1])


def _whole(name: str, values: object) -> tuple[int, ...]:
    if not isinstance(values, Iterable) or not all(type(v) is int and v >= 0 for v in values):
        raise UnsafeError(f"tensor {name!a:.60} has shape or place {values!a:.60}")
    return tuple(values)


def _tensor(stored: _Stored, start: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Param:
    row = prod(shape[1:]) * dtype.itemsize

    def rows(first: int, last: int) -> npt.NDArray[Any]:
        raw = stored.read(start + first * row, (last - first) * row)
        return raw.view(dtype.newbyteorder("<")).reshape(last - first, *shape[1:])

    if prod(shape) * dtype.itemsize >= LARGE and shape:
        return Param.made(shape, dtype, rows)
    return Param.taking(stored.read(start, prod(shape) * dtype.itemsize).view(dtype).reshape(shape))
