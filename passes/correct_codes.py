"""Corrections behind rounding: biases that keep means, thresholds that keep spikes.

Multiplying a row's weights and bias by c is the same as dividing the threshold of its neuron by c,
so that a corrected threshold is a corrected scale and costs nothing.
"""

from __future__ import annotations

import math
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

#: Most weights of all networks that are compared in one run.
VARIANT_VALUES = 1 << 23


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
    roots: list[Root],
) -> Floats | None:
    """The factor of each row's threshold whose spikes are most like those of the real network.

    Judged by the spikes that differ, and half the difference of their number.

    Args:
        calibration: Data.
        real: The network in real numbers.
        network: The quantized network with these factors.
        neuron: Whose thresholds they are.
        roots: The layers that feed it and share its scales, the main one first.

    Returns:
        (rows,) factors, or None if rows do not belong to neurons one by one.
    """
    op, root = neuron.op, roots[0]
    rows = len(root)
    assert isinstance(op, ops.Neuron), "thresholds are a neuron's"
    axis = len(root.row_shape)  # from the end
    shape = neuron.type.shape
    if neuron.types[0].dtype != SPIKE or len(shape) < axis or shape[-axis] != rows:
        return None
    word = f"{neuron.name}.{op.kernel.outputs[0]}"
    if not word_is_recorded(op):
        return None

    def per_row(x: Array) -> Floats:
        moved = np.moveaxis(x, x.ndim - axis, 0)
        out: Floats = moved.reshape(rows, -1).sum(1)
        return out

    last = {neuron.name: None}
    expected = calibration.outputs(ancestors(real, last), (word,))
    wrong, more = np.zeros((2, len(FACTORS), rows))
    changed, count = [r.node.name for r in roots], together(roots)
    for start in range(0, len(FACTORS), count):
        some = range(start, min(start + count, len(FACTORS)))
        graphs = [ancestors(network(np.full(rows, FACTORS[i])), last) for i in some]
        batches = calibration.variants(graphs, changed, (word,))
        for found, want in zip(batches, expected, strict=True):
            for i, have in zip(some, found, strict=True):
                wrong[i] += per_row(np.abs(have[word] - want[word]))
                more[i] += per_row(have[word]) - per_row(want[word])
    cost = wrong + 0.5 * np.abs(more)
    factors: Floats = np.array(FACTORS)[np.argmin(cost, 0)]  # the first of equals
    return factors


def together(roots: list[Root]) -> int:
    """How many sets of weights of some layers are held in memory at once."""
    return max(1, VARIANT_VALUES // sum(math.prod(r.shape) for r in roots))


def word_is_recorded(op: ops.Neuron) -> bool:
    """Whether the first output is a word of its own, not a state."""
    return op.kernel.outputs[0] not in {s.name for s in op.kernel.states}
