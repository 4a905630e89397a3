"""Operators that create, index or rearrange tensors."""

from __future__ import annotations

import torch

from snnc.frontends.dag import CONSTANT
from snnc.frontends.feature_terms import feature_axis, permuted, spread
from snnc.frontends.layout import BATCH, TIME, Axes, Axis, inner, timed
from snnc.frontends.scalarize import Rule, Scalarizer
from snnc.frontends.traced import Call, Refusal, SampleNumbers, Traced


def _soft(s: Scalarizer, x: Traced, shape: tuple[int, ...], dtype: torch.dtype) -> Traced:
    """A tensor with one value everywhere, in another shape."""
    axes = s.extents.classify(shape)
    return s.per_step(axes, dtype, lambda t: x.at(min(t, len(x.terms) - 1)))


def _filled(value: float) -> Rule:
    def rule(s: Scalarizer, call: Call) -> Traced:
        return uniform(s, call, value)

    return rule


def uniform(s: Scalarizer, call: Call, value: float) -> Traced:
    """A new tensor with one value, rounded to its type."""
    rounded = float(torch.tensor(value, dtype=call.dtype).item())
    like = call.args[0] if call.args and call.name.endswith(("_like", "zero", "fill")) else None
    axes = like.axes if isinstance(like, Traced) else s.extents.classify(call.shape)
    return s.per_step(axes, call.dtype, lambda _: s.dag.fill(rounded, ()))


def _full(s: Scalarizer, call: Call) -> Traced:
    value = call.args[0] if call.name == "scalar_tensor" else call.arg(1, "fill_value")
    if call.name == "new_full":
        value = call.arg(2, "fill_value")
    if call.name == "fill":
        value = call.arg(1, "value")
    if isinstance(value, Traced):
        if value.axes:
            raise Refusal("E210", "a tensor is filled from a tensor that is not a scalar")
        return _soft(s, value, call.shape, call.dtype)
    return uniform(s, call, value)


def reshaped(s: Scalarizer, x: Traced, axes: Axes) -> Traced:
    """The same elements along other axes."""
    if s.soft(x):
        return s.per_step(axes, x.dtype, x.at)
    return Traced(axes, tuple(s.dag.reshape(t, inner(axes)) for t in x.terms), x.dtype)


def _reshape(s: Scalarizer, call: Call) -> Traced:
    x = s.operand(call.args[0])
    if s.soft(x):
        return _soft(s, x, call.shape, call.dtype)
    axes = s.extents.regroup(x.axes, call.shape)
    if axes is None:
        shapes = f"{s.extents.shape(x.axes)} to {call.shape}"
        raise Refusal("E133", f"reshape {shapes} cuts through the batch or time axis")
    return reshaped(s, x, axes)


def _permute(s: Scalarizer, call: Call) -> Traced:
    x = s.operand(call.args[0])
    rank = len(x.axes)
    order = list(range(rank))
    if call.name == "permute":
        order = [d % rank for d in call.args[1]]
    elif rank > 1:
        i, j = (call.args[1] % rank, call.args[2] % rank) if call.name == "transpose" else (0, 1)
        order[i], order[j] = j, i
    return permuted(s, x, order)


def _expand(s: Scalarizer, call: Call) -> Traced:
    """Broadcast to a larger shape; new axes may be batch or time."""
    return expanded(s, s.operand(call.args[0]), call.shape)


def expanded(s: Scalarizer, x: Traced, shape: tuple[int, ...]) -> Traced:
    """Broadcast ``x`` to ``shape``."""
    if s.soft(x) or (not x.axes and s.dag[x.terms[0]].reach == CONSTANT):
        return _soft(s, x, shape, x.dtype)
    x = s.solid(x)
    own: Axes = ((1,),) * (len(shape) - len(x.axes)) + x.axes
    axes: list[Axis] = []
    kept: list[Axis] = []
    for axis, n in zip(own, shape, strict=True):
        if s.extents.size(axis) == n:
            kept.append(axis)
            axes.append(axis)
            continue
        (new,) = s.extents.classify((n,))
        axes.append(new)
        kept.append((1,) * len(inner((new,))))
    shape = inner(tuple(axes))
    terms = [spread(s.dag, s.dag.reshape(t, inner(tuple(kept))), shape) for t in x.terms]
    return s.per_step(tuple(axes), x.dtype, lambda t: terms[t if x.timed else 0])


