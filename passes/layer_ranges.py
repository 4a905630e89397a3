"""Exact intervals of layers with weights, and of pools."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snnc.graph import Node
from snnc.interval import Interval, guard
from snnc.intops import IntConv2d, IntLinear, IntMaxPool2d, IntSumPool2d
from snnc.params import Param
from snnc.passes.range_rule import RangeRule


def linear(node: Node, x: list[Interval], steps: int) -> Interval:
    """Interval of every accumulator of a linear layer."""
    op = node.op
    assert isinstance(op, IntLinear), "dispatched by type"
    plus, minus = _split(op.weight)
    lo = _product(plus, x[0].lo) + _product(minus, x[0].hi)
    hi = _product(plus, x[0].hi) + _product(minus, x[0].lo)
    return _affine(Interval(lo, hi), op.shift, op.bias)


def conv2d(node: Node, x: list[Interval], steps: int) -> Interval:
    """Interval of every accumulator of a convolution; at the border fewer weights count."""
    op = node.op
    assert isinstance(op, IntConv2d), "dispatched by type"
    bias = None if op.bias is None else Param(op.bias.data[:, None, None])
    return _affine(_conv2d(op, x[0]), op.shift, bias)


def pool(node: Node, x: list[Interval], steps: int) -> Interval:
    """Interval of every window."""
    op = node.op
    assert isinstance(op, IntSumPool2d | IntMaxPool2d), "dispatched by type"
    return _pool(op, x[0])


def _affine(acc: Interval, shift: int, bias: Param | None) -> Interval:
    y = acc.shl(shift)
    return y if bias is None else y + Interval.exactly(bias)


def _split(weight: Param) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    w = weight.data.astype(np.int64).reshape(weight.shape[0], -1)
    return np.maximum(w, 0), np.minimum(w, 0)


def _product(w: npt.NDArray[np.int64], x: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """``x @ w.T`` of integers, in float64 where that is exact."""
    largest = float(np.abs(x.astype(np.float64)).max(initial=0))  # int64 has no -min
    bound = float(np.abs(w).sum(1).max(initial=0)) * largest
    guard(bound)
    if bound < float(1 << 53):
        return (x.astype(np.float64) @ w.T.astype(np.float64)).astype(np.int64)
    return x @ w.T


def _conv2d(op: IntConv2d, x: Interval) -> Interval:
    out, per_group, kh, kw = op.weight.shape
    plus, minus = _split(op.weight)
    windows = [_windows(v, (kh, kw), op.stride, op.padding, op.dilation, 0) for v in (x.lo, x.hi)]
    height, width = windows[0].shape[1:3]
    lo, hi = [
        w.transpose(1, 2, 0, 3, 4).reshape(height * width, op.groups, per_group * kh * kw)
        for w in windows
    ]
    parts_lo, parts_hi = [], []
    each = out // op.groups
    for g in range(op.groups):
        p, m = plus[g * each : (g + 1) * each], minus[g * each : (g + 1) * each]
        parts_lo.append(_product(p, lo[:, g]) + _product(m, hi[:, g]))
        parts_hi.append(_product(p, hi[:, g]) + _product(m, lo[:, g]))
    low, high = (np.concatenate(p, 1).T.reshape(out, height, width) for p in (parts_lo, parts_hi))
    return Interval(low, high)


def _windows(
    x: npt.NDArray[np.int64],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    fill: int,
) -> npt.NDArray[np.int64]:
    """Windows of (C, H, W) as (C, H', W', kH, kW)."""
    pad = ((0, 0), (padding[0], padding[0]), (padding[1], padding[1]))
    x = np.pad(x, pad, constant_values=fill)
    reach = (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)
    view = np.lib.stride_tricks.sliding_window_view(x, reach, (1, 2))
    return view[:, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def _pool(op: IntSumPool2d | IntMaxPool2d, x: Interval) -> Interval:
    summing = isinstance(op, IntSumPool2d)
    fill = 0 if summing else int(np.iinfo(np.int64).min)
    lo, hi = (_windows(v, op.kernel, op.stride, op.padding, (1, 1), fill) for v in (x.lo, x.hi))
    if not summing:
        return Interval(lo.max((3, 4)), hi.max((3, 4)))
    guard(hi.astype(float).sum((3, 4)), lo.astype(float).sum((3, 4)))
    return Interval(lo.sum((3, 4)), hi.sum((3, 4)))


#: The layers' rules.
LAYER_RANGES: dict[type, RangeRule] = {
    IntLinear: linear,
    IntConv2d: conv2d,
    IntSumPool2d: pool,
    IntMaxPool2d: pool,
}
