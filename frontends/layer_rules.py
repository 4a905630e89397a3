"""Layers with weights, and products of matrices."""

from __future__ import annotations

from typing import Any

from snnc.frontends.dag import Form
from snnc.frontends.feature_terms import mapped, permuted, transpose
from snnc.frontends.layout import BATCH, TIME, Axes, Axis, inner
from snnc.frontends.pointwise_rules import apply
from snnc.frontends.scalarize import Rule, Scalarizer
from snnc.frontends.shape_rules import reshaped
from snnc.frontends.traced import Call, Refusal, Traced
from snnc.windows import Sizes, convolved, spread


def weight_of(s: Scalarizer, x: Any) -> int:
    """The term of a parameter, or of an expression of parameters."""
    value = s.solid(s.operand(x))
    if not s.constant(value):
        raise Refusal("E210", "the weights of a layer depend on its inputs")
    return value.terms[0]


def _dense(s: Scalarizer, x: Any, weight: int, bias: Any, call: Call) -> Traced:
    value = s.solid(s.operand(x))
    out, fan_in = s.dag.shape(weight)
    if value.axes[-1] != (fan_in,):
        code = "E133" if TIME in value.axes[-1] else "E210"
        raise Refusal(code, "a linear layer joins features with steps or samples")
    axes: Axes = (*value.axes[:-1], (out,))
    args = (weight,) if bias is None else (weight, weight_of(s, bias))
    y = mapped(s, value, Form("linear"), axes, args)
    return Traced(axes, y.terms, call.dtype)


def _linear(s: Scalarizer, call: Call) -> Traced:
    x, w, bias = call.args[0], call.args[1], call.arg(2, "bias")
    if isinstance(w, Traced) and not s.constant(w) and bias is None:
        turned = permuted(s, w, [1, 0]) if len(w.axes) == 2 else w
        return product(s, s.operand(x), turned, call)
    return _dense(s, x, weight_of(s, w), bias, call)


def _transposed(s: Scalarizer, x: Any) -> int:
    weight = weight_of(s, x)
    return transpose(s.dag, weight, (1, 0))


def _matmul(s: Scalarizer, call: Call) -> Traced:
    """``x @ W`` with constant ``W`` is a linear layer."""
    if call.name in ("addmm", "baddbmm", "addbmm"):
        return _added(s, call)
    x, w = (s.operand(v) for v in call.args[:2])
    if s.constant(w) and len(w.axes) == 2:
        return _dense(s, x, _transposed(s, w), None, call)
    return product(s, x, w, call)


def _added(s: Scalarizer, call: Call) -> Traced:
    """``beta * bias + alpha * x @ w``."""
    bias, x, w = (s.operand(v) for v in call.args[:3])
    beta, alpha = call.kwargs.get("beta", 1), call.kwargs.get("alpha", 1)
    flat = len(bias.axes) == 1 and s.constant(bias)
    if s.constant(w) and len(w.axes) == 2 and flat and (beta, alpha) == (1, 1):
        return _dense(s, x, _transposed(s, w), bias, call)
    if s.constant(w) and len(w.axes) == 2:
        y = _dense(s, x, _transposed(s, w), None, call)
    else:
        y = product(s, x, w, call)
    y = y if alpha == 1 else apply(s, "mul", y, alpha)
    if beta == 0:
        return y
    return apply(s, "add", y, bias if beta == 1 else apply(s, "mul", bias, beta), dtype=call.dtype)


def product(s: Scalarizer, a: Traced, b: Traced, call: Call) -> Traced:
    """A product of two tensors of which at least one is computed; leading axes broadcast."""
    if min(len(a.axes), len(b.axes)) < 2:
        raise Refusal(
            "E210",
            "a product with a vector is not supported",
            "give it an axis of extent one, or multiply and sum",
        )
    if s.constant(a) and not s.constant(b) and len(inner(a.axes)) == 2:
        # W x = (x' W')': a layer with weights, behind a transposition
        turned = permuted(s, s.solid(b), _swapped(b))
        y = _dense(s, turned, weight_of(s, _matrix(s, a)), None, call)
        return permuted(s, y, _swapped(y))
    a, b = s.solid(a), s.solid(b)
    if _special(b.axes[-1]) and not _special(a.axes[-2]):
        y = product(s, permuted(s, b, _swapped(b)), permuted(s, a, _swapped(a)), call)
        return permuted(s, y, _swapped(y))
    if TIME in a.axes[-1] or TIME in b.axes[-2]:
        hint = "write it as a loop with a state, or apply it outside"
        raise Refusal("E133", "a product over time needs the whole sequence at once", hint)
    if BATCH in a.axes[-1] or BATCH in b.axes[-2]:
        raise Refusal("E210", "a product over the batch mixes samples")
    if rows := _special(a.axes[-2]):
        return _rows_apart(s, a, b, rows, call)
    if _special(b.axes[-1]):
        raise Refusal("E210", "a product whose columns are samples mixes them")
    lead = _common(s, a.axes[:-2], b.axes[:-2])
    axes: Axes = (*lead, a.axes[-2], b.axes[-1])
    left, right = _leading(s, a, lead), _leading(s, b, lead)
    form, shape = Form("matmul"), inner(axes)
    return s.per_step(
        axes, call.dtype, lambda t: s.dag.make(form, (left.at(t), right.at(t)), shape)
    )


def _special(axis: Axis) -> set[Any]:
    return {f for f in axis if not isinstance(f, int)}


