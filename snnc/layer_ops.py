"""Layers with weights over features, and normalization."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.layer_shapes import check_tokens, embedding_shape, linear_shape
from snnc.op import Op, Types, one
from snnc.params import Param
from snnc.types import FLOAT32, Int, TensorType


@dataclass(frozen=True, slots=True)
class Linear(Op):
    """``y = weight @ x + bias`` over the last axis; weight is (out, in), bias (out,)."""

    weight: Param
    bias: Param | None = None

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        return (TensorType(linear_shape(x, self.weight, self.bias), FLOAT32, x.clock),)


@dataclass(frozen=True, slots=True)
class Embedding(Op):
    """``y = weight[x]``: one row per token number; weight is (tokens, features).

    The input is an integer in 0 … tokens - 1: its type says so, or its producer does.
    """

    weight: Param

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        shape = embedding_shape(x, self.weight)
        if not isinstance(x.dtype, Int) or x.dtype.lo is None:
            raise ValueError(f"needs token numbers, got {x}")
        check_tokens(*x.dtype.bounds, self.weight.shape[0])
        return (TensorType(shape, FLOAT32, x.clock),)


@dataclass(frozen=True, slots=True)
class BatchNorm(Op):
    """``y = weight * (x - mean) / sqrt(var + eps) + bias`` per channel (axis 0), in eval mode."""

    mean: Param
    var: Param
    weight: Param | None = None
    bias: Param | None = None
    eps: float = 1e-5

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        if not x.shape or self.mean.shape != x.shape[:1]:
            raise ValueError(f"statistics {self.mean} for input {x}")
        return (TensorType(x.shape, FLOAT32, x.clock),)


def _normalized(x: TensorType, axes: int, *affine: Param | None) -> TensorType:
    """Type after a normalization over the last ``axes`` axes with parameters of their shape."""
    if not 1 <= axes <= len(x.shape):
        raise ValueError(f"normalizes {axes} axes of {x}")
    for p in affine:
        if p is not None and p.shape != x.shape[-axes:]:
            raise ValueError(f"parameter {p} for features {x.shape[-axes:]}")
    return TensorType(x.shape, FLOAT32, x.clock)


@dataclass(frozen=True, slots=True)
class LayerNorm(Op):
    """``y = weight * (x - E[x]) / sqrt(Var[x] + eps) + bias`` over the last ``axes`` axes.

    E and Var are of the sample itself, at this step; Var divides by the number of elements n.
    Before weight and bias, every value lies in ``[-sqrt(n - 1), sqrt(n - 1)]``.
    """

    axes: int
    weight: Param | None = None
    bias: Param | None = None
    eps: float = 1e-5

    def infer(self, inputs: Types) -> Types:
        return (_normalized(one(inputs), self.axes, self.weight, self.bias),)


@dataclass(frozen=True, slots=True)
class RMSNorm(Op):
    """``y = weight * x / sqrt(E[x²] + eps)`` over the last ``axes`` axes.

    Before the weight, every value of n lies in ``[-sqrt(n), sqrt(n)]``.
    """

    axes: int
    weight: Param | None = None
    eps: float = 1e-5

    def infer(self, inputs: Types) -> Types:
        return (_normalized(one(inputs), self.axes, self.weight),)
