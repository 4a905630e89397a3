"""In which order the nodes of a loop are evaluated, and which of them for many steps at once.

A layer that no past value leads back to needs no step to be over before the next: its operands of
many steps are put one behind the other, as if they were samples.  That is the same arithmetic, and
a matrix product of many rows is several times as fast as many of few rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from snnc.backends.numpy.program import Record
from snnc.backends.numpy.steps import AT_STEP, COLLECTORS, SEQUENCES


@dataclass(frozen=True)
class Group:
    """Nodes that are evaluated together, step by step.

    Attributes:
        nodes: In order.
        together: Whether it is one node whose steps do not depend on each other.
    """

    nodes: tuple[Record, ...]
    together: bool


def schedule(nodes: list[Record], clocks: dict[str, str], clock: str) -> tuple[Group, ...]:
    """The nodes that have something to do in a phase, cut where no past value leads back.

    Args:
        nodes: Of the program; operands of the same step come first.
        clocks: Of their values, by name.
        clock: Of the phase.
    """
    mine = [n for n in nodes if clocks[n["name"]] == clock or _takes(n, clocks, clock)]
    place = {n["name"]: i for i, n in enumerate(mine) if clocks[n["name"]] == clock}
    last = list(range(len(mine)))  # of the loop that begins at a place
    looped = set()
    for i, node in enumerate(mine):
        for edge in node["inputs"]:
            back = place.get(edge["src"], -1)
            if edge["delay"] and back >= i:
                last[i] = max(last[i], back)
                looped.add(i)
    groups, start = [], 0
    while start < len(mine):
        end = start
        at = start
        while at <= end:
            end = max(end, last[at])
            at += 1
        part = tuple(mine[start : end + 1])
        groups.append(Group(part, len(part) == 1 and start not in looped and _stateless(part[0])))
        start = end + 1
    return tuple(groups)


def _takes(node: Record, clocks: dict[str, str], clock: str) -> bool:
    """Whether a node collects the values of a clock that is not its own."""
    kept = node["op"] in COLLECTORS or node["op"] in SEQUENCES
    return kept and clocks[node["inputs"][0]["src"]] == clock


def _stateless(node: Record) -> bool:
    kinds = (AT_STEP, COLLECTORS, SEQUENCES, ("IntInput", "IntNeuron"))
    return not any(node["op"] in kind for kind in kinds)
