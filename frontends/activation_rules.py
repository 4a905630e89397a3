"""Activation functions, written with the functions of ``snnc.kernel``."""

from __future__ import annotations

import math
from typing import Any

import torch

from snnc.frontends.feature_terms import sliced
from snnc.frontends.pointwise_rules import apply
from snnc.frontends.scalarize import Rule, Scalarizer
from snnc.frontends.shape_rules import reshaped
from snnc.frontends.traced import Call, Traced


def _gelu(s: Scalarizer, call: Call) -> Traced:
    """``x Phi(x)``, Phi through erf or, approximately, tanh (as torch writes both)."""
    x = s.operand(call.args[0])
    half = apply(s, "mul", x, 0.5)
    if call.arg(1, "approximate", "none") == "tanh":
        cube = apply(s, "mul", apply(s, "mul", x, x), x)
        inside = apply(s, "add", x, apply(s, "mul", cube, 0.044715))
        side = apply(s, "tanh", apply(s, "mul", inside, math.sqrt(2 / math.pi)))
    else:
        side = apply(s, "erf", apply(s, "mul", x, math.sqrt(0.5)))
    return apply(s, "mul", half, apply(s, "add", side, 1.0), dtype=call.dtype)


def _between(s: Scalarizer, x: Any, low: float, high: float) -> Traced:
    return apply(s, "minimum", apply(s, "maximum", x, low), high)


def _hard_sigmoid(s: Scalarizer, call: Call) -> Traced:
    """``min(max(x + 3, 0), 6) / 6``."""
    clipped = _between(s, apply(s, "add", call.args[0], 3.0), 0.0, 6.0)
    return apply(s, "div", clipped, 6.0, dtype=call.dtype)


def _hard_swish(s: Scalarizer, call: Call) -> Traced:
    """``x min(max(x + 3, 0), 6) / 6``."""
    x = call.args[0]
    clipped = _between(s, apply(s, "add", x, 3.0), 0.0, 6.0)
    return apply(s, "div", apply(s, "mul", x, clipped), 6.0, dtype=call.dtype)


def _relu6(s: Scalarizer, call: Call) -> Traced:
    return _between(s, call.args[0], 0.0, 6.0)


def _elu(s: Scalarizer, call: Call) -> Traced:
    """``x`` above zero, ``alpha (exp(x input_scale) - 1)`` below, all times ``scale``."""
    x, alpha = call.args[0], call.arg(1, "alpha", 1.0)
    scale, inside = 1.0, 1.0
    if call.name == "elu":
        scale, inside = call.arg(2, "scale", 1.0), call.arg(3, "input_scale", 1.0)
    elif call.name == "celu":
        inside = 1 / alpha
    elif call.name == "selu":
        alpha, scale = 1.6732632423543772, 1.0507009873554805
    below = apply(s, "mul", apply(s, "expm1", apply(s, "mul", x, inside)), alpha)
    y = apply(s, "where", apply(s, "gt", x, 0.0), x, below, dtype=call.dtype)
    return y if scale == 1.0 else apply(s, "mul", y, scale, dtype=call.dtype)


def _mish(s: Scalarizer, call: Call) -> Traced:
    x = call.args[0]
    side = apply(s, "tanh", apply(s, "softplus", x))
    return apply(s, "mul", x, side, dtype=call.dtype)


def _prelu(s: Scalarizer, call: Call) -> Traced:
    """One slope below zero for all channels, or one for each."""
    x, weight = s.operand(call.args[0]), s.operand(call.args[1])
    if len(weight.axes) == 1 and len(x.axes) > 2:
        weight = reshaped(s, weight, (*weight.axes, *((1,),) * (len(x.axes) - 2)))
    below = apply(s, "mul", weight, x)
    return apply(s, "where", apply(s, "gt", x, 0.0), x, below, dtype=call.dtype)


