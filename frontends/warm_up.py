"""Results without the first steps: ``out[:, 10:]``, or a list that is filled from step 10 on.

Such a sequence has a time axis of its own, ``Late(10)``, and what collects it starts to collect
at that step: a sum, a mean, a maximum, or the whole sequence.
"""

from __future__ import annotations

from snnc.frontends.dag import Dag, Form
from snnc.frontends.layout import Axes, Late, first_step
from snnc.frontends.scalarize import Scalarizer
from snnc.frontends.traced import Call, Refusal, Traced


def collecting(kind: str, axes: Axes) -> Form:
    """The form of a term that collects one value per step."""
    start = first_step(axes)
    return Form(f"time_{kind}", (start,) if start else ())


def without_warm_up(s: Scalarizer, x: Traced, dim: int, call: Call) -> Traced:
    """``x[:, start:]`` of a sequence.

    Raises:
        Refusal: E133 for another part of the sequence.
    """
    start, step, size = call.arg(2, "start") or 0, call.arg(4, "step", 1), call.shape[dim]
    if step != 1 or start <= 0 or not 0 < size == s.extents.steps - start:
        raise Refusal(
            "E133",
            f"only {size} of {s.extents.steps} steps are used",
            "reduce over all steps, over those from one step on, or over the last one alone",
        )
    axes = (*x.axes[:dim], (Late(start),), *x.axes[dim + 1 :])
    return Traced(axes, x.terms[start:], x.dtype)


def warm_up(s: Scalarizer, parts: list[Traced]) -> int:
    """Number of steps that are missing at the front of a list of one tensor per step, or 0.

    The last input that a result depends on says which step it belongs to.
    """
    missing = s.extents.steps - len(parts)
    if missing <= 0 or any(x.timed for x in parts):
        return 0
    steps = [last_input(s.dag, x.terms[0]) for x in parts]
    return missing if steps == list(range(missing, s.extents.steps)) else 0


def last_input(dag: Dag, root: int) -> int:
    """Latest step whose input the term depends on; -1 if there is none."""
    found = -1
    for x in dag.cone([root]):
        form = dag[x].form
        if form.kind == "input" and form.attrs[1] is not None:
            found = max(found, form.attrs[1])
    return found
