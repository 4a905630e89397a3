"""Rearranging, selecting and reducing the features of a traced tensor.

Rules speak of axes of tensors; terms have the axes of one sample at one step.  Here one is turned
into the other, and an axis that joins features with steps or samples is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from snnc.frontends.dag import Dag, Form
from snnc.frontends.layout import BATCH, Axes, inner, timed
from snnc.frontends.scalarize import Scalarizer
from snnc.frontends.traced import Refusal, Traced

Shape = tuple[int, ...]


def feature_axis(x: Traced, dim: int, what: str) -> int:
    """The axis of a sample behind axis ``dim`` of the tensor.

    Raises:
        Refusal: E133 if steps are among its elements, E210 if samples are.
    """
    axis = x.axes[dim]
    if timed((axis,)):
        raise Refusal(
            "E133",
            f"{what} along time needs the whole sequence at once",
            "write it as a loop with a state, or apply it outside",
        )
    if BATCH in axis:
        raise Refusal("E210", f"{what} mixes samples of the batch")
    return len(inner(x.axes[:dim]))


def is_feature(x: Traced, dim: int) -> bool:
    """Whether an axis holds nothing but features."""
    return all(isinstance(f, int) for f in x.axes[dim])


def mapped(
    s: Scalarizer, x: Traced, form: Form, axes: Axes, parameters: tuple[int, ...] = ()
) -> Traced:
    """One operator on every step of ``x``, which is solid."""
    shape = inner(axes)
    terms = tuple(s.dag.make(form, (t, *parameters), shape) for t in x.terms)
    return Traced(axes, terms, x.dtype)


def transpose(dag: Dag, x: int, perm: Shape) -> int:
    """Reorder the axes of a term; a move of axes of extent one is a reshape."""
    shape = dag.shape(x)
    new = tuple(shape[p] for p in perm)
    wide = [p for p in perm if shape[p] != 1]
    if wide == sorted(wide):
        return dag.reshape(x, new)
    term = dag[x]
    if term.form.kind == "transpose":
        (first,) = term.form.attrs
        return transpose(dag, term.args[0], tuple(first[p] for p in perm))
    return dag.make(Form("transpose", (perm,)), (x,), new)


def permuted(s: Scalarizer, x: Traced, order: list[int]) -> Traced:
    """Reorder the axes of a tensor."""
    axes = tuple(x.axes[d] for d in order)
    if s.soft(x):
        return Traced(axes, x.terms, x.dtype)
    x = s.solid(x)
    first = [len(inner(x.axes[:d])) for d in range(len(x.axes))]
    perm = tuple(first[d] + i for d in order for i in range(len(inner((x.axes[d],)))))
    return Traced(axes, tuple(transpose(s.dag, t, perm) for t in x.terms), x.dtype)


def cut(dag: Dag, x: int, axis: int, start: int, stop: int, step: int = 1) -> int:
    """Elements of one axis of a term."""
    shape = dag.shape(x)
    count = len(range(start, stop, step))
    if count == shape[axis] and step == 1:
        return x
    new = (*shape[:axis], count, *shape[axis + 1 :])
    value = dag.value(x)
    if value is not None:
        return dag.fill(value, new)
    return dag.make(Form("slice", (axis, start, start + (count - 1) * step + 1, step)), (x,), new)


def sliced(s: Scalarizer, x: Traced, dim: int, start: int, stop: int, step: int = 1) -> Traced:
    """Elements of an axis of features."""
    count = len(range(start, stop, step))
    if count < 1:
        raise Refusal("E210", "a tensor without elements is not supported")
    axis = feature_axis(x, dim, "a slice")
    axes = (*x.axes[:dim], (count,), *x.axes[dim + 1 :])
    if s.soft(x):
        return Traced(axes, x.terms, x.dtype)
    x = s.solid(x)
    terms = tuple(cut(s.dag, t, axis, start, stop, step) for t in x.terms)
    return Traced(axes, terms, x.dtype)


def join(dag: Dag, parts: list[int], axis: int) -> int:
    """Terms one after the other along an axis."""
    if len(parts) == 1:
        return parts[0]
    shapes = [dag.shape(p) for p in parts]
    count = sum(shape[axis] for shape in shapes)
    new = (*shapes[0][:axis], count, *shapes[0][axis + 1 :])
    values = {dag.value(p) for p in parts}
    if len(values) == 1 and None not in values:
        return dag.fill(values.pop() or 0.0, new)
    return dag.make(Form("concat", (axis,)), tuple(parts), new)


def _latest(x: Traced, step: int) -> int:
    return x.at(min(step, len(x.terms) - 1))


def joined(s: Scalarizer, parts: list[Traced], dim: int) -> Traced:
    """Tensors one after the other along an axis of features."""
    hard = [x for x in parts if not s.soft(x)] or parts[:1]
    lead = next((x for x in hard if x.timed), hard[0])
    rest = (*lead.axes[:dim], *lead.axes[dim + 1 :])
    solid: list[Traced] = []
    for x in parts:
        own = (*x.axes[:dim], *x.axes[dim + 1 :])
        if s.soft(x) and s.extents.shape(own) == s.extents.shape(rest):
            axes = (*rest[:dim], x.axes[dim], *rest[dim:])
            x = s.per_step(axes, x.dtype, partial(_latest, x))
        elif own != rest:
            raise Refusal("E133", "joining tensors reorders or joins values of different steps")
        feature_axis(x, dim, "joining")
        solid.append(s.solid(x))
    axis = len(inner(lead.axes[:dim]))
    count = sum(s.extents.size(x.axes[dim]) for x in solid)
    axes = (*lead.axes[:dim], (count,), *lead.axes[dim + 1 :])
    return s.per_step(axes, lead.dtype, lambda t: join(s.dag, [x.at(t) for x in solid], axis))


def spread(dag: Dag, x: int, shape: Shape) -> int:
    """Broadcast a term."""
    if dag.shape(x) == shape:
        return x
    value = dag.value(x)
    if value is not None:
        return dag.fill(value, shape)
    return dag.make(Form("broadcast", (shape,)), (x,), shape)


def taken(s: Scalarizer, x: Traced, dim: int, index: list[int]) -> Traced:
    """Elements of an axis of features, by their numbers."""
    if not index:
        raise Refusal("E210", "a tensor without elements is not supported")
    axis = feature_axis(x, dim, "an index")
    size = s.extents.size(x.axes[dim])
    if not all(-size <= i < size for i in index):
        raise Refusal("E210", f"an index lies outside an axis of {size} elements")
    index = [i % size for i in index]
    step = index[1] - index[0] if len(index) > 1 else 1
    if step > 0 and index == list(range(index[0], index[-1] + 1, step)):
        return sliced(s, x, dim, index[0], index[-1] + 1, step)
    axes = (*x.axes[:dim], (len(index),), *x.axes[dim + 1 :])
    if s.soft(x):
        return Traced(axes, x.terms, x.dtype)
    return mapped(s, s.solid(x), Form("take", (axis, tuple(index))), axes)


def reduced_features(s: Scalarizer, x: Traced, fn: str, over: list[int]) -> Traced:
    """Reduce axes of features, which stay with extent one."""
    x = s.solid(x)
    places = sorted(
        feature_axis(x, d, fn) + i for d in over for i in range(len(inner((x.axes[d],))))
    )
    shape = inner(x.axes)
    axes = tuple((1,) if d in over else a for d, a in enumerate(x.axes))
    if math.prod(shape[p] for p in places) == 1:
        return Traced(axes, tuple(s.dag.reshape(t, inner(axes)) for t in x.terms), x.dtype)
    return mapped(s, x, Form("reduce", (fn, tuple(places), True)), axes)


def per_element(s: Scalarizer, x: Traced, change: Callable[[int], int]) -> Traced:
    """The same tensor with every term changed to one of the same shape."""
    return Traced(x.axes, tuple(map(change, x.terms)), x.dtype)
