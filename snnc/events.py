"""Event lists (t, x, y, p) as data: events of many samples, counted per step when they are needed.

A file has one array per column, all samples one after the other, and where each sample starts::

    t        times, whole numbers (of microseconds, say), counted from the start of the sample
    x, y, p  column, row and polarity (0, 1, …); only x for (features,), x and y for (rows, columns)
    offset   N + 1 positions: sample i has the events offset[i] to offset[i + 1] - 1
    label    N classes (may be left out)

A structured array ``events`` with the fields t, x, y, p may take the place of the columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.diagnostics import CompileError, Diagnostic, error, fail
from snnc.manifest import InputEntry

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

#: What numbers an event's element, by the rank of the input; the last axis is that of x.
_PLACES = {1: ("x",), 2: ("y", "x"), 3: ("p", "y", "x")}


@dataclass(frozen=True)
class Binning:
    """How events become steps.

    Attributes:
        dt: Length of a step, in units of ``t``; 0: so that ``bins`` steps hold all events.
        bins: Number of steps; 0: as many as hold all events.
        sensor: Shape (polarities, rows, columns) behind an input that is flat; empty: the input's.
    """

    dt: int = 0
    bins: int = 0
    sensor: tuple[int, ...] = ()


@dataclass(frozen=True)
class Events:
    """Events of N samples, as an array (N, T, ...) of counts that is made where it is read.

    Attributes:
        step: Of every event.
        place: Its element in the flat input.
        start: N + 1 positions.
        steps: T.
        inner: Shape of one step.
    """

    step: Ints
    place: Ints
    start: Ints
    steps: int
    inner: tuple[int, ...]

    #: Counts are integers.
    dtype = np.dtype(np.int64)

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, T, ...)."""
        return (len(self), self.steps, *self.inner)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, samples: slice) -> Events:
        first, last, step = samples.indices(len(self))
        assert step == 1, "samples are taken in a row"
        return replace(self, start=self.start[first : max(first, last) + 1])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        size = int(np.prod(self.inner, dtype=np.int64))
        chosen = slice(int(self.start[0]), int(self.start[-1]))
        sample = np.repeat(np.arange(len(self)), np.diff(self.start))
        index = (sample * self.steps + self.step[chosen]) * size + self.place[chosen]
        inside = self.step[chosen] < self.steps
        count = np.bincount(index[inside], minlength=len(self) * self.steps * size)
        return count.reshape(self.shape).astype(dtype or np.int64)


def is_event_file(found: Mapping[str, Array]) -> bool:
    """Whether the arrays of a file are events: with times, or a structured array."""
    return "events" in found or ("t" in found and "offset" in found)


def read_events(
    name: str, found: Mapping[str, Array], inputs: tuple[InputEntry, ...], binning: Binning
) -> tuple[Events, Array | None, int]:
    """Check the events of a file for a network; returns them, labels, and how many come too late.

    Raises:
        CompileError: E426 for columns, positions and events that do not fit the network.
    """
    if len(inputs) != 1 or inputs[0].clock != "step":
        text = f"{name} holds events, which go to a network with one input per step"
        raise fail("E426", text, help="give arrays of values, in the order of `snnc inspect`")
    entry = inputs[0]
    columns = _columns(name, found)
    sensor = binning.sensor or entry.shape
    if len(sensor) not in _PLACES or int(np.prod(sensor)) != int(np.prod(entry.shape)):
        text = f"events have places in 1 to 3 axes, the input has the shape {entry.shape}"
        raise fail("E426", text, help="give polarities, rows, columns: --sensor 2,34,34")
    axes = _PLACES[len(sensor)]
    if missing := {"t", *axes} - set(columns):
        text = f"{name} has no column {sorted(missing)[0]!r} for an input {sensor}"
        raise fail("E426", text, help="events have t, x, y and p; see also --sensor")
    if unread := set(columns) - {"t", *axes}:
        text = f"{name} has a column {sorted(unread)[0]!r}, an input {sensor} has no axis for it"
        raise fail("E426", text, help="for a flat input: --sensor 2,34,34")
    start = _start(name, found, len(columns["t"]))
    problems = [d for k, n in zip(axes, sensor, strict=True) if (d := _outside(k, columns[k], n))]
    time = columns["t"]
    if len(time) and time.min() < 0:
        text = f"event {int(time.argmin())} has the time {int(time.min())}"
        problems.append(error("E426", text, help="times count from the start of a sample"))
    if problems:
        raise CompileError(problems)
    dt, steps = _steps(time, binning)
    place = np.ravel_multi_index(tuple(columns[k] for k in axes), sensor) if len(time) else time
    events = Events(time // dt, np.asarray(place, np.int64), start, steps, entry.shape)
    labels = next((found[k] for k in ("label", "labels") if k in found), None)
    return events, labels, int(np.count_nonzero(events.step >= steps))


def _columns(name: str, found: Mapping[str, Array]) -> dict[str, Ints]:
    table = found.get("events")
    if table is not None:
        fields = table.dtype.names or ()
        columns = {k: table[k] for k in fields if k in "txyp"}
    else:
        columns = {k: found[k] for k in "txyp" if k in found}
    for k, column in columns.items():
        if column.ndim != 1 or column.dtype.kind not in "iub":
            text = f"column {k!r} of {name} must be a list of whole numbers"
            raise fail("E426", text, None, f"it has dtype {column.dtype}, shape {column.shape}")
    if len({len(c) for c in columns.values()}) != 1:
        sizes = ", ".join(f"{k}: {len(c)}" for k, c in columns.items())
        raise fail("E426", f"the columns of {name} are not of one length: {sizes or 'none'}")
    return {k: column.astype(np.int64) for k, column in columns.items()}


def _start(name: str, found: Mapping[str, Array], count: int) -> Ints:
    offset = found.get("offset", np.array([0, count]))
    if offset.ndim != 1 or offset.dtype.kind not in "iu" or not len(offset):
        raise fail("E426", f"offset of {name} must be a list of positions, one more than samples")
    start = offset.astype(np.int64)
    if start[0] != 0 or start[-1] != count or (np.diff(start) < 0).any():
        text = f"offset of {name} must rise from 0 to the number of events, {count}"
        raise fail("E426", text, None, f"it goes from {start[0]} to {start[-1]}")
    return start


def _outside(axis: str, column: Ints, size: int) -> Diagnostic | None:
    bad = (column < 0) | (column >= size)
    if not bad.any():
        return None
    first = int(bad.argmax())
    text = f"event {first} has {axis} = {int(column[first])}, possible are 0 to {size - 1}"
    why = f"{int(bad.sum())} of {len(column)} events are outside"
    hint = "polarities count from 0" if axis == "p" else "crop or scale the events as in training"
    return error("E426", text, None, why, help=hint)


def _steps(time: Ints, binning: Binning) -> tuple[int, int]:
    """Length and number of steps."""
    end = int(time.max(initial=0)) + 1
    if binning.dt:
        return binning.dt, binning.bins or -(-end // binning.dt)
    if binning.bins:
        return -(-end // binning.bins), binning.bins
    text = "events need a length or a number of steps"
    raise fail("E426", text, help="give --dt 1000 (in units of t), --bins 16, or both")
