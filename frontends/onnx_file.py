"""The graph of an ONNX file as plain data, checked before anything is computed.

The file is parsed by the protobuf classes of the package ``onnx``; of that package nothing else
is used: no checker, no shape inference, no loader of external data.  A graph is a list of calls of
named operators on named tensors in an order in which every name is defined before it is used.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.diagnostics import CompileError, Diagnostic, Loc, error, fail
from snnc.frontends.onnx_names import ATTRIBUTES, OPERATORS, RANDOM
from snnc.frontends.onnx_tensor import ELEMENTS, read_tensor
from snnc.frontends.pt2_program import innermost, user_frames

#: Nodes of the largest graph, those of bodies of loops included.
_LARGEST = 500_000
#: How deep bodies of loops may be nested.
_DEEPEST = 8
#: Before it, axes were attributes where they are tensors now.
OLDEST = 17

_QUOTED = re.compile(r"'([^'\\]{0,300})'")
#: Kinds of attributes, as the format numbers them, and the field with the value.
_FIELDS = {1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 6: "floats", 7: "ints", 8: "strings"}


@dataclass(frozen=True, slots=True)
class OnnxInput:
    """An input: number of its element type, and per axis its extent, or a name, or None."""

    name: str
    element: int
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One call.

    Attributes:
        op: Operator of the domain ``ai.onnx``.
        inputs: Names of values; empty for one that is left out.
        outputs: Names; empty for a result that nobody wants.
        attrs: Numbers, texts, lists of them, arrays, and bodies of loops.
        path: Of the module around it, as far as the exporter says.
        owner: Class of that module.
        frames: (file, line) of the user's code, outermost first.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any]
    path: str
    owner: str
    frames: tuple[tuple[str, int], ...]

    @property
    def loc(self) -> Loc:
        """Where the user wrote it."""
        path = self.path or _plain(next(filter(None, self.outputs), self.op))
        return innermost(path, self.frames)

    def input(self, index: int) -> str:
        """Name of an operand; empty if it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""


@dataclass(frozen=True)
class OnnxGraph:
    """A graph, or the body of a loop, which may use names of the graph around it."""

    inputs: tuple[OnnxInput, ...]
    tensors: Mapping[str, np.ndarray]
    nodes: tuple[OnnxNode, ...]
    outputs: tuple[str, ...]

    def bodies(self) -> Iterator[OnnxGraph]:
        """All graphs inside this one."""
        for node in self.nodes:
            for value in node.attrs.values():
                if isinstance(value, OnnxGraph):
                    yield value
                    yield from value.bodies()


@dataclass(frozen=True)
class OnnxModel:
    """A checked file: its graph, the version of the operators, and who wrote it."""

    graph: OnnxGraph
    opset: int
    producer: str


def parse_onnx(data: bytes, name: str) -> OnnxModel:
    """Read and check a file.

    Raises:
        CompileError: E103 not readable, E134 random numbers, E140 external data, E141 a tensor
            larger than the file, E143 nested too deeply or too many nodes, E145 names, E160 an
            inconsistent graph, E161 another version or domain, E210 every operator that is not
            supported, E642 without the package.
    """
    try:
        proto = importlib.import_module("onnx").ModelProto()
        broken = importlib.import_module("google.protobuf.message").DecodeError
    except ImportError as e:
        hint = "pip install 'snnc[onnx]'"
        text = "reading ONNX files needs the package onnx, which is not installed"
        raise fail("E642", text, help=hint) from e
    again = "copy the file again, or export the model again"
    try:
        proto.ParseFromString(data)
    except (broken, ValueError) as e:
        text = f"{name} is damaged: it is not ONNX, or nested too deeply"
        raise fail("E103", text, help=again) from e
    if not proto.HasField("graph") or not proto.graph.output:
        raise fail("E103", f"{name} is damaged: it has no graph", help=again)
    opset = _opset(proto, name)
    reader = _Reader(name, len(data))
    graph = reader.graph(proto.graph, frozenset(), 0)
    if reader.found:
        raise CompileError(reader.found)
    producer = f"{_word(proto.producer_name)} {_word(proto.producer_version)}".strip()
    return OnnxModel(graph, opset, producer[:100] if producer.isprintable() else "")


