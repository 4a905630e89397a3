"""Bound what rounding does to a neuron's states: between spikes, after a number of steps.

With ``e(x)`` the largest distance of an integer value from the real one, in integer steps:

* a constant that is added has ``e <= 1/2``, an input and a threshold 0 (the comparison is exact);
* ``e(x + y) = e(x) + e(y)``;  ``e(max(x, y)) = max(e(x), e(y))``, and so for a choice whose
  condition is the same;
* ``e(a x) = |a| e(x) + |x| / 2`` for a factor ``a`` that was rounded, ``|x|`` from the proof;
* ``e(x >> n) = e(x) / 2**n + 1/2``.

A state starts with the error of its initial value and is followed step by step.  This is the
bound of the linear regime; a spike that comes a step early or late is a difference of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snnc.graph import Graph
from snnc.intops import IntNeuron
from snnc.kernel import Kernel, Line
from snnc.passes.base import Context, Pass

#: Steps after which the bound of a state that never stops growing is given up.
MOST_STEPS = 4096
#: Steps are followed until the bounds grow by less than this share.
_STILL = 1e-6
_EXACT = ("ge", "gt", "le", "lt", "eq", "ne", "and", "or", "not")


@dataclass(frozen=True)
class RoundingErrors(Pass):
    """Note, for every population, the error of each state and the largest one before a threshold.

    Facts: ``error.<state>`` in integer steps, ``rounding`` as a share of the threshold.
    """

    name: ClassVar[str] = "rounding-errors"

    def run(self, graph: Graph, ctx: Context) -> Graph:
        for node in graph:
            if not isinstance(node.op, IntNeuron) or not node.op.kernel.states:
                continue
            steps = graph.steps_of(node.type.clock.phase, graph.steps)
            if (found := kernel_errors(node.op.kernel, min(steps, MOST_STEPS))) is None:
                continue
            facts = {f"error.{s.name}": found[s.name] for s in node.op.kernel.states}
            shares = [s for s in (_share(x, node.op.kernel, found) for x in node.op.kernel.body)
                      if s is not None]  # fmt: skip
            ctx.note(node.name, **facts, **({"rounding": max(shares)} if shares else {}))
        return graph


def kernel_errors(kernel: Kernel, steps: int) -> dict[str, float] | None:
    """Bound of every value after ``steps`` steps; None if a line is not of the linear kind."""
    sizes = {x.name: _size(x.lo, x.hi) for x in kernel.body}
    sizes |= {s.name: _size(s.lo, s.hi) for s in kernel.states}
    whole = {s.name for s in kernel.states if _is_flag(kernel, s.next)}
    errors = {s.name: 0.0 if s.name in whole or not s.init.data.any() else 0.5
              for s in kernel.states}  # fmt: skip
    env: dict[str, float] = {}
    for _ in range(max(1, steps)):
        env = {**dict.fromkeys(kernel.inputs, 0.0), **errors}
        for line in kernel.body:
            value = _error(line, kernel, env, sizes)
            if value is None:
                return None
            env[line.name] = value
        new = {s.name: 0.0 if s.name in whole else env[s.next] for s in kernel.states}
        done = all(new[k] - errors[k] <= _STILL * (1 + errors[k]) for k in new)
        errors = {k: max(errors[k], new[k]) for k in new}
        if done:
            break
    return {**env, **errors}


def _error(
    line: Line, kernel: Kernel, env: dict[str, float], sizes: dict[str, float]
) -> float | None:
    constants = {c.name: c.values.data for c in kernel.consts}

    def of(name: str) -> float:
        if name in constants:
            return 0.5 if constants[name].any() else 0.0
        return env[name]

    a = line.args
    if line.fn in _EXACT:
        return 0.0
    if line.fn == "mul":
        factor = next((x for x in a if x in constants), None)
        value = next((x for x in a if x not in constants), None)
        if factor is None or value is None or value not in sizes:
            return None
        top = float(np.abs(constants[factor]).max(initial=0))
        return top * env[value] + sizes[value] / 2
    match line.fn:
        case "add" | "sub":
            return of(a[0]) + of(a[1])
        case "neg" | "copy":
            return of(a[0])
        case "rsh":
            return of(a[0]) / 2.0**line.shift + (0.5 if line.shift else 0.0)
        case "shl":
            return of(a[0]) * 2.0**line.shift
        case "maximum" | "minimum":
            return max(of(a[0]), of(a[1]))
        case "select":
            return max(of(a[1]), of(a[2]))
    return None


def _share(line: Line, kernel: Kernel, errors: dict[str, float]) -> float | None:
    """Error of a compared value, as a share of the smallest threshold; None for no comparison."""
    if line.fn not in ("ge", "gt", "le", "lt"):
        return None
    theta = next((c for c in kernel.consts if c.name == line.args[1]), None)
    if theta is None or line.args[0] not in errors:
        return None
    sizes = np.abs(theta.values.data.astype(np.float64))
    nonzero = sizes[sizes > 0]
    return errors[line.args[0]] / float(nonzero.min()) if len(nonzero) else None


def _is_flag(kernel: Kernel, name: str) -> bool:
    line = kernel.line(name)
    while line is not None and line.fn == "copy":
        line = kernel.line(line.args[0])
    return line is not None and line.fn in _EXACT


def _size(lo: int | None, hi: int | None) -> float:
    return max(abs(float(lo or 0)), abs(float(hi or 0)))
