"""Remove clamps and wraps that the proven ranges show to be idle; report clamps that are not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from snnc.diagnostics import CompileError, Diagnostic, error, warning
from snnc.graph import Graph, Node
from snnc.intops import IntNeuron
from snnc.kernel import Kernel, Line, State
from snnc.passes import past_values
from snnc.passes.absolute_kernel import SATURATION
from snnc.passes.base import Context, Pass
from snnc.passes.fixed_functions import LEAST
from snnc.passes.kernel_writer import live
from snnc.types import Int

LIMITS = (SATURATION, past_values.LIMIT)


@dataclass(frozen=True)
class DropClamps(Pass):
    """Take out clamps and choices that never act, and warn of states that may saturate.

    Runs after ``prove-ranges``: a clamp whose operand is proven to stay inside changes nothing.
    """

    name: ClassVar[str] = "drop-clamps"

    def run(self, graph: Graph, ctx: Context) -> Graph:
        outside: list[Diagnostic] = []
        for node in graph:
            if isinstance(node.op, IntNeuron):
                arriving = _arriving(graph, node)
                kernel = without_idle_clamps(node.op.kernel, arriving)
                if kernel != node.op.kernel:
                    graph.replace(replace(node, op=replace(node.op, kernel=kernel)))
                outside += _outside(node, kernel, arriving)
                _report(node, kernel, ctx)
        if outside:
            raise CompileError(outside)
        return graph


Bounds = dict[str, tuple[int | None, int | None]]


def _arriving(graph: Graph, node: Node) -> Bounds:
    """The proven range of every input of a population; late ones also bring what is first."""
    assert isinstance(node.op, IntNeuron), "asked of populations"
    found: Bounds = {}
    for name, edge in zip(node.op.kernel.inputs, graph.in_edges(node.name), strict=True):
        dtype = graph[edge.src].types[edge.out].dtype
        assert isinstance(dtype, Int), "proven"
        if not edge.delay:
            found[name] = dtype.bounds
    return found


def without_idle_clamps(kernel: Kernel, arriving: Bounds | None = None) -> Kernel:
    """The kernel with every proven ``max(x, c) = x`` and ``min(x, c) = x`` replaced by ``x``.

    ``arriving`` are proven ranges of inputs.
    A choice by a comparison of the lowering's own that always says the same is replaced by what it
    chooses.
    """
    known: tuple[Line | State, ...] = (*kernel.body, *kernel.states)
    proven = {**(arriving or {}), **{x.name: (x.lo, x.hi) for x in known}}
    limits = {
        c.name: (int(np.min(c.values.data)), int(np.max(c.values.data))) for c in kernel.consts
    }
    same: dict[str, str] = {}
    decided: dict[str, bool] = {}
    body = []
    for line in kernel.body:
        args = tuple(same.get(a, a) for a in line.args)
        truth = _decided(line, proven, limits)
        if truth is not None and line.name.startswith("_"):  # a threshold of the user's stays
            decided[line.name] = truth
        kept = None if line.name in kernel.outputs else _idle(line, proven, limits)
        if line.fn == "select" and line.args[0] in decided and line.name not in kernel.outputs:
            kept = line.args[1] if decided[line.args[0]] else line.args[2]
        if kept is None:
            body.append(replace(line, args=args))
        else:
            same[line.name] = same.get(kept, kept)
    states = tuple(replace(s, next=same.get(s.next, s.next)) for s in kernel.states)
    return live(replace(kernel, states=states, body=tuple(body)))


def _decided(
    line: Line,
    proven: Bounds,
    limits: dict[str, tuple[int, int]],
) -> bool | None:
    """What a comparison with a constant always says, if the range proves that."""
    if line.fn not in ("ge", "gt", "le", "lt") or line.args[1] not in limits:
        return None
    (lo, hi), (low, high) = proven.get(line.args[0], (None, None)), limits[line.args[1]]
    if lo is None or hi is None:
        return None
    match line.fn:
        case "ge":
            found = (lo >= high, hi < low)
        case "gt":
            found = (lo > high, hi <= low)
        case "le":
            found = (hi <= low, lo > high)
        case _:
            found = (hi < low, lo >= high)
    return found[0] if found[0] != found[1] else None


def _idle(
    line: Line,
    proven: Bounds,
    limits: dict[str, tuple[int, int]],
) -> str | None:
    """The operand that a clamp, or a word that could wrap, always returns."""
    if line.fn == "wrap":
        lo, hi = proven.get(line.args[0], (None, None))
        half = 1 << (line.shift - 1)
        fits = lo is not None and hi is not None and -half < lo and hi <= half
        return line.args[0] if fits else None
    if line.fn not in ("maximum", "minimum"):
        return None
    for x, c in (line.args, line.args[::-1]):
        lo, hi = proven.get(x, (None, None))
        if c not in limits or lo is None or hi is None:
            continue
        if line.fn == "maximum" and lo >= limits[c][1]:
            return x
        if line.fn == "minimum" and hi <= limits[c][0]:
            return x
    return None


def _report(node: Node, kernel: Kernel, ctx: Context) -> None:
    """Warn of the named points at which a value may saturate."""
    for line in kernel.body:
        ends = [e for e in (line.lo, line.hi) if e is not None and abs(e) in LIMITS]
        if line.name.endswith("kept") and ends:
            state = next((s.name for s in kernel.states if s.next == line.name), None)
            unit = ctx.layers.get(node.name, {}).get(f"unit.{state}" if state else "unit")
            _warn(ctx, node, f"state {state}" if state else "a value", _saturates(ends, unit))
        elif line.name.rstrip("0123456789").endswith(LEAST):
            value = line.name.rpartition(LEAST)[0]
            why = "outside the domain of the function it is taken as the nearest step inside"
            _warn(ctx, node, f"the argument of {value}", why)
        elif line.name.endswith("_top"):
            value = line.name.removesuffix("_top")
            why = "beyond exp(10) its integers stay at that value"
            _warn(ctx, node, f"the exponential {value}", why)


def _saturates(ends: list[int], unit: object) -> str:
    """Where, in real numbers if the unit of the integers is known."""
    steps = " and ".join(f"{e:+,d}" for e in ends)
    if not isinstance(unit, float):
        return f"it saturates at {steps} integer steps"
    if unit == 1:
        return f"it counts in whole numbers and saturates at {steps}"
    real = " and ".join(f"{e * unit:+g}" for e in ends)
    return f"it saturates at {real}, which are {steps} integer steps"


def _outside(node: Node, kernel: Kernel, arriving: Bounds) -> list[Diagnostic]:
    """E316 for every root or logarithm whose argument may be negative: a NaN in real numbers."""
    lows = {name: lo for name, (lo, _) in arriving.items()}
    known: tuple[Line | State, ...] = (*kernel.body, *kernel.states)
    lows |= {x.name: x.lo for x in known}
    found = []
    for line in kernel.body:
        lo = lows.get(line.args[0]) if line.args else None
        if line.name.rstrip("0123456789").endswith(LEAST) and lo is not None and lo < 0:
            value = line.name.rpartition(LEAST)[0]
            text = f"{value} of {node.name} is a root or logarithm of what may be negative"
            why = f"its argument is proven to be at least {lo} integer steps, and no more"
            hint = "clamp the argument in the model, to a small positive number"
            found.append(error("E316", text, node.loc, why, help=hint))
    return found


def _warn(ctx: Context, node: Node, what: str, why: str) -> None:
    text = f"{what} of {node.name} cannot be bounded for all inputs"
    ctx.emit(warning("W312", text, node.loc, why, help="clamp it in the model itself"))
