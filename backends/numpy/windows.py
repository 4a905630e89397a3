"""Windows and convolutions over any number of axes, on arrays (N, C, ...) of any number type."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from snnc.backends.numpy.program import Array

Sizes = tuple[int, ...]


def windows(x: Array, kernel: Sizes, stride: Sizes, padding: Sizes, fill: int) -> Array:
    """Windows of (N, C, ...) as (N, C, *places, *kernel)."""
    sides = [(0, 0), (0, 0), *((p, p) for p in padding)]
    x = np.pad(x, sides, constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, tuple(range(2, x.ndim)))
    places: Any = (slice(None), slice(None), *(slice(None, None, s) for s in stride))
    return np.asarray(view[places])


def convolution(
    x: Array, w: Array, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Array:
    """Cross-correlation with a weight (C_out, C_in/groups, *kernel), as in torch."""
    out, rank = len(w), w.ndim - 2
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True))
    view = windows(x, reach, stride, padding, 0)
    inside: Any = (..., *(slice(None, None, d) for d in dilation))
    view = view[inside]
    n, _, *places = view.shape[: 2 + rank]
    order = (0, *range(2, 2 + rank), 1, *range(2 + rank, 2 + 2 * rank))
    rows = view.transpose(order).reshape(n * _count(places), groups, w[0].size)
    parts = [rows[:, g] @ p.reshape(len(p), -1).T for g, p in enumerate(np.split(w, groups))]
    y = np.concatenate(parts, 1).reshape(n, *places, out)
    return np.moveaxis(y, -1, 1)


def transposed(
    x: Array, w: Array, stride: Sizes, padding: Sizes, extra: Sizes, dilation: Sizes, groups: int
) -> Array:
    """``y[i * stride + k * dilation - padding] += weight[k] * x[i]``.

    The weight is (C_out, C_in/groups, *kernel).
    """
    n, _, *sizes = x.shape
    sides = list(zip(sizes, stride, dilation, w.shape[2:], extra, strict=True))
    full = [(m - 1) * s + d * (k - 1) + 1 + e for m, s, d, k, e in sides]
    y = np.zeros((n, groups, len(w) // groups, *full), x.dtype)
    columns = np.moveaxis(x.reshape(n, groups, w.shape[1], _count(sizes)), 2, 3)
    weight = w.reshape(groups, len(w) // groups, *w.shape[1:])
    for tap in itertools.product(*(range(k) for k in w.shape[2:])):
        at: Any = (slice(None), slice(None), slice(None))
        for k, (m, s, d, _, _) in zip(tap, sides, strict=True):
            at = (*at, slice(d * k, d * k + (m - 1) * s + 1, s))
        inside: Any = (..., *tap)
        part = columns @ weight[inside].swapaxes(1, 2)  # (N, groups, places, out)
        y[at] += np.moveaxis(part, 3, 2).reshape(n, groups, -1, *sizes)
    cut: Any = (
        slice(None),
        slice(None),
        *(slice(p, f - p) for p, f in zip(padding, full, strict=True)),
    )
    return np.asarray(y.reshape(n, len(w), *full)[cut])


def _count(sizes: list[int]) -> int:
    count = 1
    for size in sizes:
        count *= size
    return count
