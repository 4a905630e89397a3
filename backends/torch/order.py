"""The order in which a loop over time is evaluated layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from snnc.backends.torch.program import Record


def components(nodes: Iterable[Record]) -> list[list[Record]]:
    """Nodes that wait for each other's values, late ones or not, each group after what it reads.

    Groups are the strongly connected components of what reads what, by Tarjan's algorithm; within
    one, nodes keep their order.

    Args:
        nodes: Of a loop; operands of the same step come first.
    """
    listed = {node["name"]: node for node in nodes}
    place = {name: i for i, name in enumerate(listed)}
    number: dict[str, int] = {}  # in the order of discovery
    least: dict[str, int] = {}  # reached from a node and not yet in a group
    waiting: list[str] = []
    path: list[tuple[str, Iterator[str]]] = []  # and what is still to be looked at
    found: list[list[Record]] = []

    def enter(name: str) -> None:
        number[name] = least[name] = len(number)
        waiting.append(name)
        path.append((name, (e["src"] for e in listed[name]["inputs"] if e["src"] in place)))

    for root in listed:
        if root not in number:
            enter(root)
        while path:
            name, rest = path[-1]
            source = next(rest, None)
            if source is not None:
                if source not in number:
                    enter(source)
                elif source in waiting:
                    least[name] = min(least[name], number[source])
                continue
            path.pop()
            if path:
                above = path[-1][0]
                least[above] = min(least[above], least[name])
            if least[name] == number[name]:
                cut = waiting.index(name)
                found.append([listed[n] for n in sorted(waiting[cut:], key=place.__getitem__)])
                del waiting[cut:]
    return found
