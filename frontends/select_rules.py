"""Operators that select parts of a tensor, join tensors, or assign to parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from snnc.frontends.dag import CONSTANT, Form
from snnc.frontends.feature_terms import (
    feature_axis,
    is_feature,
    joined,
    mapped,
    sliced,
    taken,
)
from snnc.frontends.fold import Folder
from snnc.frontends.integer_rules import staircase
from snnc.frontends.layout import BATCH, TIME, Axes, Axis, Late, inner, over_steps
from snnc.frontends.scalarize import Rule, Scalarizer
from snnc.frontends.shape_rules import expanded, reshaped
from snnc.frontends.traced import Call, Refusal, Traced
from snnc.frontends.warm_up import warm_up, without_warm_up

_MIXES = "reorders or joins values of different steps or samples"


def _select(s: Scalarizer, call: Call) -> Traced:
    x, dim, index = s.operand(call.args[0]), call.arg(1, "dim"), call.arg(2, "index")
    return selected(s, x, dim % len(x.axes), int(index))


def selected(s: Scalarizer, x: Traced, dim: int, index: int) -> Traced:
    """One element of an axis."""
    axis = x.axes[dim]
    axes = x.axes[:dim] + x.axes[dim + 1 :]
    if over_steps(axis):
        return Traced(axes, (x.terms[index % len(x.terms)],), x.dtype)
    size = s.extents.size(axis)
    if size == 1 or s.soft(x):
        return reshaped(s, x, axes)
    if BATCH in axis:
        raise Refusal("E210", "one sample of the batch is used for all samples")
    if TIME in axis:
        raise Refusal("E133", "an element of an axis that joins steps and features is selected")
    index %= size
    return reshaped(s, sliced(s, x, dim, index, index + 1), axes)


def _unbind(s: Scalarizer, call: Call) -> list[Traced]:
    x = s.operand(call.args[0])
    dim = call.arg(1, "dim", 0) % len(x.axes)
    return [selected(s, x, dim, i) for i in range(s.extents.size(x.axes[dim]))]


def _split(s: Scalarizer, call: Call) -> list[Traced]:
    x = s.operand(call.args[0])
    dim = call.arg(2, "dim", 0) % len(x.axes)
    sizes = [int(y.shape[dim]) for y in call.result]
    if len(sizes) == 1:
        return [x]
    if x.axes[dim] == (TIME,) and set(sizes) == {1}:
        axes = (*x.axes[:dim], (1,), *x.axes[dim + 1 :])
        parts = (selected(s, x, dim, i) for i in range(s.extents.steps))
        return [reshaped(s, part, axes) for part in parts]
    ends = np.cumsum(sizes).tolist()
    return [sliced(s, x, dim, end - n, end) for n, end in zip(sizes, ends, strict=True)]


def _slice(s: Scalarizer, call: Call) -> Traced:
    x = s.operand(call.args[0])
    dim = call.arg(1, "dim", 0) % len(x.axes)
    size = s.extents.size(x.axes[dim])
    start, stop = call.arg(2, "start"), call.arg(3, "end")
    step = call.arg(4, "step", 1)
    if call.shape[dim] == size and step == 1:
        return x
    if s.soft(x) and not is_feature(x, dim):
        axes = s.extents.classify(call.shape)
        return s.per_step(axes, call.dtype, lambda t: x.at(min(t, len(x.terms) - 1)))
    if x.axes[dim] == (TIME,):
        if call.shape[dim] != 1:
            return without_warm_up(s, x, dim, call)
        part = selected(s, x, dim, start or 0)
        return reshaped(s, part, (*x.axes[:dim], (1,), *x.axes[dim + 1 :]))
    if BATCH in x.axes[dim]:
        raise Refusal("E210", "a part of the batch is selected")
    return sliced(s, x, dim, *slice(start, stop, step).indices(size))


def _stack(s: Scalarizer, call: Call) -> Traced:
    parts = [s.operand(x) for x in call.args[0]]
    dim = call.arg(1, "dim", 0) % (len(parts[0].axes) + 1)
    if _one_per_step(s, parts):
        return _over_time(s, parts, dim)
    tall = [reshaped(s, x, (*x.axes[:dim], (1,), *x.axes[dim:])) for x in parts]
    return tall[0] if len(tall) == 1 else joined(s, tall, dim)


def _one_per_step(s: Scalarizer, parts: list[Traced]) -> bool:
    """Whether a list holds one tensor for every step, or for every one after a warm-up."""
    if any(x.timed for x in parts) or len(parts) == 1:
        return False
    return len(parts) == s.extents.steps or warm_up(s, parts) > 0


def _over_time(s: Scalarizer, parts: list[Traced], dim: int) -> Traced:
    """A list of one tensor per step as one tensor."""
    start = warm_up(s, parts)
    time: Axis = (Late(start),) if start else (TIME,)
    hard = list(dict.fromkeys(x.axes for x in parts if not s.soft(x))) or [parts[0].axes]
    if len(hard) != 1:
        raise Refusal("E133", f"the stacked values of different steps {_MIXES}")
    axes = hard[0]
    terms = tuple(s.dag.solid(x.terms[0], inner(axes)) for x in parts)
    return Traced((*axes[:dim], time, *axes[dim:]), terms, parts[0].dtype)


def _cat(s: Scalarizer, call: Call) -> Traced:
    parts = [s.operand(x) for x in call.args[0]]
    parts = [x for x in parts if 0 not in s.extents.shape(x.axes)] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    dim = call.arg(1, "dim", 0) % len(parts[0].axes)
    ones = all(s.extents.size(x.axes[dim]) == 1 for x in parts)
    if ones and _one_per_step(s, parts):
        return _over_time(s, [selected(s, x, dim, 0) for x in parts], dim)
    return joined(s, parts, dim)


def _select_scatter(s: Scalarizer, call: Call) -> Traced:
    """``out[:, t] = value`` on a preallocated tensor, or assignment to one feature."""
    base, value, dim, index = s.operand(call.args[0]), s.operand(call.args[1]), *call.args[2:4]
    dim %= len(base.axes)
    rest = (*base.axes[:dim], *base.axes[dim + 1 :])
    if base.axes[dim] != (TIME,):
        index %= s.extents.size(base.axes[dim])
        value = expanded(s, value, s.extents.shape(rest))
        tall = reshaped(s, value, (*value.axes[:dim], (1,), *value.axes[dim:]))
        return _assigned(s, base, tall, dim, index, index + 1)
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
    dim = call.arg(2, "dim", 0) % len(base.axes)
    size = s.extents.size(base.axes[dim])
    start, stop, step = slice(
        call.arg(3, "start"), call.arg(4, "end"), call.arg(5, "step", 1)
    ).indices(size)
    if step != 1 or not is_feature(base, dim):
        raise Refusal("E210", "assignment to a part of the steps or samples is not supported")
    return _assigned(s, base, value, dim, start, stop)


def _assigned(
    s: Scalarizer, base: Traced, value: Traced, dim: int, start: int, stop: int
) -> Traced:
    """``base`` with features ``start`` to ``stop - 1`` replaced."""
    size = s.extents.size(base.axes[dim])
    parts = [value]
    if start > 0:
        parts.insert(0, sliced(s, base, dim, 0, start))
    if stop < size:
        parts.append(sliced(s, base, dim, stop, size))
    y = joined(s, parts, dim)
    return Traced(y.axes, y.terms, base.dtype)


def _numbers(s: Scalarizer, index: Traced) -> np.ndarray[Any, Any]:
    """The values of an index that is a constant of the model."""
    if any(s.dag[t].reach != CONSTANT for t in index.terms) or len(set(index.terms)) != 1:
        raise Refusal(
            "E210",
            "an index is computed by the network",
            "which elements are read must be fixed; multiply by a mask instead",
        )
    value = torch.as_tensor(Folder(s.dag).fold(s.solid(index).terms[0]))
    found: np.ndarray[Any, Any] = np.rint(value.numpy()).astype(np.int64)
    return found


def _index_select(s: Scalarizer, call: Call) -> Traced:
    x, index = s.operand(call.args[0]), s.operand(call.arg(2, "index"))
    dim = call.arg(1, "dim") % len(x.axes)
    return taken(s, x, dim, _numbers(s, index).reshape(-1).tolist())


def _index(s: Scalarizer, call: Call) -> Traced:
    """``x[:, i]`` with constant numbers ``i``, or rows of a table of parameters."""
    x = s.operand(call.args[0])
    places = [i for i, index in enumerate(call.args[1]) if index is not None]
    if len(places) != 1:
        return _points(s, x, call.args[1], places)
    (dim,) = places
    index = s.operand(call.args[1][dim])
    if index.dtype is torch.bool:
        raise Refusal("E130", "how many elements a mask selects depends on the data")
    if dim == 0 and s.constant(x) and any(s.dag[t].reach != CONSTANT for t in index.terms):
        return looked_up(s, x, index)
    numbers = _numbers(s, index)
    y = taken(s, x, dim, numbers.reshape(-1).tolist())
    axes: Axes = (*y.axes[:dim], *((n,) for n in numbers.shape), *y.axes[dim + 1 :])
    return reshaped(s, y, axes)


def _points(s: Scalarizer, x: Traced, given: list[Any], places: list[int]) -> Traced:
    """``x[:, i, j]`` with constant numbers for neighbouring axes, as elements of their product."""
    first, last = places[0], places[-1]
    if places != list(range(first, last + 1)):
        hint = "index neighbouring axes, or one at a time"
        raise Refusal("E210", "indexing of axes that are not neighbours is not supported", hint)
    for dim in places:
        feature_axis(x, dim, "an index")
    sizes = [s.extents.size(x.axes[dim]) for dim in places]
    index = np.broadcast_arrays(*(_numbers(s, s.operand(given[dim])) for dim in places))
    for i, n in zip(index, sizes, strict=True):
        if i.size and not (-n <= i.min() and i.max() < n):
            raise Refusal("E210", f"an index lies outside an axis of {n} elements")
    flat = np.ravel_multi_index([i % n for i, n in zip(index, sizes, strict=True)], sizes)
    joint = reshaped(s, x, (*x.axes[:first], (int(np.prod(sizes)),), *x.axes[last + 1 :]))
    y = taken(s, joint, first, flat.reshape(-1).tolist())
    axes: Axes = (*y.axes[:first], *((n,) for n in flat.shape), *y.axes[first + 1 :])
    return reshaped(s, y, axes)


def looked_up(s: Scalarizer, table: Traced, numbers: Traced) -> Traced:
    """Rows of a table of parameters, by numbers that the network reads."""
    (weight,) = s.solid(table).terms
    if len(s.dag.shape(weight)) == 1:
        return staircase(s, table, numbers)
    if len(s.dag.shape(weight)) != 2:
        raise Refusal("E210", "an embedding needs a table of (tokens, features)")
    if numbers.dtype.is_floating_point or numbers.dtype is torch.bool:
        raise Refusal("E210", "the row numbers of an embedding are not integers")
    x = s.solid(numbers)
    axes: Axes = (*x.axes, (s.dag.shape(weight)[1],))
    y = mapped(s, x, Form("embedding"), axes, (weight,))
    return Traced(axes, y.terms, table.dtype)


def _embedding(s: Scalarizer, call: Call) -> Traced:
    return looked_up(s, s.operand(call.args[0]), s.operand(call.args[1]))


def _gather(s: Scalarizer, call: Call) -> Traced:
    """``y[i, j] = x[i, index[i, j]]`` with constant numbers, as elements of the flat sample."""
    x, index = s.solid(s.operand(call.args[0])), s.operand(call.arg(2, "index"))
    dim = call.arg(1, "dim") % len(x.axes)
    axis = feature_axis(x, dim, "an index")
    if s.soft(index):
        index = expanded(s, index, s.extents.shape(index.axes))
    special = [f for a in x.axes for f in a if not isinstance(f, int)]
    if any(not isinstance(f, int) and f not in special for a in index.axes for f in a):
        raise Refusal("E210", "an index with steps or samples of its own is not supported")
    numbers = _numbers(s, index)
    shape = inner(x.axes)
    numbers = numbers.reshape(inner(index.axes))
    where = list(np.indices(numbers.shape))
    where[axis] = numbers % shape[axis]
    flat = np.ravel_multi_index(where, shape).reshape(-1)
    lead = tuple(a for a in x.axes if not all(isinstance(f, int) for f in a))
    whole = reshaped(s, x, (*lead, (int(np.prod(shape)),)))
    y = taken(s, whole, len(lead), flat.tolist())
    return reshaped(s, y, index.axes if len(lead) else tuple((n,) for n in numbers.shape))


def _roll(s: Scalarizer, call: Call) -> Traced:
    x = s.operand(call.args[0])
    shifts, dims = call.args[1], call.arg(2, "dims", [])
    shifts = [shifts] if isinstance(shifts, int) else shifts
    dims = [dims] if isinstance(dims, int) else dims
    if not dims:
        raise Refusal("E210", "roll without an axis is not supported", "give dims")
    for shift, dim in zip(shifts, dims, strict=True):
        dim %= len(x.axes)
        feature_axis(x, dim, "roll")
        size = s.extents.size(x.axes[dim])
        if shift % size:
            at = size - shift % size
            x = joined(s, [sliced(s, x, dim, at, size), sliced(s, x, dim, 0, at)], dim)
    return x


def _flip(s: Scalarizer, call: Call) -> Traced:
    x = s.operand(call.args[0])
    for dim in call.args[1]:
        dim %= len(x.axes)
        feature_axis(x, dim, "flip")
        x = taken(s, x, dim, list(reversed(range(s.extents.size(x.axes[dim])))))
    return x


def _getitem(s: Scalarizer, call: Call) -> Any:
    parts, index = call.args
    part = parts[index]
    if isinstance(part, Refusal):
        raise part
    return part


SELECT_RULES: dict[str, Rule] = {
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), _split),
    "select": _select,
    "unbind": _unbind,
    "slice": _slice,
    "stack": _stack,
    "cat": _cat,
    "select_scatter": _select_scatter,
    "slice_scatter": _slice_scatter,
    "index_select": _index_select,
    "index": _index,
    "embedding": _embedding,
    "gather": _gather,
    "roll": _roll,
    "flip": _flip,
    "getitem": _getitem,
}
