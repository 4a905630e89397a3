"""The file that ``snnc.export`` writes: a graph and what was checked about it, as data.

A zip of three stored members (``snnc.json``, ``graph.json``, ``tensors.safetensors``) with fixed
time stamps, so that equal models are equal bytes.  Reading executes nothing and needs no torch.
Files of other kinds are recognised by content and refused with the way on.
"""

from __future__ import annotations

import io
import json
import operator
import os
import pickletools
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from snnc.content import Content, parts_of
from snnc.diagnostics import CompileError, Diagnostic, fail
from snnc.finite import not_finite
from snnc.graph import Graph
from snnc.ops import Op
from snnc.params import Param
from snnc.storage import load_graph, stored_graph
from snnc.tensor_file import read
from snnc.untrusted import Archive, UnsafeError, is_safetensors, parse_json, zip_names

FORMAT = "snnc.model/1"
_MEMBERS = ("snnc.json", "graph.json", "tensors.safetensors")
#: Largest pickle that is scanned for the names in it.
_PICKLE_LIMIT = 16 << 20
#: Most opcodes that are scanned: seconds, where a made file could have them take minutes.
_OPCODE_LIMIT = 1 << 18
#: Bytes by which the kind of a file is recognised.
_HEAD = 4096

#: First bytes of the fields of a model that may follow its version.
_ONNX_TAGS = frozenset((0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72, 0xA2, 0xCA))

#: Names that occur in any file of weights.
_HARMLESS = ("torch._utils.", "torch.storage.", "torch.serialization.", "collections.OrderedDict")
_STORAGES = ("Storage", "torch.float", "torch.int", "torch.bool", "torch.Size", "torch.device")

_WAYS_ON = (
    "either export it where it was trained: snnc.export(module, example, 'model.pt'), or name "
    "your own code: snnc compile {name} --module file.py:factory"
)


@dataclass(frozen=True)
class LoadedModel:
    """A model read from a file, or traced in memory.

    Attributes:
        graph: Of real-valued operators.
        meta: Steps, layouts, checks: JSON values.
        diagnostics: Warnings and remarks of the export.
    """

    graph: Graph
    meta: dict[str, Any]
    diagnostics: list[Diagnostic] = field(default_factory=list)


def check_finite(graph: Graph) -> list[Diagnostic]:
    """An E301 for every parameter with NaN or infinity: layer, index and value of the first."""
    found: list[Diagnostic] = []
    for node in graph:
        params = _params(node.op)
        params += [(f"initial value {e.port}", e.init) for e in graph.in_edges(node.name) if e.init]
        for name, param in params:
            if param.dtype.kind == "f" and not all(np.isfinite(b).all() for b in param.blocks()):
                found += not_finite(param.data, f"{node.name}: {name}", node.loc)
    return found


def _params(op: Op) -> list[tuple[str, Param]]:
    found = list(op.params.items())
    kernel = getattr(op, "kernel", None)
    if kernel is not None and hasattr(kernel, "consts"):
        found += [(c.name, c.values) for c in kernel.consts]
        found += [(s.name, s.init) for s in kernel.states]
    return found


def write_model(path: str | Path, model: LoadedModel) -> None:
    """Write the file atomically: a reader sees the old one or the new one.

    Raises:
        CompileError: E301 if a parameter is not finite, E104 if the file cannot be written.
    """
    if found := check_finite(model.graph):
        raise CompileError(found)
    target = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as e:
        raise fail("E104", f"cannot write {target}: {e.strerror}") from e
    try:
        with os.fdopen(handle, "wb") as f:
            _write(f, model)
            f.flush()
            os.fsync(f.fileno())
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(target)
    except OSError as e:
        raise fail("E104", f"cannot write {target}: {e.strerror}") from e
    finally:
        Path(temporary).unlink(missing_ok=True)


def to_bytes(model: LoadedModel) -> bytes:
    """The file as bytes; equal models give equal bytes."""
    buffer = io.BytesIO()
    _write(buffer, model)
    return buffer.getvalue()


def _write(file: IO[bytes], model: LoadedModel) -> None:
    text, tensors = stored_graph(model.graph)
    meta = {"format": FORMAT, **model.meta}
    document = json.dumps(meta, indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False)
    contents: tuple[Content, ...] = (document, text, tensors)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in zip(_MEMBERS, contents, strict=True):
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o644 << 16
            member.file_size = sum(map(len, parts_of(content)))
            with archive.open(member, "w") as part:
                for piece in parts_of(content):
                    part.write(piece)


