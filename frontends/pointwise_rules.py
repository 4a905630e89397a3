"""Elementwise operators: ATen's names and conventions to the functions of ``snnc.kernel``."""

from __future__ import annotations

import math
from typing import Any

import torch

from snnc.frontends.dag import CONSTANT
from snnc.frontends.feature_terms import spread
from snnc.frontends.layout import BATCH, TIME, Axes, Axis, inner, timed
from snnc.frontends.scalarize import Rule, Scalarizer, refuses
from snnc.frontends.traced import Call, Refusal, SampleNumbers, Traced


def broadcast(s: Scalarizer, operands: list[Traced]) -> Axes:
    """Axes of an elementwise result.

    Raises:
        Refusal: E136 if batch or time of one operand meets a number of another.
    """
    out: list[Axis] = []
    for p in range(1, max((len(x.axes) for x in operands), default=0) + 1):
        own = [(x, x.axes[-p]) for x in operands if len(x.axes) >= p]
        wide = [(x, a) for x, a in own if s.extents.size(a) != 1]
        hard = list(dict.fromkeys(a for x, a in wide if not s.soft(x)))
        if len(hard) > 1:
            raise Refusal(
                "E136",
                "a tensor whose size is the number of steps or samples meets one whose size is "
                f"fixed: {s.extents.shape(tuple(hard))}",
                "values that differ from step to step must be inputs or states",
            )
        if hard or wide:
            out.append(hard[0] if hard else wide[0][1])
        else:
            out.append(max((a for _, a in own), key=len))
    return tuple(reversed(out))


def over_time(s: Scalarizer, operands: list[Traced]) -> list[Traced]:
    """Give parameters with one entry per step a time axis, where a sequence meets them."""
    found = list(operands)
    rank = max((len(x.axes) for x in operands), default=0)
    for p in range(1, rank + 1):
        own = [x.axes[-p] for x in operands if len(x.axes) >= p]
        for i, x in enumerate(found) if (TIME,) in own else ():
            entries = len(x.axes) >= p and x.axes[-p] == (s.extents.steps,) != (1,)
            if entries and s.constant(x) and not s.soft(x):
                found[i] = s.entries(x, len(x.axes) - p)
    return found


def fitted(s: Scalarizer, x: Traced, axes: Axes) -> Traced:
    """Reshape the terms of ``x`` so that they broadcast to ``inner(axes)``."""
    if s.soft(x) or not x.axes:
        return x
    pairs = list(zip(x.axes, axes[len(axes) - len(x.axes) :], strict=True))
    rank = len(inner(x.axes))

    def fit(term: int) -> int:
        small = s.dag.shape(term)  # a constant may have been left smaller than its tensor
        rest = [1] * (rank - len(small)) + list(small)
        shape: list[int] = []
        for own, target in pairs:
            count = len(inner((own,)))
            shape += rest[:count] if own == target else [1] * len(inner((target,)))
            rest = rest[count:]
        while len(shape) > len(small) and rank > len(small) and shape[0] == 1:
            shape.pop(0)
        return s.dag.reshape(term, tuple(shape))

    return Traced(x.axes, tuple(map(fit, x.terms)), x.dtype)


def apply(s: Scalarizer, fn: str, *values: Any, dtype: torch.dtype | None = None) -> Traced:
    """One function of ``REAL_FUNCTIONS`` on tensors and numbers, at every step."""
    operands = over_time(s, [s.operand(v) for v in values])
    axes = broadcast(s, operands)
    fit = [fitted(s, x, axes) for x in operands]

    def compute(t: int) -> int:
        term = s.dag.pointwise(fn, *(x.terms[t] if timed(x.axes) else x.terms[0] for x in fit))
        if s.dag.shape(term) != () and math.prod(s.dag.shape(term)) == math.prod(inner(axes)):
            term = s.dag.reshape(term, inner(axes))
        small = s.dag.shape(term) not in ((), inner(axes))
        if small and s.dag[term].reach != CONSTANT:  # a constant may stay as small as it is
            return spread(s.dag, term, inner(axes))
        return term

    return s.per_step(axes, dtype or operands[0].dtype, compute)


