"""Sizes behind layers with weights over features, the same for real and for integer weights."""

from __future__ import annotations

from snnc.params import Param
from snnc.types import TensorType
from snnc.windows import Sizes


def linear_shape(x: TensorType, weight: Param, bias: Param | None) -> Sizes:
    """Shape (…, out) after a weight (out, in) and a bias (out,) over the last axis of (…, in)."""
    out, fan_in = weight.shape
    if not x.shape or x.shape[-1] != fan_in:
        raise ValueError(f"weight has {fan_in} columns, input is {x}")
    check_bias(bias, out)
    return (*x.shape[:-1], out)


def embedding_shape(x: TensorType, weight: Param) -> Sizes:
    """Shape (…, features) of the rows of a weight (tokens, features) that (…) picks."""
    if len(weight.shape) != 2:
        raise ValueError(f"weight must be (tokens, features), got {weight}")
    return (*x.shape, weight.shape[1])


def check_tokens(lo: int, hi: int, tokens: int) -> None:
    """Raise ValueError if not every number from ``lo`` to ``hi`` has a row."""
    if lo < 0 or hi >= tokens:
        raise ValueError(f"token numbers {lo} to {hi} for a table of {tokens} rows")


def check_bias(bias: Param | None, out: int) -> None:
    """Raise ValueError unless a bias, if there is one, has a number per row or channel."""
    if bias is not None and bias.shape != (out,):
        raise ValueError(f"bias {bias} for {out} outputs")
