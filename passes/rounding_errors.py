"""Bound what rounding does to a neuron's states: between spikes, after a number of steps.

With ``e(x)`` the largest distance of an integer value from the real one, in integer steps:

* a constant that is added has ``e <= 1/2``, an input and a threshold 0 (the comparison is exact);
* ``e(x + y) = e(x) + e(y)``;  ``e(max(x, y)) = max(e(x), e(y))``, and so for a choice whose
  condition is the same;
* ``e(a x) = |a| e(x) + |x| / 2`` for a factor ``a`` that was rounded, ``|x|`` from the proof;
* ``e(x >> n) = e(x) / 2**n + 1/2``, and 1 instead of 1/2 where it truncates;
* ``e(x y) = |x| e(y) + |y| e(x) + e(x) e(y)``;
* ``e(x / y) = (e(x) + |x / y| e(y)) / (min |y| - e(y)) + 1/2``;
* an interpolated table with steps ``D`` of ``2**n`` has ``e(f(x)) = max |D| e(x) / 2**n + 3/2`` and
  the error of interpolation, an eighth of the largest second difference.

A state starts with the error of its initial value and is followed step by step.  This is the
bound between events; a spike or count that comes a step early or late is a difference of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snnc.graph import Graph, Node
from snnc.intops import IntNeuron
from snnc.kernel import Kernel, Line
from snnc.passes.base import Context, Pass
from snnc.passes.fixed_values import WHOLE
from snnc.types import Int

#: Steps after which the bound of a state that never stops growing is given up.
MOST_STEPS = 4096
#: Steps are followed until the bounds grow by less than this share.
_STILL = 1e-6
#: Between two entries a function may bend a little more than at them: exp, by 2**-5.
_BEND = 1.1
#: How counts are rounded to whole numbers.
_COUNTS = ("floor", "half_even")
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
            if (found := kernel_errors(node.op.kernel, min(steps, MOST_STEPS), _sizes(graph, node))
                ) is None:  # fmt: skip
                continue
            facts = {f"error.{s.name}": found[s.name] for s in node.op.kernel.states}
            shares = [s for s in (_share(x, node.op.kernel, found) for x in node.op.kernel.body)
                      if s is not None]  # fmt: skip
            ctx.note(node.name, **facts, **({"rounding": max(shares)} if shares else {}))
        return graph


def _sizes(graph: Graph, node: Node) -> dict[str, float]:
    """The largest magnitude of every input of a population."""
    assert isinstance(node.op, IntNeuron), "asked of populations"
    found = {}
    for name, edge in zip(node.op.kernel.inputs, graph.in_edges(node.name), strict=True):
        dtype = graph[edge.src].types[edge.out].dtype
        assert isinstance(dtype, Int), "proven"
        start = [] if edge.init is None else [float(np.abs(edge.init.data).max(initial=0))]
        found[name] = max(_size(*dtype.bounds), *start, 0.0)
    return found


def kernel_errors(
    kernel: Kernel, steps: int, arriving: dict[str, float] | None = None
) -> dict[str, float] | None:
    """Bound of every value after ``steps`` steps; None if a line has none.

    ``arriving``: the largest magnitudes of inputs.
    """
    sizes = (arriving or {}) | {x.name: _size(x.lo, x.hi) for x in kernel.body}
    curves = {line.name: curve for line in kernel.body if (curve := _curve(line, kernel))}
    sizes |= {s.name: _size(s.lo, s.hi) for s in kernel.states}
    whole = {s.name for s in kernel.states if _is_flag(kernel, s.next)}
    errors = {s.name: 0.0 if s.name in whole or not s.init.data.any() else 0.5
              for s in kernel.states}  # fmt: skip
    env: dict[str, float] = {}
    for _ in range(max(1, steps)):
        env = {**dict.fromkeys(kernel.inputs, 0.0), **errors}
        for line in kernel.body:
            if line.name in curves:
                offset, steepest, own = curves[line.name]
                value: float | None = steepest * env[offset] + own
            else:
                value = _error(line, kernel, env, sizes)
            if value is None or not np.isfinite(value):
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
        if value is None or not sizes.keys() >= set(a) - set(constants):
            return None
        if factor is None:
            x, y = a
            return sizes[x] * env[y] + sizes[y] * env[x] + env[x] * env[y]
        top = float(np.abs(constants[factor]).max(initial=0))
        rounded = 0.0 if factor.startswith(WHOLE) else sizes[value] / 2
        return top * env[value] + rounded
    match line.fn:
        case "add" | "sub":
            return of(a[0]) + of(a[1])
        case "neg" | "copy":
            return of(a[0])
        case "rsh" if line.rounding in _COUNTS and not line.name.startswith("_"):
            return 0.0  # a count, which is an event
        case "rsh":
            coarse = 0.5 if line.rounding.startswith("half") else 1.0
            return of(a[0]) / 2.0**line.shift + (coarse if line.shift else 0.0)
        case "div":
            divisor = next((x for x in kernel.body if x.name == a[1]), None)
            values = constants.get(a[1])
            if values is not None:
                least = float(np.abs(values).min(initial=np.inf))
            elif divisor is None or divisor.lo is None or divisor.hi is None:
                return None
            else:
                least = float(max(divisor.lo, -divisor.hi))
            room = least - of(a[1])
            return (of(a[0]) + sizes[line.name] * of(a[1])) / room + 0.5 if room > 0 else None
        case "isqrt":
            return float(np.sqrt(of(a[0]))) + 1.0
        case "wrap":
            return of(a[0])  # the jump at its end is an event
        case "lookup":
            return 0.0  # of an index that is the same; what is between two: see _curve
        case "shl":
            return of(a[0]) * 2.0**line.shift
        case "maximum" | "minimum":
            return max(of(a[0]), of(a[1]))
        case "select":
            return max(of(a[1]), of(a[2]))
    return None


def _curve(line: Line, kernel: Kernel) -> tuple[str, float, float] | None:
    """For a line ``T[i] + rsh(D[i] * r)`` with ``x = i * 2**n + r``: x, its slope and own error."""
    if line.fn != "add":
        return None
    base, part = (kernel.line(a) for a in line.args)
    if base is None or base.fn != "lookup" or part is None or part.fn != "rsh":
        return None
    index, product = kernel.line(base.args[0]), kernel.line(part.args[0])
    if index is None or index.fn != "rsh" or product is None or product.fn != "mul":
        return None
    step = kernel.line(product.args[0])
    if step is None or step.fn != "lookup" or step.args[0] != base.args[0]:
        return None
    tables = {t.name: t.values.data.astype(np.float64) for t in kernel.tables}
    low, high = max(0, (index.lo or 0) - 2), (index.hi or 0) + 3  # one more on either side
    bend = float(np.abs(np.diff(tables[base.args[1]][low:high], 2)).max(initial=0.0))
    slope = float(np.abs(tables[step.args[1]][low:high]).max(initial=0.0)) / 2.0**index.shift
    return index.args[0], slope, _BEND * bend / 8 + 1.5


def _share(line: Line, kernel: Kernel, errors: dict[str, float]) -> float | None:
    """Error of a compared value, as a share of the smallest threshold; None for no comparison."""
    if line.fn not in ("ge", "gt", "le", "lt"):
        return None
    theta = next((c for c in kernel.consts if c.name == line.args[1]), None)
    if theta is None or line.args[0] not in errors:
        return None
    sizes = np.abs(theta.values.data.astype(np.float64))
    nonzero = sizes[sizes > 1]  # "> 0" is "at least one step": a sign, and no threshold
    return errors[line.args[0]] / float(nonzero.min()) if len(nonzero) else None


def _is_flag(kernel: Kernel, name: str) -> bool:
    line = kernel.line(name)
    while line is not None and line.fn == "copy":
        line = kernel.line(line.args[0])
    return line is not None and line.fn in _EXACT


def _size(lo: int | None, hi: int | None) -> float:
    return max(abs(float(lo or 0)), abs(float(hi or 0)))
