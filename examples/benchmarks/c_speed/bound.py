"""Bounds: a program that only reads the columns that the spikes need, and one that only adds."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from examples.benchmarks.c_speed.case import Array, Case, Run
from examples.benchmarks.c_speed.native import Build, compile_library

BOUND = Build("read bound", ("-O3", "-march=native", "-mprefer-vector-width=512"))
SOURCE = Path(__file__).parent / "bound.c"
ADDS = Path(__file__).parent / "add_bound.c"
LINE = 64


def bound_run(case: Case, folder: Path) -> Run | None:
    """Replay the spikes of the case on columns of a byte per weight."""
    if case.rows is None:
        return None
    library = compile_library(folder, BOUND, [SOURCE], "bound")
    columns, ids, first, sizes = [], [], [], []
    samples, steps = case.x.shape[:2]
    rng = np.random.default_rng(0)
    for fan_out, lists in case.rows:
        size = -(-fan_out // LINE) * LINE
        highest = max((int(a.max()) for a in lists if a.size), default=0)
        columns.append(_aligned(rng.integers(0, 256, (highest + 1) * size, dtype=np.uint8)))
        ids.append(np.concatenate(lists).astype(np.uint32))
        ends = np.cumsum([a.size for a in lists])[steps - 1 :: steps]
        first.append(np.concatenate([[0], ends]).astype(np.uint32))
        sizes.append(size)
    arrays = [_pointers(group) for group in (columns, ids, first)]
    widths = np.array(sizes, np.uint32)

    def run(start: int, count: int) -> Array:
        library.replay_all(
            arrays[0],
            widths.ctypes.data_as(ctypes.c_void_p),
            arrays[1],
            arrays[2],
            ctypes.c_uint32(len(sizes)),
            ctypes.c_uint32(start),
            ctypes.c_uint32(count),
        )
        return np.zeros((count, 0))

    assert samples == len(first[0]) - 1, "as many lists as samples and steps"
    run.keep = columns, ids, first  # type: ignore[attr-defined]
    return run


def add_run(case: Case, folder: Path) -> Run | None:
    """As many additions and updates as the case has, as fast as vectors can."""
    if case.work is None:
        return None
    library = compile_library(folder, BOUND, [ADDS], "add_bound")
    adds, updates = map(ctypes.c_double, case.work)

    def run(_: int, count: int) -> Array:
        library.bound(adds, updates, ctypes.c_uint32(count))
        return np.zeros((count, 0))

    return run


def _aligned(values: Array) -> Array:
    raw = np.zeros(values.size + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    raw[start : start + values.size] = values
    return raw[start : start + values.size]


def _pointers(arrays: list[Array]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
