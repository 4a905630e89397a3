"""Read a NIR file (HDF5) into plain records. Nothing outside the file is opened.

The whole file is walked before any data is read (``hdf5_walk``).  Only then are the parameters of
known fields read and checked to be finite.

Reference: NIR 1.0, https://neuroir.org; layout of files: ``/version``, ``/node/type``,
``/node/nodes/<name>/…``, ``/node/edges``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.diagnostics import CompileError, Diagnostic, Loc, fail
from snnc.finite import not_finite
from snnc.frontends.hdf5_file import plain_text, read_walked
from snnc.frontends.hdf5_walk import at

Array = npt.NDArray[Any]

#: Datasets that hold text; all others hold numbers.
_TEXT = frozenset({"type", "version", "edges", "padding"})
#: In the metadata of the graph: what snnc wrote about reading its own files.
OPTIONS = "snnc"
_AGAIN = "write the file again with nir.write, which stores the data itself"


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

    def read(h5py: Any, file: Any) -> tuple[RawNode, str]:
        return _Reader(h5py).root(file, name)

    return read_walked(data, name, _TEXT, _AGAIN, read)


class _Reader:
    """Read the records of a file that has been walked."""

    def __init__(self, h5py: Any) -> None:
        self.h5py = h5py
        self.problems: list[Diagnostic] = []

    def root(self, file: Any, name: str) -> tuple[RawNode, str]:
        if "node" not in file or not isinstance(file["node"], self.h5py.Group):
            text = f"{name} is an HDF5 file, but neither NIR nor a lava-dl network"
            hint = "export the original module with snnc.export(module, example, 'model.pt')"
            raise fail("E111", text, help=hint)
        root = self.node(file["node"], "")
        if root.kind != "NIRGraph":  # nir.write of a single node
            root = RawNode(
                "NIRGraph", "", {}, {root.kind.lower(): replace(root, path=root.kind.lower())}
            )
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
            raise fail("E146", f"{path or 'the graph'} has no nodes or no edges", at(path))
        inner: dict[str, RawNode] = {}
        for name in nodes:
            value = nodes[name]
            if not isinstance(value, self.h5py.Group):
                raise fail("E146", f"{path}/{name} is not a node", at(f"{path}/{name}"))
            inner[name] = self.node(value, f"{path}/{name}" if path else name)
        fields: dict[str, Array | str] = {}
        if not path and isinstance(own := group.get(f"metadata/{OPTIONS}"), self.h5py.Dataset):
            fields[OPTIONS] = self._text(own, "metadata")
        return RawNode("NIRGraph", path, fields, inner, self._edges(edges, path))

    def _edges(self, data: Any, path: str) -> tuple[tuple[str, str], ...]:
        if data.size == 0:
            return ()
        if len(data.shape) != 2 or data.shape[1] != 2 or data.dtype.kind not in "OS":
            raise fail("E146", f"the edges of {path or 'the graph'} are not pairs of names")
        pairs = [tuple(plain_text(x, f"{path}/edges") for x in row) for row in data[()]]
        return tuple((a, b) for a, b in pairs)

    def _text(self, data: Any, path: str) -> str:
        if data.shape != () or data.dtype.kind not in "OS":
            raise fail("E146", f"{path or 'node'}: a name is not one text", at(path))
        return plain_text(data[()], path)

    def _field(self, data: Any, path: str, name: str) -> Array | str:
        if data.dtype.kind in "OS":
            return self._text(data, f"{path}/{name}")
        value = np.asarray(data[()])
        if value.dtype.kind == "f":
            value = value if value.dtype.itemsize in (4, 8) else value.astype(np.float64)
            value = value.astype(value.dtype.newbyteorder("="))
            self.problems += not_finite(value, f"{path}: {name}", Loc(path))
        return value
