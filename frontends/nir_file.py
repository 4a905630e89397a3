"""Read a NIR file (HDF5) into plain records. Nothing outside the file is opened.

The whole file is walked before any data is read: links that lead elsewhere, external and virtual
storage, objects that are reached twice, depth, number of objects, element types and the number of
bytes.  Only then are the parameters of known fields read and checked to be finite.

Reference: NIR 1.0, https://neuroir.org; layout of files: ``/version``, ``/node/type``,
``/node/nodes/<name>/…``, ``/node/edges``.
"""

from __future__ import annotations

import importlib
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.diagnostics import CompileError, Diagnostic, Loc, error, fail

Array = npt.NDArray[Any]

MAX_DEPTH = 40
MAX_OBJECTS = 200_000
MAX_ELEMENTS = 1 << 27
MAX_NAME = 500
#: Bytes of data that any file may hold, and how much more for every byte of the file.
FREE_BYTES, RATIO = 64 << 20, 100

#: Datasets that hold text; all others hold numbers.
_TEXT = frozenset({"type", "version", "edges", "padding"})


@dataclass(frozen=True)
class RawNode:
    """A node as the file has it.

    Attributes:
        kind: Its NIR type, e.g. ``LIF``.
        path: Its place in the file, e.g. ``hidden/lif``.
        fields: Parameters by name: arrays, or text.
        nodes: Of a graph: its nodes by name.
        edges: Of a graph: pairs of names.
    """

    kind: str
    path: str
    fields: dict[str, Array | str] = field(default_factory=dict)
    nodes: dict[str, RawNode] = field(default_factory=dict)
    edges: tuple[tuple[str, str], ...] = ()

    @property
    def loc(self) -> Loc:
        """Where it is, for messages."""
        return Loc(self.path or "node")


def read_file(data: bytes, name: str) -> tuple[RawNode, str]:
    """The root graph and the version of NIR that wrote the file.

    Raises:
        CompileError: E103 damaged, E111 another kind of HDF5 file, E140 data outside the file,
            E141 more data than a file of this size can mean, E142 links in a circle, E143 too
            deep or too many objects, E144 an element type, E145 a name, E146 no NIR graph, E301
            NaN or infinity.
    """
    h5py = importlib.import_module("h5py")
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            _Walk(h5py, len(data)).group(file, "", 0)
            return _Reader(h5py).root(file, name)
    except (CompileError, MemoryError):
        raise
    except RecursionError as e:
        raise fail("E143", f"{name} is nested too deeply") from e
    except Exception as e:  # h5py passes on what libhdf5 finds in damaged files as any of these
        text = f"{name} is damaged: {type(e).__name__}: {e}"
        raise fail("E103", text[:400], help="copy the file again, or export it again") from e


