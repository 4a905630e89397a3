"""Graphs as data: JSON for the structure, safetensors for the arrays, nothing that runs.

One graph is two byte strings, ``graph.json`` and ``tensors.safetensors``.  Equal graphs give
equal bytes.  Reading checks everything: unknown operators, fields, types, tensors and malformed
structure are E120 errors, never executed and never guessed.
"""

from __future__ import annotations

import json
import types as pytypes
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from snnc.content import Streamed
from snnc.delay_ops import LONGEST_DELAY
from snnc.diagnostics import CompileError, Loc, fail
from snnc.graph import Edge, Graph
from snnc.intops import INTOPS
from snnc.kernel import Const, Kernel, Line, State
from snnc.ops import OPS, Op
from snnc.params import Param
from snnc.tensor_file import written
from snnc.types import Clock, Float, Int, TensorType
from snnc.untrusted import UnsafeError, parse_json, parse_safetensors

FORMAT = "snnc.graph/1"

#: Elements of the largest value: a small file must not ask for all memory.
_LARGEST = 1 << 28
#: Loops over time in one network.
_MOST_LOOPS = 1000

_OPERATORS: dict[str, type[Op]] = {**OPS, **INTOPS}
_RECORDS = (Const, Kernel, Line, State, TensorType, Float, Int)


def dump_graph(graph: Graph) -> tuple[bytes, bytes]:
    """Return (JSON, safetensors) of the graph."""
    text, tensors = stored_graph(graph)
    return text, b"".join(tensors)


def stored_graph(graph: Graph) -> tuple[bytes, Streamed]:
    """The same with tensors that are made while they are written."""
    tensors: dict[str, Param] = {}
    keys: dict[Param, str] = {}

    def encode(value: Any) -> Any:
        if isinstance(value, Param):
            if value not in keys:
                keys[value] = f"t{len(keys):05d}"
                tensors[keys[value]] = value if value.shape else Param(value.data.reshape(1))
            return {"tensor": keys[value], "shape": list(value.shape)}
        if isinstance(value, Clock):
            return str(value)
        if isinstance(value, Float | Int):
            return {"kind": type(value).__name__, **record(value)}
        if is_dataclass(value):
            return record(value)
        if isinstance(value, tuple):
            return [encode(v) for v in value]
        return value

    def record(value: Any) -> dict[str, Any]:
        return {f.name: encode(getattr(value, f.name)) for f in fields(value)}

    nodes = [
        {
            "name": n.name,
            "op": type(n.op).__name__,
            "attributes": record(n.op),
            "types": encode(n.types),
            "loc": {"path": n.loc.path, "file": n.loc.file, "line": n.loc.line},
            "inputs": [
                {"src": e.src, "out": e.out, "delay": e.delay, "init": encode(e.init)}
                for e in graph.in_edges(n.name)
            ],
        }
        for n in graph
    ]
    document = {
        "format": FORMAT,
        "name": graph.name,
        "steps": graph.steps,
        "max_steps": graph.max_steps,
        **({"later_steps": list(graph.later_steps)} if graph.later_steps else {}),
        "nodes": nodes,
    }
    text = json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False)
    return text.encode(), written(tensors)


def load_graph(text: bytes, blob: bytes | Mapping[str, Param]) -> Graph:
    """Read what ``dump_graph`` wrote; raises CompileError E120 for anything else.

    ``blob`` may be tensors that are read already.
    """
    try:
        if isinstance(blob, bytes):
            blob = {name: Param.taking(a) for name, a in parse_safetensors(blob).items()}
        graph = _build(parse_json(text), blob)
        graph.verify()
    except CompileError:
        raise
    except UnsafeError as e:
        raise fail("E120", f"damaged graph: {e}") from e
    except Exception as e:  # any malformed structure: the file is data, its faults are the user's
        raise fail("E120", f"damaged graph: {type(e).__name__}: {e}") from e
    return graph


