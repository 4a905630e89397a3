"""What an inference costs, counted in the integer program on data, by the names of NeuroBench.

=====================  =============================================================================
Effective_ACs          weights that are not zero, met by events of a layer that sends -1, 0 and 1
Effective_MACs         the same, of layers that send other numbers
Dense                  all weights, met by all elements of all steps, zero or not
ActivationSparsity     share of zeros among the spikes of all neurons, steps and samples
ConnectionSparsity     share of zeros among the weights
MembraneUpdates        states of neurons that a step changes (NeuroBench: membranes alone, and in
                       the first step all of them)
Footprint              bytes of the constants and states, each in the smallest word that fits
=====================  =============================================================================

Biases, pools and normalization do not count; neither do products of two values (attention), which
have no weights.  Reference: Yik et al., "The neurobench framework for benchmarking neuromorphic
computing algorithms and systems", Nature Communications 16 (2025).
The bit budget is ``T b_w b_s``: steps, bits of a weight and of the widest event (arXiv:2311.10802).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.numpy.simulator import Simulator
from snnc.fan_out import FAN_OUT, fan_out
from snnc.graph import Graph
from snnc.intops import IntNeuron
from snnc.params import Param, compact
from snnc.types import Clock, Int

Array = npt.NDArray[Any]


@dataclass
class LayerCount:
    """Operations of a layer with weights, or of a population, over all samples.

    Attributes:
        name: Of the node.
        dense: Weights met by all elements.
        effective: Weights that are not zero, met by elements that are not.
        graded: Whether it read other numbers than -1, 0 and 1.
        events: Elements that were not zero, in what it read or, for neurons, sent.
        elements: All elements of that.
        updates: States that changed.
        states: All states of all steps.
    """

    name: str
    dense: int = 0
    effective: int = 0
    graded: bool = False
    events: int = 0
    elements: int = 0
    updates: int = 0
    states: int = 0
    widest: int = 0


@dataclass(frozen=True)
class Counts:
    """Operations of a network.

    Attributes:
        samples: How many were run.
        steps: Of each.
        layers: With weights.
        populations: Of neurons.
        weights: Number of weights, and how many are zero.
        weight_bits: Of the widest weight, with its sign.
        footprint: In bytes.
        once: Names of layers that are computed once for all steps.
    """

    samples: int
    steps: int
    layers: tuple[LayerCount, ...]
    populations: tuple[LayerCount, ...]
    weights: tuple[int, int]
    weight_bits: int
    footprint: int
    once: frozenset[str] = field(default_factory=frozenset)

    def per_sample(self, total: int) -> float:
        """A mean over the samples."""
        return total / max(self.samples, 1)

    @property
    def metrics(self) -> dict[str, float]:
        """By NeuroBench's names; operations are per sample."""
        events = sum(p.events for p in self.populations)
        elements = sum(p.elements for p in self.populations)
        number, zeros = self.weights
        return {
            "Footprint": float(self.footprint),
            "ConnectionSparsity": zeros / max(number, 1),
            "ActivationSparsity": (elements - events) / elements if elements else 0.0,
            "Effective_MACs": self.per_sample(sum(x.effective for x in self.layers if x.graded)),
            "Effective_ACs": self.per_sample(sum(x.effective for x in self.layers if not x.graded)),
            "Dense": self.per_sample(sum(x.dense for x in self.layers)),
            "MembraneUpdates": self.per_sample(sum(p.updates for p in self.populations)),
        }

    @property
    def rate(self) -> float:
        """Spikes per neuron and step."""
        return 1 - self.metrics["ActivationSparsity"]

    @property
    def bit_budget(self) -> int:
        """Steps times bits of a weight times bits of the widest event."""
        widest = max((x.widest for x in self.layers), default=0)
        return self.steps * self.weight_bits * max(widest.bit_length(), 1)

    @property
    def dense_once(self) -> float:
        """Multiplications of a network of the same layers that is computed once, not per step."""
        total = 0.0
        for x in self.layers:
            runs = 1 if x.name in self.once else self.steps
            total += x.dense / max(runs, 1)
        return total / max(self.samples, 1)