def _simple(fn: str) -> Rule:
    def rule(s: Scalarizer, call: Call) -> Traced:
        return apply(s, fn, *call.args[: 1 + (fn in _BINARY)], dtype=call.dtype)

    return rule


_BINARY = frozenset(("mul", "maximum", "minimum", "ge", "gt", "le", "lt", "eq", "ne"))


def _logical(fn: str) -> Rule:
    """Both ``logical_*`` and ``bitwise_*``; the latter on truth values only."""

    def rule(s: Scalarizer, call: Call) -> Traced:
        operands = [s.operand(x) for x in call.args]
        if not call.name.startswith("logical") and call.dtype is not torch.bool:
            raise Refusal("E210", f"operator {call.target} on integers is not supported")
        truth = [x if x.dtype is torch.bool else apply(s, "ne", x, 0.0) for x in operands]
        return apply(s, fn, *truth, dtype=torch.bool)

    return rule


def _sum(s: Scalarizer, call: Call) -> Traced:
    a, b, alpha = call.args[0], call.args[1], call.arg(2, "alpha", 1)
    fn = call.name.rstrip("_")
    if fn == "rsub":
        a, b, fn = b, a, "sub"
        if alpha != 1:
            b = apply(s, "mul", b, alpha)
    elif alpha != 1:
        b = apply(s, "mul", b, alpha)
    if call.dtype is torch.bool:
        return apply(s, "or", a, b, dtype=torch.bool)
    return apply(s, fn, a, b, dtype=call.dtype)


def _multiply(s: Scalarizer, call: Call) -> Traced:
    fn = "and" if call.dtype is torch.bool else "mul"
    return apply(s, fn, *call.args[:2], dtype=call.dtype)


def _divide(s: Scalarizer, call: Call) -> Traced:
    mode = call.arg(2, "rounding_mode")
    quotient = apply(s, "div", *call.args[:2], dtype=call.dtype)
    if mode is None:
        return quotient
    if mode == "floor":
        return apply(s, "floor", quotient, dtype=call.dtype)
    return apply(s, "trunc", quotient, dtype=call.dtype)


def _trunc(s: Scalarizer, call: Call) -> Traced:
    return apply(s, "trunc", call.args[0], dtype=call.dtype)


def _round(s: Scalarizer, call: Call) -> Traced:
    if call.arg(1, "decimals", 0):
        raise Refusal("E210", "rounding to decimals is not supported", "scale, round and unscale")
    return apply(s, "round", call.args[0], dtype=call.dtype)


def _power(s: Scalarizer, call: Call) -> Traced:
    base, exponent = call.args[:2]
    if exponent == 1:
        return s.operand(base)
    if exponent == 2:
        return apply(s, "square", base, dtype=call.dtype)
    return apply(s, "pow", base, exponent, dtype=call.dtype)


def _clamp(s: Scalarizer, call: Call) -> Traced:
    x = s.operand(call.args[0])
    low, high = call.arg(1, "min"), call.arg(2, "max")
    if call.name == "clamp_max":
        low, high = None, low if low is not None else high
    if low is not None:
        x = apply(s, "maximum", x, low, dtype=call.dtype)
    if high is not None:
        x = apply(s, "minimum", x, high, dtype=call.dtype)
    return x


def _hardtanh(s: Scalarizer, call: Call) -> Traced:
    x = apply(s, "maximum", call.args[0], call.arg(1, "min_val", -1.0), dtype=call.dtype)
    return apply(s, "minimum", x, call.arg(2, "max_val", 1.0), dtype=call.dtype)


def _where(s: Scalarizer, call: Call) -> Traced:
    if len(call.args) != 3:
        raise Refusal("E130", "the positions where a condition holds depend on the data")
    return apply(s, "where", *call.args, dtype=call.dtype)


