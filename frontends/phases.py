"""Several loops over time in a row, from a trace in which later steps read earlier results.

A block that averages over its own steps hands one value to the next block, which repeats it at
every step of a loop of its own.  In the trace, the first loop's results (a mean, a sum, a whole
sequence) are terms that collect one value per step, below terms that do so again.  They are where
the loops part: a result becomes an input of the later loop, static or per step, and each loop is
recovered by itself.  What a later loop recomputes of an earlier one, because it reads it step by
step next to a result, is handed over as a sequence instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from snnc.diagnostics import fail
from snnc.frontends.dag import COLLECTS, SEQUENCES, TIMED, Dag, Form
from snnc.frontends.step import Link, State, StepProgram

#: Recovers one loop from two lists of outputs.
RecoverLoop = Callable[[list[int], list[int]], StepProgram]
#: The outputs of a program after some steps, as terms.
Unroll = Callable[[Dag, StepProgram, int], list[int]]


def _depths(dag: Dag, roots: list[int]) -> dict[int, int]:
    """How many collecting terms lie one below the other, for everything the roots need."""
    depth: dict[int, int] = {}
    for x in dag.sorted_cone(roots):
        inside = max((depth[a] for a in dag[x].args), default=0)
        depth[x] = inside + (dag.kind(x) in COLLECTS)
    return depth


def first_results(dag: Dag, roots: list[int]) -> list[int]:
    """What the first loop leaves for others; empty if there is one loop alone."""
    depth = _depths(dag, roots)
    found = [x for x in depth if dag.kind(x) in COLLECTS and depth[x] == 1]
    several = any(n > 1 for n in depth.values())
    return found if several or any(dag.kind(x) in SEQUENCES for x in found) else []


def _symbolic(dag: Dag, roots: list[int], steps: int) -> list[int]:
    """The outputs with ``T`` and ``1 / T`` as such, where results of a loop are scaled by them."""
    depth = _depths(dag, roots)

    def scale(x: int) -> int:
        value = dag.value(x) if dag.kind(x) == "literal" else None
        if value == steps:
            return dag.make(Form("steps", (1.0, 1)))
        return dag.make(Form("steps", (1.0, -1))) if value == 1 / steps else x

    memo: dict[int, int] = {}

    def replace(x: int) -> int | None:
        term = dag[x]
        if term.form.attrs not in (("mul",), ("div",)) or depth.get(x, 0) == 0:
            return None
        args = tuple(scale(a) for a in term.args)
        if args == term.args:
            return None
        inner = (dag.rewrite(a, memo, replace) for a in args)
        return dag.pointwise(*term.form.attrs, *inner, source=term.source)

    return [dag.rewrite(x, memo, replace) for x in roots]


def split(
    dag: Dag, longer: list[int], shorter: list[int], length: int, one: RecoverLoop, unroll: Unroll
) -> StepProgram:
    """Recover all loops of traces of ``length + 1`` and ``length`` steps.

    Raises:
        CompileError: E133 if the loops of the two traces differ, and what ``one`` raises.
    """
    if first_results(dag, longer):
        longer, shorter = _symbolic(dag, longer, length + 1), _symbolic(dag, shorter, length)
    used = [dag[x].form.attrs[0] for x in dag.cone(longer) if dag.kind(x) == "input"]
    splitter = _Splitter(dag, length, one, unroll, 1 + max(used, default=-1))
    loops = splitter.loops(longer, shorter)
    return StepProgram(loops[-1].states, loops[-1].outputs, tuple(loops[:-1]), splitter.ordered())


class _Splitter:
    def __init__(self, dag: Dag, length: int, one: RecoverLoop, unroll: Unroll, free: int) -> None:
        self.dag, self.length, self.one, self.unroll = dag, length, one, unroll
        self.free = free
        #: input of a later loop → (results from the end: 1 is the last loop's, place there)
        self.links: dict[int, Link] = {}

    def ordered(self) -> tuple[Link, ...]:
        """The links, with loops counted from the first."""
        return tuple(self.links[index] for index in sorted(self.links))

    def loops(self, longer: list[int], shorter: list[int], number: int = 0) -> list[StepProgram]:
        """The loops behind these outputs, in order; ``number`` is that of the first."""
        results = first_results(self.dag, longer)
        if not results:
            return [self._one(longer, shorter, number)]
        others = first_results(self.dag, shorter)
        alike = [(self.dag[x].form, self.dag.shape(x)) for x in results]
        if alike != [(self.dag[x].form, self.dag.shape(x)) for x in others]:
            text = "the loops in a row depend on the number of steps"
            raise fail("E133", text, self.dag[results[0]].source.loc)
        own = [self._new(number, place) for place in range(len(results))]
        later = self.loops(
            self._handed(longer, results, own), self._handed(shorter, others, own), number + 1
        )
        cuts = _Cuts(self.dag, later[0], set(own))
        imports = [self._new(number, len(results) + i) for i in range(len(cuts.found))]
        later[0] = pruned(self.dag, cuts.replaced(imports), number + 1)
        probe = StepProgram(cuts.program.states, tuple(cuts.found))
        traced = (self.unroll(self.dag, probe, self.length + more) for more in (1, 0))
        more_longer, more_shorter = traced
        own_loop = self._one([*results, *more_longer], [*others, *more_shorter], number)
        return [own_loop, *later]

    def _one(self, longer: list[int], shorter: list[int], number: int) -> StepProgram:
        self.dag.loop = number
        try:
            return self.one(longer, shorter)
        finally:
            self.dag.loop = 0

    def _new(self, loop: int, place: int) -> int:
        index = self.free
        self.free += 1
        self.links[index] = Link(index, loop, place)
        return index

    def _handed(self, roots: list[int], results: list[int], own: list[int]) -> list[int]:
        """The outputs, computed from inputs in place of the results."""
        dag, index = self.dag, dict(zip(results, own, strict=True))

        def replace(x: int) -> int | None:
            term = dag[x]
            if term.form.kind == "element" and term.args[0] in index:
                return dag.input(index[term.args[0]], term.form.attrs[0], term.shape)
            return dag.input(index[x], None, term.shape) if x in index else None

        memo: dict[int, int] = {}
        return [dag.rewrite(x, memo, replace) for x in roots]


class _Cuts:
    """Where a loop reads per step what does not depend on the results handed to it.

    Attributes:
        found: Collecting terms of templates of the step (``time_replay``), and results after the
            last step: outputs that an earlier loop can have instead.
    """

    def __init__(self, dag: Dag, program: StepProgram, own: set[int]) -> None:
        self.dag, self.program, self.own = dag, program, own
        self._bound_states: set[int] = set()
        self._bound: dict[int, bool] = {}
        self._settle()
        steps: dict[int, None] = {}
        after: dict[int, None] = {}
        self._walk((s.next for k, s in enumerate(program.states) if k in self._bound_states), steps)
        stack, seen = list(reversed(program.outputs)), set()
        while stack:
            x = stack.pop()
            if x in seen:
                continue
            seen.add(x)
            if dag.kind(x) in SEQUENCES:  # read by the next loop alone: handed on step by step
                self._walk(dag[x].args, steps)
            elif dag[x].reach == TIMED and not self._is_bound(x):
                after[x] = None
            elif dag.kind(x) in COLLECTS or dag.kind(x) == "time_last":
                self._walk(dag[x].args, steps)
            else:
                stack += reversed(dag[x].args)
        self._steps, self._after = list(steps), list(after)

    @property
    def found(self) -> list[int]:
        dag = self.dag
        replays = [
            dag.make(Form("time_replay"), (x,), dag.shape(x), dag[x].source) for x in self._steps
        ]
        return replays + self._after

    def replaced(self, imports: list[int]) -> StepProgram:
        """The program that reads inputs instead; ``imports`` has one for each of ``found``."""
        dag = self.dag
        count = len(self._steps)
        memo = {
            x: dag.input(i, -1, dag.shape(x))
            for x, i in zip(self._steps, imports[:count], strict=True)
        }
        memo |= {
            x: dag.input(i, None, dag.shape(x))
            for x, i in zip(self._after, imports[count:], strict=True)
        }
        states = tuple(
            State(s.initial, dag.rewrite(s.next, memo, lambda _: None)) for s in self.program.states
        )
        outputs = tuple(dag.rewrite(x, memo, lambda _: None) for x in self.program.outputs)
        return StepProgram(states, outputs)

    def _settle(self) -> None:
        """Find the states that depend on what the loop is handed."""
        while True:
            self._bound.clear()
            states = enumerate(self.program.states)
            bound = {k for k, s in states if self._is_bound(s.next)}
            if bound == self._bound_states:
                return
            self._bound_states = bound

    def _is_bound(self, root: int) -> bool:
        if root not in self._bound:
            for x in self.dag.sorted_cone([root]):
                form = self.dag[x].form
                own = (form.kind == "input" and form.attrs[0] in self.own) or (
                    form.kind == "slot" and form.attrs[0] in self._bound_states
                )
                self._bound[x] = own or any(self._bound[a] for a in self.dag[x].args)
        return self._bound[root]

    def _walk(self, roots: Iterable[int], found: dict[int, None]) -> None:
        stack, seen = list(roots), set()
        while stack:
            x = stack.pop()
            if x in seen:
                continue
            seen.add(x)
            if self._is_bound(x):
                stack += reversed(self.dag[x].args)
            elif self.dag[x].reach == TIMED:
                found[x] = None


def pruned(dag: Dag, program: StepProgram, loop: int) -> StepProgram:
    """The program without states that no output needs, the others numbered anew."""
    needed: dict[int, None] = {}
    todo = list(program.outputs)
    while todo:
        for x in dag.sorted_cone([todo.pop()]):
            form = dag[x].form
            if form.kind == "slot" and form.attrs[0] not in needed:
                needed[form.attrs[0]] = None
                todo.append(program.states[form.attrs[0]].next)
    number = {old: new for new, old in enumerate(sorted(needed))}
    dag.loop = loop
    try:
        return renumbered(dag, program, number)
    finally:
        dag.loop = 0


def renumbered(dag: Dag, program: StepProgram, number: dict[int, int]) -> StepProgram:
    """The program with other numbers of its states; those without a number are left out."""

    def replace(x: int) -> int | None:
        term = dag[x]
        if term.form.kind != "slot":
            return None
        return dag.slot(number[term.form.attrs[0]], term.form.attrs[1], term.shape)

    memo: dict[int, int] = {}
    kept = [s for k, s in enumerate(program.states) if k in number]
    states = tuple(State(s.initial, dag.rewrite(s.next, memo, replace)) for s in kept)
    outputs = tuple(dag.rewrite(x, memo, replace) for x in program.outputs)
    return StepProgram(states, outputs, program.earlier, program.links)


@dataclass(frozen=True, slots=True)
class Joined:
    """All loops with one numbering of the states.

    Attributes:
        states: Of all loops.
        phases: Per state, the number of its loop, from 1.
        outputs: Per loop.
        handed: Input of a later loop → (number of the loop that computes it, its term there).
    """

    states: tuple[State, ...]
    phases: tuple[int, ...]
    outputs: tuple[tuple[int, ...], ...]
    handed: dict[int, tuple[int, int]]

    def collecting(self, dag: Dag) -> dict[int, int]:
        """The terms that collect one value per step → number of their loop."""
        found: dict[int, int] = {}
        for phase, outputs in enumerate(self.outputs, 1):
            for x in dag.cone(outputs):
                if dag.kind(x) in COLLECTS or dag.kind(x) == "time_last":
                    found.setdefault(x, phase)
        return found


def joined(dag: Dag, program: StepProgram) -> Joined:
    """Number the states of all loops together."""
    states: list[State] = []
    phases: list[int] = []
    outputs = []
    for phase, loop in enumerate(program.loops, 1):
        count = range(len(loop.states))
        anew = renumbered(dag, loop, {k: k + len(states) for k in count})
        states += anew.states
        phases += [phase for _ in count]
        outputs.append(anew.outputs)
    handed = {link.index: (link.loop + 1, outputs[link.loop][link.place]) for link in program.links}
    return Joined(tuple(states), tuple(phases), tuple(outputs), handed)
