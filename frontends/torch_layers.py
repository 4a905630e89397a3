"""Operators without state, in torch, on tensors with the batch first."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from snnc import ops
from snnc.params import Param

Tensor = torch.Tensor

_CONVOLVE: dict[type[ops.Op], Callable[..., Tensor]] = {
    ops.Conv1d: functional.conv1d,
    ops.Conv2d: functional.conv2d,
    ops.Conv3d: functional.conv3d,
}
_SPREAD: dict[type[ops.Op], Callable[..., Tensor]] = {
    ops.ConvTranspose1d: functional.conv_transpose1d,
    ops.ConvTranspose2d: functional.conv_transpose2d,
    ops.ConvTranspose3d: functional.conv_transpose3d,
}
_WINDOWS: dict[type[ops.Op], Callable[..., Tensor]] = {
    ops.AvgPool1d: functional.avg_pool1d,
    ops.AvgPool2d: functional.avg_pool2d,
    ops.AvgPool3d: functional.avg_pool3d,
    ops.MaxPool1d: functional.max_pool1d,
    ops.MaxPool2d: functional.max_pool2d,
    ops.MaxPool3d: functional.max_pool3d,
}
_REDUCE: dict[str, Callable[..., Tensor]] = {
    "sum": torch.sum,
    "mean": torch.mean,
    "max": torch.amax,
    "min": torch.amin,
}


def layer(op: ops.Op, *args: Tensor) -> Tensor:
    """Apply an operator to tensors with the batch first."""
    x = args[0]

    def tensor(p: Param | None) -> Any:
        return None if p is None else torch.from_numpy(p.data.copy()).to(x.dtype)

    match op:
        case ops.Linear():
            return functional.linear(x, tensor(op.weight), tensor(op.bias))
        case ops.Conv1d() | ops.Conv2d() | ops.Conv3d():
            attrs = (op.stride, op.padding, op.dilation, op.groups)
            return _CONVOLVE[type(op)](x, tensor(op.weight), tensor(op.bias), *attrs)
        case ops.ConvTranspose1d() | ops.ConvTranspose2d() | ops.ConvTranspose3d():
            spread = (op.stride, op.padding, op.extra, op.groups, op.dilation)
            return _SPREAD[type(op)](x, tensor(op.weight), tensor(op.bias), *spread)
        case ops.Embedding():
            return tensor(op.weight)[x.long()]  # type: ignore[no-any-return]
        case ops.BatchNorm():
            mean, var = tensor(op.mean), tensor(op.var)
            weight, bias = tensor(op.weight), tensor(op.bias)
            return functional.batch_norm(x, mean, var, weight, bias, eps=op.eps)
        case ops.LayerNorm():
            features = x.shape[x.dim() - op.axes :]
            weight, bias = tensor(op.weight), tensor(op.bias)
            return functional.layer_norm(x, features, weight, bias, op.eps)
        case ops.RMSNorm():
            features = x.shape[x.dim() - op.axes :]
            return functional.rms_norm(x, features, tensor(op.weight), op.eps)
        case ops.SumPool1d() | ops.SumPool2d() | ops.SumPool3d():
            return _sum_pool(op, x)
        case _ if type(op) in _WINDOWS:
            window: Any = op
            return _WINDOWS[type(op)](x, window.kernel, window.stride, window.padding)
        case ops.Upsample():
            lead = x.dim() - len(op.factor)
            for axis, factor in enumerate(op.factor):
                x = x.repeat_interleave(factor, lead + axis)
            return x
        case ops.Matmul():
            rank = max(a.dim() for a in args)
            a, b = (v.reshape(len(v), *(1,) * (rank - v.dim()), *v.shape[1:]) for v in args)
            return torch.matmul(a, b)
        case ops.Softmax():
            for mask in args[1:]:
                counts = mask.reshape(len(mask), *(1,) * (x.dim() - mask.dim()), *mask.shape[1:])
                x = x.masked_fill(counts == 0, -math.inf)
            y = torch.softmax(x, op.axis + 1)
            return y.nan_to_num(0.0) if args[1:] else y
        case ops.Sum():
            return torch.stack(args).sum(0)
        case ops.Repeat() | ops.Output():
            return x
        case _:
            return _rearranged(op, *args)


def _sum_pool(op: ops.SumPool1d | ops.SumPool2d | ops.SumPool3d, x: Tensor) -> Tensor:
    """The mean with divisor 1; torch knows that in two and three dimensions."""
    if isinstance(op, ops.SumPool1d):
        window = ((1, *op.kernel), (1, *op.stride), (0, *op.padding))
        y = functional.avg_pool2d(x[:, :, None], *window, divisor_override=1)
        return y[:, :, 0]
    pool = functional.avg_pool2d if isinstance(op, ops.SumPool2d) else functional.avg_pool3d
    return pool(x, op.kernel, op.stride, op.padding, divisor_override=1)


def _rearranged(op: ops.Op, *args: Tensor) -> Tensor:
    x = args[0]
    match op:
        case ops.Reshape():
            return x.reshape(len(x), *op.shape)
        case ops.Transpose():
            return x.permute(0, *(p + 1 for p in op.perm))
        case ops.Slice():
            index = torch.arange(op.start, op.stop, op.step)
            return x.index_select(op.axis + 1, index)
        case ops.Concat():
            return torch.cat(args, op.axis + 1)
        case ops.Expand():
            ones = (1,) * (len(op.shape) + 1 - x.dim())
            return x.reshape(len(x), *ones, *x.shape[1:]).expand(len(x), *op.shape)
        case ops.Take():
            return x.index_select(op.axis + 1, torch.from_numpy(op.index.data.astype("int64")))
        case ops.Reduce():
            axes = [a + 1 for a in op.axes]
            if op.fn != "prod":
                return _REDUCE[op.fn](x, axes, keepdim=op.keepdims)
            for axis in reversed(axes):
                x = x.prod(axis, keepdim=op.keepdims)
            return x
        case ops.ArgMax():
            return x.argmax(op.axis + 1).to(x.dtype)
        case ops.TopK():
            found = x.sort(dim=op.axis + 1, descending=True, stable=True)
            rows = found.indices.to(x.dtype) if op.positions else found.values
            return rows.narrow(op.axis + 1, 0, op.k)
        case _:
            raise AssertionError(f"{type(op).__name__} has no torch meaning")