def _build(document: dict[str, Any], tensors: Mapping[str, Param]) -> Graph:
    if document["format"] != FORMAT:
        raise ValueError(f"format is {document['format']!r}, this snnc reads {FORMAT!r}")
    decoder = _Decoder(tensors)
    steps, max_steps = (_typed(document[k], int) for k in ("steps", "max_steps"))
    if steps < 1 or max_steps < 0:
        raise ValueError(f"steps {steps}, max_steps {max_steps}")
    later = tuple(_typed(n, int) for n in _typed(document.get("later_steps", []), list))
    if len(later) > _MOST_LOOPS or min(later, default=0) < 0:
        raise ValueError(f"later_steps {later!r:.60}")
    graph = Graph(_typed(document["name"], str), steps, max_steps, later)
    for entry in document["nodes"]:
        if entry["op"] not in _OPERATORS:
            raise ValueError(f"unknown operator {entry['op']!r}")
        op = decoder.record(entry["attributes"], _OPERATORS[entry["op"]])
        types = tuple(decoder.record(t, TensorType) for t in entry["types"])
        if not types:
            raise ValueError(f"{entry['name']!a:.80} has no type")
        if any(t.size > _LARGEST for t in types):
            raise ValueError(f"{entry['name']!a:.80} has more than {_LARGEST} elements")
        loc = Loc(
            _typed(entry["loc"]["path"], str),
            decoder.decode(entry["loc"]["file"], str | None),
            decoder.decode(entry["loc"]["line"], int | None),
        )
        graph.declare(_typed(entry["name"], str), op, types, loc)
    for entry in document["nodes"]:
        for port, e in enumerate(entry["inputs"]):
            if e["src"] not in graph:
                raise ValueError(f"{entry['name']} reads unknown node {e['src']!r}")
            init = None if e["init"] is None else decoder.param(e["init"])
            out, delay = _typed(e["out"], int), _typed(e["delay"], int)
            if not 0 <= delay <= LONGEST_DELAY or not 0 <= out < len(graph[e["src"]].types):
                raise ValueError(f"{entry['name']}: bad edge from {e['src']}")
            graph.connect(Edge(e["src"], entry["name"], port, out, delay, init))
    if len(later) >= graph.phases:
        raise ValueError(f"{len(later)} later loops have steps, the graph has {graph.phases - 1}")
    return graph


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ValueError(f"expected {kind.__name__}, got {value!r:.60}")
    return value


class _Decoder:
    """Turns JSON back into the frozen records, checking every field's type."""

    def __init__(self, tensors: Mapping[str, Param]) -> None:
        self._tensors = tensors

    def param(self, value: Any) -> Param:
        found, shape = self._tensors[value["tensor"]], tuple(_typed(n, int) for n in value["shape"])
        return found if found.shape == shape else Param(found.data.reshape(shape))

    def record(self, value: Any, kind: type) -> Any:
        hints = typing.get_type_hints(kind)
        known = {f.name: f for f in fields(kind)}
        if unknown := set(value) - set(known):
            raise ValueError(f"{kind.__name__} has no field {sorted(unknown)[0]!r}")
        for name in known:
            if name not in value:
                raise ValueError(f"{kind.__name__} misses field {name!r}")
        return kind(**{k: self.decode(v, hints[k]) for k, v in value.items()})

    def decode(self, value: Any, hint: Any) -> Any:
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, pytypes.UnionType):
            if value is None and type(None) in args:
                return None
            if Float in args and Int in args:
                rest = {k: v for k, v in value.items() if k != "kind"}
                return self.record(rest, {"Float": Float, "Int": Int}[value["kind"]])
            (hint,) = (a for a in args if a is not type(None))
            return self.decode(value, hint)
        if origin is tuple:
            _typed(value, list)
            kinds = [args[0]] * len(value) if args[1:] == (...,) else list(args)
            return tuple(self.decode(v, k) for v, k in zip(value, kinds, strict=True))
        if hint is Param:
            return self.param(value)
        if hint is Clock:
            return Clock(value)
        if hint in _RECORDS:
            return self.record(value, hint)
        return _typed(value, hint)
