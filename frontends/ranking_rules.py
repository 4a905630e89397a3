"""The largest elements of an axis, sorted axes, and assignments at computed positions."""

from __future__ import annotations

import torch

from snnc.frontends.dag import Form
from snnc.frontends.feature_terms import feature_axis, mapped, reduced_features, sliced, taken
from snnc.frontends.layout import Axis
from snnc.frontends.pointwise_rules import apply
from snnc.frontends.scalarize import Rule, Scalarizer
from snnc.frontends.shape_rules import reshaped
from snnc.frontends.traced import Call, Refusal, Traced


def largest(
    s: Scalarizer, x: Traced, dim: int, k: int, falling: bool = True
) -> tuple[Traced, Traced]:
    """The ``k`` first elements of an axis of features in falling or rising order.

    Returns:
        Values and positions; of equal elements the first comes first.
    """
    dim %= len(x.axes)
    axis = feature_axis(x, dim, "sorting")
    size = s.extents.size(x.axes[dim])
    if not 1 <= k <= size:
        raise Refusal("E210", f"the {k} largest of {size} elements are asked for")
    axes = (*x.axes[:dim], (k,), *x.axes[dim + 1 :])
    if falling:
        values = mapped(s, s.solid(x), Form("top_k", (axis, k, False)), axes)
    else:  # the same integers as x, which a comparison of the two relies on
        every = mapped(s, s.solid(x), Form("top_k", (axis, size, False)), x.axes)
        values = taken(s, every, dim, [size - 1 - i for i in range(k)])
    signed = s.solid(x if falling else apply(s, "neg", x))
    places = mapped(s, signed, Form("top_k", (axis, k, True)), axes)
    return Traced(axes, values.terms, x.dtype), Traced(axes, places.terms, torch.int64)


def _top_k(s: Scalarizer, call: Call) -> list[Traced]:
    x, falling = s.operand(call.args[0]), bool(call.arg(3, "largest", True))
    return list(largest(s, x, call.arg(2, "dim", -1), int(call.arg(1, "k")), falling))


def _sort(s: Scalarizer, call: Call) -> list[Traced]:
    """``sort`` and ``argsort``; their overloads with ``stable`` have one argument more."""
    x, args = s.operand(call.args[0]), list(call.args[1:])
    if "stable" in str(call.target) and args:
        args.pop(0)
    dim = args[0] if args else call.kwargs.get("dim", -1)
    falling = args[1] if len(args) > 1 else call.kwargs.get("descending", False)
    return list(largest(s, x, dim, s.extents.size(x.axes[dim % len(x.axes)]), bool(falling)))


def _nth(s: Scalarizer, call: Call) -> list[Traced]:
    """The k-th smallest element; the median is the one in the middle, or the lower of two."""
    x, median = s.operand(call.args[0]), call.name == "median"
    dim, keep = (
        call.arg(1 if median else 2, "dim", -1),
        call.arg(2 + (not median), "keepdim", False),
    )
    if dim is None:
        raise Refusal("E210", "the median of a flat tensor is not supported", "give dim")
    dim %= len(x.axes)
    k = (s.extents.size(x.axes[dim]) + 1) // 2 if median else int(call.arg(1, "k"))
    parts = (sliced(s, y, dim, k - 1, k) for y in largest(s, x, dim, k, falling=False))
    if keep:
        return list(parts)
    return [reshaped(s, y, (*y.axes[:dim], *y.axes[dim + 1 :])) for y in parts]


def _scatter(s: Scalarizer, call: Call) -> Traced:
    """``x`` with one value at computed positions of an axis of features."""
    x, index, value = s.operand(call.args[0]), s.operand(call.arg(2, "index")), call.args[3]
    if not isinstance(value, int | float | bool) or call.kwargs.get("reduce") is not None:
        hint = "write one number: torch.zeros_like(x).scatter(dim, index, 1.0)"
        raise Refusal("E210", "scatter of values that differ is not supported", hint)
    dim = call.arg(1, "dim") % len(index.axes)
    feature_axis(index, dim, "scatter")
    n = call.shape[dim]
    rest: tuple[Axis, ...] = index.axes[dim + 1 :]
    if any(s.extents.size(a) != m for a, m in zip(index.axes, call.shape, strict=True)
           if a is not index.axes[dim]):  # fmt: skip
        raise Refusal("E210", "scatter into more elements than the index has is not supported")
    wide = reshaped(s, s.solid(index), (*index.axes[: dim + 1], (1,), *rest))
    numbers = torch.arange(float(n)).reshape(n, *[1] * len(rest))
    places = s.parameter(s.constant_name(numbers), numbers)
    hits = reduced_features(s, apply(s, "eq", wide, places), "max", [dim])
    mask = reshaped(s, hits, (*index.axes[:dim], (n,), *rest))
    return apply(s, "where", mask, float(value), x, dtype=call.dtype)


RANKING_RULES: dict[str, Rule] = {
    "topk": _top_k,
    "sort": _sort,
    "argsort": lambda s, call: _sort(s, call)[1],
    **dict.fromkeys(("kthvalue", "median"), _nth),
    "scatter": _scatter,
}