def _masked_fill(s: Scalarizer, call: Call) -> Traced:
    x, mask, value = call.args
    return apply(s, "where", mask, value, x, dtype=call.dtype)


def _index_put(s: Scalarizer, call: Call) -> Traced:
    """``v[mask] = value`` with a mask of the tensor's shape, or one feature of every sample."""
    x, indices, value = call.args[:3]
    if len(indices) == 2 and isinstance(indices[0], SampleNumbers):
        return _one_feature(s, call)
    mask = indices[0] if len(indices) == 1 else None
    single = isinstance(value, Traced) and not value.axes
    if not isinstance(mask, Traced) or mask.dtype is not torch.bool or not single:
        raise Refusal("E210", "assignment to computed positions is not supported")
    if call.arg(3, "accumulate", False):
        raise Refusal("E210", "accumulating assignment is not supported")
    if s.extents.shape(mask.axes) != s.extents.shape(x.axes):
        raise Refusal("E210", "a mask must have the shape of the tensor that it selects from")
    return apply(s, "where", mask, value, x, dtype=call.dtype)


def _one_feature(s: Scalarizer, call: Call) -> Traced:
    """``v[arange(batch), position] = value``: where the number of the feature is the position."""
    x, (_, position), value = call.args[:3]
    features = inner(x.axes)
    scalar = isinstance(value, Traced) and not value.axes
    plain = x.axes == ((BATCH,), features) and isinstance(position, Traced)
    if not (plain and scalar and position.axes == ((BATCH,),)) or call.arg(3, "accumulate", False):
        raise Refusal("E210", "assignment to computed positions is not supported")
    numbers = torch.arange(features[0], dtype=torch.float32)
    feature = s.parameter(s.constant_name(numbers), numbers)
    terms = tuple(s.dag.reshape(t, (1,)) for t in position.terms)
    mask = apply(s, "eq", Traced(((BATCH,), (1,)), terms, position.dtype), feature)
    return apply(s, "where", mask, value, x, dtype=call.dtype)


def _heaviside(s: Scalarizer, call: Call) -> Traced:
    x, at_zero = call.args
    step = apply(s, "gt", x, 0.0)
    return apply(s, "where", apply(s, "eq", x, 0.0), at_zero, step, dtype=call.dtype)


def _sign(s: Scalarizer, call: Call) -> Traced:
    x = call.args[0]
    return apply(s, "sub", apply(s, "gt", x, 0.0), apply(s, "lt", x, 0.0), dtype=call.dtype)


def _leaky_relu(s: Scalarizer, call: Call) -> Traced:
    x, slope = call.args[0], call.arg(1, "negative_slope", 0.01)
    scaled = apply(s, "mul", x, slope)
    return apply(s, "where", apply(s, "gt", x, 0.0), x, scaled, dtype=call.dtype)


def _softplus(s: Scalarizer, call: Call) -> Traced:
    beta, threshold = call.arg(1, "beta", 1), call.arg(2, "threshold", 20)
    if threshold < 20:
        raise Refusal("E210", f"softplus with threshold {threshold} is not supported")
    x = call.args[0] if beta == 1 else apply(s, "mul", call.args[0], beta)
    y = apply(s, "softplus", x, dtype=call.dtype)
    return y if beta == 1 else apply(s, "div", y, beta, dtype=call.dtype)


def _silu(s: Scalarizer, call: Call) -> Traced:
    x = call.args[0]
    return apply(s, "mul", x, apply(s, "sigmoid", x), dtype=call.dtype)


def _rsqrt(s: Scalarizer, call: Call) -> Traced:
    return apply(s, "reciprocal", apply(s, "sqrt", call.args[0]), dtype=call.dtype)


def _lerp(s: Scalarizer, call: Call) -> Traced:
    start, end, weight = call.args
    step = apply(s, "mul", weight, apply(s, "sub", end, start))
    return apply(s, "add", start, step, dtype=call.dtype)


