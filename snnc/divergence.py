"""How far the spikes of a layer are from those of the float model, and where they first differ.

Agreement alone flatters a sparse layer, in which silence agrees with silence, so that F1 stands
next to it: ``2 TP / (2 TP + FP + FN)`` over all neuron-steps.  Equal accuracy may hide that neurons
have changed their rates: the earth mover's distance between the two histograms of the neurons'
rates says by how much a neuron's rate moves at least, in spikes per step.  (Between two sets of the
same size it is the mean distance of the sorted rates.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A neuron at a step of a sample; ``index`` is its place in the layer."""

    sample: int
    step: int
    index: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Divergence:
    """How the spikes of a layer differ from those of the float model.

    Attributes:
        agreement: Share of neuron-steps in which both spike or both do not.
        f1: Of the integer spikes, the float ones being right; 1 if neither spikes at all.
        rate: Spikes per neuron and step, of the integers.
        rate_float: The same of the float model.
        emd: Earth mover's distance of the histograms of the neurons' rates.
        first: The earliest step at which a spike differs, with the first sample there.
        samples_different: Samples with any other spike.
    """

    agreement: float
    f1: float
    rate: float
    rate_float: float
    emd: float
    first: Place | None
    samples_different: int

    @property
    def rate_change(self) -> float | None:
        """Of the mean rate, relative to that of the float model; None if that is silent."""
        return self.rate / self.rate_float - 1 if self.rate_float else None

    def document(self) -> dict[str, object]:
        """As JSON."""
        first = self.first
        return {
            "agreement": self.agreement,
            "f1": self.f1,
            "rate": self.rate,
            "rate_float": self.rate_float,
            "rate_change": self.rate_change,
            "emd": self.emd,
            "first": first
            and {"sample": first.sample, "step": first.step, "index": list(first.index)},
            "samples_different": self.samples_different,
        }


class DivergenceCount:
    """Adds up what a layer's ``Divergence`` is made of, batch by batch."""

    def __init__(self) -> None:
        self._both = self._one = self._total = 0
        self._rates: tuple[Array, Array] | None = None
        self._samples = self._different = self._steps = 0
        self._first: Place | None = None

    def add(self, real: Array, found: Array) -> None:
        """Count the spikes of a batch, (N, T, *shape): of the float model and of the integers."""
        want, have = np.asarray(real) != 0, np.asarray(found) != 0
        self._both += int(np.count_nonzero(want & have))
        wrong = want != have
        self._one += int(np.count_nonzero(wrong))
        self._total += wrong.size
        rates = want.sum((0, 1)).reshape(-1), have.sum((0, 1)).reshape(-1)
        if self._rates is not None:
            rates = (self._rates[0] + rates[0], self._rates[1] + rates[1])
        self._rates = rates
        self._note_first(wrong)
        self._different += int(np.count_nonzero(wrong.reshape(len(wrong), -1).any(1)))
        self._samples += len(wrong)
        self._steps += len(wrong) * wrong.shape[1]

    def _note_first(self, wrong: Array) -> None:
        steps = np.flatnonzero(wrong.any(tuple(i for i in range(wrong.ndim) if i != 1)))
        if not len(steps) or (self._first is not None and steps[0] >= self._first.step):
            return
        sample, *index = (int(i) for i in np.argwhere(wrong[:, steps[0]])[0])
        self._first = Place(self._samples + sample, int(steps[0]), tuple(index))

    @property
    def value(self) -> Divergence | None:
        """What was counted; None if nothing was."""
        if not self._total or self._rates is None:
            return None
        real, found = (np.sort(r) / self._steps for r in self._rates)
        spikes = 2 * self._both + self._one
        return Divergence(
            agreement=1 - self._one / self._total,
            f1=2 * self._both / spikes if spikes else 1.0,
            rate=float(found.mean()),
            rate_float=float(real.mean()),
            emd=float(np.abs(real - found).mean()),
            first=self._first,
            samples_different=self._different,
        )


@dataclass(frozen=True, slots=True)
class Drift:
    """How far outputs are from the float model's.

    Attributes:
        error: Root of the mean squared error, as a part of their deviation from the mean: 0 is
            equal, and 1 is as wrong as a constant.  None without samples, or if they never change.
        samples: How few samples hold 99 % of the squared error.
        worst: The sample with most of it; None if there is none.
    """

    error: float | None
    samples: int
    worst: int | None

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {"error": self.error, "samples": self.samples, "worst": self.worst}


#: Share of the squared error that ``Drift.samples`` hold.
MOST = 0.99


class OutputError:
    """Adds up how far outputs are from the float model's, batch by batch."""

    def __init__(self) -> None:
        self._count = 0
        self._sums = np.zeros(2)
        self._samples: list[Array] = []

    def add(self, real: Array, found: Array) -> None:
        """Count the outputs of a batch."""
        real = np.asarray(real, np.float64)
        error = np.square(real - found).reshape(len(real), -1).sum(1)
        self._samples.append(error)
        self._sums += real.sum(), np.square(real).sum()
        self._count += real.size

    @property
    def value(self) -> float | None:
        """The error of ``drift``."""
        return self.drift.error

    @property
    def drift(self) -> Drift:
        """What was counted."""
        errors = np.concatenate(self._samples) if self._samples else np.zeros(0)
        total = float(errors.sum())
        sums = np.cumsum(np.sort(errors)[::-1])
        samples = int(np.searchsorted(sums, MOST * total)) + 1 if total else 0
        worst = int(errors.argmax()) if total else None
        if not self._count:
            return Drift(None, 0, None)
        mean, squares = self._sums[0] / self._count, self._sums[1]
        spread = squares - mean * self._sums[0]
        error = None if spread <= 1e-12 * squares else float(np.sqrt(total / spread))
        return Drift(error, samples, worst)
