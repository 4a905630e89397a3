"""What verification found, as numbers, as JSON and as diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.compare import Comparison, Difference
from snnc.diagnostics import Diagnostic, error
from snnc.divergence import Divergence, DivergenceCount, Drift, OutputError
from snnc.encode import classes
from snnc.graph import Graph
from snnc.manifest import OutputEntry

Array = npt.NDArray[Any]


@dataclass
class Report:
    """What verification found.

    Attributes:
        samples: Samples compared with the float model.
        steps: Steps of one sample.
        accuracy: Share of right labels, by ``float`` and ``integer``; None without labels.
        labels: Share of samples to which both give the same class.
        spikes: By layer, share of neuron-steps in which both spike or both do not.
        quantized_spikes: The same against the float model with the program's weights.
        rates: By layer, spikes per neuron and step of the integer program.
        divergence: By layer, how its spikes differ from those of the float model.
        outputs: By output, how far it is from the float model's.
        quantized_outputs: The same next to the float model with the program's weights.
        backends: The exact comparisons.
        diagnostics: Mismatches, backends that could not run, warnings.
    """

    samples: int = 0
    steps: int = 0
    accuracy: dict[str, float | None] = field(default_factory=dict)
    labels: float | None = None
    spikes: dict[str, float | None] = field(default_factory=dict)
    quantized_spikes: dict[str, float | None] = field(default_factory=dict)
    rates: dict[str, float | None] = field(default_factory=dict)
    divergence: dict[str, Divergence] = field(default_factory=dict)
    outputs: dict[str, Drift] = field(default_factory=dict)
    quantized_outputs: dict[str, Drift] = field(default_factory=dict)
    backends: dict[str, Comparison] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Whether every backend gave every integer of the definition."""
        return all(c.equal for c in self.backends.values())

    def document(self) -> dict[str, object]:
        """The report as JSON."""
        return {
            "samples": self.samples,
            "steps": self.steps,
            "float": {"accuracy": self.accuracy.get("float")},
            "integer": {"accuracy": self.accuracy.get("integer")},
            "agreement": {
                "labels": self.labels,
                "spikes": self.spikes,
                "quantized_spikes": self.quantized_spikes,
            },
            "rates": self.rates,
            "divergence": {layer: d.document() for layer, d in self.divergence.items()},
            "outputs": {
                name: {**drift.document(), "same_weights": _drift(self.quantized_outputs.get(name))}
                for name, drift in self.outputs.items()
            },
            "exact": self.exact,
            "backends": {name: _comparison(c) for name, c in self.backends.items()},
        }


class Tally:
    """Adds up accuracies, agreements and rates, batch by batch.

    Args:
        outputs: The network's outputs; the first one classifies.
        spikes: By layer, its spike word.
    """

    def __init__(self, outputs: tuple[OutputEntry, ...], spikes: Mapping[str, str]) -> None:
        self._output = outputs[0]
        self._spike_words = spikes
        self._labelled = 0
        self._hits: dict[str, int] = {}
        self._same_class = _Share()
        self._spikes: dict[str, dict[str, _Share]] = {}
        self._rates: dict[str, _Share] = {layer: _Share() for layer in spikes}
        self._divergences: dict[str, DivergenceCount] = {}
        self._errors: dict[str, dict[str, OutputError]] = {}
        self._outputs = outputs
        self._integer: dict[str, Array] = {}
        self._real: dict[str, Array] = {}
        self._classes: Array | None = None
        self._labels: Array | None = None

    def add_integer(
        self,
        run: tuple[dict[str, Array], dict[str, Array]],
        real: dict[str, Array],
        labels: Array | None,
    ) -> None:
        """Count a batch of the integer program; ``real`` are its outputs as real numbers."""
        words, self._real = run[1], real
        self._integer = {k: words[w] for k, w in self._spike_words.items() if w in words}
        for layer, spikes in self._integer.items():
            self._rates[layer].add(int(spikes.sum()), spikes.size)
        self._classes = classes(real[self._output.name], self._output.sequence)
        self._labels = labels
        if labels is not None:
            self._labelled += len(labels)
        self._hit("integer", self._classes)

    def add_float(self, kind: str, real: dict[str, Array], spikes: Mapping[str, Array]) -> None:
        """Count the same batch of a float model; ``kind`` is a field of ``Report``."""
        shares = self._spikes.setdefault(kind, {})
        for layer, value in spikes.items():
            equal = np.count_nonzero((np.asarray(value) != 0) == (self._integer[layer] != 0))
            shares.setdefault(layer, _Share()).add(int(equal), value.size)
            if kind == "spikes":
                count = self._divergences.setdefault(layer, DivergenceCount())
                count.add(value, self._integer[layer])
        new = {entry.name: OutputError() for entry in self._outputs}
        for name, error_ in self._errors.setdefault(kind, new).items():
            error_.add(real[name], self._real[name])
        found = classes(real[self._output.name], self._output.sequence)
        self._hit("float" if kind == "spikes" else kind, found)
        if kind == "spikes" and found is not None and self._classes is not None:
            self._same_class.add(int(np.count_nonzero(found == self._classes)), len(found))

    def report(self, samples: int, steps: int, comparisons: dict[str, Comparison]) -> Report:
        """Close the count."""
        names = ("float", "integer")
        accuracy = {
            n: self._hits[n] / self._labelled
            for n in names
            if self._hits.get(n) is not None and self._labelled
        }
        return Report(
            samples=samples,
            steps=steps,
            accuracy=dict(accuracy),
            labels=self._same_class.value,
            spikes={k: s.value for k, s in self._spikes.get("spikes", {}).items()},
            quantized_spikes={
                k: s.value for k, s in self._spikes.get("quantized_spikes", {}).items()
            },
            rates={k: s.value for k, s in self._rates.items()},
            divergence={k: c.value for k, c in self._divergences.items() if c.value is not None},
            outputs={k: e.drift for k, e in self._errors.get("spikes", {}).items()},
            quantized_outputs={
                k: e.drift for k, e in self._errors.get("quantized_spikes", {}).items()
            },
            backends=comparisons,
        )

    def _hit(self, kind: str, found: Array | None) -> None:
        if found is not None and self._labels is not None:
            hits = int(np.count_nonzero(found == self._labels))
            self._hits[kind] = self._hits.get(kind, 0) + hits


