"""Operators that know the time: constants per step, what collects over a loop, and sequences.

A network has one loop over time or several in a row.  A collector gives its value after its loop;
a sequence is kept whole and read element by element in the next loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from snnc.backends.numpy.arithmetic import rdiv, rsh
from snnc.backends.numpy.coding import CODES
from snnc.backends.numpy.program import Array, Program, Record


@dataclass(frozen=True)
class Loops:
    """The loops of a program.

    Attributes:
        count: How many, at least 1.
        later: Steps of the second and those behind it; 0, or no entry: as many as the first.
        fewest: Least number of steps of the first loop with which the network means something.
    """

    count: int
    later: tuple[int, ...]
    fewest: int

    @classmethod
    def of(cls, document: Record) -> Loops:
        """Read them off a stored program."""
        clocks = {n["name"]: n["types"][0]["clock"] for n in document["nodes"]}
        count = max([1, *(_loop(c) for c in clocks.values())])
        loops = cls(count, tuple(document.get("later_steps", ())), 0)
        fewest = [0]
        for n in document["nodes"]:
            if n["op"] in COLLECTORS or n["op"] == "IntTimeMix":
                own = _loop(clocks[n["name"]]) - (n["op"] == "IntTimeMix")
                if not loops.steps(own, 0):
                    start = n["attributes"].get("start", 0)
                    mixed = n["op"] == "IntTimeMix"
                    fewest.append(
                        n["attributes"]["weight"]["shape"][0] if mixed else start + (start > 0)
                    )
        return cls(count, loops.later, max(fewest))

    def steps(self, loop: int, first: int) -> int:
        """Steps of the loop number ``loop`` if the first has ``first``."""
        own = self.later[loop - 2] if 1 < loop < len(self.later) + 2 else 0
        return own or first


def _loop(clock: str) -> int:
    """Number of the loop that a clock belongs to; 0 before all."""
    digits = clock.lstrip("abcdefghijklmnopqrstuvwxyz")
    return int(digits) if digits else int(clock != "once")


def table(program: Program, node: Record, operands: list[Array], now: int) -> Array:
    """``y[t] = values[t]``."""
    row: Array = program.param(node["attributes"]["values"])[now]
    return row


def step_rescale(program: Program, node: Record, operands: list[Array], now: int) -> Array:
    """``y[t] = rsh(x[t] * multiplier[t], shift, rounding) + bias[t]``."""
    a = node["attributes"]
    y = rsh(operands[0] * program.param(a["multiplier"])[now], a["shift"], a["rounding"])
    return y if a["bias"] is None else y + program.param(a["bias"])[now]


def mean(node: Record, total: Array, steps: int) -> Array:
    """``(sum << shift) / n``, rounded half away from zero; n steps from ``start`` on."""
    a = node["attributes"]
    return rdiv(total << a["shift"], np.asarray(max(1, steps - a["start"]), np.int64))


def replay(program: Program, node: Record, sequence: list[Array], now: int) -> Array:
    """``y[t] = x[t]``."""
    return sequence[now]


def flip(program: Program, node: Record, sequence: list[Array], now: int) -> Array:
    """``y[t] = x[T - 1 - t]``."""
    return sequence[-1 - now]


def mix(program: Program, node: Record, sequence: list[Array], now: int) -> Array:
    """``y[t] = sum_s weight[t, s] x[s]``."""
    row = program.param(node["attributes"]["weight"])[now]
    total = np.zeros_like(sequence[0])
    for s in np.flatnonzero(row):
        total = total + row[s] * sequence[s]
    return total


#: Operators without state whose value depends on the number of the step.
AT_STEP: dict[str, Callable[[Program, Record, list[Array], int], Array]] = {
    "IntStepTable": table,
    "IntStepRescale": step_rescale,
    **CODES,
}

#: What a collector makes of what it has kept, after so many steps.
COLLECTORS: dict[str, Callable[[Record, Array, int], Array]] = {
    "IntTimeSum": lambda node, total, steps: total,
    "IntTimeMean": mean,
    "IntTimeMax": lambda node, total, steps: total,
    "IntTimeLast": lambda node, total, steps: total,
    "IntTimeStack": lambda node, total, steps: total,
}

#: Element ``now`` of what a later loop makes of a sequence.
SEQUENCES: dict[str, Callable[[Program, Record, list[Array], int], Array]] = {
    "IntReplay": replay,
    "IntTimeFlip": flip,
    "IntTimeMix": mix,
}
