"""Zip archives, JSON and safetensors headers from files that nobody vouches for.

The standard readers are lenient: of two members with one name the last one counts, a deflated
member grows a thousandfold, JSON keys may repeat.  What a program sees would then depend on the
reader, and a small file could ask for all memory.  Nothing here is lenient, nothing is extracted,
and no size is believed that the file itself cannot hold.
"""

from __future__ import annotations

import json
import re
import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy.typing as npt
import safetensors
import safetensors.numpy

#: Largest document of JSON that is parsed: it takes about ten times as much memory.
JSON_LIMIT = 256 << 20

#: Largest header of a safetensors file; a tensor takes about 100 bytes.
HEADER_LIMIT = 64 << 20

#: Bytes that are read at once of what is only checked.
_PIECE = 1 << 20

_MEMBER = re.compile(r"[^\x00-\x1f\x7f\\:]{1,1000}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_FLAG_ENCRYPTED = 0x1


#: What ``zipfile`` raises for damaged archives, and for kinds of them that it does not know.
_UNREADABLE = (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError)


class UnsafeError(ValueError):
    """The file is damaged, or made to harm its reader; the message says how."""


def zip_names(file: Path | BinaryIO) -> list[str]:
    """Names of all members of a zip archive, whatever they are: to recognise its kind.

    Raises:
        UnsafeError: It is no such archive.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except _UNREADABLE as e:
        raise UnsafeError(str(e)) from e


class Archive:
    """A zip archive of stored members, checked before anything in it is read.

    Raises UnsafeError unless every name is unique and plain, every member stored as it is, and
    no two members share bytes.  Reading a member checks its CRC-32.
    """

    def __init__(self, file: Path | BinaryIO, members: int = 100_000) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
        except _UNREADABLE as e:
            raise UnsafeError(str(e)) from e
        try:
            self.sizes = self._check(members)
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def read(self, name: str, limit: int | None = None) -> bytes:
        """Bytes of a member, checked against its CRC-32; UnsafeError if it has more than limit."""
        if limit is not None and self.sizes[name] > limit:
            raise UnsafeError(f"member {name!a:.80} has {self.sizes[name]} bytes")
        try:
            return self._zip.read(name)
        except (zipfile.BadZipFile, EOFError, ValueError, OSError, RuntimeError) as e:
            raise UnsafeError(str(e)) from e
        except (struct.error, OverflowError) as e:
            raise UnsafeError(f"member {name!a:.80} has a damaged header") from e

    def place(self, name: str) -> tuple[int, int]:
        """Where a member lies in the file and its size; its bytes are checked, but not kept."""
        try:
            with self._zip.open(name) as member:
                while member.read(_PIECE):
                    pass
        except (zipfile.BadZipFile, EOFError, ValueError, OSError, RuntimeError) as e:
            raise UnsafeError(str(e)) from e
        except (struct.error, OverflowError) as e:
            raise UnsafeError(f"member {name!a:.80} has a damaged header") from e
        return self._starts[name], self.sizes[name]

    def _check(self, members: int) -> dict[str, int]:
        """Sizes of the members, by name."""
        entries = self._zip.infolist()
        if len(entries) > members:
            raise UnsafeError(f"it has {len(entries)} members")
        sizes: dict[str, int] = {}
        for entry in entries:
            if (reason := _unsafe(entry)) is not None:
                raise UnsafeError(f"member {entry.filename!a:.80} {reason}")
            if entry.filename in sizes:
                raise UnsafeError(f"member {entry.filename!a:.80} is there twice")
            sizes[entry.filename] = entry.file_size
        self._check_overlap(entries)
        return sizes

    def _check_overlap(self, entries: list[zipfile.ZipInfo]) -> None:
        file = self._zip.fp
        assert file is not None, "the archive is open"
        end = self._zip.start_dir
        self._starts: dict[str, int] = {}
        for entry in sorted(entries, key=lambda m: m.header_offset, reverse=True):
            file.seek(entry.header_offset)
            header = file.read(30)
            if len(header) < 30 or header[:4] != b"PK\x03\x04":
                raise UnsafeError(f"member {entry.filename!a:.80} has no header")
            name, extra = struct.unpack("<HH", header[26:30])
            self._starts[entry.filename] = start = entry.header_offset + 30 + name + extra
            if start + entry.compress_size > end:
                raise UnsafeError(f"member {entry.filename!a:.80} overlaps another one")
            end = entry.header_offset


def _unsafe(entry: zipfile.ZipInfo) -> str | None:
    """Why a member is refused, or None."""
    if entry.flag_bits & _FLAG_ENCRYPTED:
        return "is encrypted"
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        return "is compressed"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a link"
    parts = entry.filename.split("/")
    if not _MEMBER.fullmatch(entry.filename) or not {"", ".", ".."}.isdisjoint(parts):
        return "has an unsafe name"
    return None


def parse_json(text: bytes | str, limit: int = JSON_LIMIT) -> Any:
    """Parse JSON strictly: no repeated keys, no NaN, no depth that exhausts the stack.

    >>> parse_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    snnc.untrusted.UnsafeError: key 'a' is there twice

    Raises:
        UnsafeError: The text is not such a document.
    """
    if len(text) > limit:
        raise UnsafeError(f"a document of {len(text)} bytes")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
        if _SURROGATE.search(text if isinstance(text, bytes) else text.encode()):
            _check_text(value)
    except RecursionError as e:
        raise UnsafeError("nested too deeply") from e
    except UnsafeError:
        raise
    except ValueError as e:
        raise UnsafeError(str(e)) from e
    return value


def _check_text(value: Any) -> None:
    """Raise UnicodeEncodeError for half a pair of surrogates, which no file can hold."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict):
        _check_text([*value, *value.values()])
    elif isinstance(value, list):
        for v in value:
            _check_text(v)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise UnsafeError(f"key {key!a:.60} is there twice")
        found[key] = value
    return found


def _constant(text: str) -> None:
    raise UnsafeError(f"{text} is no number of JSON")


def is_safetensors(head: bytes, size: int) -> bool:
    """Whether a file of ``size`` bytes that starts with ``head`` looks like safetensors."""
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8


def check_safetensors(head: bytes, size: int) -> Mapping[str, Any]:
    """Header of a safetensors file whose first bytes are ``head``, of ``size`` bytes in all.

    The library checks ranges and shapes, but takes the last of two tensors with one name.

    Raises:
        UnsafeError: Header too long or damaged, or a name that is there twice.
    """
    if len(head) < 8:
        raise UnsafeError("shorter than its header")
    (length,) = struct.unpack("<Q", head[:8])
    if length > min(size - 8, HEADER_LIMIT) or length > len(head) - 8:
        raise UnsafeError(f"it claims a header of {length} bytes")
    header = parse_json(head[8 : 8 + length])
    if not isinstance(header, dict):
        raise UnsafeError("its header is no object")
    return header


def parse_safetensors(blob: bytes) -> dict[str, npt.NDArray[Any]]:
    """Arrays of a safetensors file.

    Raises:
        UnsafeError: The file is damaged, or has a type that NumPy lacks.
    """
    check_safetensors(blob, len(blob))
    try:
        return safetensors.numpy.load(blob)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as e:
        raise UnsafeError(f"{type(e).__name__}: {e}") from e
