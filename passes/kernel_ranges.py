"""Ranges of an integer kernel over all inputs and all steps.

The state range is an inductive invariant ``S``: it holds the initial value, and one step from
anywhere in ``S`` with any input in its range leads back into ``S``.  It is found by iterating,
then widening until the step maps the range into itself, then narrowing; only the inclusion
matters for soundness, not how ``S`` was guessed.  Where no such ``S`` exists, states that follow
from each other by constant factors are bounded by superposition (``passes/linear_ranges.py``); for
the rest (an integrator without leak), the range after ``max_steps`` steps is computed by iterating
that often.

``select(c, a, b)`` is evaluated with what the comparison ``c`` says about its operand, so that
a reset bounds the membrane; and ``x + (z - x)``, also behind a choice, is z: what is replaced by
its change is bounded by what replaces it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from snnc.interval import Interval, RangeOverflowError
from snnc.kernel import MIRRORED, Kernel, Line
from snnc.passes.linear_ranges import linear_ranges

Env = dict[str, Interval]
_NOT = {"ge": "lt", "gt": "le", "le": "gt", "lt": "ge", "eq": "ne", "ne": "eq"}
_PLAIN_STEPS = 64
_NARROWING_STEPS = 512


@dataclass(frozen=True, slots=True)
class KernelRanges:
    """Proven range of every input, state, constant and line; ``bounded`` means for all T."""

    env: Env
    bounded: bool


def kernel_ranges(
    kernel: Kernel, inputs: list[Interval], shape: tuple[int, ...], max_steps: int
) -> KernelRanges:
    """Analyse a kernel of ``shape`` whose inputs lie in ``inputs``.

    Raises:
        RangeOverflowError: If some value needs more than 63 bits.
    """
    analysis = _analysis(kernel, inputs, shape)
    states, bounded = analysis.invariant(max_steps)
    return KernelRanges(analysis.lines(states), bounded)


def growing(kernel: Kernel, inputs: list[Interval], shape: tuple[int, ...]) -> tuple[int, str]:
    """For how many steps 63 bits hold a kernel of which ``kernel_ranges`` says that they do not.

    Returns:
        Their number, at most 512, and the state that has grown most in the last of them; 0 and an
        empty string if it is the first step that does not fit.
    """
    analysis = _analysis(kernel, inputs, shape)
    states, steps, grown = analysis.init, 0, ""
    try:
        while steps < _NARROWING_STEPS:
            new = analysis.joined(states)
            ends = {k: max(abs(end) for end in v.bounds) for k, v in new.items()}
            larger = [k for k, v in states.items() if ends[k] > max(abs(e) for e in v.bounds)]
            grown = max(larger, key=ends.__getitem__, default=grown)
            states, steps = new, steps + 1
    except RangeOverflowError:
        pass
    return steps, grown


def _analysis(kernel: Kernel, inputs: list[Interval], shape: tuple[int, ...]) -> _Analysis:
    leaves: Env = {}
    for name, interval in zip(kernel.inputs, inputs, strict=True):
        leaves[name] = interval.broadcast(shape)
    for const in kernel.consts:
        data = const.values.data if const.index is None else const.values.data[const.index.data]
        leaves[const.name] = Interval.of(data, data).broadcast(shape)
    init = {s.name: Interval.exactly(s.init).broadcast(shape) for s in kernel.states}
    return _Analysis(kernel, *_distinct(leaves, init))


def annotate(kernel: Kernel, ranges: KernelRanges) -> Kernel:
    """The kernel with the proven range on every line and state."""
    body = []
    for line in kernel.body:
        lo, hi = ranges.env[line.name].bounds
        body.append(replace(line, lo=lo, hi=hi))
    states = []
    for s in kernel.states:
        lo, hi = ranges.env[s.name].bounds
        states.append(replace(s, lo=lo, hi=hi))
    return replace(kernel, body=tuple(body), states=tuple(states))


def _distinct(leaves: Env, init: Env) -> tuple[Env, Env]:
    """Keep one of all neurons with equal inputs, constants and initial states."""
    both = {**leaves, **init}
    if not both:
        return leaves, init
    rows = np.stack([a.reshape(-1) for v in both.values() for a in (v.lo, v.hi)], 1)
    rows = np.unique(rows, axis=0)
    cut = {k: Interval(rows[:, 2 * i], rows[:, 2 * i + 1]) for i, k in enumerate(both)}
    return {k: cut[k] for k in leaves}, {k: cut[k] for k in init}


class _Analysis:
    def __init__(self, kernel: Kernel, leaves: Env, init: Env) -> None:
        self.kernel, self.leaves, self.init = kernel, leaves, init
        self.defs: dict[str, Line] = {line.name: line for line in kernel.body}
        self.tables = {t.name: t.values.data.astype(np.int64) for t in kernel.tables}
        self._dependents: dict[frozenset[str], set[str]] = {}

    def lines(self, states: Env) -> Env:
        env = {**self.leaves, **states}
        for line in self.kernel.body:
            env[line.name] = self._line(line, env, {})
        return env

    def invariant(self, max_steps: int) -> tuple[Env, bool]:
        """A post-fixpoint of the step from the initial states, and whether it holds for all T."""
        states = self.init
        if not states:
            return states, True
        try:
            for _ in range(_PLAIN_STEPS):
                new = self.joined(states)
                if _equal(new, states):
                    return states, True
                states, previous = new, states
        except RangeOverflowError:
            if (found := linear_ranges(self.kernel, self.leaves, self.init)) is not None:
                return found, True
            raise
        if (wide := self._widened(states, previous)) is not None:
            return self._narrowed(wide), True
        if (found := linear_ranges(self.kernel, self.leaves, self.init)) is not None:
            return found, True
        for _ in range(_PLAIN_STEPS, max_steps):
            new = self.joined(states)
            if _equal(new, states):
                return states, True
            states = new
        return states, False

    def _step(self, states: Env) -> Env:
        env = self.lines(states)
        shape = np.broadcast_shapes(*(v.lo.shape for v in self.init.values()))
        return {s.name: env[s.next].broadcast(shape) for s in self.kernel.states}

    def joined(self, states: Env) -> Env:
        new = self._step(states)
        return {k: states[k].join(new[k]) for k in states}

    def _widened(self, states: Env, previous: Env) -> Env | None:
        """Extrapolate the last growth, doubling, until one step stays inside, or give up."""
        grow = {
            k: (states[k].hi - previous[k].hi + 1, previous[k].lo - states[k].lo + 1)
            for k in states
        }
        settled = None
        for exponent in range(48):
            try:
                wide = {
                    k: Interval(v.lo - (grow[k][1] << exponent), v.hi + (grow[k][0] << exponent))
                    for k, v in states.items()
                }
                if settled is not None:
                    wide = {
                        k: Interval(np.where(done, old.lo, v.lo), np.where(done, old.hi, v.hi))
                        for (k, v), (old, done) in zip(wide.items(), settled, strict=True)
                    }
                new = self._step(wide)
            except RangeOverflowError:
                return None
            inside = np.logical_and.reduce([new[k].inside(wide[k]) for k in wide])
            if inside.all():
                return wide
            settled = [(wide[k], inside) for k in wide]
            if max(float(np.abs(v.hi).max(initial=0)) for v in wide.values()) > float(1 << 50):
                return None
        return None

    def _narrowed(self, wide: Env) -> Env:
        """Apply the step while it shrinks the range; a post-fixpoint stays one (monotonicity)."""
        for _ in range(_NARROWING_STEPS):
            new = self._step(wide)
            new = {k: self.init[k].join(v) for k, v in new.items()}
            new = {k: v.meet(wide[k].lo, wide[k].hi) for k, v in new.items()}
            if _equal(new, wide):
                break
            wide = new
        return wide

    def _value(self, name: str, env: Env, known: Env) -> Interval:
        """The range of ``name``, recomputed under the assumptions ``known``."""
        if name in known:
            return known[name]
        line = self.defs.get(name)
        if line is None or not known:
            return env[name]
        if name not in self._dependents_of(frozenset(known)):
            return env[name]
        return self._line(line, env, known)

    def _dependents_of(self, known: frozenset[str]) -> set[str]:
        """Lines whose value follows from the known ones."""
        if known not in self._dependents:
            found = set(known)
            for line in self.kernel.body:
                if found.intersection(line.args):
                    found.add(line.name)
            self._dependents[known] = found
        return self._dependents[known]

    def _line(self, line: Line, env: Env, known: Env) -> Interval:
        if line.fn == "select":
            return self._select(line, env, known)
        if line.fn == "lookup":
            index = self._value(line.args[0], env, known)
            return index.lookup(self.tables[line.args[1]])
        args = [self._value(a, env, known) for a in line.args]
        match line.fn:
            case "add":
                sums = [self._kept_sum(x, y, env, known) for x, y in (line.args, line.args[::-1])]
                return next((s for s in sums if s is not None), args[0] + args[1])
            case "sub" if (bits := self._cut_off(line)) is not None:
                return (args[0] - args[1]).meet(np.asarray(0), np.asarray((1 << bits) - 1))
            case "sub":
                return args[0] - args[1]
            case "mul" if line.args[0] == line.args[1]:
                return args[0].squared()
            case "mul":
                return args[0] * args[1]
            case "neg":
                return -args[0]
            case "copy":
                return args[0]
            case "div":
                return args[0].div(args[1])
            case "isqrt":
                return args[0].isqrt()
            case "shl":
                return args[0].shl(line.shift)
            case "rsh":
                return args[0].rsh(line.shift, line.rounding)
            case "wrap":
                return args[0].wrap(line.shift)
            case "maximum" if self._is_size(line):
                return args[0].size()
            case "maximum":
                lo, hi = (np.maximum(args[0].lo, args[1].lo), np.maximum(args[0].hi, args[1].hi))
                return Interval(lo, hi)
            case "minimum":
                lo, hi = (np.minimum(args[0].lo, args[1].lo), np.minimum(args[0].hi, args[1].hi))
                return Interval(lo, hi)
        shape = np.broadcast_shapes(*(a.lo.shape for a in args))
        return Interval.of(0, 1).broadcast(shape)

    def _kept_sum(self, x: str, y: str, env: Env, known: Env) -> Interval | None:
        """``x + y`` where y is, or may be chosen to be, ``z - x``: the sum is z then."""
        if (line := self.defs.get(y)) is None:
            return None
        if line.fn == "sub" and line.args[1] == x:
            return self._value(line.args[0], env, known)
        if line.fn != "select":
            return None
        kept = [d for a in line.args[1:] if (d := self.defs.get(a)) is not None]
        if not any(d.fn == "sub" and d.args[1] == x for d in kept):
            return None

        def total(branch: str, assumed: Env) -> Interval:
            found = self._kept_sum(x, branch, env, assumed)
            both = self._value(x, env, assumed), self._value(branch, env, assumed)
            return both[0] + both[1] if found is None else found

        return self._chosen(line, env, known, total)

    def _is_size(self, line: Line) -> bool:
        """Whether a maximum is that of a value and its negative."""
        second = self.defs.get(line.args[1])
        return second is not None and second.fn == "neg" and second.args[0] == line.args[0]

    def _cut_off(self, line: Line) -> int | None:
        """``n`` if the line is ``x - ((x >> n) << n)``, the last bits of x, as tables use them."""
        x, y = line.args
        up = self.defs.get(y)
        down = self.defs.get(up.args[0]) if up is not None and up.fn == "shl" else None
        if up is None or down is None or down.fn != "rsh" or down.args != (x,):
            return None
        return up.shift if down.rounding == "floor" and down.shift == up.shift else None

    def _select(self, line: Line, env: Env, known: Env) -> Interval:
        return self._chosen(line, env, known, lambda name, more: self._value(name, env, more))

    def _chosen(
        self, line: Line, env: Env, known: Env, found: Callable[[str, Env], Interval]
    ) -> Interval:
        """What is ``found`` of either branch under what the condition says there."""
        cond, a, b = line.args
        results = []
        for branch, truth in ((a, True), (b, False)):
            assumed = {**known, **self._assume(cond, truth, env, known)}
            value = found(branch, assumed)
            empty = _any_empty(list(assumed.values()))
            shape = np.broadcast_shapes(value.lo.shape, np.shape(empty))
            value, empty = value.broadcast(shape), np.broadcast_to(empty, shape)
            results.append(Interval(np.where(empty, 1, value.lo), np.where(empty, 0, value.hi)))
        return results[0].join(results[1])

    def _assume(self, cond: str, truth: bool, env: Env, known: Env) -> Env:
        """What is known of other names where ``cond`` is (not) true."""
        line = self.defs.get(cond)
        if line is None:
            return {}
        if line.fn == "not":
            return self._assume(line.args[0], not truth, env, known)
        if (line.fn == "and" and truth) or (line.fn == "or" and not truth):
            left = self._assume(line.args[0], truth, env, known)
            right = self._assume(line.args[1], truth, env, {**known, **left})
            return {**left, **right}
        if line.fn not in MIRRORED:
            return {}
        fn = line.fn if truth else _NOT[line.fn]
        x, y = line.args
        out = {}
        constants = {c.name for c in self.kernel.consts}
        if y in constants:
            out[x] = _refined(self._value(x, env, known), fn, env[y])
        elif x in constants:
            out[y] = _refined(self._value(y, env, known), MIRRORED[fn], env[x])
        return out


def _refined(x: Interval, fn: str, const: Interval) -> Interval:
    """The part of ``x`` for which ``x fn const`` holds."""
    k = const.lo
    match fn:
        case "ge":
            return x.meet(lo=k)
        case "gt":
            return x.meet(lo=k + 1)
        case "le":
            return x.meet(hi=k)
        case "lt":
            return x.meet(hi=k - 1)
        case "eq":
            return x.meet(lo=k, hi=k)
    return x


def _equal(a: Env, b: Env) -> bool:
    return all(np.array_equal(a[k].lo, b[k].lo) and np.array_equal(a[k].hi, b[k].hi) for k in a)


def _any_empty(intervals: list[Interval]) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = np.zeros((), np.bool_)
    for interval in intervals:
        found = found | (interval.lo > interval.hi)
    return found
