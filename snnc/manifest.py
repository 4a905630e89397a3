"""The manifest of an artifact: what it holds, in which format, with a hash of every file."""

from __future__ import annotations

import hashlib
import math
import re

import msgspec

from snnc.diagnostics import fail

#: Version of the artifact format; a reader refuses every other one.
FORMAT = "snnc.artifact/1"
NAME = "manifest.json"

#: Facts about a layer that passes report; arrays are short lists.
Fact = bool | int | float | str | list[bool | int | float | str] | None

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all parts of the manifest: immutable, and strict when read."""


class FileEntry(Record, frozen=True):
    """What a file of the artifact must be."""

    sha256: str
    size: int


class Source(Record, frozen=True):
    """The model file that was compiled: its name and hash, and who wrote it."""

    file: str
    sha256: str
    producer: str = ""


class InputEntry(Record, frozen=True):
    """A network input: integers in ``[lo, hi]``, the real value is ``scale * n``.

    ``shape`` has neither batch nor time.  Arrays at our boundary are (N, T, *shape) for a clock
    of ``step`` and (N, *shape) for ``once``; ``layout`` says how the user's model orders its axes,
    e.g. ``TN..``: time, batch and two of features.  Values outside are clipped, but refused if
    the range is a promise (``strict``), as that of token numbers is.  The network itself reads the
    spikes of the ``encoder``, which is part of it, if one is named.
    """

    name: str
    shape: tuple[int, ...]
    clock: str
    lo: int
    hi: int
    scale: float
    layout: str
    strict: bool = False
    encoder: str = ""


class OutputEntry(Record, frozen=True):
    """A network output: the real value is ``scale * n``, divided by T if ``per_step``.

    ``scale`` holds one number or as many as ``scale_shape`` says, row by row; it broadcasts to
    ``shape``.  A ``sequence`` has one value a step: (N, T, *shape) instead of (N, *shape).
    """

    name: str
    shape: tuple[int, ...]
    clock: str
    sequence: bool
    scale: tuple[float, ...]
    scale_shape: tuple[int, ...]
    per_step: bool


class Word(Record, frozen=True):
    """A stored integer, e.g. a membrane: its proven interval and the bits it needs."""

    name: str
    lo: int
    hi: int
    bits: int


class CalibrationEntry(Record, frozen=True):
    """The data that ranges of inputs, and perhaps integers of weights, were chosen with."""

    file: str
    sha256: str
    samples: int


class LayerEntry(Record, frozen=True):
    """A layer of the integer program.

    ``words`` are a neuron's states, ``range`` is the proven interval of what the layer hands on
    (of an accumulator: the sum itself), ``facts`` is what the passes found out.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    clock: str
    path: str
    file: str | None
    line: int | None
    weights: int
    weight_bits: int
    range: Word | None
    words: tuple[Word, ...]
    facts: dict[str, Fact]


class LayerChoiceEntry(Record, frozen=True, omit_defaults=True):
    """What ``snnc.toml`` said of a layer: see ``snnc.quantization.LayerChoice``."""

    method: str | None = None
    bits: int | None = None
    guard: int | None = None


class Manifest(Record, frozen=True, omit_defaults=True):
    """Everything a reader needs to know before it opens any other file.

    ``steps`` is T as the model was traced; if ``fixed_steps``, the model computes with that number
    itself.  Ranges are proven for ``max_steps`` steps at most (0: any number).  ``method`` chose
    the integers of weights, but where the facts of a layer name another; with ``calibration`` data
    if it needs some.  ``choices`` are the user's exceptions by layer.
    """

    format: str
    snnc: str
    name: str
    source: Source
    profile: str
    bits: int
    steps: int
    max_steps: int
    fixed_steps: bool
    inputs: tuple[InputEntry, ...]
    outputs: tuple[OutputEntry, ...]
    layers: tuple[LayerEntry, ...]
    targets: tuple[str, ...]
    warnings: tuple[str, ...]
    files: dict[str, FileEntry]
    method: str = "mse"
    calibration: CalibrationEntry | None = None
    input_bits: int = 8
    choices: dict[str, LayerChoiceEntry] = {}

    @property
    def weight_bits(self) -> str:
        """Bits of all weights, as an adjective: ``8-bit``, ``2- to 8-bit``."""
        found = sorted({x.weight_bits for x in self.layers if x.weights and x.weight_bits})
        low, high = (found[0], found[-1]) if found else (self.bits, self.bits)
        return f"{high}-bit" if low == high else f"{low}- to {high}-bit"

    @property
    def tree(self) -> str:
        """Hash over the whole artifact: that of its manifest, which hashes all else."""
        return hashlib.sha256(dump_manifest(self)).hexdigest()


