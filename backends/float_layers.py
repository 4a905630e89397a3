"""Real-valued operators without state in NumPy, on arrays with the batch first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.params import Param

Array = npt.NDArray[Any]
_Conv = ops.Conv1d | ops.Conv2d | ops.Conv3d
_Spread = ops.ConvTranspose1d | ops.ConvTranspose2d | ops.ConvTranspose3d

_SUMS = (ops.SumPool1d, ops.SumPool2d, ops.SumPool3d)
_MEANS = (ops.AvgPool1d, ops.AvgPool2d, ops.AvgPool3d)
_PEAKS = (ops.MaxPool1d, ops.MaxPool2d, ops.MaxPool3d)
_REDUCE: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
}


def layer(op: ops.Op, x: list[Array]) -> Array:
    """Apply an operator to arrays with the batch first; parameters take their type."""
    y: Array
    match op:
        case ops.Linear():
            y = x[0] @ _param(op.weight, x[0]).T
            return y if op.bias is None else y + _param(op.bias, x[0])
        case ops.Embedding():
            y = _param(op.weight, x[0])[x[0].astype(np.int64)]
            return y
        case ops.Conv1d() | ops.Conv2d() | ops.Conv3d():
            return _convolution(op, x[0])
        case ops.ConvTranspose1d() | ops.ConvTranspose2d() | ops.ConvTranspose3d():
            return _transposed(op, x[0])
        case ops.BatchNorm():
            return _batch_norm(op, x[0])
        case ops.LayerNorm() | ops.RMSNorm():
            return _norm(op, x[0])
        case ops.Upsample():
            y = x[0]
            for axis, factor in enumerate(op.factor, y.ndim - len(op.factor)):
                y = np.repeat(y, factor, axis)
            return y
        case ops.Matmul():
            return np.asarray(np.matmul(*_aligned(x)))
        case ops.Softmax():
            return _softmax(*_aligned(x), axis=op.axis + 1)
        case ops.Sum():
            return np.asarray(np.add.reduce(x))
        case ops.Repeat() | ops.Output():
            return x[0]
        case _ if isinstance(op, (*_SUMS, *_MEANS, *_PEAKS)):
            return _pool(op, x[0])
    return _rearranged(op, x)


def _param(param: Param, like: Array) -> Array:
    return param.data.astype(like.dtype)


def _softmax(x: Array, *masks: Array, axis: int) -> Array:
    counts = np.ones(x.shape, bool)
    for mask in masks:
        counts = counts & (mask != 0)
    top = np.where(counts, x, -np.inf).max(axis, keepdims=True)
    y = np.where(counts, np.exp(np.where(counts, x - np.where(counts, top, 0), 0)), 0)
    total = y.sum(axis, keepdims=True)
    return np.asarray(y / np.where(total == 0, 1, total))


def _aligned(x: list[Array]) -> list[Array]:
    """Samples aligned right, behind the batch."""
    rank = max(v.ndim for v in x)
    return [v.reshape(len(v), *[1] * (rank - v.ndim), *v.shape[1:]) for v in x]


def _rearranged(op: ops.Op, x: list[Array]) -> Array:
    match op:
        case ops.Reshape():
            return x[0].reshape(len(x[0]), *op.shape)
        case ops.Transpose():
            return x[0].transpose(0, *(p + 1 for p in op.perm))
        case ops.Slice():
            chosen = slice(op.start, op.stop, op.step)
            y: Array = x[0][(slice(None),) * (op.axis + 1) + (chosen,)]
            return y
        case ops.Concat():
            return np.concatenate(x, op.axis + 1)
        case ops.Expand():
            ones = [1] * (len(op.shape) + 1 - x[0].ndim)
            full = x[0].reshape(len(x[0]), *ones, *x[0].shape[1:])
            return np.broadcast_to(full, (len(full), *op.shape))
        case ops.Take():
            return x[0].take(op.index.data, op.axis + 1)
        case ops.Reduce():
            axes = tuple(a + 1 for a in op.axes)
            return np.asarray(_REDUCE[op.fn](x[0], axis=axes, keepdims=op.keepdims))
        case ops.ArgMax():
            return np.asarray(x[0].argmax(op.axis + 1).astype(x[0].dtype))
        case ops.TopK():
            order = np.argsort(-x[0], op.axis + 1, kind="stable").take(range(op.k), op.axis + 1)
            return (
                np.asarray(order.astype(x[0].dtype))
                if op.positions
                else np.take_along_axis(x[0], order, op.axis + 1)
            )
    raise AssertionError(f"no rule for {type(op).__name__}")


def _windows(x: Array, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Array:
    """(batch, channels, *places, *kernel)."""
    axes = tuple(range(2, x.ndim))
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, axes)
    return np.asarray(view[(slice(None), slice(None), *(slice(None, None, s) for s in stride))])


def _padded(x: Array, padding: tuple[int, ...], value: float = 0.0) -> Array:
    return np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)], constant_values=value)


def _pool(op: Any, x: Array) -> Array:
    peak = isinstance(op, _PEAKS)
    view = _windows(_padded(x, op.padding, -np.inf if peak else 0.0), op.kernel, op.stride)
    axes = tuple(range(x.ndim, view.ndim))
    if peak:
        return np.asarray(view.max(axes))
    return np.asarray(view.sum(axes) if isinstance(op, _SUMS) else view.mean(axes))


def _convolution(op: _Conv, x: Array) -> Array:
    w = _param(op.weight, x)
    rows, places = columns(op, x)
    parts = [rows[:, g] @ p.reshape(len(p), -1).T for g, p in enumerate(np.split(w, op.groups))]
    y = np.moveaxis(np.concatenate(parts, 1).reshape(len(x), *places, len(w)), -1, 1)
    return y if op.bias is None else y + _per_channel(op.bias, x)


def columns(op: _Conv, x: Array) -> tuple[Array, list[int]]:
    """What meets the weights of a convolution, (batch * places, groups, …), and the places."""
    kernel = op.weight.shape[2:]
    rank = len(kernel)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(op.dilation, kernel, strict=True))
    view = _windows(_padded(x, op.padding), reach, op.stride)
    inside: Any = (..., *(slice(None, None, d) for d in op.dilation))
    view = view[inside]
    n, _, *places = view.shape[: 2 + rank]
    order = (0, *range(2, 2 + rank), 1, *range(2 + rank, 2 + 2 * rank))
    return view.transpose(order).reshape(n * math.prod(places), op.groups, -1), places


def _transposed(op: _Spread, x: Array) -> Array:
    """Every input adds its weights to the outputs it reaches; then the padding is cut off."""
    w = _param(op.weight, x)
    fan_in, per_group, *kernel = w.shape
    n, _, *sizes = x.shape
    sides = list(zip(sizes, op.stride, op.dilation, kernel, op.extra, strict=True))
    full = [(m - 1) * s + d * (k - 1) + 1 + e for m, s, d, k, e in sides]
    y = np.zeros((n, per_group * op.groups, *full), x.dtype)
    grouped = x.reshape(n, op.groups, fan_in // op.groups, -1)
    weights = w.reshape(op.groups, fan_in // op.groups, per_group, *kernel)
    for place in itertools.product(*(range(k) for k in kernel)):
        tap: Any = (..., *place)
        part = np.einsum("ngip,gio->ngop", grouped, weights[tap])
        at = [
            slice(d * q, d * q + (m - 1) * s + 1, s)
            for q, (m, s, d, _, _) in zip(place, sides, strict=True)
        ]
        y[(slice(None), slice(None), *at)] += part.reshape(n, -1, *sizes)
    cut = (slice(p, f - p) for p, f in zip(op.padding, full, strict=True))
    y = y[(slice(None), slice(None), *cut)]
    return y if op.bias is None else y + _per_channel(op.bias, x)


def _per_channel(param: Param, x: Array) -> Array:
    return _param(param, x).reshape(-1, *[1] * (x.ndim - 2))


def _batch_norm(op: ops.BatchNorm, x: Array) -> Array:
    y = (x - _per_channel(op.mean, x)) / np.sqrt(_per_channel(op.var, x) + op.eps)
    if op.weight is not None:
        y = y * _per_channel(op.weight, x)
    return y if op.bias is None else y + _per_channel(op.bias, x)


def _norm(op: ops.LayerNorm | ops.RMSNorm, x: Array) -> Array:
    axes = tuple(range(x.ndim - op.axes, x.ndim))
    if isinstance(op, ops.LayerNorm):
        x = x - x.mean(axes, keepdims=True)
    y: Array = x / np.sqrt(np.square(x).mean(axes, keepdims=True) + op.eps)
    if op.weight is not None:
        y = y * _param(op.weight, x)
    if isinstance(op, ops.RMSNorm) or op.bias is None:
        return y
    return y + _param(op.bias, x)
