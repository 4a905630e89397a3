"""How many weights an element meets on its way through a layer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc import intops
from snnc.op import Op
from snnc.windows import Sizes

Ints = npt.NDArray[np.int64]


def fan_out(op: Op, shape: Sizes, out: Sizes) -> tuple[Ints, Ints]:
    """Weights that are not zero, and all, by element of an input of ``shape``; flat."""
    weight = getattr(op, "weight").data != 0  # noqa: B009
    rule = FAN_OUT[type(op)]
    return rule(op, weight, shape, out), rule(op, np.ones_like(weight), shape, out)


def _linear(op: intops.IntLinear, weight: Any, shape: Sizes, out: Sizes) -> Ints:
    found: Ints = np.tile(weight.sum(0, dtype=np.int64), math.prod(shape[:-1]))
    return found


def _late(op: intops.IntDelayLinear, weight: Any, shape: Sizes, out: Sizes) -> Ints:
    """An event counts when it is sent, once for each synapse, however late that is."""
    found = np.zeros(math.prod(shape), np.int64)
    np.add.at(found, op.index.data.astype(np.int64), weight.sum(0, dtype=np.int64))
    return found


def _read(size: int, places: int, k: int, stride: int, padding: int, dilation: int) -> Ints:
    """Whether some window has its tap k on an element: 0 or 1, along one axis."""
    found = np.zeros(size, np.int64)
    at = np.arange(places) * stride + k * dilation - padding
    found[at[(at >= 0) & (at < size)]] = 1
    return found


def _written(size: int, places: int, k: int, stride: int, padding: int, dilation: int) -> Ints:
    """Whether tap k of an element lands on an output: 0 or 1, along one axis."""
    at = np.arange(size) * stride + k * dilation - padding
    return ((at >= 0) & (at < places)).astype(np.int64)


def _taps(
    along: Callable[[int, int, int, int, int, int], Ints],
    op: intops.IntConv | intops.IntConvTranspose,
    weight: Any,
    shape: Sizes,
    out: Sizes,
) -> Ints:
    """Weights of every tap, where an element meets that tap along every axis."""
    channels, per_group, *kernel = weight.shape
    grouped = weight.reshape(op.groups, channels // op.groups, per_group, *kernel)
    taps = grouped.sum(1, dtype=np.int64).reshape(shape[0], *kernel)
    axes = list(zip(shape[1:], out[1:], op.stride, op.padding, op.dilation, strict=True))
    found = np.zeros(shape, np.int64)
    for k in itertools.product(*map(range, kernel)):
        met = np.ones((), np.int64)
        for i, (size, places, stride, padding, dilation) in zip(k, axes, strict=True):
            met = np.multiply.outer(met, along(size, places, i, stride, padding, dilation))
        found += np.multiply.outer(taps[(slice(None), *k)], met)
    return found.reshape(-1)


#: By layer with weights.  Embeddings look rows up, which is no synaptic operation.
FAN_OUT: dict[type[Op], Callable[[Any, Any, Sizes, Sizes], Ints]] = {
    intops.IntLinear: _linear,
    intops.IntDelayLinear: _late,
    intops.IntConv: partial(_taps, _read),
    intops.IntConvTranspose: partial(_taps, _written),
}
