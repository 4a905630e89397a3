"""Few random graphs in which every operator occurs."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tests.randomgraphs import random_graph

#: Seeds of random graphs in which every operator occurs: ``python -m tests.covering``.
COVERING = (9, 16, 22, 26, 27, 45, 93, 129)


def cover(seeds: Iterable[int]) -> tuple[int, ...]:
    """Few of the seeds, in whose random graphs every operator occurs that occurs in any."""
    found = {s: {type(node.op).__name__ for node in random_graph(s)} for s in seeds}
    missing, picked = set().union(*found.values()), []
    while missing:
        picked.append(max(found, key=lambda s: len(found[s] & missing)))
        missing -= found[picked[-1]]
    return tuple(sorted(picked))


if __name__ == "__main__":
    sys.stdout.write(f"COVERING = {cover(range(400))}\n")