def _addcmul(s: Scalarizer, call: Call) -> Traced:
    x, a, b = call.args[:3]
    product = apply(s, call.name[4:7], a, b)
    value = call.arg(3, "value", 1)
    if value != 1:
        product = apply(s, "mul", product, value)
    return apply(s, "add", x, product, dtype=call.dtype)


def _identity(s: Scalarizer, call: Call) -> Traced:
    return s.operand(call.args[0])


def _dropout(s: Scalarizer, call: Call) -> Any:
    if call.args[2]:
        return _stochastic(s, call)
    return s.operand(call.args[0])


#: Integer types in which no value of a network is too large.
_WIDE = (torch.int32, torch.int64)


def _cast(s: Scalarizer, call: Call) -> Traced:
    """Comparisons are 0 and 1 already, so that casts to numbers vanish."""
    x, dtype = s.operand(call.args[0]), call.dtype
    if dtype is torch.bool and x.dtype is not torch.bool:
        return apply(s, "ne", x, 0.0, dtype=dtype)
    if x.dtype.is_floating_point and not dtype.is_floating_point:
        if dtype not in _WIDE:
            raise Refusal(
                "E210",
                f"the cast from {x.dtype} to {dtype} wraps large values",
                "cast to torch.int32, or use torch.round and keep floating point",
            )
        return apply(s, "trunc", x, dtype=dtype)
    if dtype in (torch.float16, torch.bfloat16):
        raise Refusal("E210", f"{dtype} is not supported", "export the model in float32")
    return Traced(x.axes, x.terms, dtype)


@refuses
def _stochastic(s: Scalarizer, call: Call) -> Traced:
    hint = "move the random encoder out of the model and export the network behind it"
    if "dropout" in call.name:
        hint = "write training=self.training: F.dropout is on by default, also in eval mode"
    raise Refusal("E134", f"operator {call.target} draws random numbers", hint)


POINTWISE_RULES: dict[str, Rule] = {
    **{
        fn: _simple(fn)
        for fn in (
            *("maximum", "minimum", "ge", "gt", "le", "lt", "eq", "ne"),
            *("neg", "exp", "log", "log1p", "expm1", "sqrt", "sigmoid", "tanh", "relu", "abs"),
            *("floor", "ceil", "sin", "cos", "reciprocal", "square"),
        )
    },
    **{f"logical_{fn}": _logical(fn) for fn in ("and", "or", "xor", "not")},
    **{f"__{fn}__": _logical(fn) for fn in ("and", "or", "xor")},
    **{f"bitwise_{fn}": _logical(fn) for fn in ("and", "or", "xor", "not")},
    **dict.fromkeys(("add", "sub", "rsub"), _sum),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max"), _clamp),
    **dict.fromkeys(
        ("detach", "alias", "clone", "contiguous", "lift_fresh_copy", "lift", "_conj"), _identity
    ),
    **dict.fromkeys(("_to_copy", "to"), _cast),
    **dict.fromkeys(("addcmul", "addcdiv"), _addcmul),
    **dict.fromkeys(
        (
            *("rand", "rand_like", "randn", "randn_like", "randint", "randint_like", "randperm"),
            *("bernoulli", "multinomial", "normal", "poisson", "native_dropout", "uniform"),
            *("exponential", "geometric", "rrelu_with_noise"),
        ),
        _stochastic,
    ),
    **dict.fromkeys(("trunc", "fix"), _trunc),
    "round": _round,
    **dict.fromkeys(("mul", "multiply"), _multiply),
    **dict.fromkeys(("div", "divide", "true_divide"), _divide),
    "pow": _power,
    "where": _where,
    "masked_fill": _masked_fill,
    "index_put": _index_put,
    "heaviside": _heaviside,
    "sign": _sign,
    "hardtanh": _hardtanh,
    "leaky_relu": _leaky_relu,
    "softplus": _softplus,
    "silu": _silu,
    "rsqrt": _rsqrt,
    "lerp": _lerp,
    "dropout": _dropout,
}
