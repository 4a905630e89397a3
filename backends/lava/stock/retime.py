"""When every population runs: Lava's connections take a step each, the program's take none.

A population of *phase* L computes step t of the program in step t + L of Lava.  A connection that
reads a value d steps ago takes ``phase(to) - phase(from) + d`` steps of Lava, at least one; so
phases are longest paths, and a loop must wait at least as long as it has connections.  This is the
retiming of Leiserson and Saxe, Algorithmica 6 (1991), with the inputs kept at phase 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Wait:
    """``dst`` reads ``src`` of ``delay`` steps ago."""

    src: str
    dst: str
    delay: int


class TightLoopError(Exception):
    """A loop has more connections than it waits steps; ``loop`` names its populations."""

    def __init__(self, loop: tuple[str, ...]) -> None:
        super().__init__(" -> ".join(loop))
        self.loop = loop


def phases(names: Iterable[str], waits: Iterable[Wait], fixed: Mapping[str, int]) -> dict[str, int]:
    """The least phase of every population.

    Args:
        names: Of the populations.
        waits: The connections between them, and from what is fixed.
        fixed: Phases of sources.

    Raises:
        TightLoopError: If there are none.

    >>> phases(["a", "b"], [Wait("x", "a", 0), Wait("a", "a", 1), Wait("a", "b", 0)], {"x": 0})
    {'a': 1, 'b': 2}
    """
    names, waits = list(names), list(waits)
    found = dict.fromkeys(names, 0)
    cause: dict[str, str] = {}
    changed = ""
    for _ in range(len(names) + 1):
        changed = ""
        for wait in waits:
            known = fixed[wait.src] if wait.src in fixed else found[wait.src]
            if known + 1 - wait.delay > found[wait.dst]:
                found[wait.dst] = known + 1 - wait.delay
                cause[wait.dst] = wait.src
                changed = wait.dst
        if not changed:
            return found
    for _ in names:  # back into the loop
        changed = cause[changed]
    loop = [changed]
    while (before := cause[loop[-1]]) not in loop:
        loop.append(before)
    loop = loop[loop.index(before) :]
    raise TightLoopError((*reversed(loop), loop[-1]))


@dataclass(frozen=True)
class Route:
    """How a connection waits.

    Attributes:
        kept: Steps in a delay line in front whose content is dropped when a sample ends.
        line: Steps in one that goes on.
        clears: After which steps of a sample, counted from its first step at the source, what is
            kept (and with ``kept_weights`` what the weights hold) is dropped; relative to the
            sample's length.
        drop_weights: Whether the weights' own step is dropped, too.
    """

    kept: int = 0
    line: int = 0
    clears: tuple[int, ...] = ()
    drop_weights: bool = False


def route(src: int, dst: int, delay: int) -> Route:
    """The way from a population of phase ``src`` to one of phase ``dst``.

    What is sent in the last ``delay`` steps of a sample arrives in the next one and must be lost.
    ``clears`` are Lava steps relative to the first step of the next sample at phase 0.

    >>> route(0, 3, 0)
    Route(kept=0, line=2, clears=(), drop_weights=False)
    >>> route(1, 1, 1)
    Route(kept=0, line=0, clears=(0,), drop_weights=True)
    >>> route(1, 3, 4)
    Route(kept=4, line=1, clears=(0,), drop_weights=False)
    >>> route(3, 2, 2)
    Route(kept=0, line=0, clears=(1, 2), drop_weights=True)
    """
    hops = dst - src + delay
    assert hops >= 1, "phases that do not hold"
    if not delay:
        return Route(line=hops - 1)
    if dst > src:
        return Route(kept=delay, line=dst - src - 1, clears=(src - 1,))
    return Route(hops - 1, 0, tuple(range(dst - 1, src)), drop_weights=True)
