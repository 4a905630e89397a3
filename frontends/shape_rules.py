"""Operators that create, index or rearrange tensors."""

from __future__ import annotations

from typing import Any

import torch

from snnc.frontends.layout import BATCH, TIME, Axes, Axis, Late, inner, over_steps, timed
from snnc.frontends.scalarize import Call, Refusal, Rule, Scalarizer, Traced
from snnc.frontends.warm_up import warm_up, without_warm_up

_MIXES = "reorders or joins values of different steps or samples"


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
    axes = tuple(x.axes[d] for d in order)
    if s.soft(x):
        return reshaped(s, x, axes)
    wide = [d for d in order if inner((x.axes[d],)) not in ((), (1,))]
    if wide != sorted(wide):
        raise Refusal("E210", "a transposition of feature axes is not supported")
    return reshaped(s, x, axes)


def _expand(s: Scalarizer, call: Call) -> Traced:
    """Broadcast to a larger shape; new axes may be batch or time."""
    return expanded(s, s.operand(call.args[0]), call.shape)


def expanded(s: Scalarizer, x: Traced, shape: tuple[int, ...]) -> Traced:
    """Broadcast ``x`` to ``shape``."""
    if s.soft(x) or not x.axes:
        return _soft(s, x, shape, x.dtype)
    own: Axes = ((1,),) * (len(shape) - len(x.axes)) + x.axes
    axes: list[Axis] = []
    kept: list[Axis] = []
    for axis, n in zip(own, shape, strict=True):
        if s.extents.size(axis) == n:
            kept.append(axis)
            axes.append(axis)
            continue
        (new,) = s.extents.classify((n,))
        if inner((new,)):
            raise Refusal("E210", "a value is repeated along a feature axis")
        axes.append(new)
    terms = [s.dag.reshape(t, inner(tuple(kept))) for t in x.terms]
    return s.per_step(tuple(axes), x.dtype, lambda t: terms[t if x.timed else 0])


def _repeat(s: Scalarizer, call: Call) -> Traced:
    """``repeat`` along axes of extent one is ``expand``."""
    x = s.operand(call.args[0])
    counts = call.args[1]
    own = (1,) * (len(counts) - len(x.axes)) + s.extents.shape(x.axes)
    if s.soft(x) or all(n == 1 or c == 1 for n, c in zip(own, counts, strict=True)):
        return expanded(s, x, call.shape)
    # (B, …).repeat(T, 1, …) puts time in front of the batch within one axis
    axes: Axes = ((1,),) * (len(counts) - len(x.axes)) + x.axes
    if counts[0] == s.extents.steps and all(c == 1 for c in counts[1:]) and not x.timed:
        return s.per_step(((TIME, *axes[0]), *axes[1:]), x.dtype, x.at)
    raise Refusal("E210", "repeating a feature axis is not supported")


def _select(s: Scalarizer, call: Call) -> Traced:
    x, dim, index = s.operand(call.args[0]), call.arg(1, "dim"), call.arg(2, "index")
    return selected(s, x, dim % len(x.axes), int(index))


def selected(s: Scalarizer, x: Traced, dim: int, index: int) -> Traced:
    """One element of an axis."""
    axis = x.axes[dim]
    axes = x.axes[:dim] + x.axes[dim + 1 :]
    if over_steps(axis):
        return Traced(axes, (x.terms[index % len(x.terms)],), x.dtype)
    if s.extents.size(axis) == 1 or s.soft(x):
        return reshaped(s, x, axes)
    if BATCH in axis:
        raise Refusal("E210", "one sample of the batch is used for all samples")
    if TIME in axis:
        raise Refusal("E133", "an element of an axis that joins steps and features is selected")
    raise Refusal("E210", "selecting a feature is not supported")


def _unbind(s: Scalarizer, call: Call) -> list[Traced]:
    x = s.operand(call.args[0])
    dim = call.arg(1, "dim", 0) % len(x.axes)
    return [selected(s, x, dim, i) for i in range(s.extents.size(x.axes[dim]))]


def _split(s: Scalarizer, call: Call) -> list[Traced]:
    x = s.operand(call.args[0])
    dim = call.arg(2, "dim", 0) % len(x.axes)
    sizes = {int(y.shape[dim]) for y in call.result}
    if len(call.result) == 1:
        return [x]
    if x.axes[dim] != (TIME,) or sizes != {1}:
        raise Refusal("E210", "splitting features is not supported")
    axes = (*x.axes[:dim], (1,), *x.axes[dim + 1 :])
    parts = (selected(s, x, dim, i) for i in range(s.extents.steps))
    return [reshaped(s, part, axes) for part in parts]


