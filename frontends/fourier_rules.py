"""Discrete Fourier transforms along axes of features: matrices of fixed twiddles.

``X[k] = c sum_n x[n] exp(-2 pi i k n / N)`` with c = 1, 1/sqrt(N) or 1/N; of real values only the
first N/2 + 1 elements are kept.  Its inverse counts all of these twice, but the first and, for an
even N, the last.  Cosines and sines are rounded from exact arguments, the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mpmath  # type: ignore[import-untyped]
import torch

from snnc.frontends.feature_terms import feature_axis, permuted
from snnc.frontends.layer_rules import LAYER_RULES
from snnc.frontends.pointwise_rules import apply
from snnc.frontends.scalarize import Scalarizer
from snnc.frontends.traced import Call, Refusal, Traced

Pair = tuple[Traced, Traced]


def real_to_complex(s: Scalarizer, call: Call, x: Traced) -> Pair:
    """``rfft`` (or ``fft`` of real values) of ``x``: real and imaginary part."""
    size = _size(s, x)
    kept = size // 2 + 1 if call.arg(3, "onesided") else size
    scale = _scale(call, size)
    matrices = [
        [[f(k * n, size) * scale for n in range(size)] for k in range(kept)] for f in _PARTS
    ]
    cos, sin = (_apply(s, call, x, m) for m in matrices)
    return cos, apply(s, "neg", sin)


def complex_to_real(s: Scalarizer, call: Call, re: Traced, im: Traced) -> Traced:
    """``irfft`` of a spectrum of which half is kept."""
    kept, size = _size(s, re), int(call.arg(3, "last_dim_size"))
    if kept != size // 2 + 1:
        raise Refusal("E210", "irfft cuts or fills the spectrum", "give it n of the signal")
    once = {0, size / 2}
    scale = _scale(call, size)
    weights = [scale * (1 if k in once else 2) for k in range(kept)]
    cos, sin = (
        [[f(k * n, size) * weights[k] for k in range(kept)] for n in range(size)] for f in _PARTS
    )
    return apply(s, "sub", _apply(s, call, re, cos), _apply(s, call, im, sin))


def complex_to_complex(s: Scalarizer, call: Call, re: Traced, im: Traced) -> Pair:
    """``fft`` or ``ifft``."""
    size, sign = _size(s, re), -1 if call.arg(3, "forward") else 1
    scale = _scale(call, size)
    cos, sin = (
        [[f(k * n, size) * scale for n in range(size)] for k in range(size)] for f in _PARTS
    )
    a, b, c, d = (_apply(s, call, x, m) for x in (re, im) for m in (cos, sin))
    first, second = ("add", "sub") if sign < 0 else ("sub", "add")
    return apply(s, first, a, d), apply(s, second, c, b)


def _cosine(turns: int, size: int) -> float:
    return float(mpmath.cospi(mpmath.mpf(2 * (turns % size)) / size))


def _sine(turns: int, size: int) -> float:
    return float(mpmath.sinpi(mpmath.mpf(2 * (turns % size)) / size))


_PARTS = (_cosine, _sine)


def _scale(call: Call, size: int) -> float:
    return (1.0, 1 / math.sqrt(size), 1 / size)[int(call.arg(2, "normalization"))]


def along(
    s: Scalarizer,
    call: Call,
    dim: int,
    parts: tuple[Traced, ...],
    transform: Callable[..., tuple[Traced, ...]],
) -> tuple[Traced, ...]:
    """A transform of ``parts``, which have equal axes, along axis ``dim``.

    Raises:
        Refusal: E133 if that is time, E210 if it is not of features.
    """
    axes = parts[0].axes
    dim %= len(axes)
    feature_axis(parts[0], dim, "a spectrum")
    order = [d for d in range(len(axes)) if d != dim]
    back = [*range(dim), len(axes) - 1, *range(dim, len(axes) - 1)]
    if dim == len(axes) - 1:
        return transform(s, call, *parts)
    turned = (permuted(s, s.solid(x), [*order, dim]) for x in parts)
    return tuple(permuted(s, y, back) for y in transform(s, call, *turned))


def _size(s: Scalarizer, x: Traced) -> int:
    return s.extents.size(x.axes[-1])


def _apply(s: Scalarizer, call: Call, x: Traced, matrix: list[list[float]]) -> Traced:
    values = torch.tensor(matrix, dtype=torch.float64).to(x.dtype)
    source = s.dag.source
    weight = s.parameter(s.constant_name(values), values)
    s.dag.source = source
    shape = (*s.extents.shape(x.axes)[:-1], len(matrix))
    result: Any = torch.empty(shape, dtype=x.dtype, device="meta")
    found: Traced = LAYER_RULES["linear"](
        s, replace(call, name="linear", args=(x, weight), kwargs={}, result=result)
    )
    return found
