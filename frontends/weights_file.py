"""Read weights for a module of the user's own code: state_dicts of torch, and safetensors.

The file is read in a child process (``isolated.py``) that needs no torch and runs nothing of the
file; all of it is checked first against its CRC, which torch does not do.  The weights come back
as data: a graph with one constant for each.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from snnc.container import LoadedModel
from snnc.diagnostics import Loc, fail
from snnc.frontends.isolated import read_isolated
from snnc.frontends.torch_pickle import ForeignError, Unreadable, load_tensors
from snnc.graph import Graph
from snnc.ops import Constant, Output
from snnc.params import Param
from snnc.untrusted import UnsafeError, check_safetensors, is_safetensors, zip_names

#: Types of numbers in a safetensors file; bfloat16 is the upper half of a float32.
_SAFETENSORS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip

#: Under these keys checkpoints keep the weights; the first that fits is taken.
_USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "module")
#: What wrappers put in front of every name.
_WRAPPERS = ("module.", "_orig_mod.", "model.", "net.")
#: How deep weights may lie in a checkpoint.
_DEPTH = 3


def read_weights(path: Path, expected: list[str]) -> dict[str, Param]:
    """Weights by name, in the precision of the file (bfloat16 as float32, which holds it).

    Args:
        path: Written by ``torch.save`` or by safetensors.
        expected: Names that the module has, by which a checkpoint's parts are told apart.

    Raises:
        CompileError: E101, E103 damaged, E110 more than weights, E113 no weights or several,
            E147 the reader did not survive.
    """
    if not path.is_file():
        raise fail("E101", f"there is no file {path}", help="check the path of the weights")
    reader = "snnc.frontends.weights_file:read_bytes"
    model = read_isolated(reader, path, {"expected": expected})
    constants = ((n.loc.path, n.op) for n in model.graph)
    return {name: op.value for name, op in constants if isinstance(op, Constant)}


def read_bytes(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    """Read weights from bytes, in this process: for the child, and for tests."""
    state = _state(data, name)
    chosen = _choose(dict(_candidates(state)), list(options["expected"]), name)
    graph = Graph("weights", 1)
    for i, (key, tensor) in enumerate(sorted(chosen.items())):
        node = graph.add(f"w{i}", Constant(Param(_array(key, tensor))), loc=Loc(key))
        graph.add(f"out{i}", Output(), node.name)
    return LoadedModel(graph, {})


def _state(data: bytes, name: str) -> Any:
    """What the file holds: arrays in dicts and lists."""
    hint = "save the weights alone: torch.save(module.state_dict(), path)"
    try:
        if is_safetensors(data, len(data)):
            return _safetensors(data)
        if data.startswith(b"PK") and any("/code/" in n for n in zip_names(io.BytesIO(data))):
            raise fail("E110", f"{name} is a TorchScript program", help=hint)
        if data[:1] not in (b"P", b"\x80"):
            raise fail("E103", f"{name} is no file of weights", help=hint)
        return load_tensors(data)
    except ForeignError as e:
        note = f"it refers to {', '.join(e.names[:12])}"
        raise fail("E110", f"{name} holds more than weights", None, note, help=hint) from e
    except UnsafeError as e:
        hint = "copy the file again, or save the weights again"
        raise fail("E103", f"cannot read weights from {name}: {e}", help=hint) from e


def _safetensors(data: bytes) -> dict[str, Any]:
    check_safetensors(data, len(data))
    try:
        entries = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as e:
        raise UnsafeError(str(e)) from e
    found: dict[str, Any] = {}
    for key, entry in entries:
        dtype = _SAFETENSORS.get(entry["dtype"])
        if dtype is None:
            found[key] = Unreadable(f"tensor of type {entry['dtype']}")
            continue
        raw = np.frombuffer(entry["data"], dtype)
        if entry["dtype"] == "BF16":
            raw = (raw.astype("<u4") << 16).view("<f4")
        found[key] = raw.reshape(entry["shape"])
    return found


def _candidates(state: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """(dotted place, its tensors) of every part of a checkpoint that holds tensors by name."""
    if not isinstance(state, Mapping) or depth > _DEPTH:
        return
    items = [(k, v) for k, v in state.items() if isinstance(k, str)]
    tensors = {k: v for k, v in items if isinstance(v, np.ndarray | Unreadable)}
    if tensors:
        yield path, tensors
    for key, value in items:
        yield from _candidates(value, f"{path}.{key}" if path else key, depth + 1)


def _choose(
    candidates: dict[str, dict[str, Any]], expected: list[str], name: str
) -> dict[str, Any]:
    """The part of a checkpoint that holds the module's weights."""
    parts = {place: _unwrapped(tensors, expected) for place, tensors in candidates.items()}
    fitting = [p for p, tensors in parts.items() if set(expected) <= set(tensors)]
    usual = [p for p in ("", *_USUAL) if p in fitting]
    if usual or len(fitting) == 1:
        return parts[(usual or fitting)[0]]
    if len(parts) == 1 and not fitting:
        return next(iter(parts.values()))  # what is missing is named when it is loaded
    if not parts:
        hint = "save the weights: torch.save(module.state_dict(), path)"
        raise fail("E113", f"{name} holds no tensors by name", help=hint)
    what = "several parts fit" if fitting else "no part fits"
    notes = [
        f"{p or 'the file itself'}: {len(set(expected) & set(parts[p]))} of {len(expected)} "
        f"names of the module, {len(parts[p])} tensors"
        for p in (fitting or parts)
    ]
    hint = "save one part alone: torch.save(checkpoint[KEY], path)"
    text = f"{name} is a checkpoint of which {what} the module"
    raise fail("E113", text, None, *notes[:12], help=hint)


def _unwrapped(tensors: dict[str, Any], expected: list[str]) -> dict[str, Any]:
    """Without the prefix that a wrapper such as DataParallel put in front of every name."""
    for prefix in _WRAPPERS:
        short = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        if len(short) == len(tensors) and set(expected) <= set(short):
            return short
    return tensors


def _array(key: str, tensor: Any) -> Any:
    if isinstance(tensor, Unreadable):
        text = f"{key!a:.80} is a {tensor.kind}"
        raise fail("E113", text, help="save dense tensors of real numbers")
    return tensor
