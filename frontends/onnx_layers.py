"""Layers of ONNX with weights, pools and normalisations, in terms of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from snnc.frontends.onnx_call import Call
from snnc.frontends.onnx_fold import Const

Rule = Callable[[Call], Any]


def _gemm(c: Call) -> torch.Tensor:
    """``alpha A' B' + beta C``."""
    a, b = c.data(), c.x(1)
    alpha, beta = c.attr("alpha", 1.0), c.attr("beta", 1.0)
    a = a.t() if c.attr("transA", 0) else a
    bias = c.optional(2)
    row = bias is not None and bias.dim() == 1
    if alpha == 1 and beta == 1 and (bias is None or row):
        if c.attr("transB", 0):
            return functional.linear(a, b, bias)
        return torch.addmm(bias, a, b) if bias is not None else torch.mm(a, b)
    out = functional.linear(a, b) if c.attr("transB", 0) else torch.mm(a, b)
    out = out if alpha == 1 else out * alpha
    if c.has(2) and beta:
        extra = c.operand(2)
        out = out + (extra if beta == 1 else extra * beta)
    return out


def _matmul(c: Call) -> torch.Tensor:
    a = c.data() if isinstance(c.values[1], Const) else c.x()
    return torch.matmul(a, c.x(1))


def _pads(c: Call, kernel: list[int], stride: list[int], dilation: list[int]) -> list[int]:
    """Padding at the begin of every axis, then at the end."""
    mode, rank = c.attr("auto_pad", "NOTSET"), len(kernel)
    if mode in ("NOTSET", ""):
        return [int(n) for n in c.attr("pads", [0] * 2 * rank)]
    if mode == "VALID":
        return [0] * 2 * rank
    begins, ends = [], []
    for n, k, s, d in zip(c.x().shape[2:], kernel, stride, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        small, large = total // 2, total - total // 2
        begins.append(small if mode == "SAME_UPPER" else large)
        ends.append(large if mode == "SAME_UPPER" else small)
    return begins + ends


def _windows(c: Call, kernel: list[int]) -> tuple[list[int], list[int], list[int]]:
    """Stride, dilation and padding."""
    rank = len(kernel)
    stride = list(c.attr("strides", [1] * rank))
    dilation = list(c.attr("dilations", [1] * rank))
    return stride, dilation, _pads(c, kernel, stride, dilation)


def _padded(x: torch.Tensor, pads: list[int], value: float) -> tuple[torch.Tensor, list[int]]:
    """Padding that is the same at both ends is left to the layer; else it is done before."""
    rank = len(pads) // 2
    if pads[:rank] == pads[rank:]:
        return x, pads[:rank]
    turned = [n for i in reversed(range(rank)) for n in (pads[i], pads[rank + i])]
    return functional.pad(x, turned, value=value), [0] * rank


def _conv(c: Call) -> torch.Tensor:
    w = c.x(1)
    stride, dilation, pads = _windows(c, [int(n) for n in w.shape[2:]])
    x, padding = _padded(c.data(), pads, 0.0)
    fn: Any = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[w.dim() - 2]
    y: torch.Tensor = fn(x, w, c.optional(2), stride, padding, dilation, c.attr("group", 1))
    return y


def _conv_transpose(c: Call) -> torch.Tensor:
    w = c.x(1)
    kernel = [int(n) for n in w.shape[2:]]
    if c.attr("output_shape") or c.attr("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise c.unsupported("output_shape or auto_pad")
    stride, dilation, pads = _windows(c, kernel)
    extra = list(c.attr("output_padding", [0] * len(kernel)))
    rank = len(kernel)
    if pads[:rank] != pads[rank:]:
        raise c.unsupported("padding at one end")
    names: Any = {
        1: functional.conv_transpose1d,
        2: functional.conv_transpose2d,
        3: functional.conv_transpose3d,
    }
    groups = c.attr("group", 1)
    y: torch.Tensor = names[rank](
        c.x(), w, c.optional(2), stride, pads[:rank], extra, groups, dilation
    )
    return y


def _max_pool(c: Call) -> Any:
    kernel = list(c.attr("kernel_shape"))
    stride, dilation, pads = _windows(c, kernel)
    if c.attr("storage_order", 0) or sum(map(bool, c.node.outputs)) > 1:
        raise c.unsupported("indices")
    x, padding = _padded(c.data(), pads, float("-inf"))
    fn: Any = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
    return fn[len(kernel)](
        x, kernel, stride, padding, dilation, ceil_mode=bool(c.attr("ceil_mode", 0))
    )


def _avg_pool(c: Call) -> Any:
    kernel = list(c.attr("kernel_shape"))
    stride, dilation, pads = _windows(c, kernel)
    if any(d != 1 for d in dilation):
        raise c.unsupported("dilations")
    counted, ceil = bool(c.attr("count_include_pad", 0)), bool(c.attr("ceil_mode", 0))
    rank = len(kernel)
    if pads[:rank] != pads[rank:] and not counted:
        raise c.unsupported("padding at one end")
    x, padding = _padded(c.data(), pads, 0.0)
    fn: Any = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
    counted = counted or not any(pads)
    return fn[rank](x, kernel, stride, padding, ceil_mode=ceil, count_include_pad=counted)


def _global_pool(c: Call) -> torch.Tensor:
    x = c.x()
    over = list(range(2, x.dim()))
    return x.amax(over, True) if c.op == "GlobalMaxPool" else x.mean(over, True)


def _batch_norm(c: Call) -> torch.Tensor:
    if c.attr("training_mode", 0):
        raise c.unsupported("training_mode")
    x, scale, offset, mean, var = (c.x(i) for i in range(5))
    return functional.batch_norm(x, mean, var, scale, offset, False, 0.0, c.attr("epsilon", 1e-5))


def _instance_norm(c: Call) -> torch.Tensor:
    x, scale, offset = c.x(0), c.x(1), c.x(2)
    return functional.instance_norm(x, weight=scale, bias=offset, eps=c.attr("epsilon", 1e-5))


def _layer_norm(c: Call) -> torch.Tensor:
    x, axis = c.x(), c.attr("axis", -1)
    if sum(map(bool, c.node.outputs)) > 1:
        raise c.unsupported("statistics as outputs")
    shape = [int(n) for n in x.shape[axis % x.dim() :]]
    eps = c.attr("epsilon", 1e-5)
    if c.op == "RMSNormalization":
        return functional.rms_norm(x, shape, c.optional(1), eps)
    return functional.layer_norm(x, shape, c.optional(1), c.optional(2), eps)


def _group_norm(c: Call) -> torch.Tensor:
    x, scale, offset, groups = c.x(0), c.x(1), c.x(2), c.attr("num_groups")
    if scale.shape[0] != x.shape[1]:  # before opset 21: one for each group
        times = x.shape[1] // groups
        scale, offset = scale.repeat_interleave(times), offset.repeat_interleave(times)
    return functional.group_norm(x, groups, scale, offset, c.attr("epsilon", 1e-5))


def _softmax(c: Call) -> torch.Tensor:
    fn = torch.softmax if c.op == "Softmax" else torch.log_softmax
    return fn(c.x(), c.attr("axis", -1))


def _einsum(c: Call) -> torch.Tensor:
    return torch.einsum(c.attr("equation"), *(c.x(i) for i in range(len(c.values))))


def _resize(c: Call) -> torch.Tensor:
    """Enlarge by whole factors, each element repeated."""
    x = c.x()
    sizes = c.ints(3) if c.has(3) else None
    if sizes is not None:
        target = [int(n) for n in sizes]
    elif isinstance(c.values[2], Const):
        factors = [float(f) for f in c.const(2).array.reshape(-1)]
        target = [int(n * f) for n, f in zip(x.shape, factors, strict=True)]
    else:
        raise c.unsupported("sizes that depend on the data")
    whole = all(m % n == 0 for n, m in zip(x.shape, target, strict=True))
    form = (c.attr("mode", "nearest"), c.attr("axes"), x.dim(), whole)
    modes = (c.attr("coordinate_transformation_mode", "half_pixel"), c.attr("nearest_mode", ""))
    known = (("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", ""))
    if form != ("nearest", None, 4, True) or modes not in known or target[:2] != [*x.shape[:2]]:
        raise c.unsupported("anything but repetition by whole factors")
    return functional.interpolate(x, size=target[2:], mode="nearest")


LAYERS: dict[str, Rule] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _max_pool,
    "AveragePool": _avg_pool,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _layer_norm,
    "GroupNormalization": _group_norm,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Einsum": _einsum,
    "Resize": _resize,
}
