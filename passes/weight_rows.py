"""Weights with one row for every row or channel of the output, whatever layer they are of."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from snnc import intops, ops
from snnc.graph import Graph
from snnc.params import Param
from snnc.passes.row_blocks import MadeRows

Floats = npt.NDArray[np.float64]
Convolution = ops.Conv1d | ops.Conv2d | ops.Conv3d
Spread = ops.ConvTranspose1d | ops.ConvTranspose2d | ops.ConvTranspose3d
#: Real layers with weights.
Weighted = ops.Linear | ops.DelayLinear | Convolution | Spread
#: Integer layers with weights.
IntWeighted = intops.IntLinear | intops.IntDelayLinear | intops.IntConv | intops.IntConvTranspose

_W = TypeVar("_W", bound=Weighted)


def shape_of(op: Weighted) -> tuple[int, ...]:
    """Shape of the weights as (rows, …): for a transposed convolution (C_out, C_in/groups, k, …).

    >>> shape_of(ops.ConvTranspose1d(Param(np.zeros((6, 5, 3))), None, (1,), (0,), (0,), (1,), 2))
    (10, 3, 3)
    """
    shape = op.weight.shape
    if not isinstance(op, Spread):
        return shape
    return (op.groups * shape[1], shape[0] // op.groups, *shape[2:])


def rows_first(op: Weighted, start: int = 0, stop: int | None = None) -> Floats:
    """Rows of the weights in ``shape_of``, as a new array."""
    stop = shape_of(op)[0] if stop is None else stop
    if not isinstance(op, Spread):
        return op.weight.rows(start, stop).astype(np.float64)
    _, inner, *kernel = shape_of(op)
    group, row = np.divmod(np.arange(start, stop), op.weight.shape[1])
    grouped = op.weight.data.reshape(op.groups, inner, -1, *kernel)
    return grouped[group, :, row].astype(np.float64)


def matrix(op: Weighted) -> MadeRows:
    """The weights as (rows, columns)."""
    count, *rest = shape_of(op)
    return MadeRows(
        (count, prod(rest)), lambda a, b: rows_first(op, a, b).reshape(b - a, prod(rest))
    )


def scaled_rows(rows: MadeRows, ratio: Floats) -> MadeRows:
    """Rows times a factor each."""
    if not (ratio != 1.0).any():
        return rows
    return rows.changed(lambda block, some: np.multiply(block, ratio[some, None], out=block))


def with_weight(op: _W, weight: npt.NDArray[Any], bias: Param | None) -> _W:
    """The layer with other weights, a new array in ``shape_of``."""
    if isinstance(op, Spread):
        grouped = weight.reshape(op.groups, -1, *weight.shape[1:]).swapaxes(1, 2)
        weight = grouped.reshape(op.weight.shape)
    return replace(op, weight=Param.taking(weight), bias=bias)


def with_rows(op: _W, rows: MadeRows, bias: Param | None) -> _W:
    """The layer with other weights, as ``matrix`` gives them; they are made when they are read."""
    shape = op.weight.shape
    if isinstance(op, Spread):
        return with_weight(op, rows[:].reshape(shape_of(op)), bias)
    weight = Param.made(shape, np.float64, lambda a, b: rows[a:b].reshape(b - a, *shape[1:]))
    return replace(op, weight=weight, bias=bias)


def in_integers(op: Weighted, weight: Param, bias: Param | None = None) -> IntWeighted:
    """The integer layer with these weights, rows first."""
    if isinstance(op, ops.Linear):
        return intops.IntLinear(weight, bias)
    if isinstance(op, ops.DelayLinear):
        return intops.IntDelayLinear(weight, op.index, op.delay, bias)
    if isinstance(op, Spread):
        spread = (op.stride, op.padding, op.extra, op.dilation, op.groups)
        return intops.IntConvTranspose(weight, bias, 0, *spread)
    return intops.IntConv(weight, bias, 0, op.stride, op.padding, op.dilation, op.groups)


def row_shape(op: Weighted) -> tuple[int, ...]:
    """Shape in which one number per row broadcasts against the layer's output."""
    if isinstance(op, ops.Linear | ops.DelayLinear):
        return (-1,)
    return (-1, *[1] * len(op.stride))


def is_encoder(graph: Graph, name: str) -> bool:
    """Whether weights lie behind a node and none in front of it."""
    return _weighted(graph, name, forward=True) and not _weighted(graph, name, forward=False)


def _weighted(graph: Graph, name: str, *, forward: bool) -> bool:
    """Whether something with weights reads a node, or is read by it, directly or not."""
    seen, left = {name}, [name]
    while left:
        node = graph[left.pop()]
        if isinstance(node.op, Weighted):
            return True
        near = graph.out_edges(node.name) if forward else graph.in_edges(node.name)
        fresh = {e.dst if forward else e.src for e in near} - seen
        seen |= fresh
        left += sorted(fresh)
    return False
