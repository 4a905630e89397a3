"""Layers whose parameters are others at every step, as operations with tables.

A BatchNorm of its own at every step (BNTT) is ``scale[t] * x + offset[t]``.  Other weights that
change from step to step are refused: no target exchanges weights within a sequence.
"""

from __future__ import annotations

from snnc.diagnostics import CompileError, fail
from snnc.frontends.dag import TIMED, Dag, Form
from snnc.frontends.step import State, StepProgram


def spread_tables(dag: Dag, program: StepProgram, weighted: frozenset[str]) -> StepProgram:
    """The program with tables as operands that are nodes, each with the number of its loop.

    Args:
        dag: Of the program.
        program: One loop or several.
        weighted: Kinds of terms whose operands but the first are weights.

    Raises:
        CompileError: E132 for a layer with other weights at every step.
    """
    loops = [_spread(dag, loop, weighted, k) for k, loop in enumerate(program.loops, 1)]
    last = loops[-1]
    return StepProgram(last.states, last.outputs, tuple(loops[:-1]), program.links)


def _spread(dag: Dag, loop: StepProgram, weighted: frozenset[str], phase: int) -> StepProgram:
    memo: dict[int, int] = {}

    def replace(x: int) -> int | None:
        term = dag[x]
        if term.form.kind == "table":
            return dag.make(Form("table", (phase,)), term.args, term.shape, term.source, TIMED)
        weights = term.args[1:] if term.form.kind in weighted else ()
        tables = [a for a in weights if dag.kind(a) == "table"]
        if not tables:
            return None
        if term.form.kind != "batch_norm":
            raise _changing(dag, x, tables[0])
        spread = _norm(dag, x, dag.rewrite(term.args[0], memo, replace))
        return dag.rewrite(spread, memo, replace)

    states = tuple(State(s.initial, dag.rewrite(s.next, memo, replace)) for s in loop.states)
    return StepProgram(states, tuple(dag.rewrite(x, memo, replace) for x in loop.outputs))


def max_steps(dag: Dag, program: StepProgram) -> int:
    """Number of steps for which there are parameters; 0 if they are the same at every step."""
    lengths = []
    for loop in program.loops:
        cone = dag.cone([*(s.next for s in loop.states), *loop.outputs])
        lengths += [len(dag[x].args) for x in cone if dag.kind(x) == "table"]
    return min(lengths, default=0)


def _norm(dag: Dag, x: int, inner: int) -> int:
    """``scale[t] * inner + offset[t]``, as torch computes it on CPUs."""
    term = dag[x]
    source, parameters = term.source, term.args[1:]
    count = next(len(dag[a].args) for a in parameters if dag.kind(a) == "table")
    shape = (dag.shape(parameters[0])[0], *(1,) * (len(term.shape) - 1))
    scales, offsets = [], []
    for t in range(count):
        now = [dag[a].args[t] if dag.kind(a) == "table" else a for a in parameters]
        mean, var = now[:2]
        spread = dag.pointwise("add", var, dag.literal(term.form.attrs[0]))
        inverse = dag.pointwise("reciprocal", dag.pointwise("sqrt", spread))
        scale = dag.pointwise("mul", inverse, now[2]) if now[2:] else inverse
        shift = dag.pointwise("mul", mean, scale)
        offset = dag.pointwise("sub", now[3], shift) if now[3:] else dag.pointwise("neg", shift)
        scales.append(dag.reshape(scale, shape))
        offsets.append(dag.reshape(offset, shape))
    scaled = dag.pointwise("mul", inner, dag.table(tuple(scales)), source=source)
    return dag.pointwise("add", scaled, dag.table(tuple(offsets)), source=source)


def _changing(dag: Dag, x: int, table: int) -> CompileError:
    first, second, *_ = (
        ", ".join(sorted({dag[p].form.attrs[0] for p in dag.cone([e]) if dag.kind(p) == "param"}))
        for e in dag[table].args
    )
    what = dag.kind(x).replace("_", " ")
    return fail(
        "E132",
        f"the weights of a {what} layer change from step to step: {first}, {second}, …",
        dag[x].source.loc,
        "a compiled network has one set of weights for all steps",
        help="scales, offsets and normalizations may differ from step to step, weights may not",
    )
