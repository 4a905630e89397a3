"""Layers with weights, and pools, on int64 arrays with the batch first."""

from __future__ import annotations

import numpy as np

from snnc.backends.numpy.packing import Packed
from snnc.backends.numpy.program import Array, Operator, Program, Record
from snnc.backends.numpy.windows import convolution, transposed, windows


def _finish(acc: Array, node: Record, program: Program, behind: int) -> Array:
    """Scale the sums and add the bias; ``behind`` axes follow that of the rows."""
    a = node["attributes"]
    y: Array = acc.astype(program.sums.get(node["name"], np.int64), copy=False)
    if a["shift"]:
        y <<= a["shift"]
    if a["bias"] is not None:
        y += program.param(a["bias"]).astype(y.dtype).reshape(-1, *[1] * behind)
    return y


def linear(program: Program, node: Record, operands: list[Array]) -> Array:
    """``((weight @ x) << shift) + bias``."""
    name, (x,) = node["name"], operands
    w = program.packed.get(name) or program.exact[name]
    x = x.astype(w.dtype, copy=False)
    if isinstance(w, Packed):
        return _finish(w.product(x, program.sums.get(name, np.int64)), node, program, 0)
    return _finish(x @ w.T, node, program, 0)


def conv(program: Program, node: Record, operands: list[Array]) -> Array:
    """``(conv(x, weight) << shift) + bias``, cross-correlation as in torch."""
    w, a = program.exact[node["name"]], node["attributes"]
    geometry = (a[k] for k in ("stride", "padding", "dilation", "groups"))
    acc = convolution(operands[0].astype(w.dtype, copy=False), w, *geometry)
    return _finish(acc, node, program, w.ndim - 2)


def conv_transpose(program: Program, node: Record, operands: list[Array]) -> Array:
    """``(transposed_conv(x, weight) << shift) + bias``."""
    w, a = program.exact[node["name"]], node["attributes"]
    geometry = (a[k] for k in ("stride", "padding", "extra", "dilation", "groups"))
    acc = transposed(operands[0].astype(w.dtype, copy=False), w, *geometry)
    return _finish(acc, node, program, w.ndim - 2)


def _pooled(node: Record, x: Array, fill: int) -> tuple[Array, tuple[int, ...]]:
    """Windows, and their own axes."""
    a = node["attributes"]
    found = windows(x, a["kernel"], a["stride"], a["padding"], fill)
    return found, tuple(range(x.ndim, found.ndim))


def sum_pool(program: Program, node: Record, operands: list[Array]) -> Array:
    """Sum over windows."""
    found, axes = _pooled(node, operands[0], 0)
    return np.asarray(found.sum(axes))


def max_pool(program: Program, node: Record, operands: list[Array]) -> Array:
    """Maximum over windows; the padding is smaller than any value."""
    found, axes = _pooled(node, operands[0], np.iinfo(np.int64).min)
    return np.asarray(found.max(axes))


def embedding(program: Program, node: Record, operands: list[Array]) -> Array:
    """Row ``x`` of the table."""
    return program.exact[node["name"]][operands[0]]


#: Layers whose operand may come in any type: they convert it to that of their weights.
PRODUCTS = ("IntLinear", "IntDelayLinear", "IntConv", "IntConvTranspose")

#: The layers, by name.
LAYERS: dict[str, Operator] = {
    "IntLinear": linear,
    "IntDelayLinear": linear,  # of what each column reads, some steps ago
    "IntEmbedding": embedding,
    "IntConv": conv,
    "IntConvTranspose": conv_transpose,
    "IntSumPool": sum_pool,
    "IntMaxPool": max_pool,
}
