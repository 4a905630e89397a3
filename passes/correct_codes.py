"""Corrections behind rounding: biases that keep means, thresholds that keep spikes.

Multiplying a row's weights and bias by c is the same as dividing the threshold of its neuron by c,
so that a corrected threshold is a corrected scale and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.graph import Graph, Node
from snnc.passes.calibration import Calibration, ancestors
from snnc.passes.exact_product import product
from snnc.passes.quantized_value import Root
from snnc.types import SPIKE

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

#: Factors of a threshold that are tried, 1 first: it stays unless another is better.
FACTORS = (1.0, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 1.025, 1.05, 1.1, 1.15, 1.2, 1.3)


def bias_shift(before: Floats, mean_before: Floats, now: Floats, mean_now: Floats) -> Floats:
    """What a bias must grow by so that the mean of the layer's output stays.

    Args:
        before: (rows, columns) real weights.
        mean_before: (groups, columns) mean inputs in the real network.
        now: The weights as quantized.
        mean_now: The mean inputs behind quantized layers.
    """
    rows = len(before) // len(mean_before)
    parts = []
    for g, (old, new) in enumerate(zip(mean_before, mean_now, strict=True)):
        own = slice(g * rows, (g + 1) * rows)
        parts.append(product(before[own], old[:, None]) - product(now[own], new[:, None]))
    out: Floats = np.concatenate(parts)[:, 0]
    return out


def threshold_factors(
    calibration: Calibration,
    real: Graph,
    network: Callable[[Floats], Graph],
    neuron: Node,
    root: Root,
) -> Floats | None:
    """The factor of each row's threshold whose spikes are most like those of the real network.

    Judged by the spikes that differ, and half the difference of their number.

    Args:
        calibration: Data.
        real: The network in real numbers.
        network: The quantized network with these factors.
        neuron: Whose thresholds they are.
        root: The layer that feeds it.

    Returns:
        (rows,) factors, or None if rows do not belong to neurons one by one.
    """
    op, rows = neuron.op, len(root)
    assert isinstance(op, ops.Neuron), "thresholds are a neuron's"
    axis = len(root.row_shape)  # from the end
    shape = neuron.type.shape
    if neuron.types[0].dtype != SPIKE or len(shape) < axis or shape[-axis] != rows:
        return None
    word = f"{neuron.name}.{op.kernel.outputs[0]}"
    if not word_is_recorded(op):
        return None

    def spikes(graph: Graph) -> list[Array]:
        part = ancestors(graph, {neuron.name: None})
        return [batch[word] for batch in calibration.outputs(part, (word,))]

    def per_row(x: Array) -> Floats:
        moved = np.moveaxis(x, x.ndim - axis, 0)
        out: Floats = moved.reshape(rows, -1).sum(1)
        return out

    expected = spikes(real)
    best, found = np.full(rows, np.inf), np.ones(rows)
    for factor in FACTORS:
        now = spikes(network(np.full(rows, factor)))
        pairs = list(zip(now, expected, strict=True))
        wrong = sum(per_row(np.abs(a - b)) for a, b in pairs)
        more = sum(per_row(a) - per_row(b) for a, b in pairs)
        cost = wrong + 0.5 * np.abs(more)
        better = cost < best
        best, found = np.where(better, cost, best), np.where(better, factor, found)
    return found


def word_is_recorded(op: ops.Neuron) -> bool:
    """Whether the first output is a word of its own, not a state."""
    return op.kernel.outputs[0] not in {s.name for s in op.kernel.states}
