"""Measure networks against the float model they came from, on the same samples.

A runner is a network in real numbers or in integers that gives outputs and spikes by layer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from snnc.backends.float_sim import FloatSimulator
from snnc.backends.numpy.simulator import Simulator
from snnc.compare import batches
from snnc.data import Data
from snnc.divergence import Divergence, DivergenceCount, OutputError
from snnc.encode import classes, decode_outputs, encode_input
from snnc.graph import Graph
from snnc.layers import output_table
from snnc.manifest import InputEntry, OutputEntry
from snnc.storage import dump_graph
from snnc.verify import batch_size, spike_words

Array = npt.NDArray[Any]
#: Outputs in real numbers, and spikes by layer, (N, T, *shape).
Found = tuple[dict[str, Array], dict[str, Array]]


class Runner(Protocol):
    """A network that can be measured."""

    def run(self, data: Data, steps: int) -> Found:
        """Outputs and spikes on some samples."""


@dataclass(frozen=True)
class FloatRunner:
    """A network in real numbers.

    Attributes:
        graph: With the names of the integer program.
        spikes: By layer, the word that the program has its spikes in.
        grid: Inputs that are to be rounded to the grid of the integers.
    """

    graph: Graph
    spikes: Mapping[str, str]
    grid: tuple[InputEntry, ...] = ()

    def run(self, data: Data, steps: int) -> Found:
        arrays = data.dense
        for entry in self.grid:
            arrays[entry.name] = encode_input(arrays[entry.name], entry)[0] * entry.scale
        simulator = FloatSimulator(self.graph)
        known = set(simulator.words())
        words = {layer: w for layer, w in self.spikes.items() if w in known}
        outputs, kept = simulator.run(arrays, steps, words.values())
        return outputs, {layer: kept[w] for layer, w in words.items() if w in kept}


class IntegerRunner:
    """An integer program, run by the definition.

    Args:
        program: With proven ranges.
        inputs: What its integers mean.
        order: Names of outputs in the order of the model.
    """

    def __init__(
        self, program: Graph, inputs: tuple[InputEntry, ...], order: tuple[str, ...] = ()
    ) -> None:
        document, tensors = dump_graph(program)
        self.program, self.inputs = program, inputs
        self.outputs: tuple[OutputEntry, ...] = output_table(program, order)
        self.simulator = Simulator(json.loads(document), safetensors.numpy.load(tensors))
        self.spikes = spike_words(program)

    def encoded(self, data: Data) -> dict[str, Array]:
        """The integers of samples."""
        dense = data.dense
        return {e.name: encode_input(dense[e.name], e)[0] for e in self.inputs}

    def run(self, data: Data, steps: int) -> Found:
        raw, words = self.simulator.run(self.encoded(data), steps, self.spikes.values())
        spikes = {layer: words[w] for layer, w in self.spikes.items() if w in words}
        return decode_outputs(raw, self.outputs, steps), spikes


@dataclass(frozen=True)
class Measured:
    """How a network compares with the float model.

    Attributes:
        accuracy: Share of right labels; None without labels.
        labels: Share of samples that both give one class; None if there are no classes.
        error: Of the outputs, as a part of their deviation.
        divergence: By layer, of its spikes.
    """

    accuracy: float | None
    labels: float | None
    error: float | None
    divergence: dict[str, Divergence] = field(default_factory=dict)

    @property
    def f1(self) -> float | None:
        """Of the spikes, the mean over layers."""
        found = [d.f1 for d in self.divergence.values()]
        return float(np.mean(found)) if found else None

    @property
    def loss(self) -> float:
        """What there is to recover: the squared error of the outputs, else that of the spikes.

        Squares of errors that have nothing to do with each other add up.
        """
        if self.error is not None:
            return self.error**2
        return 0.0 if self.f1 is None else 1 - self.f1

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "accuracy": self.accuracy,
            "labels": self.labels,
            "output_error": self.error,
            "f1": self.f1,
            "layers": {layer: d.document() for layer, d in self.divergence.items()},
        }


class _Count:
    def __init__(self, output: OutputEntry) -> None:
        self.output = output
        self.error = OutputError()
        self.layers: dict[str, DivergenceCount] = {}
        self.right = self.same = self.labelled = self.classified = 0

    def add(self, want: Found, have: Found, labels: Array | None) -> None:
        name, sequence = self.output.name, self.output.sequence
        self.error.add(want[0][name], have[0][name])
        for layer, spikes in have[1].items():
            if layer in want[1]:
                self.layers.setdefault(layer, DivergenceCount()).add(want[1][layer], spikes)
        real, found = (classes(x[0][name], sequence) for x in (want, have))
        if real is None or found is None:
            return
        self.same += int(np.count_nonzero(real == found))
        self.classified += len(found)
        if labels is not None:
            self.right += int(np.count_nonzero(found == labels))
            self.labelled += len(found)

    @property
    def value(self) -> Measured:
        found = {layer: c.value for layer, c in self.layers.items()}
        return Measured(
            self.right / self.labelled if self.labelled else None,
            self.same / self.classified if self.classified else None,
            self.error.value,
            {layer: d for layer, d in found.items() if d is not None},
        )


def measure(
    reference: FloatRunner,
    output: OutputEntry,
    runners: Mapping[str, Runner],
    data: Data,
    steps: int,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Measured]:
    """Compare runners with the float model on samples.

    Args:
        reference: The float model; it is among the results, as ``float``.
        output: The one that classifies.
        runners: By name.
        data: Samples.
        steps: T.
        progress: Called with the samples that a runner has done since; the float model is one.
    """
    counts = {name: _Count(output) for name in ("float", *runners)}
    for start, stop in batches(len(data), batch_size(reference.graph, steps)):
        part = data.part(start, stop)
        want = reference.run(part, steps)
        counts["float"].add(want, want, part.labels)
        progress(len(part))
        for name, runner in runners.items():
            counts[name].add(want, runner.run(part, steps), part.labels)
            progress(len(part))
    return {name: c.value for name, c in counts.items()}


def every(data: Data, start: int, step: int) -> Data:
    """Every ``step``-th sample from ``start``."""
    labels = None if data.labels is None else data.labels[start::step]
    arrays = {name: a[start::step] for name, a in data.dense.items()}
    return Data(dict(arrays), labels)
