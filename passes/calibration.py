"""What calibration data say of a layer's inputs: the spike Hessian ``E[n n']`` and the mean.

The layer's graph, with every predecessor as far quantized as it is by then, runs on the data;
what arrives at the layer is counted in units of its weights, so that spikes are 0 and 1 and sums
of products are whole numbers.  Only ancestors of the layer run, in batches: memory holds one batch
and the sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.backends.float_layers import columns as conv_columns
from snnc.backends.float_sim import FloatSimulator, Tape
from snnc.diagnostics import fail
from snnc.graph import Graph
from snnc.passes.exact_product import MANTISSA, ExactLayers, rounded_to
from snnc.passes.weight_rows import Convolution, Spread, Weighted

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Watch = Callable[[Array], None]

#: Samples that are looked at, taken at equal distances.
MOST_SAMPLES = 256
#: With fewer, chosen integers suit the samples more than the task.
FEW_SAMPLES = 32
#: Most numbers that all values of one batch may have.
BATCH_VALUES = 1 << 23
#: Most places of a convolution that are looked at in one batch and step.
MOST_PLACES = 2048
#: Products of spikes are added in float32 up to here, where it is exact.
SINGLE = 24


def counted(samples: int) -> str:
    """So many samples, with their verb.

    >>> counted(1), counted(2)
    ('1 calibration sample is', '2 calibration samples are')
    """
    return f"{samples} calibration sample{' is' if samples == 1 else 's are'}"


@dataclass(eq=False)
class Calibration:
    """Checked samples by input name, (N, T, …) or (N, …); N is the same everywhere.

    ``used`` says whether anyone looked at them; ``labels`` are those of the samples, if known,
    and ``source`` the name and a hash of what they come from.
    """

    arrays: Mapping[str, Array]
    used: bool = False
    labels: Array | None = None
    source: tuple[str, str] = ("", "")

    @property
    def given(self) -> int:
        """The number of samples."""
        return len(next(iter(self.arrays.values())))

    @property
    def samples(self) -> int:
        """How many of them are looked at."""
        return min(self.given, MOST_SAMPLES)

    @property
    def chosen(self) -> Array:
        """Which samples are looked at: they are at equal distances."""
        found: Array = np.arange(self.samples) * self.given // self.samples
        return found

    def batches(self, graph: Graph) -> Iterator[dict[str, Array]]:
        """The samples that are used, in batches that suit the size of the graph."""
        chosen = self.chosen
        self.used = True
        values = sum(t.size for n in graph for t in n.types)
        size = max(1, min(64, BATCH_VALUES // max(1, values)))
        for start in range(0, len(chosen), size):
            part = chosen[start : start + size]
            yield {name: np.asarray(a[part], np.float64) for name, a in self.arrays.items()}

    def watched(self, graph: Graph, watch: Mapping[str, Watch]) -> None:
        """Run what some layers depend on, handing their inputs to ``watch``."""
        part = ancestors(graph, watch)
        simulator = FloatSimulator(part, layer=ExactLayers())
        for batch in self.batches(part):
            known = {name: a for name, a in batch.items() if name in part}
            _run(simulator, known, watch=watch)

    def outputs(self, graph: Graph, record: tuple[str, ...] = ()) -> list[dict[str, Array]]:
        """Outputs and recorded words of the whole graph, by batch."""
        simulator = FloatSimulator(graph, layer=ExactLayers())
        found = []
        for batch in self.batches(graph):
            known = {name: a for name, a in batch.items() if name in graph}
            outputs, words = _run(simulator, known, record)
            found.append(outputs | words)
        return found

    def variants(
        self, graphs: list[Graph], changed: Iterable[str], record: tuple[str, ...] = ()
    ) -> Iterator[list[dict[str, Array]]]:
        """The same of several graphs, batch by batch.

        What comes before the nodes in which they differ runs once for all of them.

        Args:
            graphs: Alike but for the weights of some nodes.
            changed: Those nodes.
            record: Words to keep.
        """
        whole = graphs[0]
        before, frontier = _before(whole, changed)
        exact = ExactLayers()  # of all, since they share most weights
        first = FloatSimulator(_only(whole, before), layer=exact)
        kept = {n.name for n in whole.nodes if n.name not in before} | frontier | _inputs(whole)
        simulators = [FloatSimulator(_only(g, kept), layer=exact) for g in graphs]
        for batch in self.batches(whole):
            known = {name: a for name, a in batch.items() if name in whole}
            tape = Tape(frontier)
            _run(first, known, tape=tape)
            found = (_run(s, known, record, tape=tape.rewind()) for s in simulators)
            yield [outputs | words for outputs, words in found]


def _run(
    simulator: FloatSimulator,
    batch: dict[str, Array],
    record: tuple[str, ...] = (),
    watch: Mapping[str, Watch] | None = None,
    tape: Tape | None = None,
) -> tuple[dict[str, Array], dict[str, Array]]:
    try:
        return simulator.run(batch, record=record, watch=watch, tape=tape)
    except ValueError as e:  # more or fewer steps than the network can have
        raise fail("E421", f"the calibration data do not fit: {e}") from e


def ancestors(graph: Graph, names: Mapping[str, object]) -> Graph:
    """The nodes that some nodes depend on, also through delays, and themselves."""
    whole = _arrows(graph)
    needed = set(names).union(*(nx.ancestors(whole, name) for name in names))
    return _only(graph, needed | _inputs(graph))


def _before(graph: Graph, changed: Iterable[str]) -> tuple[set[str], set[str]]:
    """The nodes that do not depend on some, and those of them that others or the user read."""
    whole, changed = _arrows(graph), set(changed)
    later = changed.union(*(nx.descendants(whole, name) for name in changed))
    before = {n.name for n in graph.nodes if n.name not in later}
    frontier = {e.src for e in graph.edges if e.src in before and e.dst in later}
    return before, frontier | {n for n in before if isinstance(graph[n].op, ops.Output)}


def _arrows(graph: Graph) -> nx.DiGraph[str]:
    whole: nx.DiGraph[str] = nx.DiGraph()
    whole.add_nodes_from(n.name for n in graph.nodes)
    whole.add_edges_from((e.src, e.dst) for e in graph.edges)
    return whole


def _inputs(graph: Graph) -> set[str]:
    """Without an input the simulator would not know how many samples there are."""
    return {n.name for n in graph.nodes if isinstance(n.op, ops.Input)}


def _only(graph: Graph, needed: set[str]) -> Graph:
    part = graph.copy()
    for node in graph.nodes:
        if node.name not in needed:
            part.remove(node.name)
    return part


class Moments:
    """Adds up ``n n'`` and ``n`` of whole numbers n, exactly.

    Args:
        groups: Of columns that never meet.
        columns: Of each.
    """

    def __init__(self, groups: int, columns: int) -> None:
        self._squares = np.zeros((groups, columns, columns))
        self._sums = np.zeros((groups, columns))
        self.count = 0

    @property
    def hessian(self) -> Floats:
        """``E[n n']``, (groups, columns, columns)."""
        return self._squares / max(1, self.count)

    @property
    def mean(self) -> Floats:
        """``E[n]``, (groups, columns)."""
        return self._sums / max(1, self.count)

    @property
    def centred(self) -> Floats:
        """``E[n n'] - E[n] E[n']``: what remains where a bias takes up the mean."""
        mean = self.mean
        return self.hessian - mean[:, :, None] * mean[:, None, :]

    def take(self, n: Floats) -> None:
        """Add up whole numbers, (rows, groups, columns)."""
        peak, room = _peak(n), _room(n)
        if peak >= 1 << room:  # rounded so far that sums of squares are exact again
            n = rounded_to(n, room)
            step = np.ldexp(1.0, int(np.frexp(peak)[1]) - room)
        else:
            step = 1.0
        whole = n / step
        small = 2 * int(min(peak, 2.0**room)).bit_length() + len(n).bit_length() <= SINGLE
        whole = whole.astype(np.float32) if small else whole
        for g in range(n.shape[1]):
            part = np.ascontiguousarray(whole[:, g])
            self._squares[g] += (part.T @ part).astype(np.float64) * (step * step)
            self._sums[g] += part.sum(0, dtype=np.float64) * step
        self.count += len(n)


def _peak(n: Floats) -> float:
    return float(np.abs(n).max(initial=0.0))


def _room(n: Floats) -> int:
    """Bits of whole numbers whose squares are added exactly."""
    return (MANTISSA - len(n).bit_length()) // 2


class InputStatistics(Moments):
    """The moments of a layer's inputs in its units.

    Args:
        op: The layer.
        columns: The units of its inputs, (groups, columns) as its weights meet them.
    """

    def __init__(self, op: Weighted, columns: Floats) -> None:
        super().__init__(*columns.shape)
        self._op = op
        self._units = np.where(columns == 0, 1.0, columns)

    def add(self, x: Array) -> None:
        """Take in the inputs of a batch at one step."""
        self.take(self.whole(x))

    def whole(self, x: Array) -> Floats:
        """Inputs in units, (rows, groups, columns) as the weights meet them."""
        out: Floats = np.rint(self._arriving(x) / self._units)
        return out

    def _arriving(self, x: Array) -> Array:
        if isinstance(self._op, Convolution):
            rows, _ = conv_columns(self._op, x)
            every = -(-len(rows) // MOST_PLACES)
            return rows[:: every | 1]  # odd, so that it goes through the places of an image
        return x.reshape(-1, 1, x.shape[-1])


class JointStatistics(Moments):
    """The moments of what arrives at several layers at once, whose outputs one neuron adds.

    Args:
        layers: The moments of each.
    """

    def __init__(self, layers: list[InputStatistics]) -> None:
        super().__init__(1, sum(s.mean.shape[1] for s in layers))
        self._layers = layers
        self._waiting: list[list[Floats]] = [[] for _ in layers]
        self._fits = all(len(s.mean) == 1 for s in layers)

    @property
    def complete(self) -> bool:
        """Whether the layers were given inputs together, in numbers of similar size."""
        return self._fits and self.count > 0 and not any(self._waiting)

    def adder(self, index: int) -> Watch:
        """What takes in the inputs of one of the layers."""

        def add(x: Array) -> None:
            if not self._fits:
                return
            self._waiting[index].append(self._layers[index].whole(x))
            if all(self._waiting):
                self._together([w.pop(0) for w in self._waiting])

        return add

    def _together(self, parts: list[Floats]) -> None:
        if len({len(n) for n in parts}) > 1 or max(map(_peak, parts)) >= 1 << _room(parts[0]):
            self._fits = False
        else:
            self.take(np.concatenate(parts, 2))


def statistics(op: Weighted, columns: Floats, shape: tuple[int, ...]) -> InputStatistics | None:
    """An empty count for a layer; None for layers whose inputs meet no fixed columns."""
    if isinstance(op, Spread):
        return None
    groups = op.groups if isinstance(op, Convolution) else 1
    full = np.broadcast_to(columns, shape).reshape(groups, shape[0] // groups, -1)
    return InputStatistics(op, full[:, 0])
