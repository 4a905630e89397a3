"""Which operator of the graph a term is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from snnc import ops
from snnc.frontends.dag import Form, Shape
from snnc.params import Param

#: Terms whose operands behind the first are parameters.
WEIGHTED: Final = frozenset(
    (
        *("linear", "embedding", "conv1d", "conv2d", "conv3d", "batch_norm"),
        *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "layer_norm", "rms_norm"),
    )
)

#: Layers that users write as one module, so that a node can carry the module's name.
LAYERS: Final = WEIGHTED | {"avg_pool", "max_pool", "sum_pool", "reshape", "upsample", "softmax"}

Parameters = Sequence[Param | None]

_POOLS: dict[tuple[str, int], Callable[..., ops.Op]] = {
    ("avg_pool", 1): ops.AvgPool1d,
    ("avg_pool", 2): ops.AvgPool2d,
    ("avg_pool", 3): ops.AvgPool3d,
    ("max_pool", 1): ops.MaxPool1d,
    ("max_pool", 2): ops.MaxPool2d,
    ("max_pool", 3): ops.MaxPool3d,
    ("sum_pool", 1): ops.SumPool1d,
    ("sum_pool", 2): ops.SumPool2d,
    ("sum_pool", 3): ops.SumPool3d,
}
_CONVOLUTIONS: dict[str, Callable[..., ops.Op]] = {
    "conv1d": ops.Conv1d,
    "conv2d": ops.Conv2d,
    "conv3d": ops.Conv3d,
    "conv_transpose1d": ops.ConvTranspose1d,
    "conv_transpose2d": ops.ConvTranspose2d,
    "conv_transpose3d": ops.ConvTranspose3d,
}
_DIRECT: dict[str, Callable[..., ops.Op]] = {
    "upsample": ops.Upsample,
    "transpose": ops.Transpose,
    "slice": ops.Slice,
    "concat": ops.Concat,
    "broadcast": ops.Expand,
    "reduce": ops.Reduce,
    "argmax": ops.ArgMax,
    "top_k": ops.TopK,
    "matmul": ops.Matmul,
    "softmax": ops.Softmax,
}


def operator(form: Form, shape: Shape, parameters: Parameters) -> ops.Op | None:
    """The operator, or None if it is none of a layer or of features.

    Args:
        form: Of the term.
        shape: Of its value.
        parameters: Values of the operands behind the first, for terms in ``WEIGHTED``.
    """
    kind, attrs = form.kind, form.attrs
    if kind in _CONVOLUTIONS:
        weight, bias = _padded(parameters, 2)
        return _CONVOLUTIONS[kind](weight, bias, *attrs)
    if kind in ("avg_pool", "max_pool", "sum_pool"):
        return _POOLS[kind, len(attrs[0])](*attrs)
    if kind in _DIRECT:
        return _DIRECT[kind](*attrs)
    return _feature_operator(kind, attrs, shape, parameters)


def _feature_operator(
    kind: str, attrs: tuple[Any, ...], shape: Shape, parameters: Parameters
) -> ops.Op | None:
    match kind:
        case "linear":
            weight, bias = _padded(parameters, 2)
            return ops.Linear(_given(weight), bias)
        case "embedding":
            return ops.Embedding(_given(parameters[0]))
        case "batch_norm":
            mean, var, scale, offset = _padded(parameters, 4)
            return ops.BatchNorm(_given(mean), _given(var), scale, offset, *attrs)
        case "layer_norm":
            axes, eps, which = attrs
            named = dict(zip(which, parameters, strict=True))
            return ops.LayerNorm(axes, named.get("w"), named.get("b"), eps)
        case "rms_norm":
            axes, eps = attrs
            (scale,) = _padded(parameters, 1)
            return ops.RMSNorm(axes, scale, eps)
        case "reshape":
            return ops.Reshape(shape)
        case "expand":
            return ops.Expand(shape)
        case "take":
            axis, index = attrs
            return ops.Take(axis, Param(np.array(index, np.int64)))
        case _:
            return None


def _padded(parameters: Parameters, count: int) -> list[Param | None]:
    return [*parameters, *[None] * (count - len(parameters))]


def _given(parameter: Param | None) -> Param:
    assert parameter is not None, "a rule makes no layer without its weight"
    return parameter
