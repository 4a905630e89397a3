"""Legalise an integer program for Lava's stock processes, or say why it cannot be.

Populations are ``LIF`` and ``LIFReset``, everything linear between two of them is ``Sparse`` or
``Dense``, waiting is ``DelaySparse``.  The maximum of spikes is a neuron that fires if any of them
arrives.  What the host computes: encoders without weights in front, sums over time behind.

Convolutions and pools are ``Sparse``, too: lava-nc's ``Conv`` takes 3.5 to 4 times as long on a CPU
(one ``scipy.signal.convolve2d`` for each pair of channels, in float64) and ignores the exponent of
weights there.  On chips, whose memory counts, ``placement`` stores a kernel once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np

from snnc.backends.lava.stock import neurons as lif
from snnc.backends.lava.stock.host import WEIGHTED, Host, unused
from snnc.backends.lava.stock.maps import pooled
from snnc.backends.lava.stock.matrix import Ints, Matrix
from snnc.backends.lava.stock.neurons import NotStockError, recognise
from snnc.backends.lava.stock.plan import Population, Source, StockPlan
from snnc.backends.lava.stock.retime import TightLoopError, Wait, phases
from snnc.backends.lava.stock.sums import LinearSum, Root, Sums
from snnc.backends.lava.stock.wiring import Wiring
from snnc.diagnostics import CompileError, Diagnostic, error, fail
from snnc.graph import Graph, Node
from snnc.intops import IntMaxPool, IntNeuron
from snnc.types import Clock, Int

#: Processes of one node, whose neurons have different decays or thresholds.
MOST_GROUPS = 16
#: Plans of programs, which are checked, emitted and compared in turn; a program does not change.
_PLANS: WeakKeyDictionary[Graph, StockPlan] = WeakKeyDictionary()
CUSTOM = "--lava-mode custom runs every network"


def legalise(graph: Graph) -> StockPlan:
    """The plan of a program.

    Raises:
        CompileError: E511 for everything that no stock process computes, E512 for a loop that
            waits too little.
    """
    if graph not in _PLANS:
        _PLANS[graph] = _Legaliser(graph).plan()
    return _PLANS[graph]


@dataclass(frozen=True)
class _Fed:
    """A population, and what arrives at it: the sum of matrices times roots, in units of 64."""

    population: Population
    arrives: dict[Root, Matrix]


class _Legaliser:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.host = Host(graph)
        self.sums = Sums(graph, lambda name: False)
        self.problems: list[Diagnostic] = []
        self.notes: list[str] = []
        self.refused: set[str] = set()
        self.names: set[str] = set()
        self.fed: list[_Fed] = []
        self.of_node: dict[tuple[str, int], list[Population]] = {}

    def plan(self) -> StockPlan:
        for node in self.graph:
            if node.name not in self.host.back:
                self._consider(node)
        self._check_back()
        taken, offsets = self._taps()
        if self.problems:
            raise CompileError(self.problems)
        sources = self._sources()
        if not any(f.population.kind != "tap" or f.arrives for f in self.fed):
            text = "no population of the network is left for Lava's stock processes"
            raise fail("E511", text, None, *self.notes, help=CUSTOM)
        names = [f.population.name for f in self.fed]
        waits = [
            Wait(src.name, f.population.name, root.delay)
            for f in self.fed
            for root in f.arrives
            for src in self._carriers(root, sources)
        ]
        try:
            found = phases(names, waits, dict.fromkeys((s.name for s in sources.values()), 0))
        except TightLoopError as e:
            raise self._tight(e) from e
        wiring = Wiring({s.name: 0 for s in sources.values()} | found, self._fresh)
        for f in self.fed:
            for root, matrix in f.arrives.items():
                for src in self._carriers(root, sources):
                    index = src.index if isinstance(src, Population) else np.arange(src.size)
                    columns = matrix.part(np.arange(matrix.shape[0]), index)
                    bits = 1 if isinstance(src, Population) else src.bits
                    wiring.add(src.name, f.population.name, root.delay, columns, bits)
        try:
            lines, connections = wiring.finish()
        except NotStockError as e:
            hint = f"nearest: {e.nearest}; {CUSTOM}"
            raise fail("E511", f"no stock Lava process carries {e}", help=hint) from e
        front, back = self.host.graphs(list(sources.values()), self._front_taken(taken))
        return StockPlan(
            tuple(sources.values()),
            tuple(f.population for f in self.fed),
            tuple(lines),
            tuple(connections),
            found,
            front,
            self.host.outputs,
            back,
            taken,
            offsets,
            tuple(self.notes),
        )

    # -- populations -----------------------------------------------------------------------------

    def _consider(self, node: Node) -> None:
        """Make populations of a neuron, or leave it to the host, or note why not."""
        if isinstance(node.op, IntNeuron) and node.op.kernel.states:
            make = self._neurons
        elif isinstance(node.op, IntMaxPool):
            make = self._maximum
        else:
            return
        try:
            made = make(node)
        except NotStockError as e:
            if self.host.may_compute(node.name):
                self.host.take(node.name)
                self.notes.append(f"{node.name} is computed on the host: {e}")
                return
            self._refuse(node, e)
            return
        self.fed += made
        self.of_node[node.name, 0] = [f.population for f in made]

    def _check_back(self) -> None:
        """What follows the steps is the host's, but for populations of further loops."""
        for name in sorted(self.host.back):
            node = self.graph[name]
            weighted = isinstance(node.op, WEIGHTED)
            states = isinstance(node.op, IntNeuron) and bool(node.op.kernel.states)
            if node.type.clock.kind is Clock.STEP and (weighted or states):
                why = "it runs in another loop over time, behind the first"
                self._refuse(node, NotStockError(why, "one loop over time for all layers"))
            elif weighted:
                self.notes.append(f"{name} is computed on the host: it is read after the steps")

    def _refuse(self, node: Node, e: NotStockError) -> None:
        """Note a problem, the first of a node."""
        if node.name in self.refused:
            return
        self.refused.add(node.name)
        text = f"no stock Lava process computes {node.name}: {e}"
        notes = node.op.kernel.text if isinstance(node.op, IntNeuron) else ()
        hint = f"nearest: {e.nearest}; {CUSTOM}"
        self.problems.append(error("E511", text, node.loc, *notes, help=hint))

    def _neurons(self, node: Node) -> list[_Fed]:
        op = node.op
        assert isinstance(op, IntNeuron), "called for neurons only"
        found = recognise(op)
        size = math.prod(op.shape)
        total = LinearSum(size, found.offset.copy())
        for name, edge in zip(op.kernel.inputs, self.graph.in_edges(node.name), strict=True):
            if name not in found.gains:
                continue
            shape = self.graph[edge.src].types[edge.out].shape
            own = np.arange(math.prod(shape)).reshape(shape)
            spread = Matrix.gather(own.size, np.broadcast_to(own, op.shape))
            gains = spread.scaled(found.gains[name])
            total = total.plus(self.sums.of_edge(edge).through(gains))
        lo, hi = self._bounds(total)
        if found.current is not None and total.const.any():
            raise NotStockError("a bias enters its current", "a layer without bias")
        limit = 2 * lif.HALF if found.wraps and not total.const.any() else lif.HALF - 1
        if lo.min(initial=0) < -limit or hi.max(initial=0) > limit:
            raise NotStockError(
                "what arrives in a step leaves 24 bits", "smaller weights or inputs"
            )
        arrives = {root: _in_64ths(matrix) for root, matrix in total.parts.items()}
        bias = found.bias + total.const
        parts = self._groups(found)
        made = []
        for i, (index, du, dv, vth) in enumerate(parts):
            mantissa, exponent = _mantissas(bias[index])
            name = node.name if len(parts) == 1 else self._fresh(f"{node.name} group {i}")
            rows = {r: m.part(index, np.arange(m.shape[1])) for r, m in arrives.items()}
            population = Population(
                name,
                node.name,
                0,
                index,
                "lif",
                du,
                dv,
                vth,
                mantissa,
                exponent,
                found.words,
                found.theta is not None,
                int(max(-lo.min(initial=0), hi.max(initial=0)) // 64),
            )
            made.append(_Fed(population, rows))
        return made

    def _fresh(self, name: str) -> str:
        """A name of a process that no node and no other process has."""
        self.names.add(found := unused(name, self.graph, self.names))
        return found

    def _groups(self, found: lif.Lif) -> list[tuple[Ints, int, int, int]]:
        """Neurons of equal parameters: their numbers, du, dv and vth."""
        size = len(found.voltage)
        kept = np.zeros(size, np.int64) if found.current is None else found.current
        # never: above the largest voltage, which only the simulated chip allows
        theta = np.full(size, 64 << 17) if found.theta is None else found.theta
        table = np.stack([lif.FULL - kept - 1, lif.FULL - found.voltage, theta // 64])
        kinds, which = np.unique(table, axis=1, return_inverse=True)
        if kinds.shape[1] > MOST_GROUPS:
            why = f"its neurons have {kinds.shape[1]} kinds of decays and thresholds"
            raise NotStockError(why, f"one for all, or {MOST_GROUPS} kinds")
        which = which.reshape(-1)
        return [
            (np.flatnonzero(which == i), int(kind[0]), int(kind[1]), int(kind[2]))
            for i, kind in enumerate(kinds.T)
        ]

    def _maximum(self, node: Node) -> list[_Fed]:
        """A maximum of spikes: fires if any of them arrives."""
        (edge,) = self.graph.in_edges(node.name)
        type_ = self.graph[edge.src].types[edge.out]
        if _range(type_.dtype) != (0, 1):
            raise NotStockError("it is a maximum of numbers", "a maximum of spikes")
        ones = pooled(node.op, (type_.shape,), node.type.shape, 0)
        total = self.sums.of_edge(edge).through(ones)
        if total.const.any():
            raise NotStockError("it is a maximum of biased sums", "a maximum of spikes")
        index = np.arange(math.prod(node.type.shape))
        peak = int(self._bounds(total)[1].max(initial=0))
        population = Population(node.name, node.name, 0, index, "or", peak=peak)
        return [_Fed(population, total.parts)]

    # -- what populations read, and who reads them -----------------------------------------------

    def _taps(self) -> tuple[dict[str, tuple[str, ...]], dict[str, Ints]]:
        """Where the back's inputs come from."""
        taken: dict[str, tuple[str, ...]] = {}
        offsets: dict[str, Ints] = {}
        for name, out in self.host.reads_of_back():
            node, key = self.graph[name], self.host.input_name(name, out)
            if self.host.may_compute(name) and (name, out) not in self.of_node:
                self.host.take(name)
                taken[key] = ()
                continue
            if (made := self.of_node.get((name, out))) is None:
                try:
                    total = self._tapped(node, out)
                except NotStockError as e:
                    self._refuse(node, e)
                    continue
                index = np.arange(total.size)
                peak = int(np.abs(np.stack(self._bounds(total))).max(initial=0))
                tap = Population(
                    self._fresh(f"{key} (sum)"), name, out, index, "tap", fires=False, peak=peak
                )
                self.fed.append(_Fed(tap, total.parts))
                offsets[key] = total.const
                made = [tap]
            taken[key] = tuple(p.name for p in made)
        return taken, offsets

    def _tapped(self, node: Node, out: int) -> LinearSum:
        """A sum that the host reads."""
        total = self.sums.of(node.name, out)
        if not total.parts or any(r.node == node.name for r in total.parts):
            raise NotStockError(f"there is no {type(node.op).__name__}", "LIF or CUBA")
        return total

    def _sources(self) -> dict[Root, Source]:
        """What the populations read from the host."""
        found: dict[Root, Source] = {}
        for f in self.fed:
            for root in f.arrives:
                bare = Root(root.node, root.out)
                if (root.node, root.out) in self.of_node:
                    if not all(p.fires for p in self.of_node[root.node, root.out]):
                        text = f"{f.population.node} reads {root.node}, which does not fire"
                        raise fail("E511", text, self.graph[root.node].loc, help=CUSTOM)
                    continue
                node = self.graph[root.node]
                if not self.host.may_compute(root.node):
                    why = f"{type(node.op).__name__} is no sum of spikes"
                    self._refuse(node, NotStockError(why, "LIF or CUBA neurons behind weights"))
                    continue
                self.host.take(root.node)
                type_ = node.types[root.out]
                lo, hi = _range(type_.dtype)
                name = self.host.input_name(root.node, root.out)
                found[bare] = Source(name, root.node, root.out, math.prod(type_.shape), lo, hi)
        if self.problems:
            raise CompileError(self.problems)
        return found

    def _carriers(self, root: Root, sources: dict[Root, Source]) -> list[Population | Source]:
        bare = Root(root.node, root.out)
        if bare in sources:
            return [sources[bare]]
        return list(self.of_node[root.node, root.out])

    def _bounds(self, total: LinearSum) -> tuple[Ints, Ints]:
        """Least and largest of the parts of a sum, without its constant."""
        lo, hi = np.zeros(total.size, np.int64), np.zeros(total.size, np.int64)
        for root, matrix in total.parts.items():
            low, high = matrix.bounds(*_range(self.graph[root.node].types[root.out].dtype))
            lo, hi = lo + low, hi + high
        return lo, hi

    def _front_taken(self, taken: dict[str, tuple[str, ...]]) -> set[str]:
        return {key for key, carriers in taken.items() if not carriers}

    def _tight(self, e: TightLoopError) -> CompileError:
        loc = next((self.graph[n].loc for n in e.loop if n in self.graph), None)
        steps = len(e.loop) - 1
        text = f"a loop through {steps} connection(s) waits fewer than {steps} step(s)"
        why = f"{' -> '.join(e.loop)}: on Lava every connection takes a step"
        hint = f"delay the feedback by one step more in the model; {CUSTOM}"
        return fail("E512", text, loc, why, help=hint)


def _in_64ths(matrix: Matrix) -> Matrix:
    """The weights whose sums LIF shifts by 6."""
    if (matrix.values % 64).any():
        why = "a spike changes its current by no multiple of 64"
        raise NotStockError(why, "compile with --lava-mode stock, which scales weights so")
    return replace(matrix, values=matrix.values // 64)


def _mantissas(bias: Ints) -> tuple[Ints, Ints]:
    """12 bits and a sign, and by how much they are shifted."""
    mantissa, exponent = bias.copy(), np.zeros_like(bias)
    for _ in range(lif.LARGEST_EXPONENT):
        wide = np.abs(mantissa) > lif.LARGEST_BIAS
        if (wide & (mantissa % 2 != 0)).any():
            break
        mantissa = np.where(wide, mantissa >> 1, mantissa)
        exponent = exponent + wide
    if (np.abs(mantissa) > lif.LARGEST_BIAS).any():
        why = "a bias does not fit 12 bits, shifted by at most 7"
        raise NotStockError(why, "smaller biases; or --profile loihi, which rounds them")
    return mantissa, exponent


def _range(dtype: object) -> tuple[int, int]:
    if not isinstance(dtype, Int) or dtype.lo is None:
        raise fail("E502", "a range is not proven", help="run the whole pipeline first")
    return dtype.bounds
