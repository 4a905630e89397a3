"""Softmax, attention, and reductions that look at all elements of an axis of features."""

from __future__ import annotations

import math
from typing import Any

import torch

from snnc.frontends.dag import CONSTANT, Form
from snnc.frontends.feature_terms import feature_axis, mapped, permuted
from snnc.frontends.fold import Folder
from snnc.frontends.layer_rules import product
from snnc.frontends.layout import inner
from snnc.frontends.pointwise_rules import apply
from snnc.frontends.scalarize import Rule, Scalarizer
from snnc.frontends.shape_rules import reshaped
from snnc.frontends.time_rules import reduced
from snnc.frontends.traced import Call, Refusal, Traced

#: Far below every score, and finite when a score is added.
_LOWEST = -1e38


def softmax(s: Scalarizer, x: Traced, dim: int) -> Traced:
    """Along an axis of features."""
    x = s.solid(x)
    axis = feature_axis(x, dim, "softmax")
    if len(x.axes[dim]) != 1:
        raise Refusal("E210", "softmax over an axis of joined features is not supported")
    x = Traced(x.axes, tuple(_finite(s, t) for t in x.terms), x.dtype)
    return mapped(s, x, Form("softmax", (axis,)), x.axes)


def _finite(s: Scalarizer, x: int) -> int:
    """Masks of minus infinity as the smallest number: its exponential is zero as well.

    The same unless everything along the axis is masked; then torch computes NaN.
    """
    dag, term = s.dag, s.dag[x]
    if term.form == Form("pointwise", ("where",)):
        args = (dag.literal(_LOWEST) if dag.value(a) == -math.inf else a for a in term.args)
        return dag.rebuild(x, tuple(args))
    if term.form == Form("pointwise", ("add",)):
        args = (_finite_mask(s, a) if dag[a].reach == CONSTANT else a for a in term.args)
        return dag.rebuild(x, tuple(args))
    return x


def _finite_mask(s: Scalarizer, x: int) -> int:
    value = torch.as_tensor(Folder(s.dag).fold(x))
    if not torch.isneginf(value).any():
        return x
    mask = value.clamp(min=_LOWEST)
    return s.solid(s.parameter(s.constant_name(mask), mask)).terms[0]


def _softmax(s: Scalarizer, call: Call) -> Traced:
    x = s.operand(call.args[0])
    dim = call.arg(1, "dim") % len(x.axes)
    y = softmax(s, x, dim)
    if call.name in ("log_softmax", "_log_softmax"):
        y = apply(s, "log", y)
    return Traced(y.axes, y.terms, call.dtype)


def _attention(s: Scalarizer, call: Call) -> Any:
    """``softmax(scale q k' + mask) v`` over the last two axes."""
    q, k, v = (s.operand(x) for x in call.args[:3])
    plain = call.name == "scaled_dot_product_attention"
    mask = call.arg(3, "attn_mask") if plain else call.kwargs.get("attn_mask")
    dropout = call.arg(4 if plain else 3, "dropout_p", 0.0)
    causal = call.arg(5 if plain else 4, "is_causal", False)
    if dropout:
        raise Refusal("E134", "attention with dropout draws random numbers", "call .eval()")
    if call.kwargs.get("enable_gqa"):
        raise Refusal("E210", "grouped queries are not supported", "repeat keys and values")
    scale = call.kwargs.get("scale") or 1 / math.sqrt(s.extents.size(q.axes[-1]))
    rank = len(k.axes)
    turned = permuted(s, s.solid(k), [*range(rank - 2), rank - 1, rank - 2])
    scores = apply(s, "mul", product(s, q, turned, call), scale)
    if causal:
        shape = s.extents.shape(scores.axes[-2:])
        seen = torch.ones(shape, dtype=torch.bool).tril()
        mask = s.parameter(s.constant_name(seen), seen)
    if mask is not None:
        mask = s.operand(mask)
        if mask.dtype is torch.bool:
            scores = apply(s, "where", mask, scores, -math.inf)
        else:
            scores = apply(s, "add", scores, mask)
    y = product(s, softmax(s, scores, len(scores.axes) - 1), v, call)
    return [y, None] if isinstance(call.result, tuple) else y


def _over(s: Scalarizer, call: Call, x: Traced) -> tuple[list[int], bool]:
    """Axes, and whether they stay with extent one."""
    dims = call.arg(1, "dim")
    rank = len(x.axes)
    if dims is None or dims == []:
        dims = list(range(rank))
    over = sorted({d % rank for d in ([dims] if isinstance(dims, int) else dims)})
    return over, bool(call.arg(2, "keepdim", False))