class _Walk:
    """Look at every object of the file without reading any data."""

    def __init__(self, h5py: Any, size: int) -> None:
        self.h5py = h5py
        self.seen: set[Any] = set()
        self.objects = self.elements = self.bytes = 0
        self.allowed = FREE_BYTES + RATIO * size

    def group(self, group: Any, path: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise fail("E143", f"groups are nested more than {MAX_DEPTH} deep", _at(path))
        self._once(group, path)
        for name in group:
            self.objects += 1
            if self.objects > MAX_OBJECTS:
                raise fail("E143", f"the file holds more than {MAX_OBJECTS} objects")
            _check_name(name, path)
            here = f"{path}/{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, self.h5py.HardLink):
                kind = type(link).__name__
                text = f"{here} is a link to another place ({kind})"
                hint = "write the file again with nir.write, which stores the data itself"
                raise fail("E140", text, _at(here), help=hint)
            value = group[name]
            if isinstance(value, self.h5py.Group):
                self.group(value, here, depth + 1)
            elif isinstance(value, self.h5py.Dataset):
                self._dataset(value, name, here)
            else:
                raise fail("E144", f"{here} is neither a group nor data", _at(here))

    def _once(self, value: Any, path: str) -> None:
        info = self.h5py.h5o.get_info(value.id)
        key = (info.fileno, info.addr)
        if key in self.seen:
            raise fail("E142", f"{path} is reached a second time by a link", _at(path))
        self.seen.add(key)

    def _dataset(self, value: Any, name: str, path: str) -> None:
        if value.external or value.is_virtual:
            text = f"{path} keeps its data in another file"
            hint = "write the file again with nir.write, which stores the data itself"
            raise fail("E140", text, _at(path), help=hint)
        self._once(value, path)
        words = self.h5py.check_string_dtype(value.dtype) is not None
        if value.shape is None or not (words or value.dtype.kind in "fiub"):
            raise fail("E144", f"{path} holds {value.dtype}, not numbers", _at(path))
        if words and name not in _TEXT and "/metadata/" not in path:
            raise fail("E144", f"{path} holds text, not numbers", _at(path))
        self.elements += int(value.size)
        self.bytes += int(value.size) * max(int(value.dtype.itemsize), 1)
        if self.elements > MAX_ELEMENTS or self.bytes > self.allowed:
            shape = "x".join(map(str, value.shape))
            note = f"with it the file claims {self.bytes:,} bytes of data"
            raise fail("E141", f"{path} of shape {shape} is too large", _at(path), note)


def _at(path: str) -> Loc:
    return Loc(path[:MAX_NAME] or "/")


def _check_name(name: object, path: str) -> None:
    good = isinstance(name, str) and name.isprintable() and len(name) <= MAX_NAME
    if not good or any(0xD800 <= ord(c) <= 0xDFFF for c in str(name)):
        text = f"a name in {path or '/'} is not plain text: {ascii(name)[:80]}"
        raise fail("E145", text, help="rename the layer and export the model again")


class _Reader:
    """Read the records of a file that has been walked."""

    def __init__(self, h5py: Any) -> None:
        self.h5py = h5py
        self.problems: list[Diagnostic] = []

    def root(self, file: Any, name: str) -> tuple[RawNode, str]:
        if "node" not in file or not isinstance(file["node"], self.h5py.Group):
            kind = "a lava-dl network" if "layer" in file else "an HDF5 file, but not NIR"
            hint = "export the original module with snnc.export(module, example, 'model.pt')"
            raise fail("E111", f"{name} is {kind}, which snnc does not read yet", help=hint)
        root = self.node(file["node"], "")
        if root.kind != "NIRGraph":
            raise fail("E146", f"{name} holds a single {root.kind}, not a graph")
        version = self._text(file["version"], "version") if "version" in file else ""
        if self.problems:
            raise CompileError(self.problems)
        return root, version

    def node(self, group: Any, path: str) -> RawNode:
        if "type" not in group or isinstance(group["type"], self.h5py.Group):
            raise fail("E146", f"{path or 'node'} has no type", Loc(path or "node"))
        kind = self._text(group["type"], path)
        if kind == "NIRGraph":
            return self._graph(group, path)
        fields: dict[str, Array | str] = {}
        for name in sorted(group):
            value = group[name]
            if name != "type" and isinstance(value, self.h5py.Dataset):
                fields[name] = self._field(value, path, name)
        return RawNode(kind, path, fields)

    def _graph(self, group: Any, path: str) -> RawNode:
        nodes, edges = group.get("nodes"), group.get("edges")
        if not isinstance(nodes, self.h5py.Group) or not isinstance(edges, self.h5py.Dataset):
            raise fail("E146", f"{path or 'the graph'} has no nodes or no edges", _at(path))
        inner: dict[str, RawNode] = {}
        for name in nodes:
            value = nodes[name]
            if not isinstance(value, self.h5py.Group):
                raise fail("E146", f"{path}/{name} is not a node", _at(f"{path}/{name}"))
            inner[name] = self.node(value, f"{path}/{name}" if path else name)
        return RawNode("NIRGraph", path, {}, inner, self._edges(edges, path))

    def _edges(self, data: Any, path: str) -> tuple[tuple[str, str], ...]:
        if data.size == 0:
            return ()
        if len(data.shape) != 2 or data.shape[1] != 2 or data.dtype.kind not in "OS":
            raise fail("E146", f"the edges of {path or 'the graph'} are not pairs of names")
        pairs = [tuple(_decoded(x, f"{path}/edges") for x in row) for row in data[()]]
        return tuple((a, b) for a, b in pairs)

    def _text(self, data: Any, path: str) -> str:
        if data.shape != () or data.dtype.kind not in "OS":
            raise fail("E146", f"{path or 'node'}: a name is not one text", _at(path))
        return _decoded(data[()], path)

    def _field(self, data: Any, path: str, name: str) -> Array | str:
        if data.dtype.kind in "OS":
            return self._text(data, f"{path}/{name}")
        value = np.asarray(data[()])
        if value.dtype.kind == "f":
            value = value if value.dtype.itemsize in (4, 8) else value.astype(np.float64)
            value = value.astype(value.dtype.newbyteorder("="))
            bad = np.argwhere(~np.isfinite(value))
            if len(bad):
                index = [int(i) for i in bad[0]]
                text = f"{path}: {name}{index if index else ''} is {value[tuple(index)]}"
                note = f"{len(bad)} of {value.size} values are not finite"
                hint = "training diverged or the file is damaged: train again or restore it"
                self.problems.append(error("E301", text, Loc(path), note, help=hint))
        return value


def _decoded(value: object, path: str) -> str:
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
    _check_name(text, path)
    return text
