"""Geometry of the page's charts: numbers and paths.  Words are in templates, which escape them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Width of a chart in its own units; text in it is as large as on the page when it is so wide.
WIDTH = 340
_BINS = 48
#: Neurons and steps that a raster shows at most.
MOST_NEURONS, MOST_STEPS = 64, 100
#: Height of a row of the drawing of the network.
ROW = 26


@dataclass(frozen=True)
class Histogram:
    """Weights of a layer, in real numbers and as integers times their scales.

    Attributes:
        name: Of the layer.
        before: Outline of the filled area of the float weights.
        after: Outline of the rounded ones.
        low: Real value at the left end.
        high: At the right end.
        levels: Distinct integers that are used.
        possible: Integers that the bits have: as many on both sides of 0, unless training, or the
            model itself, uses the lowest one, too.
        zeros: Share of weights that became 0.
        height: Of the chart.
    """

    name: str
    before: str
    after: str
    low: float
    high: float
    levels: int
    possible: int
    zeros: float
    height: int = 90


def histogram(name: str, real: Array, rounded: Array, codes: Array, bits: int) -> Histogram:
    """Compare the weights of a layer before and after."""
    peak = max(float(np.abs(real).max(initial=0)), float(np.abs(rounded).max(initial=0))) or 1.0
    edges = np.linspace(-peak, peak, _BINS + 1)
    both = [np.histogram(x, edges)[0] for x in (real.reshape(-1), rounded.reshape(-1))]
    top = [np.sqrt(b) for b in both]  # a root, so that tails are seen next to a peak of zeros
    most = max(float(t.max()) for t in top) or 1.0
    height = Histogram.height
    paths = [_steps(t / most * (height - 4), WIDTH / _BINS, height) for t in top]
    levels = len(np.unique(codes))
    lowest = levels == 2**bits or int(codes.min(initial=0)) == -(2 ** (bits - 1))
    return Histogram(
        name,
        paths[0],
        paths[1],
        -peak,
        peak,
        levels,
        2**bits - (not lowest),
        float(np.mean(codes == 0)),
    )


def _steps(heights: Array, wide: float, base: int) -> str:
    parts = [f"M0 {base}"]
    for i, h in enumerate(heights):
        parts.append(f"V{base - h:.1f}H{(i + 1) * wide:.1f}")
    return "".join([*parts, f"V{base}Z"])


@dataclass(frozen=True)
class Raster:
    """Spikes of a layer on one sample, float next to integers.

    Attributes:
        name: Of the layer.
        both: Path of the spikes that both have.
        lost: Of those that the float model alone has.
        extra: Of those that the integers alone have.
        counts: Numbers of them, over all neurons.
        neurons: How many are shown, of how many; those that never spike are left out first.
        steps: How many are shown, of how many.
        height: Of the chart.
        tick: Height of a spike.
    """

    name: str
    both: str
    lost: str
    extra: str
    counts: tuple[int, int, int]
    neurons: tuple[int, int]
    steps: tuple[int, int]
    height: int
    tick: float


def raster(name: str, real: Array, found: Array) -> Raster:
    """Spikes (T, *shape) of the float model and of the integers."""
    want = real.reshape(len(real), -1) != 0
    have = found.reshape(len(found), -1) != 0
    counts = [int(np.count_nonzero(x)) for x in (want & have, want & ~have, have & ~want)]
    size, length = want.shape[1], len(want)
    active = np.flatnonzero((want | have)[:MOST_STEPS].any(0))  # of the others there is no mark
    active = active if len(active) else np.arange(size)
    place = np.linspace(0, len(active) - 1, min(len(active), MOST_NEURONS)).round().astype(int)
    chosen = active[np.unique(place)]
    want, have = want[:MOST_STEPS, chosen], have[:MOST_STEPS, chosen]
    tick = max(3.0, min(10.0, 200 / len(chosen)))
    wide = WIDTH / max(1, len(want))
    return Raster(
        name,
        _ticks(want & have, wide, tick),
        _ticks(want & ~have, wide, tick),
        _ticks(have & ~want, wide, tick),
        (counts[0], counts[1], counts[2]),
        (len(chosen), size),
        (len(want), length),
        round(tick * len(chosen)) + 2,
        round(tick * 0.8, 1),
    )


def _ticks(spikes: Array, wide: float, high: float) -> str:
    long = max(1.0, wide * 0.8)
    return "".join(
        f"M{t * wide:.1f} {(i + 0.5) * high + 1:.1f}h{long:.1f}" for t, i in np.argwhere(spikes)
    )


@dataclass(frozen=True)
class Arc:
    """A connection that is not between neighbours; ``delay`` in steps, 0 for none."""

    path: str
    delay: int


@dataclass(frozen=True)
class Network:
    """Layers from the top down, and arcs for connections that pass others by."""

    height: int
    arcs: tuple[Arc, ...]
    straight: tuple[bool, ...]


def network(names: Sequence[str], edges: Sequence[tuple[str, str, int]]) -> Network:
    """Arrange a network.

    Args:
        names: Layers in their order.
        edges: Source, destination and delay.
    """
    place = {name: i for i, name in enumerate(names)}
    straight = [False] * max(0, len(names) - 1)
    arcs = []
    for src, dst, delay in edges:
        if src not in place or dst not in place:
            continue
        i, j = place[src], place[dst]
        if j == i + 1 and not delay:
            straight[i] = True
            continue
        y0, y1 = i * ROW + ROW / 2, j * ROW + ROW / 2
        reach = 10 + min(46.0, 5.0 * abs(j - i))
        if i == j:
            arcs.append(Arc(f"M0 {y0 - 5:g}C16 {y0 - 12:g} 16 {y0 + 12:g} 0 {y0 + 5:g}", delay))
        else:
            arcs.append(Arc(f"M0 {y0:g}C{reach:g} {y0:g} {reach:g} {y1:g} 0 {y1:g}", delay))
    return Network(ROW * len(names), tuple(arcs), tuple(straight))


@dataclass(frozen=True)
class Confusion:
    """Counts of classes: rows are labels, columns what the integers say.

    ``cells`` have the count, its share of the row, and whether it is on the diagonal.
    """

    classes: int
    cells: tuple[tuple[tuple[int, float, bool], ...], ...]
    recall: tuple[float | None, ...]


def confusion(labels: Array, found: Array, classes: int) -> Confusion:
    """Count pairs of label and class."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, found), 1)
    sums = counts.sum(1)
    rows = tuple(
        tuple(
            (int(c), float(c / max(1, sums[i])), i == j) for j, c in enumerate(counts[i].tolist())
        )
        for i in range(classes)
    )
    recall = tuple(float(counts[i, i] / sums[i]) if sums[i] else None for i in range(classes))
    return Confusion(classes, rows, recall)


def shares(parts: Mapping[str, float], whole: float) -> list[tuple[str, float, float]]:
    """Name, value and percent of a bar that is ``whole`` long."""
    return [(name, v, 100 * v / whole if whole else 0.0) for name, v in parts.items()]