def _opset(proto: Any, name: str) -> int:
    """Version of the operators; functions and operators of others are refused."""
    versions = {o.domain: o.version for o in proto.opset_import}
    own = versions.get("", versions.get("ai.onnx", 0))
    used = {d for d in versions if d not in ("", "ai.onnx")}
    if proto.functions or proto.graph.sparse_initializer or proto.training_info:
        what = "functions of its own" if proto.functions else "sparse or training tensors"
        hint = "inline functions and sparse tensors when exporting"
        raise fail("E161", f"{name} has {what}, which snnc does not read", help=hint)
    if not OLDEST <= own <= 1000:
        text = f"{name} uses opset {own} of ONNX, snnc reads {OLDEST} and later"
        note = f"it imports {', '.join(sorted(f'{d!a:.60}' for d in used))}" if used else ""
        hint = f"export it with opset_version={OLDEST} or later"
        raise fail("E161", text, None, *([note] if note else []), help=hint)
    return int(own)


class _Reader:
    """Checks one file; ``found`` are the operators that are not supported."""

    def __init__(self, name: str, size: int) -> None:
        self.name, self.size = name, size
        self.nodes = 0
        self.elements = 0
        self.found: list[Diagnostic] = []
        self.reported: set[str] = set()

    def broken(self, why: str, loc: Loc | None = None) -> CompileError:
        return fail("E160", f"{self.name}: {why}", loc, help="export the model again")

    def graph(self, proto: Any, outer: frozenset[str], depth: int) -> OnnxGraph:
        if depth > _DEEPEST:
            text = f"{self.name}: loops are nested more than {_DEEPEST} deep"
            raise fail("E143", text, help="export the model again")
        tensors: dict[str, np.ndarray] = {}
        known = set(outer)
        for t in proto.initializer:
            self.define(t.name, known)
            tensors[t.name] = self.tensor(t, t.name)
        if proto.sparse_initializer:
            raise fail("E161", f"{self.name} has sparse tensors, which snnc does not read")
        inputs = [self.input(v) for v in proto.input if v.name not in tensors]
        for v in inputs:
            self.define(v.name, known)
        nodes = tuple(self.node(n, known, depth) for n in proto.node)
        outputs = tuple(v.name for v in proto.output)
        for o in outputs:
            if o not in known:
                raise self.broken(f"output {o!a:.80} is never computed")
        return OnnxGraph(tuple(inputs), tensors, nodes, outputs)

    def define(self, name: str | bytes, known: set[str]) -> None:
        # protobuf gives bytes for text that is no UTF-8
        if isinstance(name, bytes) or not 0 < len(name) <= 1000 or not name.isprintable():
            text = f"{self.name}: the name {name!a:.80} is not plain text"
            raise fail("E145", text, help="rename the value and export the model again")
        if name in known:
            raise self.broken(f"{name!a:.80} is defined twice")
        known.add(name)

    def input(self, proto: Any) -> OnnxInput:
        kind = proto.type.tensor_type
        if not proto.type.HasField("tensor_type"):
            if proto.type.WhichOneof("value") is None:  # bodies of loops need not say
                return OnnxInput(proto.name, 0, None)
            raise self.broken(f"input {proto.name!a:.80} is not a tensor")
        if not kind.HasField("shape"):
            return OnnxInput(proto.name, kind.elem_type, None)
        shape: list[int | str | None] = []
        for d in kind.shape.dim:
            if d.HasField("dim_value"):
                if not 0 <= d.dim_value < 1 << 40:
                    raise self.broken(f"input {proto.name!a:.80} has extent {d.dim_value}")
                shape.append(int(d.dim_value))
            else:
                shape.append(_word(d.dim_param) or None)
        if len(shape) > 16:
            raise self.broken(f"input {proto.name!a:.80} has {len(shape)} axes")
        return OnnxInput(proto.name, kind.elem_type, tuple(shape))

    def node(self, proto: Any, known: set[str], depth: int) -> OnnxNode:
        self.nodes += 1
        if self.nodes > _LARGEST:
            text = f"{self.name} has more than {_LARGEST:,} nodes"
            raise fail("E143", text, help="export the model again")
        path, owner, frames = _origin(proto)
        head = OnnxNode(
            _word(proto.op_type), tuple(proto.input), tuple(proto.output), {}, path, owner, frames
        )
        for name in head.inputs:
            if name and name not in known:
                why = f"{head.op!a:.40} reads {name!a:.80}, which is not computed before it"
                raise self.broken(f"{why} (a cycle?)", head.loc)
        supported = self.supported(proto, head)
        attrs = {}
        for a in proto.attribute:
            if a.name not in ATTRIBUTES and supported:
                text = f"attribute {a.name!a:.40} of {head.op} is not supported"
                self.found.append(error("E210", text, head.loc, help="export the model again"))
            if a.name in attrs:
                raise self.broken(f"attribute {a.name!a:.40} is given twice", head.loc)
            attrs[a.name] = self.attribute(a, head, known, depth) if supported else None
        for name in head.outputs:
            if name:
                self.define(name, known)
        return OnnxNode(head.op, head.inputs, head.outputs, attrs, path, owner, frames)

    def supported(self, proto: Any, node: OnnxNode) -> bool:
        foreign = proto.domain not in ("", "ai.onnx")
        key = f"{proto.domain}.{node.op}" if foreign else node.op
        if node.op in OPERATORS and not foreign:
            return True
        if key not in self.reported:
            self.reported.add(key)
            if node.op in RANDOM and not foreign:
                text = f"operator {node.op} draws random numbers"
                hint = "move the random encoder out of the model and export the network behind it"
                self.found.append(error("E134", text, node.loc, help=hint))
            elif foreign:
                text = f"operator {node.op!a:.60} is of the domain {proto.domain!a:.60}"
                hint = "export with standard operators only"
                self.found.append(error("E161", text, node.loc, help=hint))
            else:
                text = f"operator {node.op!a:.60} of ONNX is not supported"
                hint = "write it with operators that `snnc ops` lists"
                self.found.append(error("E210", text, node.loc, help=hint))
        return False

    def attribute(self, proto: Any, node: OnnxNode, known: set[str], depth: int) -> Any:
        field = _FIELDS.get(proto.type)
        expected = ATTRIBUTES.get(proto.name, proto.type)
        if field is None or expected != proto.type or proto.ref_attr_name:
            raise self.broken(f"attribute {proto.name!a:.40} is of kind {proto.type}", node.loc)
        value = getattr(proto, field)
        if field == "g":
            return self.graph(value, frozenset(known), depth + 1)
        if field == "t":
            return self.tensor(value, next(iter(node.outputs), node.op))
        if field in ("floats", "ints"):
            return list(value)
        if field == "strings":
            return [_text(v) for v in value]
        return _text(value) if field == "s" else value

    def tensor(self, proto: Any, name: str) -> np.ndarray:
        """The numbers of a tensor.

        Raises:
            CompileError: E140, E141, E144, E160.
        """
        if proto.data_location == 1 or proto.external_data:
            text = f"{self.name}: tensor {name!a:.80} is kept in another file"
            hint = "export with external_data=False, or onnx.save(…, save_as_external_data=False)"
            raise fail("E140", text, Loc(_plain(name)), help=hint)
        if proto.data_type not in ELEMENTS:
            text = f"{self.name}: tensor {name!a:.80} has element type {proto.data_type}"
            raise fail("E144", text, Loc(_plain(name)), help="use floating-point numbers")
        dims = list(proto.dims)
        count = 1
        for n in dims:
            if n < 0:
                raise self.broken(f"tensor {name!a:.80} has a negative extent")
            count *= n
        self.elements += count
        if len(dims) > 16 or self.elements * ELEMENTS[proto.data_type].itemsize > 8 * self.size:
            text = f"{self.name}: tensor {name!a:.80} claims {count:,} elements"
            hint = "copy the file again, or export the model again"
            raise fail("E141", text, Loc(_plain(name)), help=hint)
        try:
            return read_tensor(proto, count)
        except ValueError as e:
            raise self.broken(f"tensor {name!a:.80} {e}") from e


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace")[:1000]