@dataclass
class _Share:
    part: int = 0
    total: int = 0

    def add(self, part: int, total: int) -> None:
        self.part += part
        self.total += total

    @property
    def value(self) -> float | None:
        return self.part / self.total if self.total else None


def _drift(drift: Drift | None) -> dict[str, object] | None:
    return None if drift is None else drift.document()


def mismatches(report: Report, program: Graph) -> list[Diagnostic]:
    """E410 for every backend that differs, E411 for results that cannot be compared at all.

    Errors of backends that could not run come last.
    """
    found: list[Diagnostic] = []
    for name, c in report.backends.items():
        if c.first_difference is not None:
            found.append(_mismatch(c, c.first_difference, program))
        if c.faults:
            text = f"the results of {name} cannot be compared"
            found.append(error("E411", text, None, *c.faults[:8], help=_REPORT))
    for c in report.backends.values():
        found += c.error.diagnostics if c.error is not None else []
    return found


_REPORT = "please report it: this is a fault of snnc or of the target's tools, not of your model"


def _mismatch(c: Comparison, d: Difference, program: Graph) -> Diagnostic:
    step = "" if d.step is None else f", step {d.step}"
    place = f", index {_place(d.index)}" if d.index else ""
    text = f"{c.backend} differs from numpy at sample {d.sample}{step}, layer {d.layer}{place}"
    width = max(len(word) for word, _, _ in d.around)
    notes = [f"{'value':<{width}}  {'numpy':>12}  {c.backend:>12}"]
    for word, expected, got in d.around:
        mark = "  <- first difference" if word == d.word else ""
        notes.append(f"{word:<{width}}  {expected:>12}  {got:>12}{mark}")
    rest = c.samples - c.samples_different
    notes.append(f"{c.samples_different} of {c.samples} samples differ; the other {rest} are equal")
    loc = program[d.layer].loc if d.layer in program else None
    return error("E410", text, loc, *notes, help=_REPORT)


def _place(index: tuple[int, ...]) -> str:
    names = {3: ("c", "y", "x")}.get(len(index))
    if names is None:
        return f"[{', '.join(map(str, index))}]"
    return f"({', '.join(f'{n}={i}' for n, i in zip(names, index, strict=True))})"


def _comparison(c: Comparison) -> dict[str, object]:
    d = c.first_difference
    return {
        "equal": c.equal,
        "samples": c.samples,
        "words_compared": c.words_compared,
        "samples_different": c.samples_different,
        "first_difference": d
        and {
            "sample": d.sample,
            "step": d.step,
            "layer": d.layer,
            "word": d.word,
            "index": list(d.index),
            "values": {"numpy": d.expected, c.backend: d.found},
        },
        "error": None if c.error is None else f"SNNC-{c.error.diagnostics[0].code}",
    }
