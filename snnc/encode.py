"""Between the user's real numbers and the integers of a compiled network.

Inputs: ``n = clip(round_half_even(x / scale), lo, hi)`` in float64.
Outputs: ``y = scale * n``, for a mean over time also divided by the number of steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.data import check_tokens
from snnc.diagnostics import fail
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