def _repeat(s: Scalarizer, call: Call) -> Traced:
    """``repeat`` along axes of extent one is ``expand``."""
    x = s.operand(call.args[0])
    counts = call.args[1]
    if call.name == "tile":
        counts = [*[1] * (len(x.axes) - len(counts)), *counts]
    own = (1,) * (len(counts) - len(x.axes)) + s.extents.shape(x.axes)
    if s.soft(x) or all(n == 1 or c == 1 for n, c in zip(own, counts, strict=True)):
        return expanded(s, x, call.shape)
    # (B, …).repeat(T, 1, …) puts time in front of the batch within one axis
    axes: Axes = ((1,),) * (len(counts) - len(x.axes)) + x.axes
    if counts[0] == s.extents.steps and all(c == 1 for c in counts[1:]) and not x.timed:
        return s.per_step(((TIME, *axes[0]), *axes[1:]), x.dtype, x.at)
    tall = reshaped(s, x, axes)
    for dim, count in enumerate(counts):
        if count == 1:
            continue
        feature_axis(tall, dim, "repeating")
        new = (*tall.axes[:dim], (count,), *tall.axes[dim:])
        one = reshaped(s, tall, (*tall.axes[:dim], (1,), *tall.axes[dim:]))
        terms = tuple(spread(s.dag, t, inner(new)) for t in one.terms)
        size = count * s.extents.size(tall.axes[dim])
        joint = (*tall.axes[:dim], (size,), *tall.axes[dim + 1 :])
        tall = reshaped(s, Traced(new, terms, x.dtype), joint)
    return tall


def _repeat_each(s: Scalarizer, call: Call) -> Traced:
    """``repeat_interleave``: every element several times in a row."""
    x, count = s.operand(call.args[0]), call.args[1]
    dim = call.arg(2, "dim")
    if not isinstance(count, int) or dim is None:
        raise Refusal("E210", "repeat_interleave needs one number and an axis")
    dim %= len(x.axes)
    feature_axis(x, dim, "repeating")
    if s.soft(x):
        return _soft(s, x, call.shape, x.dtype)
    size = s.extents.size(x.axes[dim])
    one = reshaped(s, s.solid(x), (*x.axes[: dim + 1], (1,), *x.axes[dim + 1 :]))
    new = (*x.axes[: dim + 1], (count,), *x.axes[dim + 1 :])
    tall = Traced(new, tuple(spread(s.dag, t, inner(new)) for t in one.terms), x.dtype)
    return reshaped(s, tall, (*x.axes[:dim], (size * count,), *x.axes[dim + 1 :]))


def _arange(s: Scalarizer, call: Call) -> Traced | SampleNumbers:
    """Numbers in a row; one number per step if there are as many as steps."""
    bounds = [*call.args] if len(call.args) > 1 else [0, *call.args]
    values = torch.arange(*bounds, dtype=call.dtype)
    axes = s.extents.classify(call.shape)
    if axes == ((BATCH,),) and bounds[0] == 0:
        return SampleNumbers()
    if timed(axes):
        if axes != ((TIME,),):
            raise Refusal("E136", "numbers in a row for steps and samples together")
        return s.per_step(axes, call.dtype, lambda t: s.dag.literal(float(values[t])))
    return s.parameter(s.constant_name(values), values)


def _copy(s: Scalarizer, call: Call) -> Traced:
    target, source = s.operand(call.args[0]), s.operand(call.args[1])
    source = Traced(source.axes, source.terms, target.dtype)
    if s.extents.shape(target.axes) == s.extents.shape(source.axes):
        return source
    return expanded(s, source, s.extents.shape(target.axes))


def _nothing(s: Scalarizer, call: Call) -> None:
    return None


SHAPE_RULES: dict[str, Rule] = {
    **dict.fromkeys(
        ("zeros", "zeros_like", "new_zeros", "zero", "empty", "empty_like"), _filled(0)
    ),
    **dict.fromkeys(("new_empty", "empty_strided", "new_empty_strided"), _filled(0)),
    **dict.fromkeys(("ones", "ones_like", "new_ones"), _filled(1)),
    **dict.fromkeys(("full", "full_like", "new_full", "scalar_tensor", "fill"), _full),
    **dict.fromkeys(
        ("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze"),
        _reshape,
    ),
    **dict.fromkeys(("permute", "transpose", "t", "numpy_T"), _permute),
    **dict.fromkeys(("_assert_tensor_metadata", "_assert_async", "_assert_scalar"), _nothing),
    "expand": _expand,
    "repeat": _repeat,
    "tile": _repeat,
    "repeat_interleave": _repeat_each,
    "arange": _arange,
    "copy": _copy,
}
