"""Place populations on the cores of a chip: few cores, little traffic between them.

Populations are sliced into parts that fit a core.  Then parts are merged, pair by pair, where that
saves most axons: a spike that stays on its core, or that two parts read, is not sent (again).
This is the greedy merging of Karypis and Kumar's coarsening, under the limits of a core.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import networkx as nx

from snnc.backends.lava.stock.chips import RESOURCES, Chip
from snnc.backends.lava.stock.cores import Cores, Need, Part
from snnc.backends.lava.stock.plan import StockPlan


@dataclass(frozen=True)
class Core:
    """What lies on a core, and how much it uses of every resource."""

    parts: tuple[Part, ...]
    uses: dict[str, int]


@dataclass(frozen=True)
class Placement:
    """All cores of a network.

    Attributes:
        chip: Where.
        cores: In the order of the populations.
        traffic: Axons between cores, and from the host.
    """

    chip: Chip
    cores: tuple[Core, ...]
    traffic: int

    @property
    def fits(self) -> bool:
        """Whether the chip has enough cores."""
        return len(self.cores) <= self.chip.cores.value

    @property
    def by_population(self) -> dict[str, int]:
        """Cores on which a population lies, wholly or in part."""
        found: Counter[str] = Counter()
        for core in self.cores:
            found.update({p.population for p in core.parts})
        return dict(found.most_common())

    def table(self) -> list[tuple[str, ...]]:
        """A row for each core, below a header: what lies there and how full it is."""
        header = ("core", "holds", *(r.replace("_", " ") for r in RESOURCES))
        rows = [header]
        for i, core in enumerate(self.cores):
            shares = (f"{100 * core.uses[r] / self.chip.limit(r):.1f} %" for r in RESOURCES)
            rows.append((str(i), ", ".join(map(str, core.parts)), *shares))
        return rows

    @property
    def fullest(self) -> tuple[int, str, float]:
        """Core, resource and share that come closest to a limit."""
        return max(
            (
                (i, r, core.uses[r] / self.chip.limit(r))
                for i, core in enumerate(self.cores)
                for r in RESOURCES
            ),
            key=lambda x: (x[2], -x[0]),
        )


def place(plan: StockPlan, chip: Chip, weight_bits: int | None = None) -> Placement:
    """The cores of a network; there may be more than the chip has.

    Raises:
        TooLargeError: If one neuron is too much for a core.
    """
    cores = Cores(plan, chip, weight_bits)
    parts = _sliced(plan, cores)
    groups = _merged(parts, cores)
    needs = [_total(group, cores) for group in groups]
    found = []
    traffic = 0
    for i, (group, need) in enumerate(zip(groups, needs, strict=True)):
        others = [n for j, n in enumerate(needs) if j != i]
        leaving = sum(cores.leaving(part, others) for part in group)
        traffic += (need.axons & ~sum(map(cores.own, group))).bit_count()
        uses = {r: need.of(r) for r in RESOURCES if r != "axons_out"} | {"axons_out": leaving}
        found.append(Core(tuple(group), uses))
    return Placement(chip, tuple(found), traffic)


def _sliced(plan: StockPlan, cores: Cores) -> list[Part]:
    """Parts that fit a core each, also with the axons that leave it."""
    counts = {p.name: 1 for p in plan.populations}
    while True:
        parts = [x for p in plan.populations for x in cores.slices(p, counts[p.name])]
        needs = [cores.need(p) for p in parts]
        changed = False
        for part in parts:
            size = part.stop - part.start
            if size > 1 and cores.leaving(part, needs) > cores.chip.axons_out.value:
                counts[part.population] = 1 + sum(p.population == part.population for p in parts)
                changed = True
        if not changed:
            return parts


def _total(group: list[Part], cores: Cores) -> Need:
    total = cores.need(group[0])
    for part in group[1:]:
        total = total.plus(cores.need(part))
    return total


def _merged(parts: list[Part], cores: Cores) -> list[list[Part]]:
    """Parts that share a core."""
    groups: dict[int, list[Part]] = {i: [p] for i, p in enumerate(parts)}
    needs = {i: cores.need(p) for i, p in enumerate(parts)}
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(groups)
    for i in groups:
        for j in groups:
            if i < j:
                _weigh(graph, cores, groups, needs, i, j)
    while graph.number_of_edges():
        i, j, _ = max(graph.edges(data="saves"), key=lambda e: (e[2], -e[0], -e[1]))
        both = needs[i].plus(needs[j])
        out = sum(
            cores.leaving(p, (n for k, n in needs.items() if k not in (i, j)))
            for p in (*groups[i], *groups[j])
        )
        if not cores.fits(both) or out > cores.chip.axons_out.value:
            graph.remove_edge(i, j)
            continue
        near = set(graph[i]) | set(graph[j])
        groups[i] += groups.pop(j)
        needs[i] = both
        del needs[j]
        graph.remove_node(j)
        for k in sorted(near - {i, j}):
            _weigh(graph, cores, groups, needs, *sorted((i, k)))
    return list(groups.values())


def _weigh(
    graph: nx.Graph[int],
    cores: Cores,
    groups: dict[int, list[Part]],
    needs: dict[int, Need],
    i: int,
    j: int,
) -> None:
    """How many axons are saved if two groups share a core; a core itself is worth one."""
    if not cores.fits(needs[i].plus(needs[j])):
        return
    own = [sum(map(cores.own, groups[x])) for x in (i, j)]
    stays = (needs[i].axons & own[1]).bit_count() + (needs[j].axons & own[0]).bit_count()
    shared = (needs[i].axons & needs[j].axons).bit_count()
    graph.add_edge(i, j, saves=stays + shared + 1)