def _minimum(s: Scalarizer, call: Call) -> Any:
    """``min(x, y)`` is elementwise; over steps, the minimum is ``-max(-x)``."""
    if call.name == "min" and len(call.args) > 1 and isinstance(call.args[1], Traced):
        return apply(s, "minimum", *call.args[:2], dtype=call.dtype)
    x = s.operand(call.args[0])
    over, keep = _over(s, call, x)
    if any(x.axes[d] and not all(isinstance(f, int) for f in x.axes[d]) for d in over):
        y = apply(s, "neg", reduced(s, apply(s, "neg", x), "max", over, keep))
    else:
        y = reduced(s, x, "min", over, keep)
    y = Traced(y.axes, y.terms, x.dtype)
    if isinstance(call.result, tuple):
        return [y, Refusal("E210", "the index of a minimum is not supported")]
    return y


def _product(s: Scalarizer, call: Call) -> Traced:
    x = s.operand(call.args[0])
    over, keep = _over(s, call, x)
    for d in over:
        feature_axis(x, d, "prod")
    return reduced(s, x, "prod", over, keep)


def _all(s: Scalarizer, call: Call) -> Traced:
    """Truth values of which none is 0: ``not any(not x)``."""
    x = s.operand(call.args[0])
    over, keep = _over(s, call, x)
    false = apply(s, "eq", x, 0.0)
    y = apply(s, "eq", reduced(s, s.solid(false), "max", over, keep), 0.0)
    return Traced(y.axes, y.terms, torch.bool)


def _argmax(s: Scalarizer, call: Call) -> Traced:
    x = s.operand(call.args[0])
    if call.name == "argmin":
        x = apply(s, "neg", x)
    dim, keep = call.arg(1, "dim"), call.arg(2, "keepdim", False)
    if dim is None:
        raise Refusal("E210", "the position in a flat tensor is not supported", "give dim")
    dim %= len(x.axes)
    x = s.solid(x)
    axis = feature_axis(x, dim, call.name)
    axes = (*x.axes[:dim], *x.axes[dim + 1 :])
    y = mapped(s, x, Form("argmax", (axis,)), axes)
    y = Traced(axes, y.terms, call.dtype)
    return reshaped(s, y, (*x.axes[:dim], (1,), *x.axes[dim + 1 :])) if keep else y


def _log_sum(s: Scalarizer, call: Call) -> Traced:
    x = s.operand(call.args[0])
    over, keep = _over(s, call, x)
    for d in over:
        feature_axis(x, d, "logsumexp")
    peak = reduced(s, x, "max", over, keep=True)
    shifted = apply(s, "exp", apply(s, "sub", x, peak))
    total = apply(s, "add", apply(s, "log", reduced(s, shifted, "sum", over, keep=True)), peak)
    if keep:
        return total
    return reshaped(s, total, tuple(a for d, a in enumerate(x.axes) if d not in over))


def _norm(s: Scalarizer, call: Call) -> Traced:
    """The Euclidean norm, the sum of magnitudes, or the largest of them."""
    x, order = s.operand(call.args[0]), call.arg(1, "ord", 2)
    rank = len(x.axes)
    dims = call.arg(2, "dim")
    dims = list(range(rank)) if dims is None else [dims] if isinstance(dims, int) else dims
    over, keep = sorted(d % rank for d in dims), bool(call.arg(3, "keepdim", False))
    for d in over:
        feature_axis(x, d, "a norm")
    if order == 2:
        return apply(s, "sqrt", reduced(s, apply(s, "square", x), "sum", over, keep))
    kind = {1: "sum", math.inf: "max"}.get(order)
    if kind is None:
        raise Refusal("E210", f"the norm of order {order} is not supported")
    return reduced(s, apply(s, "abs", x), kind, over, keep)


def _cumsum(s: Scalarizer, call: Call) -> Traced:
    """Along features: a linear layer whose weights are 0 and 1."""
    x = s.operand(call.args[0])
    dim = call.arg(1, "dim") % len(x.axes)
    feature_axis(x, dim, "cumsum")
    n = s.extents.size(x.axes[dim])
    order = [d for d in range(len(x.axes)) if d != dim] + [dim]
    turned = s.solid(permuted(s, x, order))
    ones = torch.ones(n, n).tril()
    weight = s.parameter(s.constant_name(ones), ones).terms[0]
    y = mapped(s, turned, Form("linear"), turned.axes, (weight,))
    back = sorted(range(len(order)), key=order.__getitem__)
    y = permuted(s, Traced(y.axes, y.terms, call.dtype), back)
    assert len(inner(y.axes)) == len(inner(x.axes)), "a permutation keeps all axes"
    return y


ATTENTION_RULES: dict[str, Rule] = {
    **dict.fromkeys(("softmax", "_softmax", "log_softmax", "_log_softmax"), _softmax),
    **dict.fromkeys(
        ("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu"), _attention
    ),
    **dict.fromkeys(("amin", "min"), _minimum),
    **dict.fromkeys(("argmax", "argmin"), _argmax),
    "prod": _product,
    "all": _all,
    "logsumexp": _log_sum,
    **dict.fromkeys(("linalg_vector_norm", "norm"), _norm),
    "cumsum": _cumsum,
}
