"""Operators that need the whole sequence at once: time reversal and matrices over the steps.

They end one loop and start another: what they compute from all steps is read element by element.
"""

from __future__ import annotations

from snnc import ops
from snnc.frontends.dag import Dag, Term
from snnc.params import Param


def sequence_op(dag: Dag, term: Term, steps: int) -> ops.Sequence:
    """The operator of a term that a later loop reads step by step."""
    match term.form.kind:
        case "time_replay":
            return ops.Replay()
        case "time_flip":
            return ops.TimeFlip()
        case "time_mix":
            weight, bias = (_table(dag, key, steps) for key in term.form.attrs)
            assert weight is not None, "a matrix was traced"
            return ops.TimeMix(weight, bias)
        case kind:
            raise AssertionError(f"{kind} is no sequence")


def _table(dag: Dag, key: str, steps: int) -> Param | None:
    """A matrix or vector over the steps, as traced with this number of steps."""
    return Param(dag.tensors[f"{key}@{steps}"].detach().cpu().numpy()) if key else None
