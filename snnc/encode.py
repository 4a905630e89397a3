"""Between the user's real numbers and the integers of a compiled network.

Inputs: ``n = clip(round_half_even(x / scale), lo, hi)`` in float64.
Outputs: ``y = scale * n``, for a mean over time also divided by the number of steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.data import Data, check_tokens
from snnc.diagnostics import Diagnostic, fail, warning
from snnc.manifest import InputEntry, OutputEntry
from snnc.types import Int

Array = npt.NDArray[Any]


def encode_input(x: Array, entry: InputEntry) -> tuple[Array, int]:
    """Return the integers (int64) of real inputs, and how many of them were clipped.

    >>> e = InputEntry("x", (2,), "once", 0, 255, 1 / 255, "N")
    >>> encode_input(np.array([[0.5, 2.0]]), e)
    (array([[128, 255]]), 1)

    Raises:
        CompileError: E424 for NaN and infinite values, E425 for values that a strict input does
            not take.
    """
    if entry.strict:
        check_tokens(entry.name, x, Int(entry.lo, entry.hi))
    if not np.issubdtype(x.dtype, np.floating) and entry.scale == 1.0:
        n = x.astype(np.int64)
    else:
        real = x.astype(np.float64)
        if not np.isfinite(real).all():
            index = np.argwhere(~np.isfinite(real))[0].tolist()
            text = f"input {entry.name!r} has the value {real[tuple(index)]} at index {index}"
            raise fail("E424", text, help="inputs must be finite numbers")
        # Clip before the conversion: a float beyond int64 has no defined integer.
        n = np.clip(np.rint(real / entry.scale), entry.lo - 1, entry.hi + 1).astype(np.int64)
    clipped = np.clip(n, entry.lo, entry.hi)
    return clipped, int(np.count_nonzero(clipped != n))


class Clipped:
    """Encodes samples part by part, and counts the values that were clipped."""

    def __init__(self, entries: Iterable[InputEntry]) -> None:
        self._entries = tuple(entries)
        self._counts = {e.name: (0, 0) for e in self._entries}

    def encode(self, data: Data) -> dict[str, Array]:
        """The integers of checked samples."""
        encoded = {}
        for e in self._entries:
            x = np.asarray(data.arrays[e.name])
            encoded[e.name], clipped = encode_input(x, e)
            count, size = self._counts[e.name]
            self._counts[e.name] = count + clipped, size + x.size
        return encoded

    def warnings(self) -> list[Diagnostic]:
        """W424 for every input that has clipped values."""
        return [
            _clipped(e, *self._counts[e.name]) for e in self._entries if self._counts[e.name][0]
        ]


def _clipped(entry: InputEntry, count: int, size: int) -> Diagnostic:
    low, high = entry.lo * entry.scale, entry.hi * entry.scale
    text = f"{count} values of input {entry.name!r} ({100 * count / size:.3g} %) were clipped"
    why = f"the network was compiled for values in [{low:.6g}, {high:.6g}]"
    hint = "scale the data as in training, or compile with --calibration DATA"
    return warning("W424", text, None, why, help=hint)


def decode_outputs(
    raw: Mapping[str, Array], entries: tuple[OutputEntry, ...], steps: int
) -> dict[str, Array]:
    """Return the real values (float64) of integer outputs after ``steps`` steps."""
    real = {}
    for entry in entries:
        scale = np.asarray(entry.scale, np.float64).reshape(entry.scale_shape)
        value = raw[entry.name] * scale
        real[entry.name] = value / max(steps, 1) if entry.per_step else value
    return real


def classes(value: Array, sequence: bool) -> Array | None:
    """Class of every sample: the largest of K outputs, the first of equals.

    A sequence (N, T, K) is summed over time first.  None if the output is not a vector.
    """
    if sequence and value.ndim == 3:
        value = value.sum(1)
    if value.ndim != 2 or value.shape[1] < 2:
        return None
    best: Array = np.argmax(value, 1)
    return best
