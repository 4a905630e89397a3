"""Layers with weights, and pools, on int64 arrays with the batch first."""

from __future__ import annotations

import numpy as np

from snnc.backends.numpy.program import Array, Operator, Program, Record


def _finish(acc: Array, node: Record, program: Program, spatial: bool) -> Array:
    a = node["attributes"]
    y: Array = acc.astype(np.int64) << a["shift"]
    if a["bias"] is None:
        return y
    bias = program.param(a["bias"])
    return np.asarray(y + (bias[:, None, None] if spatial else bias))


def linear(program: Program, node: Record, operands: list[Array]) -> Array:
    """``((weight @ x) << shift) + bias``."""
    w = program.exact[node["name"]]
    return _finish(operands[0].astype(w.dtype) @ w.T, node, program, spatial=False)


def _windows(x: Array, kernel: tuple[int, int], a: Record, fill: int) -> Array:
    """Windows of (N, C, H, W) as (N, C, H', W', kH, kW)."""
    (ph, pw), (sh, sw), (dh, dw) = a["padding"], a["stride"], a.get("dilation", (1, 1))
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=fill)
    reach = (dh * (kernel[0] - 1) + 1, dw * (kernel[1] - 1) + 1)
    view = np.lib.stride_tricks.sliding_window_view(x, reach, (2, 3))
    return view[:, :, ::sh, ::sw, ::dh, ::dw]


def conv2d(program: Program, node: Record, operands: list[Array]) -> Array:
    """``(conv(x, weight) << shift) + bias``, cross-correlation as in torch."""
    a, w = node["attributes"], program.exact[node["name"]]
    out, per_group, kh, kw = w.shape
    groups = a["groups"]
    x = _windows(operands[0].astype(w.dtype), (kh, kw), a, 0)
    n, _, height, width = x.shape[:4]
    x = x.transpose(0, 2, 3, 1, 4, 5).reshape(n * height * width, groups, per_group * kh * kw)
    parts = [x[:, g] @ part.reshape(len(part), -1).T for g, part in enumerate(np.split(w, groups))]
    acc = np.concatenate(parts, 1).reshape(n, height, width, out).transpose(0, 3, 1, 2)
    return _finish(acc, node, program, spatial=True)


def sum_pool(program: Program, node: Record, operands: list[Array]) -> Array:
    """Sum over windows."""
    windows = _windows(operands[0], node["attributes"]["kernel"], node["attributes"], 0)
    return np.asarray(windows.sum((4, 5)))


def max_pool(program: Program, node: Record, operands: list[Array]) -> Array:
    """Maximum over windows; the padding is smaller than any value."""
    lowest = np.iinfo(np.int64).min
    windows = _windows(operands[0], node["attributes"]["kernel"], node["attributes"], lowest)
    peak: Array = windows.max((4, 5))
    return peak


def embedding(program: Program, node: Record, operands: list[Array]) -> Array:
    """Row ``x`` of the table."""
    return program.exact[node["name"]][operands[0]]


#: The layers, by name.
LAYERS: dict[str, Operator] = {
    "IntLinear": linear,
    "IntEmbedding": embedding,
    "IntConv2d": conv2d,
    "IntSumPool2d": sum_pool,
    "IntMaxPool2d": max_pool,
}