def _slice(s: Scalarizer, call: Call) -> Traced:
    x = s.operand(call.args[0])
    dim = call.arg(1, "dim", 0) % len(x.axes)
    size = s.extents.size(x.axes[dim])
    if call.shape[dim] == size:
        if call.arg(4, "step", 1) == 1:
            return x
        raise Refusal("E210", "a slice with a step is not supported")
    if s.soft(x):
        return _soft(s, x, call.shape, call.dtype)
    if x.axes[dim] == (TIME,):
        if call.shape[dim] != 1:
            return without_warm_up(s, x, dim, call)
        start = call.arg(2, "start") or 0
        part = selected(s, x, dim, start)
        return reshaped(s, part, (*x.axes[:dim], (1,), *x.axes[dim + 1 :]))
    if BATCH in x.axes[dim]:
        raise Refusal("E210", "a part of the batch is selected")
    raise Refusal("E210", "slicing features is not supported")


def _stack(s: Scalarizer, call: Call) -> Traced:
    parts = [s.operand(x) for x in call.args[0]]
    dim = call.arg(1, "dim", 0) % (len(parts[0].axes) + 1)
    if len(parts) == 1:
        return reshaped(s, parts[0], (*parts[0].axes[:dim], (1,), *parts[0].axes[dim:]))
    return _over_time(s, parts, dim)


def _over_time(s: Scalarizer, parts: list[Traced], dim: int) -> Traced:
    """A list of one tensor per step as one tensor."""
    time: Axis = (TIME,)
    if start := warm_up(s, parts):
        time = (Late(start),)
    elif len(parts) != s.extents.steps or any(x.timed for x in parts):
        raise Refusal(
            "E210",
            f"joining {len(parts)} tensors in a new axis is not supported",
            "only a list with one entry per step can be stacked or concatenated",
        )
    hard = list(dict.fromkeys(x.axes for x in parts if not s.soft(x))) or [parts[0].axes]
    if len(hard) != 1:
        raise Refusal("E133", f"the stacked values of different steps {_MIXES}")
    axes = hard[0]
    terms = tuple(s.dag.solid(x.terms[0], inner(axes)) for x in parts)
    return Traced((*axes[:dim], time, *axes[dim:]), terms, parts[0].dtype)


def _cat(s: Scalarizer, call: Call) -> Traced:
    parts = [s.operand(x) for x in call.args[0]]
    if len(parts) == 1:
        return parts[0]
    dim = call.arg(1, "dim", 0) % len(parts[0].axes)
    if all(s.extents.size(x.axes[dim]) == 1 for x in parts):
        return _over_time(s, [selected(s, x, dim, 0) for x in parts], dim)
    raise Refusal("E210", "concatenating features is not supported")


def _select_scatter(s: Scalarizer, call: Call) -> Traced:
    """``out[:, t] = value`` on a preallocated tensor."""
    base, value, dim, index = s.operand(call.args[0]), s.operand(call.args[1]), *call.args[2:4]
    dim %= len(base.axes)
    if base.axes[dim] != (TIME,):
        raise Refusal("E210", "assignment to a feature is not supported")
    rest = (*base.axes[:dim], *base.axes[dim + 1 :])
    if s.soft(base) and not s.soft(value):
        rest = value.axes
    base = s.solid(Traced((*rest[:dim], (TIME,), *rest[dim:]), base.terms, base.dtype))
    value = s.solid(Traced(rest, value.terms, value.dtype) if s.soft(value) else value)
    if value.axes != rest:
        raise Refusal("E133", f"an assignment {_MIXES}")
    terms = list(base.terms)
    terms[index % s.extents.steps] = value.terms[0]
    return Traced(base.axes, tuple(terms), base.dtype)


def _slice_scatter(s: Scalarizer, call: Call) -> Traced:
    base, value = s.operand(call.args[0]), s.operand(call.args[1])
    if s.extents.shape(base.axes) == s.extents.shape(value.axes):
        return value
    raise Refusal("E210", "assignment to a part of a tensor is not supported")


def _copy(s: Scalarizer, call: Call) -> Traced:
    target, source = s.operand(call.args[0]), s.operand(call.args[1])
    source = Traced(source.axes, source.terms, target.dtype)
    if s.extents.shape(target.axes) == s.extents.shape(source.axes):
        return source
    return expanded(s, source, s.extents.shape(target.axes))


def _getitem(s: Scalarizer, call: Call) -> Any:
    parts, index = call.args
    part = parts[index]
    if isinstance(part, Refusal):
        raise part
    return part


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
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), _split),
    "expand": _expand,
    "repeat": _repeat,
    "select": _select,
    "unbind": _unbind,
    "slice": _slice,
    "stack": _stack,
    "cat": _cat,
    "select_scatter": _select_scatter,
    "slice_scatter": _slice_scatter,
    "copy": _copy,
    "getitem": _getitem,
}

__all__ = ["SHAPE_RULES", "expanded", "reshaped", "selected", "timed"]
