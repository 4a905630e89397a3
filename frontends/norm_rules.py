"""Normalization: with stored statistics, or with those of the sample itself."""

from __future__ import annotations

from typing import Any

import torch

from snnc.frontends.dag import CONSTANT, Form
from snnc.frontends.feature_terms import feature_axis, mapped
from snnc.frontends.layer_rules import weight_of
from snnc.frontends.layout import Axes, inner
from snnc.frontends.pointwise_rules import apply
from snnc.frontends.scalarize import Rule, Scalarizer, refuses
from snnc.frontends.shape_rules import reshaped
from snnc.frontends.time_rules import reduced
from snnc.frontends.traced import Call, Refusal, Traced


def _batch_norm(s: Scalarizer, call: Call) -> Any:
    x = s.solid(s.operand(call.args[0]))
    if call.name == "batch_norm":
        weight, bias, mean, var, training, _, eps = call.args[1:8]
        if training:
            return _training_norm(s, call)
    else:
        weight, bias, mean, var, _, eps = call.args[1:7]
    y = _with_statistics(s, x, (weight, bias, mean, var), eps)
    return y if call.name == "batch_norm" else [y, None, None]


def _with_statistics(
    s: Scalarizer, x: Traced, parameters: tuple[Any, Any, Any, Any], eps: float
) -> Traced:
    weight, bias, mean, var = parameters
    (channels,) = s.extents.shape(s.operand(mean).axes)
    if x.axes[1] != (channels,) or inner(x.axes[:1]):
        raise Refusal("E210", "BatchNorm needs (channels, …) behind batch and time")
    args = [weight_of(s, mean), weight_of(s, var)]
    if (weight is None) != (bias is None):
        raise Refusal("E210", "BatchNorm with only one of weight and bias is not supported")
    if weight is not None:
        args += [weight_of(s, weight), weight_of(s, bias)]
    return mapped(s, x, Form("batch_norm", (float(eps),)), x.axes, tuple(args))


@refuses
def _training_norm(s: Scalarizer, call: Call) -> Any:
    raise Refusal(
        "E135",
        "BatchNorm normalizes with the statistics of the batch",
        "use running statistics: track_running_stats=True and eval mode",
    )


def layer_norm(s: Scalarizer, x: Traced, count: int, weight: Any, bias: Any, eps: float) -> Traced:
    """Normalize the last ``count`` axes of the tensor, which are features."""
    x = s.solid(x)
    for dim in range(len(x.axes) - count, len(x.axes)):
        feature_axis(x, dim, "LayerNorm")
    axes = len(inner(x.axes[-count:]))
    given = [(k, p) for k, p in (("w", weight), ("b", bias)) if p is not None]
    form = Form("layer_norm", (axes, float(eps), "".join(k for k, _ in given)))
    return mapped(s, x, form, x.axes, tuple(weight_of(s, p) for _, p in given))


def _layer_norm(s: Scalarizer, call: Call) -> Any:
    x, features = s.operand(call.args[0]), call.args[1]
    weight, bias, eps = call.arg(2, "weight"), call.arg(3, "bias"), call.arg(4, "eps", 1e-5)
    y = layer_norm(s, x, len(features), weight, bias, eps)
    return y if call.name == "layer_norm" else [y, None, None]


def _rms_norm(s: Scalarizer, call: Call) -> Any:
    x, features = s.solid(s.operand(call.args[0])), call.args[1]
    weight, eps = call.arg(2, "weight"), call.arg(3, "eps")
    for dim in range(len(x.axes) - len(features), len(x.axes)):
        feature_axis(x, dim, "RMSNorm")
    axes = len(inner(x.axes[-len(features) :]))
    form = Form("rms_norm", (axes, float(torch.finfo(x.dtype).eps if eps is None else eps)))
    args = () if weight is None else (weight_of(s, weight),)
    y = mapped(s, x, form, x.axes, args)
    return y if call.name == "rms_norm" else [y, None]


