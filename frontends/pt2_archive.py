"""The ``.pt2`` archive of ``torch.export.save``: its JSON program and raw tensors, as data.

``torch.export.load`` unpickles tensors, constants and sample inputs of the file, evaluates shape
expressions and loads shared objects in it.  Here only JSON and raw numbers are read: pickled
tensors and compiled code are refused, sample inputs are never opened, and shape expressions are
text that nobody evaluates.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from snnc.diagnostics import fail
from snnc.frontends.torch_pickle import strided
from snnc.untrusted import Archive, UnsafeError, parse_json

#: ``ScalarType`` of the archive → NumPy; bfloat16 is kept as the upper half of a float32.
DTYPES = {
    1: "|u1", 2: "|i1", 3: "<i2", 4: "<i4", 5: "<i8", 6: "<f2", 7: "<f4", 8: "<f8", 12: "|b1",
    13: "bfloat16",
}  # fmt: skip

_AGAIN = "export it again: torch.export.save(torch.export.export(module, example), 'model.pt2')"


@dataclass(frozen=True)
class Pt2:
    """An archive.

    Attributes:
        program: The document of the exported program.
        tensors: Parameters, buffers and constants by name, with their ``ScalarType``.
    """

    program: dict[str, Any]
    tensors: dict[str, tuple[npt.NDArray[Any], int]]


def _is_old(names: list[str]) -> bool:
    return any(n.endswith("serialized_exported_program.json") for n in names)


def read_archive(data: bytes, name: str) -> Pt2:
    """Read the archive from its bytes.

    Raises:
        CompileError: E103 damaged, E110 code in the archive, E111 an archive of an older torch.
    """
    try:
        with Archive(io.BytesIO(data)) as archive:
            _refuse_code(list(archive.sizes), name)
            return _parts(archive, name)
    except (UnsafeError, KeyError, TypeError, ValueError, AttributeError) as e:
        why = str(e) if isinstance(e, UnsafeError) else f"{type(e).__name__}: {e}"
        raise fail("E103", f"{name} is damaged: {why:.200}", help=_AGAIN) from e


def _parts(archive: Archive, name: str) -> Pt2:
    models = [n for n in archive.sizes if "/models/" in n and n.endswith(".json")]
    if len(models) != 1:
        raise UnsafeError(f"it holds {len(models)} programs")
    root = models[0].partition("/models/")[0]
    order = f"{root}/byteorder"
    if order in archive.sizes and archive.read(order, 16) != b"little":
        raise UnsafeError("its numbers are big-endian, which is not supported")
    tensors: dict[str, tuple[npt.NDArray[Any], int]] = {}
    for kind in ("weights", "constants"):
        tensors |= _tensors(archive, root, kind, name)
    program = parse_json(archive.read(models[0]))
    if not isinstance(program, dict):
        raise UnsafeError("its program is no object")
    return Pt2(program, tensors)


def _refuse_code(names: list[str], name: str) -> None:
    if compiled := [n for n in names if "/data/aotinductor/" in n or n.endswith((".so", ".dll"))]:
        note = f"it holds {compiled[0]!a:.100}"
        raise fail("E110", f"{name} carries compiled code", None, note, help=_AGAIN)
    if _is_old(names):
        text = f"{name} was written by an older torch, in a format that snnc does not read"
        raise fail("E111", text, help=_AGAIN + " with torch 2.9 or later")


def _tensors(
    archive: Archive, root: str, kind: str, name: str
) -> dict[str, tuple[npt.NDArray[Any], int]]:
    """Tensors of one folder, by name."""
    folder = f"{root}/data/{kind}/"
    configs = [n for n in archive.sizes if n.startswith(folder) and n.endswith("_config.json")]
    found: dict[str, tuple[npt.NDArray[Any], int]] = {}
    raw: dict[str, bytes] = {}
    for config in configs:
        for key, entry in parse_json(archive.read(config))["config"].items():
            if entry["use_pickle"] or not str(entry["path_name"]).startswith(
                ("weight_", "tensor_")
            ):
                note = "reading it would run code from the file"
                text = f"{name}: {key!a:.80} is pickled, not a plain tensor"
                hint = "keep dense tensors only in the module, and export it again"
                raise fail("E110", text, None, note, help=hint)
            member = folder + posixpath.basename(entry["path_name"])
            if member not in archive.sizes:
                raise UnsafeError(f"{member!a:.80} is missing")
            if member not in raw:
                raw[member] = archive.read(member)
            found[key] = (
                _tensor(raw[member], entry["tensor_meta"], key),
                entry["tensor_meta"]["dtype"],
            )
    return found


def _tensor(raw: bytes, meta: Mapping[str, Any], key: str) -> npt.NDArray[Any]:
    dtype = DTYPES.get(meta["dtype"])
    if dtype is None or meta["layout"] != 7:
        text = f"tensor {key!a:.80} is complex, sparse, or of another unusual type"
        raise fail("E210", text, help="use dense tensors of real numbers")
    size, stride = ([n["as_int"] for n in meta[k]] for k in ("sizes", "strides"))
    return strided(raw, dtype, meta["storage_offset"]["as_int"], size, stride)
