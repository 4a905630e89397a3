"""Leave out what changes nothing: ``x * 1``, ``x / 1``, ``x + 0`` and ``x - 0`` with parameters.

Libraries multiply spikes by a gain and add a rest potential that are parameters, mostly 1 and 0.
Without them spikes are spikes again.  Exact for finite numbers, up to the sign of zero.
"""

from __future__ import annotations

from snnc.frontends.dag import CONSTANT, Dag
from snnc.frontends.fold import Folder
from snnc.frontends.step import State, StepProgram

_NEUTRAL = {"mul": 1.0, "div": 1.0, "add": 0.0, "sub": 0.0}


def drop_neutral(dag: Dag, program: StepProgram) -> StepProgram:
    """The same program without operations on neutral parameters."""
    folder = Folder(dag)
    memo: dict[int, int] = {}

    def partner(x: int) -> int | None:
        """The operand that ``x`` equals."""
        term = dag[x]
        if term.form.kind != "pointwise" or term.reach == CONSTANT:
            return None
        (fn,), args = term.form.attrs, term.args
        if fn not in _NEUTRAL:
            return None
        for own, other in (args, args[::-1]) if fn in ("mul", "add") else (args,):
            if dag.shape(own) != term.shape or dag[own].reach == CONSTANT:
                continue
            if dag[other].reach != CONSTANT or any(dag.kind(y) == "steps" for y in dag.cone([other])):
                continue
            if folder.neutral(other, _NEUTRAL[fn]):
                return own
        return None

    def replace(x: int) -> int | None:
        own = partner(x)
        return None if own is None else dag.rewrite(own, memo, replace)

    states = tuple(State(s.initial, dag.rewrite(s.next, memo, replace)) for s in program.states)
    outputs = tuple(dag.rewrite(x, memo, replace) for x in program.outputs)
    return StepProgram(states, outputs)
