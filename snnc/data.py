"""Data files: ``.npy`` with x, or ``.npz`` with x and perhaps labels y. Nothing in them runs.

Event lists are files of another kind: see ``snnc.events``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from snnc.diagnostics import CompileError, Diagnostic, error, fail, warning
from snnc.events import Binning, Events, is_event_file, read_events
from snnc.manifest import InputEntry
from snnc.types import DType, Int

Array = npt.NDArray[Any]
_HOWTO = 'save it with numpy: np.savez("data.npz", x=x, y=y)'

#: A compressed file may unpack to so many bytes, or to so many times its size.
_UNPACKED = 256 << 20
_RATIO = 100


@dataclass(frozen=True)
class Data:
    """Samples by input name, (N, T, ...) or (N, ...), and labels (N,) if there are any.

    ``diagnostics`` is what reading them said.
    """

    arrays: dict[str, Array | Events]
    labels: Array | None = None
    diagnostics: tuple[Diagnostic, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    @property
    def dense(self) -> dict[str, Array]:
        """All samples as arrays, also of events."""
        return {name: np.asarray(a) for name, a in self.arrays.items()}

    def first(self, samples: int | None) -> Data:
        """The first samples only; all if None."""
        return self.part(0, len(self) if samples is None else samples)

    def part(self, start: int, stop: int) -> Data:
        """Samples ``start`` to ``stop - 1``."""
        labels = None if self.labels is None else self.labels[start:stop]
        arrays: dict[str, Array | Events] = {k: a[start:stop] for k, a in self.arrays.items()}
        return replace(self, arrays=arrays, labels=labels)


def load_data(
    path: Path,
    inputs: tuple[InputEntry, ...],
    classes: int | None = None,
    binning: Binning | None = None,
) -> Data:
    """Read and check a data file for a network with these inputs.

    A single input is named ``x`` in the file (or by its own name), several by their names.

    Args:
        path: ``.npy`` or ``.npz``.
        inputs: What the network needs.
        classes: Number of classes, if labels are to be checked.
        binning: How events become steps.

    Raises:
        CompileError: E420 if the file cannot be read, E421 for a wrong shape, E422 for values
            that are not numbers, E423 for wrong labels, E426 for events that do not fit.
    """
    found = _read(path)
    if not found:
        raise fail("E421", f"{path.name} holds no arrays", help=_HOWTO)
    if is_event_file(found):
        return _event_data(path, found, inputs, classes, binning or Binning())
    if binning not in (None, Binning()):
        text = f"{path.name} holds no events, so that --dt, --bins and --sensor mean nothing"
        raise fail("E426", text, help="leave them out")
    arrays: dict[str, Array | Events] = {}
    problems: list[Diagnostic] = []
    for entry in inputs:
        names = (entry.name, "x") if len(inputs) == 1 else (entry.name,)
        array = next((found[name] for name in names if name in found), None)
        if array is None:
            text = f"{path.name} has no array {names[-1]!r}, only {sorted(found)}"
            problems.append(error("E421", text, help=_HOWTO))
            continue
        problems += check_array(array, entry)
        arrays[entry.name] = array
    labels = found.get("y")
    if arrays and not problems:
        problems += _check_lengths(arrays, inputs, labels)
        problems += check_labels(labels, classes)
    if problems:
        raise CompileError(problems)
    return Data(arrays, labels)


def _event_data(
    path: Path,
    found: dict[str, Array],
    inputs: tuple[InputEntry, ...],
    classes: int | None,
    binning: Binning,
) -> Data:
    events, labels, late = read_events(path.name, found, inputs, binning)
    if problems := _check_lengths({inputs[0].name: events}, inputs, labels):
        raise CompileError(problems)
    if problems := check_labels(labels, classes):
        raise CompileError(problems)
    said = []
    if late:
        share = 100 * late / len(events.step)
        text = f"{late} events ({share:.2g} %) come after the last of {events.steps} steps"
        said.append(warning("W426", text, help="they are left out; for all of them, leave --bins"))
    return Data({inputs[0].name: events}, labels, tuple(said))


def as_data(
    x: Array | Mapping[str, Array],
    inputs: tuple[InputEntry, ...],
    y: Array | None = None,
    classes: int | None = None,
) -> Data:
    """Check arrays that a program hands over; errors as ``load_data``."""
    given = dict(x) if isinstance(x, Mapping) else {"x": x}
    if len(inputs) == 1 and set(given) == {"x"}:  # as in files
        given = {inputs[0].name: given["x"]}
    arrays: dict[str, Array | Events] = {name: np.asarray(a) for name, a in given.items()}
    if set(arrays) != {entry.name for entry in inputs}:
        text = f"inputs are {[entry.name for entry in inputs]}, got {sorted(arrays)}"
        hint = "give a dict of arrays by these names; of a single input, its array will do"
        raise fail("E421", text, help=hint)
    labels = None if y is None else np.asarray(y)
    problems = [d for entry in inputs for d in check_array(arrays[entry.name], entry)]
    problems = problems or _check_lengths(arrays, inputs, labels) + check_labels(labels, classes)
    if problems:
        raise CompileError(problems)
    return Data(arrays, labels)


def check_any(data: Data, name: str) -> None:
    """Refuse data (E421) without any sample, or whose samples have no steps."""
    if not len(data):
        raise fail("E421", f"{name} holds no samples", help=_HOWTO)
    if any(not x.size for x in data.part(0, 1).dense.values()):
        raise fail("E421", f"the samples of {name} hold nothing: no time steps", help=_HOWTO)


def check_array(array: Array | Events, entry: InputEntry) -> list[Diagnostic]:
    """What is wrong with the samples of one input."""
    if array.dtype.kind not in "fiub":
        text = f"input {entry.name!r} must be real numbers, got dtype {array.dtype}"
        return [error("E422", text, help=_HOWTO)]
    head = ("N", "T") if entry.clock == "step" else ("N",)
    if array.ndim == len(head) + len(entry.shape) and array.shape[len(head) :] == entry.shape:
        return []
    expected = f"({', '.join(map(str, (*head, *entry.shape)))})"
    text = f"input {entry.name!r} must have the shape {expected}, got {array.shape}"
    notes = ["N samples" + (", T time steps, batch first" if len(head) == 2 else "")]
    if entry.clock == "step" and array.shape[1:] == entry.shape:
        notes.append("the time axis is missing: this network reads a new input at every step")
    if entry.clock == "once" and array.shape[2:] == entry.shape and array.ndim > 1:
        notes.append("there is a time axis too many: this network reads one input per sample")
    return [error("E421", text, None, *notes)]


def check_tokens(name: str, array: Array, dtype: DType) -> None:
    """Refuse values (E425) that an input of an integer type, such as token numbers, cannot take."""
    if not isinstance(dtype, Int) or not array.size:
        return
    lo, hi = dtype.bounds
    found = float(array.min()), float(array.max())
    if array.dtype.kind == "f" and not np.array_equal(np.rint(array), array):
        text = f"input {name!r} takes whole numbers, got {found[0]:g} to {found[1]:g}"
        raise fail("E425", text, help=f"give the numbers {lo} to {hi}, e.g. those of tokens")
    if found[0] < lo or found[1] > hi:
        text = f"input {name!r} takes {lo} to {hi}, got {found[0]:g} to {found[1]:g}"
        why = "an embedding has one row for each of these numbers"
        raise fail("E425", text, None, why, help="use the vocabulary that the model was made for")


def check_steps(name: str, have: int, want: int) -> None:
    """Refuse sequences (E421) of another length than a matrix over the steps has."""
    if have != want:
        text = f"{name} mixes all steps of a sequence and has weights for {want}, got {have}"
        raise fail("E421", text, help=f"give sequences of {want} steps")


def _check_lengths(
    arrays: Mapping[str, Array | Events], inputs: tuple[InputEntry, ...], labels: Array | None
) -> list[Diagnostic]:
    counts = {name: len(a) for name, a in arrays.items()}
    if len(set(counts.values())) > 1:
        return [error("E421", f"inputs have different numbers of samples: {counts}")]
    steps = {e.name: arrays[e.name].shape[1] for e in inputs if e.clock == "step"}
    if len(set(steps.values())) > 1:
        return [error("E421", f"inputs have different numbers of steps: {steps}")]
    samples = next(iter(counts.values()))
    if labels is not None and labels.shape != (samples,):
        text = f"labels y must have the shape ({samples},), got {labels.shape}"
        return [error("E423", text, help="y holds one class number per sample")]
    return []


def check_labels(labels: Array | None, classes: int | None) -> list[Diagnostic]:
    """What is wrong with labels; of how many ``classes`` they are may be unknown."""
    if labels is None or labels.size == 0:
        return []
    if labels.dtype.kind not in "iuf":
        return [error("E423", f"labels y must be integers, got dtype {labels.dtype}")]
    broken = labels[(labels != np.trunc(labels)) | ~np.isfinite(labels)]
    if len(broken):
        return [error("E423", f"labels y must be integers, got {broken[0]:g}")]
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or (classes is not None and high >= classes):
        top = "" if classes is None else f" for {classes} outputs"
        return [error("E423", f"labels y are {low} to {high}{top}", help="labels count from 0")]
    return []


def _read(path: Path) -> dict[str, Array]:
    """All arrays of a file that are wanted; ``x`` for a ``.npy``."""
    if not path.is_file():
        text = f"{path} does not exist" if not path.exists() else f"{path} is not a file"
        raise fail("E420", text, help=_HOWTO)
    try:
        with path.open("rb") as f:
            start = f.read(6)
        if start == b"\x93NUMPY":
            # Mapping the file refuses a header that promises more than the file holds.
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            return {"x": array}
        if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            return _read_archive(path)
    except CompileError:
        raise
    except MemoryError as e:
        raise fail("E420", f"{path.name} does not fit into memory", help=_HOWTO) from e
    except Exception as e:  # zipfile and numpy raise many kinds: the file is data, its faults too
        if any(sign in str(e) for sign in ("allow_pickle", "Object arrays", "Python objects")):
            text = f"{path.name} holds Python objects (a pickle), which snnc never loads"
            raise fail("E422", text, help=_HOWTO) from e
        raise fail("E420", f"{path.name} is damaged: {e}", help=_HOWTO) from e
    text = f"{path.name} is neither .npy nor .npz"
    raise fail("E420", text, help=_HOWTO)


def _read_archive(path: Path) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > max(_UNPACKED, _RATIO * path.stat().st_size):
            text = f"{path.name} grows to {unpacked >> 20} MiB when it is unpacked"
            hint = "if that is what it should do, save it uncompressed, with numpy.savez"
            raise fail("E420", text, help=hint)
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            name = member.filename[: -len(".npy")]
            if name in arrays:
                raise fail("E420", f"{path.name} has two arrays named {name!r}", help=_HOWTO)
            with archive.open(member) as f:
                _check_header(f, member.file_size, path)
            with archive.open(member) as f:
                arrays[name] = np.lib.format.read_array(f, allow_pickle=False)
    return arrays


def _check_header(f: IO[bytes], size: int, path: Path) -> None:
    """Raise before any memory is asked for if a header promises more than its member holds."""
    version = np.lib.format.read_magic(f)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"unknown .npy version {version}")
    shape, _, dtype = read(f)
    count = 1
    for extent in shape:
        count *= extent
    if not dtype.hasobject and count * dtype.itemsize > size:
        raise fail("E420", f"{path.name} is damaged: shape {shape} exceeds its data")
