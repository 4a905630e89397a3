"""From the recovered step to a graph: states become delayed edges, parameters become constants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc import ops
from snnc.diagnostics import Loc, fail
from snnc.frontends.dag import CONSTANT, Dag
from snnc.frontends.delay_lines import moved_from, shared_initial
from snnc.frontends.fold import Folder
from snnc.frontends.means import computed_behind, mean_over_steps
from snnc.frontends.phases import joined
from snnc.frontends.sequences import sequence_op
from snnc.frontends.step import StepProgram
from snnc.frontends.step_tables import spread_tables
from snnc.frontends.term_ops import LAYERS, WEIGHTED, operator
from snnc.frontends.tokens import token_inputs
from snnc.graph import Edge, Graph, Value
from snnc.params import Param
from snnc.types import Clock, Int, TensorType

_PARAMETERS = frozenset(("literal", "fill", "param", "aten", "steps", "table"))
#: Folded if they rearrange parameters alone.
_MOVES = frozenset(("expand", "transpose", "slice", "concat", "broadcast", "take", "reduce"))
_COLLECT_OPS: dict[str, type[ops.Crossing]] = {
    "time_sum": ops.TimeSum,
    "time_mean": ops.TimeMean,
    "time_max": ops.TimeMax,
    "time_stack": ops.TimeStack,
    "time_last": ops.TimeLast,
}


@dataclass(frozen=True, slots=True)
class InputFacts:
    """What is known of an input besides its type."""

    name: str
    clock: Clock
    lo: float
    hi: float
    step: float


def to_graph(
    dag: Dag,
    program: StepProgram,
    inputs: list[InputFacts],
    outputs: list[str],
    name: str,
    steps: int,
    later_steps: tuple[int, ...] = (),
) -> tuple[Graph, bool]:
    """Build and verify the graph; also whether a number in it holds for ``steps`` steps only.

    Raises:
        CompileError: E133 for a state that only moves older values around inconsistently.
    """
    program = spread_tables(dag, program, WEIGHTED)
    builder = _Builder(dag, program, inputs, name, steps)
    if set(later_steps) - {steps}:
        builder.graph.later_steps = later_steps
    builder.reserve(outputs)
    for root, output in zip(builder.program.outputs[-1], outputs, strict=True):
        builder.output(root, output)
    builder.close_loops()
    graph = builder.finish()
    graph.verify()
    return graph, builder.fixed_steps


def _over_steps(op: ops.Op) -> bool:
    """Whether the operator reads one value per step, and nothing that is constant."""
    return isinstance(op, ops.Sequence) or (
        isinstance(op, ops.Crossing) and op.source is Clock.STEP
    )


class _Builder:
    def __init__(
        self, dag: Dag, program: StepProgram, inputs: list[InputFacts], name: str, steps: int
    ) -> None:
        self.dag, self.inputs = dag, inputs
        self.program = joined(dag, program)
        self.graph = Graph(name, steps)
        self._names: dict[int, str] = {}
        self._reserved: set[str] = set()
        self._types: dict[str, TensorType] = {}
        self._edges: list[tuple[str, int, int | str]] = []
        self._repeats: dict[tuple[str, int], str] = {}
        self._collecting = self.program.collecting(dag)
        self.folder = Folder(dag)
        self._pending: list[int] = []
        self._outputs: list[str] = []
        self._tokens = token_inputs(dag, program)
        self.fixed_steps = False
        #: what constants are called, so that no output takes the name
        self._reserved |= {facts.name for facts in inputs}

    def reserve(self, names: list[str]) -> None:
        """Keep names for outputs."""
        self._outputs = names

    # ---- names

    def _fresh(self, wanted: str) -> str:
        candidate, i = wanted, 1
        taken = {*self._types, *self._reserved, *self._outputs}
        while candidate in taken:
            i += 1
            candidate = f"{wanted}#{i}"
        return candidate

    def _wanted(self, x: int) -> str:
        term = self.dag[x]
        kind, path = term.form.kind, term.source.loc.path
        if kind == "pointwise":
            kind = str(term.form.attrs[0])
        elif kind in WEIGHTED and term.args[1:] and self.dag.kind(term.args[1]) == "param":
            # a functional layer is called after its weight
            owner = self.dag[term.args[1]].form.attrs[0].rpartition(".")[0]
            if owner and not term.source.owned and owner != path:
                return str(owner)
        if kind in LAYERS and term.source.owned:
            return path
        return f"{path}.{kind}" if path else kind

    # ---- nodes

    def _declare(
        self, wanted: str, op: ops.Op, operands: list[int | str], loc: Loc, phase: int = 1
    ) -> str:
        """Add a node; operands are terms or node names.

        ``phase`` is the loop of an operator over its steps.
        """
        types = []
        resolved: list[int | str] = []
        for x in operands:
            resolved.append(x if isinstance(x, str) or self._is_slot(x) else self.node(x))
            types.append(self._type(resolved[-1]))
        steps = [t.clock for t in types if t.clock.kind is Clock.STEP]
        if isinstance(op, ops.Pointwise) and steps:
            resolved = [self._repeated(x, steps[0].phase) for x in resolved]
        elif _over_steps(op) and not steps:
            resolved = [self._repeat(str(x), phase) for x in resolved]
        inferred = op.infer(tuple(self._type(x) for x in resolved))
        name = wanted if isinstance(op, ops.Output) else self._fresh(wanted)
        self._types[name] = inferred[0]
        self.graph.declare(name, op, inferred, loc)
        for port, x in enumerate(resolved):
            self._edges.append((name, port, x))
        return name

    def _is_slot(self, x: int) -> bool:
        if self.dag.kind(x) == "slot":
            self._pending.append(x)
            return True
        return False

    def _type(self, x: int | str) -> TensorType:
        if isinstance(x, str):
            return self._types[x]
        phase = self.program.phases[self.dag[x].form.attrs[0]]
        return TensorType(self.dag.shape(x), clock=Clock.of(Clock.STEP, phase))

    def _repeated(self, x: int | str, phase: int) -> int | str:
        """A static value (not a parameter) among per-step values is repeated explicitly."""
        if isinstance(x, str) and self._types[x].clock.kind is not Clock.STEP:
            return self._repeat(x, phase) if x in self._dynamic() else x
        return x

    def _dynamic(self) -> set[str]:
        return {n for x, n in self._names.items() if self.dag[x].reach != CONSTANT}

    def _repeat(self, name: str, phase: int) -> str:
        if (name, phase) not in self._repeats:
            loc = self.graph[name].loc
            wanted, op = f"{name}.repeat", ops.Repeat() if phase == 1 else ops.Hold(phase)
            self._repeats[name, phase] = self._declare(wanted, op, [name], loc)
        return self._repeats[name, phase]

    def node(self, root: int) -> str:
        """The node of a term, adding it and what it needs."""
        stack = [root]
        while stack:
            x = stack[-1]
            if x in self._names or self.dag.kind(x) == "slot":
                stack.pop()
            elif todo := [a for a in reversed(self._needs(x)) if not self._ready(a)]:
                stack += todo
            else:
                self._names[x] = self._add(x)
        return self._names[root]

    def _ready(self, x: int) -> bool:
        return x in self._names or self.dag.kind(x) == "slot"

    def _needs(self, x: int) -> tuple[int, ...]:
        """Operands that become nodes; weights are folded into their layers."""
        term = self.dag[x]
        if term.form.kind in WEIGHTED:
            return term.args[:1]
        if self._folded(x):
            return ()
        if term.form.kind == "input" and term.form.attrs[0] in self.program.handed:
            _, source = self.program.handed[term.form.attrs[0]]
            return (source,) if term.form.attrs[1] is None else self.dag[source].args[:1]
        if (
            term.form.kind == "pointwise"
            and (mean := mean_over_steps(self.dag, self.program, x)) is not None
        ):
            return (mean,)
        return term.args

    def _add(self, x: int) -> str:
        dag, term = self.dag, self.dag[x]
        form, loc = term.form, term.source.loc
        wanted = self._wanted(x)
        if not loc.path:
            loc = Loc(wanted, loc.file, loc.line)
        if form.kind not in ("steps", "table") and self._folded(x):
            return self._constant(x)
        match form.kind:
            case "input" if form.attrs[0] in self.program.handed:
                return self._handed(x)
            case "input":
                return self._input(form.attrs[0], term.shape)
            case "table":
                return self._step_table(x)
            case "steps":
                self.fixed_steps = True
                if self.graph.later_steps:
                    raise fail(
                        "E132",
                        "a number depends on the steps of one of several loops",
                        loc,
                        help="divide sums over the steps by their number, or use mean()",
                    )
                ratio, power = form.attrs
                steps = self.graph.steps
                value = ratio * steps if power > 0 else ratio / steps
                return self._declare("steps", ops.Constant(Param(np.array(value))), [], loc)
            case "pointwise":
                mean = mean_over_steps(self.dag, self.program, x)
                if mean is not None:
                    summed = term.args[dag.kind(term.args[0]) == "steps"]
                    phase = self._collecting[computed_behind(self.dag, self.program, summed)]
                    return self._declare(wanted, ops.TimeMean(), [mean], loc, phase)
                return self._declare(wanted, ops.Pointwise(form.attrs[0]), list(term.args), loc)
            case kind if kind in _COLLECT_OPS:
                inner = self.dag[term.args[0]].source.loc
                path = inner.path or wanted
                wanted = f"{path}.{kind.removeprefix('time_')}"
                op = _COLLECT_OPS[kind](*form.attrs)
                return self._declare(wanted, op, list(term.args), loc, self._collecting[x])
            case kind:
                weighted = kind in WEIGHTED
                parameters = [self.folder.param(a) for a in term.args[1:]] if weighted else []
                layer = operator(form, term.shape, parameters)
                assert layer is not None, f"no operator for {kind} {dag[x]}"
                return self._declare(wanted, layer, list(term.args[: 1 if weighted else None]), loc)

    def _folded(self, x: int) -> bool:
        """Whether the term becomes one constant."""
        term = self.dag[x]
        constant = term.reach == CONSTANT and term.form.kind in _MOVES
        return constant or term.form.kind in _PARAMETERS

    def _input(self, index: int, shape: tuple[int, ...]) -> str:
        facts = self.inputs[index]
        kind, lo, hi, step = TensorType(shape, clock=facts.clock), facts.lo, facts.hi, facts.step
        if rows := self._tokens.get(index):
            kind = TensorType(shape, Int(0, rows - 1), facts.clock)
            lo, hi, step = 0.0, float(rows - 1), 1.0
        self._reserved.discard(facts.name)
        return self._declare(facts.name, ops.Input(kind, lo, hi, step), [], Loc(facts.name))

    def _handed(self, x: int) -> str:
        """What an earlier loop has computed: a value, or the element of a sequence."""
        index, step = self.dag[x].form.attrs
        phase, source = self.program.handed[index]
        if step is None:
            return self._names[source]
        term = self.dag[source]
        if self.graph.later_steps:
            text = "a sequence is handed to a loop with another number of steps"
            raise fail("E133", text, term.source.loc, help="give both the same number of steps")
        op = sequence_op(self.dag, term, self.graph.steps)
        self.fixed_steps |= isinstance(op, ops.TimeMix)
        path = self.dag[term.args[0]].source.loc.path
        kind = term.form.kind.removeprefix("time_")
        wanted = f"{path}.{kind}" if path else kind
        loc = Loc(path or wanted, term.source.loc.file, term.source.loc.line)
        return self._declare(wanted, op, [term.args[0]], loc, phase)

    def _constant(self, x: int) -> str:
        term = self.dag[x]
        path = self._parameter_name(x) or self._wanted(x)
        loc = Loc(path, term.source.loc.file, term.source.loc.line)
        return self._declare(path, ops.Constant(self.folder.param(x)), [], loc)

    def _parameter_name(self, x: int) -> str:
        """A parameter's own name, or what was made of one: ``pole.real``."""
        term = self.dag[x]
        if term.form.kind in ("param", "literal", "fill"):
            return str(term.form.attrs[0])
        if len(term.args) != 1 or term.form.kind not in ("aten", "transpose", "expand"):
            return ""
        inner = self._parameter_name(term.args[0])
        made = term.form.attrs[0].split(".")[1] if term.form.kind == "aten" else ""
        return f"{inner}.{made}" if inner and made else inner

    def _step_table(self, x: int) -> str:
        """One row per step; the network holds for no more of them."""
        loc = self.dag[x].source.loc
        rows = [self.folder.param(e).data for e in self.dag[x].args]
        self.graph.max_steps = len(rows)
        path = f"{loc.path}.table" if loc.path else "table"
        op = ops.StepTable(Param(np.stack(rows)), *self.dag[x].form.attrs)
        return self._declare(path, op, [], Loc(path, loc.file, loc.line))

    # ---- outputs and loops

    def output(self, root: int, name: str) -> None:
        """Add an output node."""
        source = self.node(root)
        loc = self.graph[source].loc
        self._declare(name, ops.Output(), [source], Loc(name, loc.file, loc.line))

    def close_loops(self) -> None:
        """Add what computes the states, until no state is missing."""
        while self._pending:
            index = self.dag[self._pending.pop()].form.attrs[0]
            target = self.program.states[index].next
            if self.dag.kind(target) != "slot":
                self._step_node(target, index)
            elif target not in self._pending and moved_from(self.dag, self.program, target) is None:
                loc = self.dag[target].source.loc
                raise fail("E133", "a state is only ever its own older value", loc)

    def _step_node(self, x: int, state: int) -> str:
        name = self.node(x)
        steady = self._types[name].clock.kind is not Clock.STEP
        return self._repeat(name, self.program.phases[state]) if steady else name

    def finish(self) -> Graph:
        """Connect the edges."""
        for name, port, x in self._edges:
            if isinstance(x, str):
                self.graph.connect(Edge(x, name, port))
            else:
                value = self._delayed(x)
                edge = Edge(value.src, name, port, value.out, value.delay, value.init)
                self.graph.connect(edge)
        return self.graph

    def _delayed(self, slot: int) -> Value:
        index = self.dag[slot].form.attrs[0]
        moved = moved_from(self.dag, self.program, slot)
        assert moved is not None, "close_loops refuses such states"
        target, delay = moved
        initial = shared_initial(self.dag, self.program, slot)
        return Value(self._step_node(target, index), 0, delay, self._initial(initial))

    def _initial(self, x: int) -> Param:
        value = self.folder.param(x).data.astype(np.float32)
        number = self.dag.value(x)
        return Param(np.array(value if number is None else number, np.float32))
