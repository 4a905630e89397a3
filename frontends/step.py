"""One step with explicit state, and what is computed after the last step."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass

from snnc.diagnostics import CompileError, error, fail
from snnc.frontends.antiunify import Match, Place
from snnc.frontends.dag import COLLECTS, CONSTANT, TIMED, Dag, Form, discarded


@dataclass(frozen=True, slots=True)
class State:
    """A value that survives the step: ``initial`` before step 0, then ``next``."""

    initial: int
    next: int


@dataclass(frozen=True, slots=True)
class Link:
    """Input ``index`` of later loops is output ``place`` of the loop number ``loop``, from 0.

    A sequence (``dag.SEQUENCES``) is read step by step, everything else is static.
    """

    index: int
    loop: int
    place: int


@dataclass(frozen=True, slots=True)
class StepProgram:
    """The recovered loop, or the last of several in a row.

    Attributes:
        states: Read in ``next`` and in the outputs as ``slot(index, delay)``.
        outputs: Roots; they use per-step terms through ``time_*`` terms of one operand.
        earlier: The loops before it, in order; their outputs are what later loops read.
        links: How; their inputs are numbered behind those of the network.
    """

    states: tuple[State, ...]
    outputs: tuple[int, ...]
    earlier: tuple[StepProgram, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def loops(self) -> tuple[StepProgram, ...]:
        """All loops in order, each by itself."""
        return (*self.earlier, StepProgram(self.states, self.outputs))


@dataclass(frozen=True, slots=True)
class _Chain:
    """Values of one state: ``values[k]`` is the value after step k."""

    initial: int
    values: tuple[int, ...]


def build_step(dag: Dag, longer: list[int], match: Match, length: int) -> StepProgram:
    """Turn the matched trace of ``length`` steps into a program for one step.

    Raises:
        CompileError: E131 non-causal use, E133 what is not one loop.
    """
    return _Builder(dag, longer, match, length).build()


class _Builder:
    def __init__(self, dag: Dag, longer: list[int], match: Match, length: int) -> None:
        self.dag, self.roots, self.match, self.length = dag, longer, match, length
        self.cone = dag.cone(longer)
        self.users: dict[int, list[int]] = defaultdict(list)
        for a, b in match.image.items():
            self.users[b].append(a)
        self.chains = self._chains()
        # a late step where every state is still computed: dead updates at the end are not traced
        self.step = min([length - 2, *(len(c.values) - 1 for c in self.chains)])
        if self.step < 1 and match.fixed:
            raise fail(
                "E131",
                "the steps read the input in another order than it arrives",
                dag[match.fixed[-1]].source.loc,
                "the compiled network sees one input after the other, once",
                help="bidirectional networks and time reversal need the whole sequence at once",
            )
        if self.step < 1:
            hint = "the first steps differ from the later ones"
            raise fail("E133", "no step repeats in the traced network", help=hint)
        self._slots: dict[int, tuple[int, int]] = {}
        for k, chain in enumerate(self.chains):
            own_first = chain.values[0] in match.peeled  # may be what every step receives, too
            for delay in range(1, self.step + (not own_first)):
                self._slots.setdefault(chain.values[self.step - delay], (k, delay))
        self._template: dict[int, int] = {}
        self._places = self._all_steps({*match.scaled, *match.tables})

    def _chains(self) -> list[_Chain]:
        found: dict[_Chain, None] = {}
        users = self.users
        for a0, initial in self.match.initial.items():
            if self.dag[initial].reach == TIMED:
                raise CompileError(
                    [
                        error(
                            "E133",
                            "time steps are not alike",
                            self.dag[initial].source.loc,
                            "a first step of its own, a second loop fed by the first, or values "
                            "of other steps",
                            help="start every state from zeros or from a parameter",
                        )
                    ]
                )
            stack: list[tuple[int, ...]] = [(a0,)]
            while stack:
                path = stack.pop()
                later = sorted(u for u in users[path[-1]] if u in self.cone)
                stack += [(*path, u) for u in later]
                if not later:
                    shape = self.dag.shape(path[-1])
                    found[_Chain(self._initial(initial, shape), path)] = None
        return list(found)

    def _initial(self, term: int, shape: tuple[int, ...]) -> int:
        return self.dag.solid(term, shape) if self.dag.kind(term) == "fill" else term

    def build(self) -> StepProgram:
        """Assemble states and outputs."""
        outputs = tuple(self._after(x) for x in self.roots)
        states = tuple(State(c.initial, self._inside(c.values[self.step])) for c in self.chains)
        return StepProgram(states, outputs)

    def _inside(self, root: int) -> int:
        """The template of a value computed in the reference step."""
        dag = self.dag

        def replace(x: int) -> int | None:
            term = dag[x]
            if x in self._slots:
                # early values may be small constants: the last one has the state's shape
                index, delay = self._slots[x]
                return dag.slot(index, delay, dag.shape(self.chains[index].values[-1]))
            if any((x, i) in self._places for i in range(len(term.args))):
                args = (
                    self._table(x, i) if (x, i) in self._places else self._inside(a)
                    for i, a in enumerate(term.args)
                )
                return dag.rebuild(x, tuple(args))
            if term.form.kind == "input" and term.form.attrs[1] is not None:
                index, step = term.form.attrs
                if step != self.step:
                    raise fail(
                        "E131",
                        f"step t reads the input of step t{step - self.step:+d}",
                        term.source.loc,
                        "the compiled network sees one input after the other, once",
                    )
                return dag.input(index, -1, term.shape)
            return None

        return dag.rewrite(root, self._template, replace)

    def _table(self, x: int, place: int) -> int:
        """The constants at one place of all steps."""
        dag, match = self.dag, self.match
        entries, y, missing = [dag[x].args[place]], x, False
        for _ in range(self.step):
            before = match.image.get(y, -1)
            missing |= y in match.elided
            if missing:
                entries.append(match.tables.get((y, place), (-1, entries[-1]))[1])
            elif before in self.cone:
                entries.append(dag[before].args[place])
            else:
                raise fail(
                    "E132",
                    "a number inside the step depends on the number of steps",
                    dag[x].source.loc,
                    help="scale after the loop, or make the number an attribute of its own",
                )
            y = before
        entries.reverse()
        now = {x}
        for _ in range(self.step + 1, self.length):
            now = {u for y in now for u in self._later(y)}
            found = {dag[u].args[place] for u in now}
            if len(found) > 1:
                raise fail("E133", "steps use constants in another order", dag[x].source.loc)
            entries += found or entries[-1:]  # the last updates of a state are not traced
        if any(dag[e].reach != CONSTANT for e in entries):
            text = "the first steps differ from the later ones"
            raise fail("E133", text, dag[x].source.loc)
        return dag.table(tuple(entries))

    def _later(self, x: int) -> list[int]:
        """The same computation one step later."""
        form = self.dag[x].form
        return [u for u in self.users[x] if u in self.cone and self.dag[u].form == form]

    def _all_steps(self, places: set[Place]) -> set[Place]:
        """Places at which constants change, also at steps where they happen not to."""
        found, stack = set(places), list(places)
        while stack:
            x, place = stack.pop()
            for u in self._later(x):
                constant = self.dag[self.dag[u].args[place]].reach == CONSTANT
                if constant and (u, place) not in found:
                    found.add((u, place))
                    stack.append((u, place))
        return found

    def _after(self, root: int) -> int:
        """The template of an output: collects and final values of the step, then the rest."""
        dag, match = self.dag, self.match
        steps_back = self.length - 1 - self.step

        def replace(x: int) -> int | None:
            term = dag[x]
            if term.form.kind in COLLECTS:
                return self._collect(x)
            if (x in match.image and match.image[x] in self.cone) or (
                term.form.kind == "input" and term.form.attrs[1] == self.length - 1
            ):
                for _ in range(steps_back):
                    if x not in match.image:
                        raise fail(
                            "E133", "a result is not computed at every step", term.source.loc
                        )
                    x = match.image[x]
                return dag.make(Form("time_last"), (self._inside(x),), term.shape, term.source)
            if any((x, i) in match.tables for i in range(len(term.args))):
                raise fail(
                    "E132",
                    "a number after the loop depends on the number of steps",
                    term.source.loc,
                    help="only multiples of T and 1 / T are followed",
                )
            scaled = {
                i: match.scaled[x, i] for i in range(len(term.args)) if (x, i) in match.scaled
            }
            if scaled:
                args = tuple(
                    dag.make(Form("steps", scaled[i])) if i in scaled else self._after(a)
                    for i, a in enumerate(term.args)
                )
                return dag.rebuild(x, args)
            return None

        return dag.rewrite(root, {}, replace)

    def _collect(self, x: int) -> int:
        dag, match, term = self.dag, self.match, self.dag[x]
        items, start = term.args, discarded(term.form)
        aligned = len(items) == self.length - start and all(
            b == a
            or match.image.get(dag.bare(b)) in (a, dag.bare(a))
            or match.initial.get(dag.bare(b)) in (a, dag.bare(a))
            or (b in match.initial and dag.solid(match.initial[b], dag.shape(b)) == a)
            for a, b in itertools.pairwise(items)
        )
        if not aligned:
            text = "the collected values are not those of all steps in order"
            raise fail("E133", text, term.source.loc)
        if start > self.step:
            text = f"the trace is too short to see a step after the first {start}"
            raise fail("E133", text, term.source.loc)
        value = self._inside(items[self.step - start])
        return dag.make(term.form, (value,), term.shape, term.source)
