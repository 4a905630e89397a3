"""Pools, also those whose windows differ in size, upsampling and padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from snnc.frontends.dag import Form
from snnc.frontends.feature_terms import join, mapped, reduced_features, sliced, taken
from snnc.frontends.feature_terms import joined as joined_features
from snnc.frontends.layer_rules import image, tuple_of
from snnc.frontends.layout import Axes, inner
from snnc.frontends.pointwise_rules import apply
from snnc.frontends.scalarize import Rule, Scalarizer
from snnc.frontends.traced import Call, Refusal, Traced
from snnc.windows import Sizes, pooled

_AVERAGES: dict[int, Callable[..., torch.Tensor]] = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}


def _result(call: Call) -> Any:
    return call.result[0] if isinstance(call.result, tuple) else call.result


def _with_indices(call: Call, y: Traced) -> Any:
    if isinstance(call.result, tuple):
        return [y, Refusal("E210", "the indices of max pooling are not supported")]
    return y


def _window(call: Call, rank: int) -> tuple[Sizes, Sizes, Sizes]:
    """Kernel, stride and padding."""
    kernel = tuple_of(call.args[1], rank)
    stride = tuple_of(call.arg(2, "stride") or kernel, rank)
    return kernel, stride, tuple_of(call.arg(3, "padding", 0), rank)


def _windowed(s: Scalarizer, x: Traced, form: Form, shape: Sizes) -> Traced:
    rank = len(shape) - 1
    axes: Axes = (*x.axes[: -rank - 1], *((n,) for n in shape))
    return mapped(s, x, form, axes)


def _max_pool(rank: int) -> Rule:
    def rule(s: Scalarizer, call: Call) -> Any:
        x = image(s, call.args[0], rank)
        kernel, stride, padding = _window(call, rank)
        dilation = tuple_of(call.arg(4, "dilation", 1), rank)
        out = tuple(int(n) for n in _result(call).shape[-rank:])
        if set(dilation) != {1}:
            for dim, *window in zip(range(len(x.axes) - rank, len(x.axes)), out, kernel, stride,
                                    padding, dilation, strict=True):  # fmt: skip
                x = _apart(s, x, dim, *window)
            stride, padding = kernel, (0,) * rank
        shape = pooled(inner(x.axes), kernel, stride, padding)
        if out != shape[1:]:
            x = _repeat_edge(s, x, _missing(x, kernel, stride, padding, out))
        form = Form("max_pool", (kernel, stride, padding))
        return _with_indices(call, _windowed(s, x, form, (shape[0], *out)))

    return rule


def _apart(
    s: Scalarizer, x: Traced, dim: int, out: int, kernel: int, stride: int, padding: int, step: int
) -> Traced:
    """The elements of every window of an axis side by side; what is padded repeats another."""
    size, index = s.extents.size(x.axes[dim]), list[int]()
    for i in range(out):
        places = [i * stride - padding + j * step for j in range(kernel)]
        inside = [p for p in places if 0 <= p < size]
        if not inside:
            raise Refusal("E210", "a window of max pooling holds nothing but padding")
        index += [p if 0 <= p < size else inside[0] for p in places]
    return taken(s, x, dim, index)


def _missing(x: Traced, kernel: Sizes, stride: Sizes, padding: Sizes, out: Sizes) -> Sizes:
    """Elements behind the end of every padded axis that the last window wants."""
    sizes = inner(x.axes)[-len(out) :]
    sides = zip(sizes, kernel, stride, padding, out, strict=True)
    return tuple(max(0, (m - 1) * t + k - n - 2 * p) for n, k, t, p, m in sides)


def _repeat_edge(s: Scalarizer, x: Traced, extra: Sizes) -> Traced:
    """More of the last element, which changes no maximum."""
    for dim, count in enumerate(extra, len(x.axes) - len(extra)):
        size = s.extents.size(x.axes[dim])
        if count:
            x = taken(s, x, dim, [*range(size), *[size - 1] * count])
    return x


def _avg_pool(rank: int) -> Rule:
    def rule(s: Scalarizer, call: Call) -> Traced:
        x = image(s, call.args[0], rank)
        kernel, stride, padding = _window(call, rank)
        ceil, counted = call.arg(4, "ceil_mode", False), call.arg(5, "count_include_pad", True)
        divisor = call.arg(6, "divisor_override")
        shape = pooled(inner(x.axes), kernel, stride, padding)
        out = tuple(int(n) for n in call.result.shape[-rank:])
        elements = 1
        for k in kernel:
            elements *= k
        plain = out == shape[1:] and (counted or not any(padding))
        if plain and divisor in (1, None, elements):
            kind = "sum_pool" if divisor == 1 else "avg_pool"
            return _windowed(s, x, Form(kind, (kernel, stride, padding)), shape)
        extra = _missing(x, kernel, stride, padding, out)
        padded = x
        for dim, more in enumerate(extra, len(x.axes) - rank):
            padded = padded_axis(s, padded, dim, 0, more, 0.0)
        form = Form("sum_pool", (kernel, stride, padding))
        total = _windowed(s, padded, form, (shape[0], *out))
        ones = torch.ones(1, 1, *inner(x.axes)[-rank:])
        options: dict[str, Any] = {} if rank == 1 else {"divisor_override": divisor}
        share = _AVERAGES[rank](ones, kernel, stride, padding, ceil, counted, **options)
        wide = functional.pad(ones, [n for e in reversed(extra) for n in (0, e)])
        one = {} if rank == 1 else {"divisor_override": 1}
        count = _AVERAGES[rank](wide, kernel, stride, padding, **one)
        factor = (share / count / (elements if rank == 1 else 1))[0]
        return apply(s, "mul", total, s.parameter(s.constant_name(factor), factor))

    return rule


def _adaptive(rank: int, fn: str) -> Rule:
    """Window i of m over n elements is ``floor(i n / m)`` to ``ceil((i + 1) n / m)``."""

    def rule(s: Scalarizer, call: Call) -> Any:
        x = image(s, call.args[0], rank)
        channels, *size = inner(x.axes)
        out = tuple(int(n) for n in _result(call).shape[-rank:])
        if not any(n % m for n, m in zip(size, out, strict=True)):
            window = tuple(n // m for n, m in zip(size, out, strict=True))
            kind = {"mean": "avg_pool", "max": "max_pool"}[fn]
            form = Form(kind, (window, window, (0,) * rank))
            return _with_indices(call, _windowed(s, x, form, (channels, *out)))
        for dim, m in enumerate(out, len(x.axes) - rank):
            n = s.extents.size(x.axes[dim])
            bounds = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
            parts = [reduced_features(s, sliced(s, x, dim, *b), fn, [dim]) for b in bounds]
            x = joined_features(s, parts, dim)
        return _with_indices(call, x)

    return rule


def _upsample(rank: int) -> Rule:
    def rule(s: Scalarizer, call: Call) -> Traced:
        x = image(s, call.args[0], rank)
        channels, *size = inner(x.axes)
        out = call.shape[-rank:]
        if any(m % n for n, m in zip(size, out, strict=True)):
            for k, m in enumerate(out):
                x = taken(s, x, len(x.axes) - rank + k, _nearest(call, k, size[k], m))
            return x
        factor = tuple(m // n for n, m in zip(size, out, strict=True))
        return _windowed(s, x, Form("upsample", (factor,)), (channels, *out))

    return rule


def _nearest(call: Call, k: int, size: int, out: int) -> list[int]:
    """The elements of axis ``k`` that nearest neighbours take, as torch itself says."""
    exact = "exact" in call.name
    scales = call.arg(2, "scale_factors") if "vec" in str(call.target) else call.args[2:]
    scale = scales[k] if scales and k < len(scales) else None
    aten = torch.ops.aten
    fn = aten._upsample_nearest_exact1d if exact else aten.upsample_nearest1d  # noqa: SLF001
    numbers = fn(torch.arange(float(size)).reshape(1, 1, size), [out], scale)
    return [int(i) for i in numbers.flatten()]


def padded_axis(
    s: Scalarizer, x: Traced, dim: int, before: int, after: int, value: float
) -> Traced:
    """``x`` with elements of one value before and after an axis of features."""
    if not before and not after:
        return x
    x = s.solid(x)
    size = s.extents.size(x.axes[dim])
    if before < 0 or after < 0:
        x = sliced(s, x, dim, max(0, -before), size - max(0, -after))
        return padded_axis(s, x, dim, max(0, before), max(0, after), value)
    axis = len(inner(x.axes[:dim]))
    if x.axes[dim] != (size,):
        raise Refusal("E133", "padding reorders or joins values of different steps or samples")
    axes = (*x.axes[:dim], (before + size + after,), *x.axes[dim + 1 :])
    shape = inner(x.axes)

    def extend(term: int) -> int:
        sides = [(*shape[:axis], n, *shape[axis + 1 :]) for n in (before, after)]
        first, last = (s.dag.fill(value, side) for side in sides)
        parts = [*([first] if before else []), term, *([last] if after else [])]
        return join(s.dag, parts, axis)

    return Traced(axes, tuple(map(extend, x.terms)), x.dtype)


def _pad(s: Scalarizer, call: Call) -> Traced:
    x, sides = s.operand(call.args[0]), call.args[1]
    mode, value = "constant", call.arg(2, "value", 0.0)
    if call.name == "pad":
        mode, value = call.arg(2, "mode", "constant"), call.arg(3, "value")
    if mode != "constant":
        return _from_inside(s, x, sides, mode)
    for k in range(len(sides) // 2):
        before, after = sides[2 * k : 2 * k + 2]
        x = padded_axis(s, x, len(x.axes) - 1 - k, before, after, float(value or 0.0))
    return x


def _from_inside(s: Scalarizer, x: Traced, sides: list[int], mode: str) -> Traced:
    """Padding with what is inside: mirrored at the edge, the edge itself, or the other end."""
    for k in range(len(sides) // 2):
        before, after = sides[2 * k : 2 * k + 2]
        dim = len(x.axes) - 1 - k
        size = s.extents.size(x.axes[dim])
        index = range(-before, size + after)
        place: dict[str, Callable[[int], int]] = {
            "reflect": lambda i, n=size: abs(i) if i < n else 2 * n - 2 - i,  # type: ignore[misc]
            "replicate": lambda i, n=size: min(max(i, 0), n - 1),  # type: ignore[misc]
            "circular": lambda i, n=size: i % n,  # type: ignore[misc]
        }
        x = taken(s, x, dim, [place[mode](i) for i in index])
    return x


def _inside(mode: str) -> Rule:
    def rule(s: Scalarizer, call: Call) -> Traced:
        return _from_inside(s, s.operand(call.args[0]), call.args[1], mode)

    return rule


POOL_RULES: dict[str, Rule] = {
    **{f"avg_pool{n}d": _avg_pool(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d": _max_pool(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": _max_pool(n) for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": _adaptive(n, "mean") for n in (1, 2, 3)},
    **{f"_adaptive_avg_pool{n}d": _adaptive(n, "mean") for n in (2, 3)},
    **{f"adaptive_max_pool{n}d": _adaptive(n, "max") for n in (1, 2, 3)},
    **{f"upsample_nearest{n}d": _upsample(n) for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": _upsample(n) for n in (1, 2, 3)},
    **dict.fromkeys(("constant_pad_nd", "pad"), _pad),
    **{f"reflection_pad{n}d": _inside("reflect") for n in (1, 2, 3)},
    **{f"replication_pad{n}d": _inside("replicate") for n in (1, 2, 3)},
}