def count(graph: Graph, simulator: Simulator, encoded: dict[str, Array], steps: int) -> Counts:
    """Run samples and count.

    Args:
        graph: An integer program.
        simulator: Of it.
        encoded: Integer inputs, (N, T, ...) or (N, ...).
        steps: T.
    """
    samples, steps = simulator.check(encoded, steps)
    counter = _Counter(graph)
    run = simulator.begin(samples, steps)
    static = {k: a for k, a in encoded.items() if simulator.inputs[k][1] == "once"}
    run.phase("once", static)
    counter.see("once", run)
    for t in range(steps):
        run.phase("step", {k: a[:, t] for k, a in encoded.items() if k not in static})
        counter.see("step", run)
    run.phase("end", {})
    counter.see("end", run)
    for loop in range(2, simulator.loops.count + 1):
        for _ in range(simulator.loops.steps(loop, steps)):
            run.phase(f"step{loop}", {})
            counter.see(f"step{loop}", run)
        run.phase(f"end{loop}", {})
        counter.see(f"end{loop}", run)
    data = [n.op.weight.data for n in graph if type(n.op) in FAN_OUT]  # type: ignore[attr-defined]
    return Counts(
        samples,
        steps,
        tuple(counter.layers.values()),
        tuple(counter.populations.values()),
        (sum(w.size for w in data), sum(int((w == 0).sum()) for w in data)),
        max(map(_bits, data), default=1),
        footprint(graph),
        frozenset(n for n in counter.layers if graph[n].type.clock.kind is not Clock.STEP),
    )


def _bits(weight: Array) -> int:
    """Bits of a weight with its sign; zeros that all end with are a matter of scale.

    >>> _bits(np.array([-2, 1])), _bits(np.array([-2, 2, 0])), _bits(np.array([-4, 3]))
    (2, 2, 3)
    """
    words = weight.astype(np.int64)
    merged = int(np.bitwise_or.reduce(words, axis=None))
    zeros = (merged & -merged).bit_length() - 1 if merged else 0
    low, high = int(words.min(initial=0)) >> zeros, int(words.max(initial=0)) >> zeros
    return max(high.bit_length(), (~low).bit_length() if low < 0 else 0) + 1


class _Counter:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layers = {n.name: LayerCount(n.name) for n in graph if type(n.op) in FAN_OUT}
        self.populations = {
            n.name: LayerCount(n.name)
            for n in graph
            if isinstance(n.op, IntNeuron) and n.op.kernel.states
        }
        self._met: dict[str, tuple[Array, Array]] = {}
        self._old: dict[str, Array] = {}

    def see(self, clock: str, run: Any) -> None:
        """Count what a phase computed: events when they are sent."""
        for name, layer in self.layers.items():
            (edge,) = self.graph.in_edges(name)
            if str(self.graph[name].type.clock) == clock:
                self._layer(layer, run.values[edge.src, edge.out])
        for name, population in self.populations.items():
            if str(self.graph[name].type.clock) == clock:
                self._population(population, name, run)

    def _layer(self, layer: LayerCount, x: Array) -> None:
        node = self.graph[layer.name]
        if layer.name not in self._met:
            self._met[layer.name] = fan_out(node.op, x.shape[1:], node.type.shape)
        nonzero, every = self._met[layer.name]
        events = (x != 0).reshape(len(x), -1)
        layer.effective += int(events.sum(0) @ nonzero)
        layer.dense += len(x) * int(every.sum())
        layer.events += int(events.sum())
        layer.elements += events.size
        size = int(np.abs(x).max(initial=0))
        layer.widest = max(layer.widest, size)
        layer.graded |= size > 1

    def _population(self, population: LayerCount, name: str, run: Any) -> None:
        node = self.graph[name]
        op = node.op
        assert isinstance(op, IntNeuron), "populations only"
        for out, type_ in enumerate(node.types):
            if isinstance(type_.dtype, Int) and (type_.dtype.lo, type_.dtype.hi) == (0, 1):
                y = run.values[name, out]
                population.events += int((y != 0).sum())
                population.elements += y.size
        for state in op.kernel.states:
            word = f"{name}.{state.name}"
            now = run.state[word]
            old = self._old.get(word, state.init.data)
            population.updates += int((now != old).sum())
            population.states += now.size
            self._old[word] = now


def footprint(graph: Graph) -> int:
    """Bytes of all constants, and of the states of one sample in the words that hold them."""
    total, seen = 0, set()
    for node in graph:
        params = [
            getattr(node.op, f, None) for f in ("weight", "bias", "multiplier", "index", "delay")
        ]
        if isinstance(node.op, IntNeuron):
            kernel = node.op.kernel
            params += [c.values for c in (*kernel.consts, *kernel.tables)]
            params += [c.index for c in (*kernel.consts, *kernel.tables)]
            for state in kernel.states:
                lo, hi = state.lo or 0, state.hi or 0
                total += node.type.size * compact(np.array([lo, hi], np.int64)).itemsize
        for param in params:
            if isinstance(param, Param) and param not in seen:
                seen.add(param)
                total += compact(param.data.astype(np.int64)).nbytes
    return total


def packed(graph: Graph) -> int:
    """The footprint if weights took their bits alone, without the rest of their words."""
    found: set[Param] = {n.op.weight for n in graph if type(n.op) in FAN_OUT}  # type: ignore[attr-defined]
    words = sum(compact(w.data.astype(np.int64)).nbytes for w in found)
    bits = sum(w.data.size * _bits(w.data) for w in found)
    return footprint(graph) - words + (bits + 7) // 8