def _group_norm(s: Scalarizer, call: Call) -> Any:
    if call.name == "group_norm":
        x, groups = s.operand(call.args[0]), call.args[1]
        weight, bias = call.arg(2, "weight"), call.arg(3, "bias")
        eps = call.arg(4, "eps", 1e-5)
    else:  # native_group_norm(x, weight, bias, N, C, HxW, group, eps)
        x, weight, bias = s.operand(call.args[0]), *call.args[1:3]
        groups, eps = call.args[6:8]
    y = _by_groups(s, x, groups, weight, bias, eps)
    return y if call.name == "group_norm" else [y, None, None]


def _by_groups(s: Scalarizer, x: Traced, groups: int, weight: Any, bias: Any, eps: float) -> Traced:
    """Every group of channels is one row that is normalized, then scaled per channel."""
    x = s.solid(x)
    feature_axis(x, 1, "GroupNorm")
    if inner(x.axes[:1]):
        raise Refusal("E210", "GroupNorm needs (channels, …) behind batch and time")
    shape = inner(x.axes)
    size = 1
    for n in shape:
        size *= n
    rows: Axes = (x.axes[0], (groups,), (size // groups,))
    y = reshaped(s, layer_norm(s, reshaped(s, x, rows), 1, None, None, eps), x.axes)
    for fn, parameter in (("mul", weight), ("add", bias)):
        if parameter is not None:
            p = s.operand(parameter)
            column = reshaped(s, p, (*p.axes, *((1,),) * (len(x.axes) - 2)))
            y = apply(s, fn, y, column)
    return Traced(y.axes, y.terms, x.dtype)


def _instance_norm(s: Scalarizer, call: Call) -> Traced:
    weight, bias, mean, var, fresh, _, eps = call.args[1:8]
    x = s.solid(s.operand(call.args[0]))
    if not fresh:
        return _with_statistics(s, x, (weight, bias, mean, var), eps)
    return _by_groups(s, x, s.extents.size(x.axes[1]), weight, bias, eps)


def _moments(s: Scalarizer, call: Call) -> Any:
    """``var`` and ``std`` over features; ``correction`` is what the number is lowered by."""
    x = s.operand(call.args[0])
    dims = call.arg(1, "dim")
    if isinstance(dims, bool):
        raise Refusal("E210", f"{call.name} without axes is not supported", "give dim")
    rank = len(x.axes)
    over = sorted(d % rank for d in (range(rank) if dims is None else dims))
    correction = call.kwargs.get("correction", 1)
    if call.kwargs.get("unbiased") is False or (len(call.args) > 2 and call.args[2] is False):
        correction = 0
    keep = bool(call.kwargs.get("keepdim", call.arg(3, "keepdim", False)))
    count = 1
    for d in over:
        feature_axis(x, d, call.name)
        count *= s.extents.size(x.axes[d])
    if any(s.dag[t].reach == CONSTANT for t in x.terms) and s.soft(x):
        raise Refusal("E210", f"{call.name} of a constant is not supported")
    center = reduced(s, x, "mean", over, keep=True)
    squares = apply(s, "square", apply(s, "sub", x, center))
    y = reduced(s, squares, "mean", over, keep=keep)
    if correction:
        y = apply(s, "mul", y, count / (count - correction))
    return apply(s, "sqrt", y, dtype=call.dtype) if call.name == "std" else y


NORM_RULES: dict[str, Rule] = {
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    **dict.fromkeys(
        ("_native_batch_norm_legit", "_native_batch_norm_legit_functional", "native_batch_norm"),
        _training_norm,
    ),
    **dict.fromkeys(("layer_norm", "native_layer_norm"), _layer_norm),
    **dict.fromkeys(("rms_norm", "_fused_rms_norm"), _rms_norm),
    **dict.fromkeys(("group_norm", "native_group_norm"), _group_norm),
    "instance_norm": _instance_norm,
    **dict.fromkeys(("var", "std"), _moments),
}