def _rows_apart(s: Scalarizer, a: Traced, b: Traced, rows: set[Any], call: Call) -> Traced:
    """A product whose rows are samples or steps: of one row each, times the same matrix."""
    if inner((a.axes[-2],)) or any(rows & _special(axis) for axis in (*b.axes, *a.axes[:-2])):
        text = "a product whose rows are samples or steps mixes them"
        raise Refusal("E133" if TIME in rows else "E210", text)
    one = reshaped(s, a, (*a.axes[:-2], a.axes[-2], (1,), a.axes[-1]))
    flat: Axes = ((1,),) * max(0, len(a.axes) - len(b.axes))
    matrix = reshaped(s, b, (*flat, *b.axes[:-2], (1,), *b.axes[-2:]))
    y = product(s, one, matrix, call)
    return reshaped(s, y, (*y.axes[:-2], y.axes[-1]))


def _matrix(s: Scalarizer, a: Traced) -> Traced:
    return reshaped(s, a, tuple((n,) for n in inner(a.axes)))


def _swapped(x: Traced) -> list[int]:
    rank = len(x.axes)
    return [*range(rank - 2), rank - 1, rank - 2]


def _common(s: Scalarizer, a: Axes, b: Axes) -> Axes:
    """Leading axes of a product."""
    rank = max(len(a), len(b))
    sides = [((1,),) * (rank - len(x)) + x for x in (a, b)]
    lead: list[Axis] = []
    for x, y in zip(*sides, strict=True):
        if x != y and s.extents.size(x) != 1 and s.extents.size(y) != 1:
            raise Refusal("E136", "the batch of two factors is not the same")
        lead.append(y if s.extents.size(x) == 1 else x)
    return tuple(lead)


def _leading(s: Scalarizer, x: Traced, lead: Axes) -> Traced:
    """Terms with one sample axis for every one in ``lead``, of extent one where it lacks."""
    own: Axes = ((1,),) * (len(lead) + 2 - len(x.axes)) + x.axes
    shape: list[int] = []
    for mine, target in zip(own[:-2], lead, strict=True):
        shape += inner((mine,)) if mine == target else [1] * len(inner((target,)))
    full = (*shape, *inner(own[-2:]))
    return Traced(x.axes, tuple(s.dag.reshape(t, full) for t in x.terms), x.dtype)


def image(s: Scalarizer, x: Any, rank: int = 2) -> Traced:
    """A tensor of channels and ``rank`` axes of places behind batch and time."""
    value = s.solid(s.operand(x))
    count = rank + 1
    last = value.axes[-count:]
    numbers = all(len(a) == 1 and isinstance(a[0], int) for a in last)
    if len(inner(value.axes)) != count or not numbers:
        code = "E133" if any(TIME in a for a in last) else "E210"
        places = {1: "length", 2: "height, width", 3: "depth, height, width"}[rank]
        raise Refusal(code, f"needs (channels, {places}) behind batch and time")
    return value


def tuple_of(x: Any, rank: int) -> Sizes:
    """A number for every axis."""
    if isinstance(x, int):
        return (x,) * rank
    x = [int(n) for n in x]
    return tuple(x * rank) if len(x) == 1 else tuple(x)


def _convolution(rank: int) -> Rule:
    def rule(s: Scalarizer, call: Call) -> Traced:
        x, weight = image(s, call.args[0], rank), weight_of(s, call.args[1])
        stride = tuple_of(call.arg(3, "stride", 1), rank)
        padding, dilation = call.arg(4, "padding", 0), tuple_of(call.arg(5, "dilation", 1), rank)
        groups = int(call.arg(8 if call.name == "convolution" else 6, "groups", 1))
        if padding == "valid":
            padding = 0
        elif padding == "same":
            kernel = s.dag.shape(weight)[2:]
            reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
            if any(r % 2 for r in reach):
                raise Refusal("E210", "padding='same' of an even kernel is not supported")
            padding = [r // 2 for r in reach]
        attrs = (stride, tuple_of(padding, rank), dilation, groups)
        shape = convolved(inner(x.axes), s.dag.shape(weight), *attrs)
        return _convolved(s, x, Form(f"conv{rank}d", attrs), weight, shape, call)

    return rule


def _spread(rank: int) -> Rule:
    """Transposed convolutions; groups stand before dilation, except in ``convolution``."""

    def rule(s: Scalarizer, call: Call) -> Traced:
        x, weight = image(s, call.args[0], rank), weight_of(s, call.args[1])
        stride, padding = call.arg(3, "stride", 1), call.arg(4, "padding", 0)
        if call.name == "convolution":
            dilation, _, extra, groups = call.args[5:9]
        else:
            extra, groups = call.arg(5, "output_padding", 0), call.arg(6, "groups", 1)
            dilation = call.arg(7, "dilation", 1)
        one, two, three, four = (tuple_of(v, rank) for v in (stride, padding, extra, dilation))
        attrs = (one, two, three, four, int(groups))
        shape = spread(inner(x.axes), s.dag.shape(weight), *attrs)
        return _convolved(s, x, Form(f"conv_transpose{rank}d", attrs), weight, shape, call)

    return rule


def _convolved(
    s: Scalarizer, x: Traced, form: Form, weight: int, shape: Sizes, call: Call
) -> Traced:
    bias = call.arg(2, "bias")
    args = (weight,) if bias is None else (weight, weight_of(s, bias))
    axes: Axes = (*x.axes[: -len(shape)], *((n,) for n in shape))
    y = mapped(s, x, form, axes, args)
    return Traced(axes, y.terms, call.dtype)


def _any_convolution(s: Scalarizer, call: Call) -> Any:
    make = _spread if call.args[6] else _convolution
    return make(len(call.args[3]))(s, call)


LAYER_RULES: dict[str, Rule] = {
    "linear": _linear,
    **dict.fromkeys(("mm", "matmul", "bmm", "addmm", "baddbmm"), _matmul),
    **{f"conv{n}d": _convolution(n) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _spread(n) for n in (1, 2, 3)},
    "convolution": _any_convolution,
}