def _word(value: str | bytes) -> str:
    """A text of the file; protobuf gives bytes for what is no UTF-8."""
    return value if isinstance(value, str) else ascii(value)


def _plain(name: str | bytes) -> str:
    return name if isinstance(name, str) and name.isprintable() else ascii(name)


def _origin(proto: Any) -> tuple[str, str, tuple[tuple[str, int], ...]]:
    """Module path, its class and the user's frames, as the two exporters of torch write them."""
    entries = [(p.key, p.value) for p in proto.metadata_props if len(p.value) < 1 << 16]
    notes = {k: v for k, v in entries if isinstance(v, str)}  # else it is no UTF-8
    scopes = _QUOTED.findall(notes.get("pkg.torch.onnx.name_scopes", ""))
    if len(scopes) >= 2:
        classes = _QUOTED.findall(notes.get("pkg.torch.onnx.class_hierarchy", ""))
        owner = classes[-2] if len(classes) == len(scopes) else ""
        return scopes[-2], owner, user_frames(notes.get("pkg.torch.onnx.stack_trace", ""))
    name = proto.name if isinstance(proto.name, str) else ""
    scope, _, _ = name.rpartition("/")  # "/net/net.0/Gemm" of the older exporter
    parts = [p for p in scope.split("/") if p and p.isprintable()]
    path = ""
    for part in parts:
        path = part if not path or part.startswith(f"{path}.") else f"{path}.{part}"
    return path[:300], "", ()
