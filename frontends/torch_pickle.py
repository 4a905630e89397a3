"""Tensors of ``torch.save`` without torch and without running anything.

A pickle is a program that builds objects by calling what it names.  Here a name stands for one of
a few functions of this file that make arrays, or for nothing: any other one ends the reading.
Read are the zip archives of torch 1.6 and later, and the stream of pickles before.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.container import pickled_names
from snnc.untrusted import Archive, UnsafeError

Array = npt.NDArray[Any]

_TYPES = {
    "Double": "<f8", "Float": "<f4", "Half": "<f2", "BFloat16": "bfloat16",
    "Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "|i1", "Byte": "|u1", "Bool": "|b1",
}  # fmt: skip
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
#: Elements of the largest tensor; expanded tensors are larger than their storage.
_LARGEST = 1 << 28


class ForeignError(ValueError):
    """A pickle that names more than tensors; ``names`` are those it may not."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


@dataclass(frozen=True, slots=True)
class Unreadable:
    """In place of a tensor that is no dense array of numbers; ``kind`` says what it is."""

    kind: str


class _Nothing:
    """In place of settings that are no weights: types, devices, numbers of NumPy."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Kind:
    """A class of storages, by the type of its numbers."""

    dtype: str


@dataclass
class Storage:
    """Numbers that tensors view; those of the old format arrive after the tensors."""

    kind: str
    count: int
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class TensorView:
    """Elements of a storage, before its numbers are read."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self) -> Array:
        """The elements."""
        if self.storage.data is None:
            raise UnsafeError("a tensor without data")
        return strided(self.storage.data, self.storage.kind, self.offset, self.size, self.stride)


def strided(
    data: bytes, dtype: str, offset: int, size: Sequence[int], stride: Sequence[int]
) -> Array:
    """A tensor that views numbers; bfloat16 becomes float32, which holds it.

    Raises:
        UnsafeError: It is larger than its data, or impossible.
    """
    raw = np.frombuffer(data, "<u2" if dtype == "bfloat16" else dtype)
    if dtype == "bfloat16":
        raw = (raw.astype("<u4") << 16).view("<f4")
    numbers = (offset, *size, *stride)
    if any(type(n) is not int or n < 0 for n in numbers) or len(size) != len(stride):
        raise UnsafeError("a tensor with impossible sizes")
    count, last = 1, offset
    for n, step in zip(size, stride, strict=True):
        count *= n
        last += (n - 1) * step
    if count > _LARGEST:
        raise UnsafeError(f"a tensor of {count} elements")
    if count and last >= len(raw):
        raise UnsafeError("a tensor that is larger than its data")
    if not count:
        return np.zeros(tuple(size), raw.dtype)
    steps = [s * raw.itemsize for s in stride]
    view = np.lib.stride_tricks.as_strided(raw[offset:], tuple(size), steps)
    return np.ascontiguousarray(view).reshape(tuple(size))


def _dense(
    storage: Any, offset: Any, size: Any, stride: Any, *_: object
) -> TensorView | Unreadable:
    if not isinstance(storage, Storage):
        return Unreadable("tensor of an unknown type")
    return TensorView(storage, offset, tuple(size), tuple(stride))


def _same(data: Any, *_: object) -> Any:
    return data


def _unreadable(kind: str) -> Callable[..., Unreadable]:
    return lambda *_, **__: Unreadable(kind)


_DTYPES = (
    "float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8",
    "bool", "complex64", "complex128", "half", "float", "double", "long", "int", "short",
)  # fmt: skip
#: What a name in a file of weights stands for.
NAMES: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor": _dense,
    "torch._utils._rebuild_tensor_v2": _dense,
    "torch._utils._rebuild_tensor_v3": _unreadable("tensor of an unusual type"),
    "torch._utils._rebuild_parameter": _same,
    "torch._utils._rebuild_sparse_tensor": _unreadable("sparse tensor"),
    "torch._utils._rebuild_qtensor": _unreadable("quantized tensor"),
    "torch._utils._rebuild_device_tensor_from_numpy": _unreadable("tensor of another device"),
    "torch._tensor._rebuild_from_type_v2": _unreadable("tensor of a class of its own"),
    **dict.fromkeys(
        (
            *("torch.Size", "torch.device", "torch.serialization._get_layout", "_codecs.encode"),
            *("numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"),
            *(f"torch.{name}" for name in _DTYPES),
        ),
        _Nothing,
    ),
    **{f"torch.{name}Storage": _Kind(kind) for name, kind in _TYPES.items()},
    **{
        f"torch.{name}Storage": Unreadable("complex or quantized tensor")
        for name in ("ComplexFloat", "ComplexDouble", "QInt8", "QUInt8", "QInt32")
    },
    "torch.storage.UntypedStorage": Unreadable("tensor without a type"),
}


