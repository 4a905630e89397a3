"""Integers that make up for each other's rounding, of all layers that one neuron adds up.

What a neuron adds is one sum: the errors of all layers that feed it are kept small together, with
the Hessian of what arrives at all of them at once.  The mean of the error is left to a bias, which
is nearly as good as a real number, so that the integers answer for deviations from the mean alone.
The scale of a row decides where the grid lies; several are tried, and that with the smallest error
behind compensation is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from snnc.passes.calibration import InputStatistics, JointStatistics, Moments
from snnc.passes.correct_codes import bias_shift
from snnc.passes.gptq import Compensation, row_errors
from snnc.passes.parts import Chosen, Part, of_codes
from snnc.passes.row_blocks import Rows
from snnc.passes.row_scale import MOST_PERCENT, RowScales, row_scales

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Percents of the largest weight by which scales are tried to be smaller or larger, nearest first.
TRIED = (0, -1, 1, -2, 2, -3, 3, -4, 4, -6, 6, -8, 8, -12, 12, -16, 16, -20, 20)
#: … unless one try had more steps than this.
TRIED_STEPS = 1 << 30
#: Coordinate descent follows unless a sweep had more steps than this.
DESCENT_STEPS = 1 << 34
#: The same with more bits than ``FEW_BITS``, where it changes little.
MANY_BITS_STEPS = 1 << 30
FEW_BITS = 3
#: The name of a choice whose bias takes the mean of the error.
CENTRED = "gptq around the mean"


@dataclass(frozen=True)
class _Block:
    """Layers whose errors are kept small together, or one alone.

    Attributes:
        parts: Their places.
        rows: Their weights side by side, in the shared unit, each as much larger as it is finer.
        bits: Of each column.
        solvers: One by group of rows.
    """

    parts: list[int]
    rows: Floats
    bits: Ints
    solvers: list[Compensation]

    def codes(self, scales: Floats) -> tuple[Ints, Floats]:
        """Codes, and the error of each row."""
        codes, errors = [], []
        for solver, rows, own in self._groups(scales):
            found = solver.codes(rows, own, self.bits)
            codes.append(found)
            errors.append(row_errors(rows, own, found, solver.hessian))
        return np.concatenate(codes), np.concatenate(errors)

    def improved(self, scales: Floats, codes: Ints) -> Ints:
        """The codes behind coordinate descent, if that does not take too long."""
        most = DESCENT_STEPS if int(self.bits.max()) <= FEW_BITS else MANY_BITS_STEPS
        if self.steps > most:
            return codes
        old = np.split(codes, len(self.solvers))
        found = [
            solver.improved(rows, own, self.bits, now)
            for (solver, rows, own), now in zip(self._groups(scales), old, strict=True)
        ]
        return np.concatenate(found)

    @property
    def steps(self) -> int:
        """Products that a try takes, about."""
        return int(self.rows.size) * int(self.rows.shape[1])

    def _groups(self, scales: Floats) -> list[tuple[Compensation, Floats, Floats]]:
        count = len(self.solvers)
        rows, own = np.split(self.rows, count), np.split(scales, count)
        return list(zip(self.solvers, rows, own, strict=True))


def compensated(
    parts: list[Part],
    stacked: Rows,
    seen: list[InputStatistics],
    joint: JointStatistics | None,
    centred: bool = False,
) -> Chosen:
    """Codes of layers that share row scales, chosen by GPTQ.

    Args:
        parts: The layers, the main one first.
        stacked: Their weights side by side, as the shared scales are chosen for.
        seen: What arrives at each.
        joint: What arrives at all together, if that is known.
        centred: Whether a bias takes the mean of the error; one of the layers must have one.
    """
    bits = min(p.bits for p in parts)
    weights = [_per_row(s, p, centred) / 4.0**p.finer for s, p in zip(seen, parts, strict=True)]
    first = row_scales(stacked, bits, "mse", np.concatenate(weights, 1))
    if joint is not None:
        blocks = [_block(parts, list(range(len(parts))), joint, centred)]
    else:
        blocks = [_block(parts, [i], s, centred) for i, s in enumerate(seen)]
    scales, found = _searched(first, blocks)
    codes: list[Ints] = [np.empty(0, np.int64)] * len(parts)
    for block, own in zip(blocks, found, strict=True):
        widths = np.cumsum([parts[i].rows.shape[1] for i in block.parts])
        for i, some in zip(block.parts, np.split(own, widths[:-1], 1), strict=True):
            codes[i] = some
    chosen = of_codes("gptq", scales, parts, codes)
    return replace(shifted(chosen, parts, seen, seen), method=CENTRED) if centred else chosen


def shifted(
    chosen: Chosen, parts: list[Part], before: list[InputStatistics], now: list[InputStatistics]
) -> Chosen:
    """The same codes with a bias that keeps the mean of the sum of all layers.

    Args:
        chosen: The codes.
        parts: The layers; the first that has a bias takes the mean errors of all.
        before: What arrives at them where the sum is right.
        now: What arrives at them.
    """
    total = np.zeros(len(parts[0].root))
    for part, old, new, own in zip(parts, before, now, chosen.parts, strict=True):
        scale = chosen.scales.floats / (1 << part.finer) / part.ratio
        rounded = own.codes * scale[:, None]
        total += bias_shift(part.root.rows[:], old.mean, rounded, new.mean) * part.ratio
    codes = list(chosen.parts)
    for i, part in enumerate(parts):
        if part.root.op.bias is not None:
            real = np.broadcast_to(part.root.op.bias.data, total.shape)
            codes[i] = replace(codes[i], bias=real + total / part.ratio)
            break
    return replace(chosen, parts=tuple(codes))


def _block(parts: list[Part], some: list[int], seen: Moments, centred: bool) -> _Block:
    own = [parts[i] for i in some]
    widths = [p.rows.shape[1] for p in own]
    finer = np.repeat([2.0**p.finer for p in own], widths)
    rows = np.concatenate([p.rows[:] for p in own], 1) * finer
    hessian = (seen.centred if centred else seen.hessian) / (finer[:, None] * finer)
    bits = np.repeat([p.bits for p in own], widths)
    return _Block(some, rows, bits, [Compensation(h) for h in hessian])


def _searched(first: RowScales, blocks: list[_Block]) -> tuple[RowScales, list[Ints]]:
    """The scale of each row that leaves the smallest error, and the codes of each block."""
    tried = TRIED if sum(b.steps for b in blocks) <= TRIED_STEPS else (0,)
    percent, least = first.percent.copy(), np.full(len(first.percent), np.inf)
    codes: list[Ints] = []
    for change in tried:
        scales = replace(first, percent=np.clip(first.percent + change, 1, MOST_PERCENT))
        found = [b.codes(scales.floats) for b in blocks]
        error = np.sum([e for _, e in found], 0)
        better = error < least
        least = np.where(better, error, least)
        percent = np.where(better, scales.percent, percent)
        for old, (new, _) in zip(codes, found, strict=True) if codes else ():
            old[better] = new[better]
        codes = codes or [c for c, _ in found]
    scales = replace(first, percent=percent)
    return scales, [b.improved(scales.floats, c) for b, c in zip(blocks, codes, strict=True)]


def _per_row(seen: Moments, part: Part, centred: bool) -> Floats:
    """How often each weight counts, (rows, columns): the diagonals, and a little for all."""
    diagonal = (seen.centred if centred else seen.hessian).diagonal(axis1=1, axis2=2)
    diagonal = np.maximum(diagonal, 0.0)
    diagonal = diagonal + 1e-3 * diagonal.mean()
    return np.repeat(diagonal, len(part.root) // len(diagonal), 0)
