"""Operators that need the whole sequence at once: time reversal and matrices over the steps.

They end one loop and start another: what they compute from all steps is read element by element.
"""

from __future__ import annotations

import itertools

import torch

from snnc import ops
from snnc.frontends.dag import Dag, Form, Term
from snnc.params import Param


def elements(dag: Dag, form: Form, terms: tuple[int, ...]) -> tuple[int, ...]:
    """The sequence that ``form`` makes of a sequence of terms, element by element."""
    shape = dag.shape(terms[0])
    whole = dag.make(form, terms, shape)
    return tuple(dag.make(Form("element", (t,)), (whole,), shape) for t in range(len(terms)))


def table_key(dag: Dag, x: int, values: torch.Tensor, steps: int) -> str:
    """Remember a constant whose size is the number of steps; its name is the same in all traces."""
    key = text = _text(dag, x)
    for count in itertools.count(2):
        known = dag.tensors.setdefault(f"{key}@{steps}", values)
        if torch.equal(known, values):
            break
        key = f"{text}#{count}"
    return key


def _text(dag: Dag, x: int) -> str:
    """An expression of parameters without its sizes."""
    term = dag[x]
    head = term.form.kind
    if head in ("param", "literal", "fill", "pointwise"):
        head = str(term.form.attrs[0])
    elif head == "aten":
        head = str(term.form.attrs[0]).split(".")[1]
    inside = ",".join(_text(dag, a) for a in term.args)
    return f"{head}({inside})" if inside else head


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
