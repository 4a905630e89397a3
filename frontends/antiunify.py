"""Compare a trace of T + 1 steps with one of T steps, from their outputs back.

Both live in one table, so that what does not depend on the number of steps is the same term.
Where they differ in the same way all along (the input of the step before, the value of the step
before), ``image`` maps a term of the longer trace to its counterpart one step earlier.  The first
place where the shapes of the computations part is the start of the loop: there the longer trace
has a value computed in step 0, and the shorter one has the initial value of that state.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from snnc.diagnostics import CompileError, Diagnostic, Loc, error
from snnc.frontends.dag import COLLECTS, CONSTANT, TIMED, Dag, Form
from snnc.frontends.first_values import FirstValues

#: Place of a number that depends on the number of steps: (term, operand).
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the first steps of a loop may be.

    Attributes:
        elided: Whether a factor or summand may be missing in them.
        sums: Whether a running sum may start from its first summand, itself a sum.
        whole: Whether a constant is an initial value as it is, even if it is computed like the
            later values: ``v0 = 0 * ones`` is not what ``v = (v + x) * decay`` makes of a number.
        currents: Whether a state without initial value may start with a current that is a sum.
    """

    elided: bool = False
    sums: bool = False
    whole: bool = False
    currents: bool = False


@dataclass
class Match:
    """How the longer trace maps to the shorter one.

    Attributes:
        image: Term of the longer trace → the same computation one step earlier.
        initial: Value computed in step 0 → the state's initial value.
        scaled: Operands that are ``ratio * T**power``: (ratio, power).
        tables: Operands that are other constants than one step earlier: both.
        elided: Terms whose second operand, a number, is missing one step earlier: it is a factor
            of 1 or a summand of 0 there.
        fixed: Terms that read the same input step in both traces, counted from the start.
        peeled: Values of step 0 whose place in the general step is known by other means.
        reading: What the first steps may be.
        first: Recognises them where they look like later ones.
    """

    image: dict[int, int] = field(default_factory=dict)
    initial: dict[int, int] = field(default_factory=dict)
    scaled: dict[Place, tuple[float, int]] = field(default_factory=dict)
    tables: dict[Place, tuple[int, int]] = field(default_factory=dict)
    elided: set[int] = field(default_factory=set)
    fixed: list[int] = field(default_factory=list)
    peeled: set[int] = field(default_factory=set)
    reading: Reading = Reading()
    first: FirstValues | None = None


def antiunify(
    dag: Dag, longer: list[int], shorter: list[int], steps: int, reading: Reading
) -> Match:
    """Match the outputs of a trace of ``steps + 1`` with those of a trace of ``steps``.

    Args:
        dag: Of both traces.
        longer: Outputs of ``steps + 1`` steps.
        shorter: Outputs of ``steps`` steps.
        steps: Of the shorter trace.
        reading: What the first steps may be.

    Raises:
        CompileError: E131, E132, E133 or E136, all that are found.
    """
    match = Match(reading=reading, first=FirstValues(dag) if reading.currents else None)
    found = _match(dag, match, list(zip(longer, shorter, longer, strict=True)), steps)
    if found:
        worst = sorted(found.values(), key=lambda d: d.code)
        # one cause shows up in many places: keep the most specific kind
        raise CompileError([d for d in worst if d.code == worst[0].code])
    return match


def _match(
    dag: Dag, match: Match, todo: list[tuple[int, int, int]], steps: int
) -> dict[str, Diagnostic]:
    """Match pairs and what they are computed from; return the conflicts by place."""
    found: dict[str, Diagnostic] = {}
    while todo:
        a, b, user = todo.pop()
        # the first steps of a loop may compute with constants that were left small
        a, b = dag.bare(a), dag.bare(b)
        if a == b and dag[a].reach == TIMED:
            match.fixed.append(user)
        if a == b or match.image.get(a) == b:
            continue
        conflict = _step(dag, match, a, b, user, steps, todo)
        if conflict is not None:
            loc = conflict.loc
            place = (loc.file, loc.line) if loc is not None and loc.file else loc
            found.setdefault(f"{conflict.code} {place}", conflict)
    return found


