"""What parts of populations need of a core, and their slicing into parts that fit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from snnc.backends.lava.stock.chips import Chip
from snnc.backends.lava.stock.matrix import Ints
from snnc.backends.lava.stock.plan import Connection, Population, StockPlan


@dataclass(frozen=True)
class Part:
    """Neurons ``start`` to ``stop`` - 1 of a population."""

    population: str
    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.population}[{self.start}:{self.stop}]"


@dataclass(frozen=True)
class Need:
    """What a part, or a core, needs.

    Attributes:
        neurons: How many.
        synapse_words: Words of memory.
        axons: A bit for every neuron of the network, set if the part reads it.
        groups: Populations.
    """

    neurons: int
    synapse_words: int
    axons: int
    groups: int

    def plus(self, other: Need) -> Need:
        """Both on one core: what reads the same neuron shares its axon."""
        return Need(
            self.neurons + other.neurons,
            self.synapse_words + other.synapse_words,
            self.axons | other.axons,
            self.groups + other.groups,
        )

    def of(self, resource: str) -> int:
        """An amount; axons that leave depend on the other cores and are counted elsewhere."""
        return self.axons.bit_count() if resource == "axons_in" else int(getattr(self, resource))


class TooLargeError(Exception):
    """A single neuron needs more than a core has."""

    def __init__(self, population: str, resource: str, need: int, limit: int) -> None:
        super().__init__(
            f"a neuron of {population} needs {need:,} {resource}, a core has {limit:,}"
        )
        self.population, self.resource = population, resource


@dataclass(frozen=True)
class _Synapses:
    """Entries of a connection, sorted by row."""

    src: Ints
    rows: Ints
    values: Ints
    delays: Ints
    carrier: str
    bits: int


class Cores:
    """Costs of the parts of a plan on a chip.

    Args:
        plan: The network.
        chip: Where.
        weight_bits: Pretend that no weight has more bits; None: as they are.
    """

    def __init__(self, plan: StockPlan, chip: Chip, weight_bits: int | None = None) -> None:
        self.plan, self.chip = plan, chip
        self.populations = {p.name: p for p in plan.populations}
        self.synapses: dict[str, list[_Synapses]] = {p: [] for p in self.populations}
        for c in plan.connections:
            self.synapses[c.dst].append(self._resolved(c, weight_bits))
        self._needs: dict[Part, Need] = {}
        sizes = {s.name: s.size for s in plan.sources} | {p.name: p.size for p in plan.populations}
        starts = itertools.accumulate(sizes.values(), initial=0)
        #: First bit of every source and population.
        self._bits = dict(zip(sizes, starts, strict=False))

    def _resolved(self, c: Connection, most: int | None) -> _Synapses:
        """A connection with the delay lines in front of it taken in."""
        lines = {x.name: x for x in self.plan.lines}
        source, delay, carrier = c.matrix.cols, np.zeros(len(c.matrix.cols), np.int64), c.src
        while carrier in lines:
            line = lines[carrier]
            delay = delay + line.hops[source]
            source, carrier = line.source[source], line.src
        halves = c.matrix.values >> 1
        size = int(np.abs(np.where(halves < 0, ~halves, halves)).max(initial=0))
        bits = size.bit_length() + 1
        return _Synapses(
            source,
            c.matrix.rows,
            halves,
            delay,
            carrier,
            bits if most is None else min(bits, most),
        )

    @property
    def longest_delay(self) -> int:
        """Of a synapse, in steps beyond the one of every connection."""
        every = (s.delays.max(initial=0) for found in self.synapses.values() for s in found)
        return int(max(every, default=0))

    def need(self, part: Part) -> Need:
        """What a part needs."""
        if part not in self._needs:
            words, axons = 0, 0
            for synapses in self.synapses[part.population]:
                more, found = self._stored(synapses, part)
                words += more
                axons |= found
            size = part.stop - part.start
            self._needs[part] = Need(size, words, axons, 1)
        return self._needs[part]

    def _stored(self, s: _Synapses, part: Part) -> tuple[int, int]:
        """Words, and axons; neurons with equal synapses to shifted targets share these."""
        inside = slice(*np.searchsorted(s.rows, (part.start, part.stop)))
        order = np.lexsort((s.rows[inside], s.delays[inside], s.src[inside]))
        src, rows, values, delays = (x[inside][order] for x in (s.src, s.rows, s.values, s.delays))
        if not len(src):
            return 0, 0
        first = np.flatnonzero(np.diff(src, prepend=-1))
        ends = np.append(first[1:], len(src))
        base = np.minimum.reduceat(rows, first)
        span = np.maximum.reduceat(rows, first) - base + 1
        offset = rows - np.repeat(base, ends - first)
        seen: dict[bytes, None] = {}
        words = 0
        table = np.ascontiguousarray(np.stack([offset, values, delays], 1))
        for a, b, width in zip(first, ends, span, strict=True):
            pattern = table[a:b].tobytes()
            if pattern not in seen:
                seen[pattern] = None
                delayed = bool(delays[a:b].any())
                words += self.chip.synapses.words(int(b - a), int(width), s.bits, delayed)
        read = np.zeros(int(src.max()) + 1, np.uint8)
        read[src[first]] = 1
        bits = int.from_bytes(np.packbits(read, bitorder="little").tobytes(), "little")
        return words, bits << self._bits[s.carrier]

    def fits(self, need: Need) -> bool:
        """Whether a core has enough."""
        return not self.beyond(need)

    def beyond(self, need: Need) -> str:
        """The resource of which a core has too little, or nothing."""
        resources = ("neurons", "synapse_words", "axons_in", "groups")
        return next((r for r in resources if need.of(r) > self.chip.limit(r)), "")

    def slices(self, population: Population, least: int = 1) -> list[Part]:
        """As few parts of about equal size as fit a core each, at least ``least``.

        Raises:
            TooLargeError: If one neuron does not fit.
        """
        count = max(least, math.ceil(population.size / self.chip.neurons.value))
        while True:
            count = min(count, population.size)
            edges = [population.size * i // count for i in range(count + 1)]
            parts = [Part(population.name, a, b) for a, b in itertools.pairwise(edges)]
            wrong = next((p for p in parts if not self.fits(self.need(p))), None)
            if wrong is None:
                return parts
            if count == population.size:
                resource = self.beyond(self.need(wrong))
                amount = self.need(wrong).of(resource)
                raise TooLargeError(population.name, resource, amount, self.chip.limit(resource))
            count += max(1, count // 8)

    def own(self, part: Part) -> int:
        """The bits of a part's neurons."""
        size = part.stop - part.start
        return ((1 << size) - 1) << (self._bits[part.population] + part.start)

    def leaving(self, part: Part, others: Iterable[Need]) -> int:
        """Axons that leave a part: one per neuron and core that reads it."""
        own = self.own(part)
        return sum((own & need.axons).bit_count() for need in others)