class TensorUnpickler(pickle.Unpickler):
    """Builds containers, numbers, texts and the tensors of this file, and nothing else."""

    def __init__(self, file: io.BytesIO, load: Callable[[str, Storage], None]) -> None:
        super().__init__(file, encoding="utf-8")
        self._load = load
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full not in NAMES:
            raise ForeignError([full])
        return NAMES[full]

    def persistent_load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise UnsafeError("an unknown kind of reference")
        kind, key, count = pid[1], str(pid[2]), pid[4]
        if not isinstance(kind, _Kind):
            return kind
        if key not in self.storages:
            self.storages[key] = Storage(kind.dtype, int(count))
            self._load(key, self.storages[key])
        return self.storages[key]


def load_tensors(data: bytes) -> Any:
    """What ``torch.save`` wrote: dicts and lists with arrays, or ``Unreadable``, for tensors.

    Raises:
        ForeignError: It names more than tensors.
        UnsafeError: It is damaged.
    """
    return unpickled(data, TensorUnpickler, lambda value: _resolved(value, 0))


def unpickled(data: bytes, reader: type[TensorUnpickler], finish: Callable[[Any], Any]) -> Any:
    """What a reader makes of the main pickle of a file of ``torch.save``, after ``finish``.

    Raises:
        ForeignError: It names what the reader does not know.
        UnsafeError: It is damaged.
    """
    try:
        return finish(_zip(data, reader) if data.startswith(b"PK") else _stream(data, reader))
    except (ForeignError, UnsafeError, MemoryError):
        raise
    except Exception as e:  # a damaged pickle fails anywhere
        raise UnsafeError(f"{type(e).__name__}: {e}"[:200]) from e


def _zip(data: bytes, reader: type[TensorUnpickler]) -> Any:
    with Archive(io.BytesIO(data)) as archive:
        pickles = [n for n in archive.sizes if n.endswith("data.pkl")]
        if len(pickles) != 1:
            raise UnsafeError(f"it holds {len(pickles)} pickles")
        root = pickles[0].removesuffix("data.pkl")
        order = f"{root}byteorder"
        if order in archive.sizes and archive.read(order, 16) != b"little":
            raise UnsafeError("its numbers are big-endian, which is not supported")

        def load(key: str, storage: Storage) -> None:
            name = f"{root}data/{key}"
            if name not in archive.sizes:
                raise UnsafeError(f"tensor data {key!a:.40} are missing")
            storage.data = archive.read(name)

        text = archive.read(pickles[0])
        return _unpickled(io.BytesIO(text), text, load, reader)[0]


def _unpickled(
    file: io.BytesIO,
    text: bytes,
    load: Callable[[str, Storage], None],
    reader: type[TensorUnpickler] = TensorUnpickler,
) -> tuple[Any, dict[str, Storage]]:
    unpickler = reader(file, load)
    try:
        return unpickler.load(), unpickler.storages
    except ForeignError as e:
        raise ForeignError([n for n in pickled_names(text) if n not in NAMES] or e.names) from e


def _stream(data: bytes, reader: type[TensorUnpickler]) -> Any:
    """The format of torch before 1.6: pickles, then the numbers of every storage."""
    file = io.BytesIO(data)

    def later(key: str, storage: Storage) -> None:
        """The numbers follow."""

    magic, _ = _unpickled(file, data, later)
    if magic != _LEGACY_MAGIC:
        raise UnsafeError("it is no file of torch")
    for _ in ("protocol", "system"):
        _unpickled(file, data, later)
    state, storages = _unpickled(file, data, later, reader)
    keys, _ = _unpickled(file, data, later)
    for key in keys:
        storage = storages[str(key)]
        (count,) = struct.unpack("<q", file.read(8))
        width = 2 if storage.kind == "bfloat16" else np.dtype(storage.kind).itemsize
        if count < 0 or count * width > len(data) - file.tell():
            raise UnsafeError("tensor data are missing")
        storage.data = file.read(count * width)
    return state


def _resolved(value: Any, depth: int) -> Any:
    """Arrays in place of the tensors, in containers of no great depth."""
    if depth > 20:
        raise UnsafeError("nested too deeply")
    if isinstance(value, TensorView):
        return value.array()
    if isinstance(value, dict):
        return {k: _resolved(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(v, depth + 1) for v in value]
    return value
