"""Look at an HDF5 file before any of its data is read. Nothing outside the file is opened.

Links that lead elsewhere, external and virtual storage, objects that are reached twice, depth,
number of objects, element types and the number of bytes are refused here, so that a reader may
take what it needs.
"""

from __future__ import annotations

from typing import Any

from snnc.diagnostics import Loc, fail

MAX_DEPTH = 40
MAX_OBJECTS = 200_000
MAX_ELEMENTS = 1 << 27
MAX_NAME = 500
#: Bytes of data that any file may hold, and how much more for every byte of the file.
FREE_BYTES, RATIO = 64 << 20, 100


class Walk:
    """Look at every object of the file without reading any data.

    Args:
        h5py: The module.
        size: Bytes of the file.
        texts: Names of datasets that may hold text.
        again: How to write such a file properly, for messages.
    """

    def __init__(self, h5py: Any, size: int, texts: frozenset[str], again: str) -> None:
        self.h5py, self.texts, self.again = h5py, texts, again
        self.seen: set[Any] = set()
        self.objects = self.elements = self.bytes = 0
        self.allowed = FREE_BYTES + RATIO * size

    def group(self, group: Any, path: str, depth: int) -> None:
        """Look at a group and all that is in it."""
        if depth > MAX_DEPTH:
            raise fail("E143", f"groups are nested more than {MAX_DEPTH} deep", at(path))
        self._once(group, path)
        for name in group:
            self.objects += 1
            if self.objects > MAX_OBJECTS:
                raise fail("E143", f"the file holds more than {MAX_OBJECTS} objects")
            check_name(name, path)
            here = f"{path}/{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, self.h5py.HardLink):
                kind = type(link).__name__
                text = f"{here} is a link to another place ({kind})"
                raise fail("E140", text, at(here), help=self.again)
            value = group[name]
            if isinstance(value, self.h5py.Group):
                self.group(value, here, depth + 1)
            elif isinstance(value, self.h5py.Dataset):
                self._dataset(value, name, here)
            else:
                raise fail("E144", f"{here} is neither a group nor data", at(here))

    def _once(self, value: Any, path: str) -> None:
        info = self.h5py.h5o.get_info(value.id)
        key = (info.fileno, info.addr)
        if key in self.seen:
            raise fail("E142", f"{path} is reached a second time by a link", at(path))
        self.seen.add(key)

    def _dataset(self, value: Any, name: str, path: str) -> None:
        if value.external or value.is_virtual:
            text = f"{path} keeps its data in another file"
            raise fail("E140", text, at(path), help=self.again)
        self._once(value, path)
        words = self.h5py.check_string_dtype(value.dtype) is not None
        if value.shape is None or not (words or value.dtype.kind in "fiub"):
            raise fail("E144", f"{path} holds {value.dtype}, not numbers", at(path))
        if words and name not in self.texts and "/metadata/" not in path:
            raise fail("E144", f"{path} holds text, not numbers", at(path))
        self.elements += int(value.size)
        self.bytes += int(value.size) * max(int(value.dtype.itemsize), 1)
        if self.elements > MAX_ELEMENTS or self.bytes > self.allowed:
            shape = "x".join(map(str, value.shape))
            note = f"with it the file claims {self.bytes:,} bytes of data"
            raise fail("E141", f"{path} of shape {shape} is too large", at(path), note)


def at(path: str) -> Loc:
    """A place in the file, for messages."""
    return Loc(path[:MAX_NAME] or "/")


def check_name(name: object, path: str) -> None:
    """Raise CompileError E145 unless a name can be printed."""
    good = isinstance(name, str) and name.isprintable() and len(name) <= MAX_NAME
    if not good or any(0xD800 <= ord(c) <= 0xDFFF for c in str(name)):
        text = f"a name in {path or '/'} is not plain text: {ascii(name)[:80]}"
        raise fail("E145", text, help="rename the layer and export the model again")
