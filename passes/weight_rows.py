"""Weights with one row for every row or channel of the output, whatever layer they are of."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from snnc import intops, ops
from snnc.graph import Graph
from snnc.params import Param

Floats = npt.NDArray[np.float64]
Convolution = ops.Conv1d | ops.Conv2d | ops.Conv3d
Spread = ops.ConvTranspose1d | ops.ConvTranspose2d | ops.ConvTranspose3d
#: Real layers with weights.
Weighted = ops.Linear | ops.DelayLinear | Convolution | Spread
#: Integer layers with weights.
IntWeighted = intops.IntLinear | intops.IntDelayLinear | intops.IntConv | intops.IntConvTranspose

_W = TypeVar("_W", bound=Weighted)


def rows_first(op: Weighted) -> Floats:
    """Weights as (rows, …): those of a transposed convolution as (C_out, C_in/groups, k, …)."""
    weight = op.weight.data.astype(np.float64)
    if not isinstance(op, Spread):
        return weight
    grouped = weight.reshape(op.groups, -1, *weight.shape[1:]).swapaxes(1, 2)
    return grouped.reshape(-1, *grouped.shape[2:])


def scaled_rows(rows: Floats, ratio: Floats) -> Floats:
    """Rows times a factor each; mostly all factors are 1 and nothing is copied."""
    return rows * ratio[:, None] if (ratio != 1.0).any() else rows


def with_rows(op: _W, weight: Floats, bias: Param | None) -> _W:
    """The layer with other weights, a new array as ``rows_first`` gives it."""
    if isinstance(op, Spread):
        grouped = weight.reshape(op.groups, -1, *weight.shape[1:]).swapaxes(1, 2)
        weight = grouped.reshape(op.weight.shape)
    return replace(op, weight=Param.taking(weight), bias=bias)


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