def read_model(
    path: str | Path,
    nir: str = "",
    onnx: str = "",
    lava_dl: str = "",
    shape: tuple[int, ...] = (),
    steps: int | None = None,
) -> LoadedModel:
    """Read what ``snnc.export`` wrote, a NIR, lava-dl, ONNX or ``.pt2`` file, or a pickled module.

    Args:
        path: The file; its first bytes say what it is, not its name.
        nir: What NIR leaves open, for a NIR file: see ``snnc.frontends.nir_options``.
        onnx: What ONNX leaves open, for an ONNX file: see ``snnc.frontends.onnx_options``.
        lava_dl: The same for a lava-dl network: see ``snnc.frontends.lava_dl_options``.
        shape: For a pickled module, of one sample at one step.
        steps: For a pickled module or a ``.pt2`` file, the number of steps.

    Raises:
        CompileError: E101 no such file, E102 not a model, E103 damaged, E110 code or weights
            without code, E111 another exchange format, E120 malformed graph, E301 NaN; for NIR
            and lava-dl files what ``snnc.frontends.from_hdf5`` finds.
    """
    path = Path(path)
    head = _head(path)
    if _is_pickled_module(path, head):
        return _pickled_module(path, shape, steps)
    program = head.startswith(b"PK") and not shape and _is_program(path)
    if shape or (steps and not program):
        hint = "every other file says itself what its input is; --steps is for .pt2 files, too"
        raise fail("E003", f"--input and --steps do not belong to {path.name}", help=hint)
    if head.startswith(b"\x89HDF\r\n"):
        from snnc.frontends.from_hdf5 import read_hdf5
        from snnc.frontends.lava_dl_options import LavaDlOptions
        from snnc.frontends.nir_options import NirOptions

        asked = LavaDlOptions.parse(lava_dl) if lava_dl else None
        return read_hdf5(path, NirOptions.parse(nir) if nir else None, asked)
    if is_onnx(path.name, head):
        from snnc.frontends.from_onnx import read_onnx
        from snnc.frontends.onnx_options import OnnxOptions

        return read_onnx(path, OnnxOptions.parse(onnx))
    if not head.startswith(b"PK"):
        raise _foreign(path, head)
    try:
        names = zip_names(path)
        if is_pt2(names):
            from snnc.frontends.from_pt2 import read_pt2

            return read_pt2(path, steps)
        if not {"snnc.json", "graph.json"} & set(names):
            raise _foreign_zip(path, names)
        with path.open("rb") as file, Archive(file) as archive:
            meta, text = _texts(archive)
            tensors = read(file, *archive.place(_MEMBERS[2]))
    except (UnsafeError, OSError) as e:
        why = f"{path.name} is damaged, or not as snnc wrote it: {e}"
        raise fail("E103", why, help="copy the file again, or export the model again") from e
    model = LoadedModel(load_graph(text, tensors), _meta(path.name, meta) | {"exported": True})
    if found := check_finite(model.graph):
        raise CompileError(found)
    return model


def _is_program(path: Path) -> bool:
    """Whether it is a file of ``torch.export.save``."""
    try:
        return is_pt2(zip_names(path))
    except (UnsafeError, OSError):
        return False


def _head(path: Path, size: int = _HEAD) -> bytes:
    """First bytes of a regular file: what is none may never end."""
    if not path.exists():
        raise fail("E101", f"there is no file {path}", help="check the path of the model")
    if path.is_dir():
        raise fail("E101", f"{path} is a directory, not a model file")
    if not path.is_file():
        raise fail("E101", f"{path} is a device or pipe, not a model file")
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as e:
        raise fail("E101", f"cannot read {path}: {e.strerror}") from e


def _texts(archive: Archive) -> list[bytes]:
    """The members without tensors, after checking that there is nothing else in the file."""
    if set(archive.sizes) != set(_MEMBERS):
        raise UnsafeError(f"it holds {', '.join(map(ascii, sorted(archive.sizes))):.200}")
    return [archive.read(member) for member in _MEMBERS[:2]]


def _meta(name: str, text: bytes) -> dict[str, Any]:
    try:
        meta = parse_json(text)
    except UnsafeError as e:
        raise fail("E103", f"{name} is damaged: snnc.json: {e}") from e
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        found = meta.get("format") if isinstance(meta, dict) else meta
        hint = "export the model again with this version of snnc"
        text_ = f"{name} has format {found!r:.60}, this snnc reads {FORMAT!r}"
        raise fail("E103", text_, help=hint)
    return {k: v for k, v in meta.items() if k != "format"}


# ---- files of other kinds


def _foreign(path: Path, data: bytes) -> CompileError:
    """What a file that is not a zip is, and the way on; ``data`` are its first bytes."""
    name = path.name
    if not data:
        return fail("E102", f"{name} is empty", help="export the model again")
    if is_safetensors(data, path.stat().st_size):
        return fail(
            "E110",
            f"{name} holds weights (safetensors), without the network they belong to",
            help=_WAYS_ON.format(name=name),
        )
    if data[0] == 0x80 and len(data) > 1 and data[1] <= 5:
        return _pickle(name, _head(path, _PICKLE_LIMIT), "a pickle (torch.save in its old format)")
    return fail("E102", f"{name} is not a model", help="write it with snnc.export")


def is_onnx(name: str, head: bytes) -> bool:
    """Whether a file is a protobuf message of ONNX: its version comes first, then other fields."""
    message = len(head) > 2 and head[0] == 0x08 and 3 <= head[1] < 32 and head[2] in _ONNX_TAGS
    return message or (name.endswith(".onnx") and not head.startswith(b"PK") and bool(head))


