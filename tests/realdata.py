"""Real data and trained networks that are too large, or too little ours, for the repository."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Array = npt.NDArray[Any]

#: Where they are, in folders with a README each.
DATA = Path(os.environ.get("SNNC_DATA", Path(__file__).parents[2] / "shared" / "data"))


def real_files(*parts: str) -> Path:
    """A folder or file of real data; the test is skipped where there is none."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no data at {path}: set SNNC_DATA")
    return path


def gesture(number: int) -> tuple[Array, Array, Array, Array]:
    """Recording 1 to 6 of DVS128 Gesture, of class ``number - 1``: x, y, polarity and time.

    An event has 5 bytes: x, y, then polarity in the highest bit and 23 bits of microseconds.
    """
    path = real_files("dvs_gesture6", f"{number}.bs2")
    raw = np.fromfile(path, np.uint8).reshape(-1, 5).astype(np.int64)
    time = (raw[:, 2] & 127) << 16 | raw[:, 3] << 8 | raw[:, 4]
    return raw[:, 0], raw[:, 1], raw[:, 2] >> 7, time


def frames(events: tuple[Array, Array, Array, Array], size: int, bin_us: int) -> Array:
    """Numbers of events per step, polarity and pixel of a sensor scaled down to ``size``."""
    x, y, polarity, time = events
    steps = int(time.max()) // bin_us + 1
    counts = np.zeros((steps, 2, size, size), np.float32)
    np.add.at(counts, (time // bin_us, polarity, y * size // 128, x * size // 128), 1)
    return counts


def denoised(
    events: tuple[Array, Array, Array, Array], window_us: int
) -> tuple[Array, Array, Array, Array]:
    """Without events that none at one of the four neighbours precedes within the window."""
    x, y, _, time = events
    latest = np.full((130, 130), -window_us - 1)
    keep = np.zeros(len(x), bool)
    for i in np.argsort(time, kind="stable"):
        a, b = x[i] + 1, y[i] + 1
        near = max(latest[a - 1, b], latest[a + 1, b], latest[a, b - 1], latest[a, b + 1])
        keep[i] = time[i] - near <= window_us
        latest[a, b] = time[i]
    return tuple(e[keep] for e in events)  # type: ignore[return-value]