class _Format(msgspec.Struct):
    format: str


def dump_manifest(manifest: Manifest) -> bytes:
    """Return the bytes of ``manifest.json``; equal manifests give equal bytes."""
    text = msgspec.json.encode(manifest, order="deterministic")
    return msgspec.json.format(text, indent=1) + b"\n"


def read_format(raw: bytes) -> str | None:
    """The format that a manifest claims, or None if it is not one of ours."""
    try:
        found = msgspec.json.decode(raw, type=_Format).format
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.startswith("snnc.artifact/") else None


def load_manifest(raw: bytes) -> Manifest:
    """Read ``manifest.json``.

    Raises:
        CompileError: E402 if it is damaged, E403 for another format, E404 for a file name that
            could leave the artifact.
    """
    found = read_format(raw)
    if found is None:
        raise fail("E402", f"{NAME} is damaged or not from snnc", help="compile the model again")
    if found != FORMAT:
        text = f"the artifact has format {found!r}, this snnc reads {FORMAT!r}"
        raise fail("E403", text, help="compile the model again with this version of snnc")
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        text = f"{NAME} is damaged: {e}"
        raise fail("E402", text, help="compile the model again") from e
    if problem := _contradiction(manifest):
        text = f"{NAME} contradicts itself: {problem}"
        raise fail("E402", text, help="compile the model again")
    if bad := [name for name in manifest.files if not is_safe(name)]:
        raise fail("E404", f"{NAME} lists the unsafe file name {bad[0]!r}")
    return manifest


def _contradiction(manifest: Manifest) -> str | None:
    """What no artifact of ours says, although every field has its type."""
    if manifest.steps < 1 or manifest.max_steps < 0:
        return f"{manifest.steps} steps, {manifest.max_steps} at most"
    if not manifest.inputs or not manifest.outputs:
        return "there is no input or no output"
    ports: tuple[InputEntry | OutputEntry, ...] = (*manifest.inputs, *manifest.outputs)
    for entry in ports:
        if min(entry.shape, default=1) < 0 or entry.clock not in ("once", "step", "end"):
            return f"{entry.name!a:.60} has shape {entry.shape}, clock {entry.clock!a:.20}"
    for i in manifest.inputs:
        if i.lo > i.hi or not 0 < i.scale < math.inf:
            return f"{i.name!a:.60} has {i.lo} to {i.hi}, scale {i.scale}"
    for o in manifest.outputs:
        axes = zip(o.scale_shape[::-1], o.shape[::-1], strict=False)
        fits = len(o.scale_shape) <= len(o.shape) and all(a in (1, b) for a, b in axes)
        finite = all(abs(x) < math.inf for x in o.scale)
        if not fits or not finite or math.prod(o.scale_shape) != len(o.scale):
            return f"{o.name!a:.60} has scales of shape {o.scale_shape}"
    names = [entry.name for entry in ports]
    return "two inputs or outputs have one name" if len(set(names)) < len(names) else None


def is_safe(name: str) -> bool:
    r"""Whether a relative path is plain: no absolute, hidden, ``..`` or odd parts.

    >>> [is_safe(n) for n in ("c/net.c", "../x", "/etc/x", ".git/x", "a\\b")]
    [True, False, False, False, False]
    """
    return bool(name) and all(_PART.fullmatch(part) for part in name.split("/"))
