"""Exact comparison of a backend's integers with the definition: no tolerance anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.diagnostics import CompileError

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first integer that differs.

    ``step`` is None for an output that is known after the last step only; ``index`` is the place
    in one sample's word.  ``around`` has (word, expected, found) for all words of the same layer
    at the same place and step.
    """

    sample: int
    step: int | None
    layer: str
    word: str
    index: tuple[int, ...]
    expected: int
    found: int
    around: tuple[tuple[str, int, int], ...] = ()


@dataclass
class Comparison:
    """How a backend compares so far.

    Attributes:
        backend: Its name.
        samples: Samples compared.
        words_compared: Integers compared: every spike, state word and output.
        samples_different: Samples with at least one difference.
        first_difference: By sample, then step, then order in the program.
        faults: Why results could not be compared: missing words, wrong shapes.
        error: Why the backend did not run here.
    """

    backend: str
    samples: int = 0
    words_compared: int = 0
    samples_different: int = 0
    first_difference: Difference | None = None
    faults: list[str] = field(default_factory=list)
    error: CompileError | None = None

    @property
    def equal(self) -> bool | None:
        """Whether every integer was equal; None if nothing was compared."""
        if self.faults or self.first_difference is not None:
            return False
        return None if self.error is not None else True

    def add(
        self,
        expected: tuple[Arrays, Arrays],
        found: tuple[Arrays, Arrays],
        sequences: Sequence[str],
    ) -> None:
        """Compare one batch: (outputs, words) as the definition gives and the backend gave.

        ``sequences`` names the outputs that have a time axis.
        """
        samples = len(next(iter(expected[0].values())))
        pairs = [
            _Pair(name, name.rpartition(".")[0], True, want, found[1].get(name))
            for name, want in expected[1].items()
        ] + [
            _Pair(name, name, name in sequences, want, found[0].get(name))
            for name, want in expected[0].items()
        ]
        wrong = np.zeros(samples, bool)
        first: list[tuple[int, float, int]] = []
        comparable: list[_Pair] = []
        for pair in pairs:
            if fault := pair.fault():
                self.faults.append(fault)
                continue
            comparable.append(pair)
            self.words_compared += pair.want.size
            if (place := pair.first()) is not None:
                wrong |= pair.unequal.reshape(samples, -1).any(1)
                first.append((*place, len(comparable) - 1))
        if first and self.first_difference is None:
            sample, _, position = min(first)
            self.first_difference = _difference(
                comparable[position], sample, self.samples, comparable
            )
        self.samples_different += int(wrong.sum())
        self.samples += samples


@dataclass(frozen=True)
class _Pair:
    """What the definition wants of one word or output, and what a backend gave."""

    name: str
    layer: str
    timed: bool
    want: Array
    have: Array | None

    def fault(self) -> str | None:
        """Why the two cannot be compared."""
        if self.have is None:
            return f"{self.name} is missing"
        if self.have.shape != self.want.shape:
            return f"{self.name} has shape {self.have.shape}, expected {self.want.shape}"
        if not np.issubdtype(self.have.dtype, np.integer):
            return f"{self.name} holds {self.have.dtype}, expected integers"
        return None

    @property
    def unequal(self) -> Array:
        """Where the two differ."""
        return np.asarray(self.want != self.have)

    def first(self) -> tuple[int, float] | None:
        """Sample and step of the first difference; an untimed one comes after all steps."""
        unequal = self.unequal
        if not unequal.any():
            return None
        place = np.argwhere(unequal)[0]
        return int(place[0]), float(place[1]) if self.timed else float("inf")

    def at(self, place: tuple[int, ...]) -> tuple[int, int]:
        """Both values at (sample, [step,] *index)."""
        assert self.have is not None, "a fault was overlooked"
        return int(self.want[place]), int(self.have[place])


def _difference(pair: _Pair, sample: int, offset: int, pairs: Sequence[_Pair]) -> Difference:
    place = tuple(int(i) for i in np.argwhere(pair.unequal[sample])[0])
    expected, found = pair.at((sample, *place))
    around = [
        (p.name, *p.at((sample, *place)))
        for p in pairs
        if (p.layer, p.timed, p.want.shape) == (pair.layer, pair.timed, pair.want.shape)
    ]
    return Difference(
        sample=offset + sample,
        step=place[0] if pair.timed else None,
        layer=pair.layer,
        word=pair.name,
        index=place[1:] if pair.timed else place,
        expected=expected,
        found=found,
        around=tuple(around),
    )


def batches(samples: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and stop of every batch; one empty batch if there are no samples.

    >>> list(batches(5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    for start in range(0, max(samples, 1), max(size, 1)):
        yield start, min(start + max(size, 1), samples)