def _log_sigmoid(s: Scalarizer, call: Call) -> Any:
    y = apply(s, "neg", apply(s, "softplus", apply(s, "neg", call.args[0])))
    y = Traced(y.axes, y.terms, s.operand(call.args[0]).dtype)
    return [y, None] if isinstance(call.result, tuple) else y


def _threshold(s: Scalarizer, call: Call) -> Traced:
    x, level, value = call.args[:3]
    return apply(s, "where", apply(s, "gt", x, level), x, value, dtype=call.dtype)


def _hard_shrink(s: Scalarizer, call: Call) -> Traced:
    x, level = call.args[0], call.arg(1, "lambd", 0.5)
    inside = apply(s, "le", apply(s, "abs", x), level)
    return apply(s, "where", inside, 0.0, x, dtype=call.dtype)


def _soft_shrink(s: Scalarizer, call: Call) -> Traced:
    x, level = call.args[0], call.arg(1, "lambd", 0.5)
    above = apply(s, "maximum", apply(s, "sub", x, level), 0.0)
    below = apply(s, "minimum", apply(s, "add", x, level), 0.0)
    return apply(s, "add", above, below, dtype=call.dtype)


def _glu(s: Scalarizer, call: Call) -> Traced:
    """The first half of the features, gated by the second."""
    x = s.operand(call.args[0])
    dim = call.arg(1, "dim", -1) % len(x.axes)
    half = s.extents.size(x.axes[dim]) // 2
    gate = apply(s, "sigmoid", sliced(s, x, dim, half, 2 * half))
    return apply(s, "mul", sliced(s, x, dim, 0, half), gate, dtype=call.dtype)


def _power_of(base: float) -> Rule:
    def rule(s: Scalarizer, call: Call) -> Traced:
        scaled = apply(s, "mul", call.args[0], math.log(base))
        return apply(s, "exp", scaled, dtype=call.dtype)

    return rule


def _logarithm(base: float) -> Rule:
    def rule(s: Scalarizer, call: Call) -> Traced:
        return apply(s, "div", apply(s, "log", call.args[0]), math.log(base), dtype=call.dtype)

    return rule


def _erf(s: Scalarizer, call: Call) -> Traced:
    y = apply(s, "erf", call.args[0], dtype=call.dtype)
    return apply(s, "sub", 1.0, y, dtype=call.dtype) if call.name == "erfc" else y


def _remainder(s: Scalarizer, call: Call) -> Traced:
    """``x - n floor(x / n)``: the sign of ``n``."""
    x, n = call.args[:2]
    whole = apply(s, "floor", apply(s, "div", x, n))
    return apply(s, "sub", x, apply(s, "mul", whole, n), dtype=call.dtype)


def _floor_divide(s: Scalarizer, call: Call) -> Traced:
    return apply(s, "floor", apply(s, "div", *call.args[:2]), dtype=call.dtype)


def _is_nan(s: Scalarizer, call: Call) -> Traced:
    x = s.operand(call.args[0])
    return apply(s, "ne", x, x, dtype=torch.bool)


ACTIVATION_RULES: dict[str, Rule] = {
    "gelu": _gelu,
    "hardsigmoid": _hard_sigmoid,
    "hardswish": _hard_swish,
    "relu6": _relu6,
    **dict.fromkeys(("elu", "celu", "selu"), _elu),
    "mish": _mish,
    **dict.fromkeys(("prelu", "_prelu_kernel"), _prelu),
    **dict.fromkeys(("log_sigmoid", "log_sigmoid_forward"), _log_sigmoid),
    "threshold": _threshold,
    "hardshrink": _hard_shrink,
    "softshrink": _soft_shrink,
    "glu": _glu,
    "exp2": _power_of(2.0),
    "log2": _logarithm(2.0),
    "log10": _logarithm(10.0),
    **dict.fromkeys(("erf", "erfc"), _erf),
    "remainder": _remainder,
    "floor_divide": _floor_divide,
    "isnan": _is_nan,
}