def is_pt2(names: list[str]) -> bool:
    """Whether the members of a zip archive are those of ``torch.export.save``."""
    tails = ("/archive_format", "models/model.json", "serialized_exported_program.json")
    return any(f"/{n}".endswith(tails) for n in names)


def _foreign_zip(path: Path, names: list[str]) -> CompileError:
    name = path.name
    tails = {n.partition("/")[2] or n for n in names}
    if "constants.pkl" in tails and any("/code/" in f"/{n}" for n in names):
        text = f"{name} is a TorchScript program, whose code snnc does not run"
        return fail("E110", text, help=_WAYS_ON.format(name=name))
    pickles = [n for n in names if n.endswith("data.pkl")]
    if pickles:
        with Archive(path) as archive:
            data = archive.read(pickles[0], _PICKLE_LIMIT)
        return _pickle(name, data, "written by torch.save")
    return fail("E102", f"{name} is a zip file, not a model", help="write it with snnc.export")


def _is_pickled_module(path: Path, head: bytes) -> bool:
    """Whether a file of ``torch.save`` holds more than weights."""
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":
        return bool(_foreign_names(_head(path, _PICKLE_LIMIT)))
    if not head.startswith(b"PK"):
        return False
    try:
        names = zip_names(path)
        if is_pt2(names) or any("/code/" in f"/{n}" for n in names):
            return False
        pickles = [n for n in names if n.endswith("data.pkl")]
        if not pickles:
            return False
        with Archive(path) as archive:
            return bool(_foreign_names(archive.read(pickles[0], _PICKLE_LIMIT)))
    except (UnsafeError, OSError):
        return False  # whoever reads the file says what is wrong


def _pickled_module(path: Path, shape: tuple[int, ...], steps: int | None) -> LoadedModel:
    from snnc.frontends.isolated import read_isolated

    tree = read_isolated("snnc.frontends.pickle_tree:read_bytes", path)
    from snnc.frontends.from_pickled import export_tree  # needs torch: only for what can be read

    return export_tree(path.name, tree, shape, steps)


def _foreign_names(data: bytes) -> list[str]:
    """What a pickle refers to beside tensors."""
    return [n for n in pickled_names(data) if not n.startswith(_HARMLESS) and not _is_storage(n)]


def _pickle(name: str, data: bytes, kind: str) -> CompileError:
    """Say what a pickle of weights is, without unpickling it."""
    found, foreign = pickled_names(data), _foreign_names(data)
    if found and not foreign:
        text = f"{name} is {kind}: weights, without the network they belong to"
        return fail("E110", text, help=_WAYS_ON.format(name=name))
    listed = ", ".join(foreign[:12]) + (", …" if len(foreign) > 12 else "")
    notes = [f"it refers to {listed}"] if foreign else []
    return fail(
        "E110",
        f"{name} is {kind}: loading it would run code from the file",
        None,
        *notes,
        help=_WAYS_ON.format(name=name),
    )


def _is_storage(name: str) -> bool:
    return name.startswith("torch.") and any(part in name for part in _STORAGES)


def pickled_names(data: bytes) -> list[str]:
    """Every ``module.name`` that unpickling would import, found by reading the opcodes.

    Files of old versions of torch are several pickles one after the other.
    """
    found: dict[str, None] = {}
    stream = io.BytesIO(data)
    budget = iter(range(_OPCODE_LIMIT))
    while stream.tell() < len(data) and operator.length_hint(budget):
        try:
            for name in _one_pickle(stream, budget):
                found[name] = None
        except (ValueError, IndexError, EOFError, UnicodeDecodeError):
            break  # raw data follows, or the file is truncated: what was found counts
    return sorted(found)


def _one_pickle(stream: io.BytesIO, budget: Iterator[int]) -> Iterator[str]:
    """Names in the pickle at the position of the stream, which moves behind it."""
    memo: dict[int, str | None] = {}
    strings: list[str] = []
    top: str | None = None
    for _, (opcode, arg, _) in zip(budget, pickletools.genops(stream), strict=False):
        match opcode.name:
            case "GLOBAL" | "INST":
                yield str(arg).replace(" ", ".")
                top = None
            case "STACK_GLOBAL":
                yield ".".join(strings[-2:])
                top = None
            case "MEMOIZE":
                memo[len(memo)] = top
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                memo[int(arg or 0)] = top
            case "BINGET" | "LONG_BINGET" | "GET":
                top = memo.get(int(arg or 0))
            case "PROTO" | "FRAME":
                pass
            case _:
                top = arg if isinstance(arg, str) else None
        if top is not None and opcode.name not in ("MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"):
            strings = [*strings[-1:], top]


def load_from_source(source: str, weights: str | Path | None = None) -> LoadedModel:
    """Trace the user's own code: ``file.py:factory``, with weights from a state_dict file.

    See :func:`snnc.frontends.from_source.load_from_source`.
    """
    from snnc.frontends import from_source

    return from_source.load_from_source(source, weights)
