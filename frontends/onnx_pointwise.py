"""Operators of ONNX that act element by element, in terms of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from snnc.frontends.onnx_call import Call
from snnc.frontends.onnx_fold import Const

Rule = Callable[[Call], Any]

#: Element type → torch's; None for the type in which the model is computed.
DTYPES = {
    1: None, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64,
    9: torch.bool, 10: None, 11: torch.float64, 16: None,
}  # fmt: skip


def _unary(fn: Callable[[torch.Tensor], torch.Tensor]) -> Rule:
    return lambda c: fn(c.x())


def _binary(fn: Callable[..., torch.Tensor], swapped: Callable[..., torch.Tensor]) -> Rule:
    """``swapped(b, a)`` is ``fn(a, b)``, for a number in the first place."""

    def rule(c: Call) -> torch.Tensor:
        a, b = c.pair()
        return fn(a, b) if isinstance(a, torch.Tensor) else swapped(b, a)

    return rule


def _divide(c: Call) -> torch.Tensor:
    a: Any
    b: Any
    a, b = c.pair()
    if not isinstance(a, torch.Tensor):  # torch would multiply by the reciprocal, which rounds
        a = torch.full((), a, dtype=b.dtype)
    if not a.is_floating_point():
        return torch.div(a, b, rounding_mode="trunc")
    return torch.div(a, b)


def _extreme(fn: Callable[..., torch.Tensor], clamp: Callable[..., torch.Tensor]) -> Rule:
    """Maximum or minimum of several."""

    def rule(c: Call) -> torch.Tensor:
        operands = [c.operand(i) for i in range(len(c.values))]
        tensors: list[Any] = [x for x in operands if isinstance(x, torch.Tensor)] or [c.x(0)]
        out: torch.Tensor = tensors[0]
        for x in tensors[1:]:
            out = fn(out, x)
        for x in operands:
            if not isinstance(x, torch.Tensor):
                out = clamp(out, x)
        return out

    return rule


def _sum(c: Call) -> Any:
    out: Any = c.x(0)
    for i in range(1, len(c.values)):
        out = out + c.operand(i)
    return out / len(c.values) if c.op == "Mean" else out


def _mod(c: Call) -> torch.Tensor:
    a, b = c.pair()
    return torch.fmod(a, b) if c.attr("fmod", 0) else torch.remainder(a, b)


def _power(c: Call) -> torch.Tensor:
    a, b = c.operand(0), c.operand(1)
    return torch.pow(a if isinstance(a, torch.Tensor) else c.x(0), b)


def _clip(c: Call) -> torch.Tensor:
    out = c.x()
    for index, fn in ((1, torch.maximum), (2, torch.minimum)):
        if c.has(index):
            bound = c.operand(index)
            if isinstance(bound, torch.Tensor):
                out = fn(out, bound)
            else:
                out = out.clamp_min(bound) if index == 1 else out.clamp_max(bound)
    return out


def _where(c: Call) -> torch.Tensor:
    a, b = c.operand(1), c.operand(2)
    numbers = not isinstance(a, torch.Tensor) and not isinstance(b, torch.Tensor)
    return torch.where(c.x(0), c.x(1) if numbers else a, b)


def _cast(c: Call) -> torch.Tensor:
    element = c.attr("to")
    if element not in DTYPES:
        raise c.unsupported(f"element type {element}")
    return c.x().to(DTYPES[element] or torch.get_default_dtype())


def _cast_like(c: Call) -> Any:
    known, kind = c.values[0], c.x(1).dtype
    if isinstance(known, Const) and (known.array.ndim == 0 or known.uniform):
        if kind.is_floating_point:
            double = kind == torch.float64 != torch.get_default_dtype()
            return Const(known.array.astype(np.float64 if double else np.float32), live=known.live)
        return Const(known.array.astype(np.bool_ if kind == torch.bool else np.int64))
    return c.x().to(kind)


def _leaky(c: Call) -> torch.Tensor:
    return functional.leaky_relu(c.x(), c.attr("alpha", 0.01))


def _elu(c: Call) -> torch.Tensor:
    return functional.elu(c.x(), c.attr("alpha", 1.0))


def _selu(c: Call) -> Any:
    x, gamma = c.x(), c.attr("gamma", 1.05070102214813232421875)
    alpha = c.attr("alpha", 1.67326319217681884765625)
    return gamma * torch.where(x > 0, x, alpha * (torch.exp(x) - 1))


def _celu(c: Call) -> torch.Tensor:
    return functional.celu(c.x(), c.attr("alpha", 1.0))


def _prelu(c: Call) -> Any:
    x, slope = c.x(), c.operand(1)
    return torch.where(x < 0, x * slope, x)


def _thresholded(c: Call) -> torch.Tensor:
    x = c.x()
    return torch.where(x > c.attr("alpha", 1.0), x, 0.0)


def _hard_sigmoid(c: Call) -> Any:
    line = c.x() * c.attr("alpha", 0.2) + c.attr("beta", 0.5)
    return line.clamp(0.0, 1.0)


def _hard_swish(c: Call) -> torch.Tensor:
    x = c.x()
    return x * (x * (1 / 6) + 0.5).clamp(0.0, 1.0)


def _gelu(c: Call) -> torch.Tensor:
    return functional.gelu(c.x(), approximate=c.attr("approximate", "none"))


def _swish(c: Call) -> torch.Tensor:
    x, alpha = c.x(), c.attr("alpha", 1.0)
    return x * torch.sigmoid(x if alpha == 1 else x * alpha)


def _dropout(c: Call) -> Any:
    if c.has(2) and c.const(2).array.any():
        raise c.unsupported("training_mode")
    mask = Const(torch.ones((), dtype=torch.bool).numpy())
    return c.x(), mask


def _identity(c: Call) -> Any:
    return c.values[0]


POINTWISE: dict[str, Rule] = {
    "Abs": _unary(torch.abs),
    "Acos": _unary(torch.acos),
    "Asin": _unary(torch.asin),
    "Atan": _unary(torch.atan),
    "Ceil": _unary(torch.ceil),
    "Cos": _unary(torch.cos),
    "Cosh": _unary(torch.cosh),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Floor": _unary(torch.floor),
    "Log": _unary(torch.log),
    "Mish": _unary(functional.mish),
    "Neg": _unary(torch.neg),
    "Not": _unary(torch.logical_not),
    "Reciprocal": _unary(torch.reciprocal),
    "Relu": _unary(torch.relu),
    "Round": _unary(torch.round),
    "Sigmoid": _unary(torch.sigmoid),
    "Sign": _unary(torch.sign),
    "Sin": _unary(torch.sin),
    "Sinh": _unary(torch.sinh),
    "Softplus": _unary(functional.softplus),
    "Softsign": _unary(lambda x: x / (1 + torch.abs(x))),
    "Sqrt": _unary(torch.sqrt),
    "Tan": _unary(torch.tan),
    "Tanh": _unary(torch.tanh),
    "Add": _binary(torch.add, torch.add),
    "Sub": _binary(torch.sub, torch.rsub),
    "Mul": _binary(torch.mul, torch.mul),
    "Equal": _binary(torch.eq, torch.eq),
    "Greater": _binary(torch.gt, torch.lt),
    "GreaterOrEqual": _binary(torch.ge, torch.le),
    "Less": _binary(torch.lt, torch.gt),
    "LessOrEqual": _binary(torch.le, torch.ge),
    "And": _binary(torch.logical_and, lambda b, a: torch.logical_and(b, torch.full((), a))),
    "Or": _binary(torch.logical_or, lambda b, a: torch.logical_or(b, torch.full((), a))),
    "Xor": _binary(torch.logical_xor, lambda b, a: torch.logical_xor(b, torch.full((), a))),
    "Div": _divide,
    "Mod": _mod,
    "Pow": _power,
    "Max": _extreme(torch.maximum, torch.clamp_min),
    "Min": _extreme(torch.minimum, torch.clamp_max),
    "Sum": _sum,
    "Mean": _sum,
    "Clip": _clip,
    "Where": _where,
    "Cast": _cast,
    "CastLike": _cast_like,
    "LeakyRelu": _leaky,
    "Elu": _elu,
    "Selu": _selu,
    "Celu": _celu,
    "PRelu": _prelu,
    "ThresholdedRelu": _thresholded,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Gelu": _gelu,
    "Swish": _swish,
    "Dropout": _dropout,
    "Identity": _identity,
}