def _step(
    dag: Dag,
    match: Match,
    a: int,
    b: int,
    user: int,
    steps: int,
    todo: list[tuple[int, int, int]],
) -> Diagnostic | None:
    """Match one pair of operands of ``user``, pushing their operands; return a conflict."""
    x, y = dag[a], dag[b]
    loc = x.source.loc if x.args else dag[user].source.loc
    kinds = (x.form.kind, y.form.kind)
    if kinds == ("input", "input") and x.form.attrs[0] == y.form.attrs[0]:
        if x.form.attrs[1] is None or y.form.attrs[1] is None:
            return error("E133", "an input is read both as static and per step", loc)
        if x.form.attrs[1] - y.form.attrs[1] != 1:
            return _non_causal(loc)
        return _map(match, a, b, loc)
    if kinds[0] in COLLECTS and x.form == y.form and len(x.args) == len(y.args) + 1:
        todo += [(p, q, a) for p, q in zip(x.args[1:], y.args, strict=True)]
        return _map(match, a, b, loc)
    if kinds == ("param", "param"):
        if x.form.attrs[0] == y.form.attrs[0]:
            return error(
                "E136",
                f"the shape of {x.form.attrs[0]} as used depends on the number of steps",
                loc,
                help="a layer over the whole sequence cannot be computed step by step",
            )
        return _changes(f"step t uses {x.form.attrs[0]} where step t-1 uses {y.form.attrs[0]}", loc)
    if kinds == ("aten", "aten") and x.form.attrs[0] == y.form.attrs[0] and x.args == y.args:
        names = sorted({dag[p].form.attrs[0] for p in dag.cone([a]) if dag.kind(p) == "param"})
        return _changes(f"step t uses another part of {', '.join(names)} than step t-1", loc)
    if kinds[0] == "literal" and kinds[1] in ("literal", "fill"):
        values = f"{y.form.attrs[0]!r} becomes {x.form.attrs[0]!r}"
        return _changes(f"a number changes from step to step: {values}", loc)
    if match.reading.whole and y.reach == CONSTANT < x.reach:
        return _start(dag, match, a, b)
    if match.reading.sums and (item := _first_summand(dag, a, b, steps)) is not None:
        todo.append((item, b, a))
        return _start(dag, match, a, b)
    if match.first is not None and x.form == y.form and match.first(a, b):
        return _start(dag, match, a, b)
    if x.form == y.form and len(x.args) == len(y.args) and x.args:
        for i, (p, q) in enumerate(zip(x.args, y.args, strict=True)):
            scale = _scale(dag, p, q, steps)
            if scale is not None:
                match.scaled[a, i] = scale
            elif _changing(dag, a, p, q, steps):
                match.tables[a, i] = (p, q)
            else:
                todo.append((p, q, a))
        return _map(match, a, b, loc)
    if match.reading.elided and y.reach > CONSTANT and (neutral := _neutral(dag, a)) is not None:
        match.tables[a, 1] = (x.args[1], neutral)
        match.elided.add(a)
        todo.append((x.args[0], b, a))
        return _map(match, a, b, loc)
    if x.args or kinds[0] == "input":
        return _start(dag, match, a, b)
    return error("E133", "the loop body is not the same at every step", loc)


def _first_summand(dag: Dag, a: int, b: int, steps: int) -> int | None:
    """The summand of step 1, if ``a`` adds it to ``b``, the summand of step 0.

    ``total = total + (left + right)`` from the number 0 is ``left + right`` after step 0: a sum,
    as the totals of all steps are, and yet no total of an earlier step and a summand.
    """
    add = Form("pointwise", ("add",))
    if not dag[a].form == dag[b].form == add or b not in dag[a].args:
        return None
    (item,) = (p for i, p in enumerate(dag[a].args) if i != dag[a].args.index(b))
    if dag[item].form != add:
        return None
    trial = Match()
    apart = not _match(dag, trial, [(item, b, a)], steps)
    return item if apart and all(dag[s].reach < TIMED for s in trial.initial.values()) else None


def _changing(dag: Dag, user: int, p: int, q: int, steps: int) -> bool:
    """Whether two constants differ otherwise than as two steps of a state without input."""
    if p == q or not dag[user].reach > CONSTANT == dag[p].reach == dag[q].reach:
        return False
    return bool(_match(dag, Match(), [(p, q, user)], steps))


def _neutral(dag: Dag, x: int) -> int | None:
    """The number in place of the second operand of ``x`` that changes nothing."""
    (fn, *_), args = dag[x].form.attrs or ("",), dag[x].args
    known = {"add": 0.0, "sub": 0.0, "mul": 1.0, "div": 1.0}
    if dag.kind(x) != "pointwise" or fn not in known or dag.kind(args[1]) != "literal":
        return None
    return dag.literal(known[fn])


def _map(match: Match, a: int, b: int, loc: Loc) -> Diagnostic | None:
    if match.image.setdefault(a, b) != b:
        return error("E133", "a value belongs to two steps at once", loc)
    return None


def _start(dag: Dag, match: Match, a: int, b: int) -> Diagnostic | None:
    """The pair (value after step 0, initial value)."""
    known = match.initial.setdefault(a, b)
    if known == b or (dag.value(known) is not None and dag.value(known) == dag.value(b)):
        if dag.shape(b) != ():
            match.initial[a] = b
        return None
    return error("E133", "a state starts from two different values", dag[a].source.loc)


def _scale(dag: Dag, p: int, q: int, steps: int) -> tuple[float, int] | None:
    """Whether two different literals are a multiple of T + 1 and T, or of their inverses."""
    if p == q or dag.kind(p) != "literal" or dag.kind(q) != "literal":
        return None
    x, y = dag[p].form.attrs[0], dag[q].form.attrs[0]
    if not x or not y:
        return None
    if abs(x * steps - y * (steps + 1)) <= 1e-12 * abs(x * steps):
        return x / (steps + 1), 1
    if abs(x * (steps + 1) - y * steps) <= 1e-12 * abs(y * steps):
        return x * (steps + 1), -1
    return None


def _non_causal(loc: Loc) -> Diagnostic:
    return error(
        "E131",
        "a step reads the input of a later step",
        loc,
        "bidirectional networks and time reversal need the whole sequence at once",
    )


def _changes(what: str, loc: Loc) -> Diagnostic:
    return error(
        "E132",
        what,
        loc,
        "the compiled network executes the same step for every t",
        help="make the changing value an input, or a state that the step updates",
    )
