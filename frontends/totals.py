"""Running sums and maxima as sums and maxima over the steps.

``total = total + spikes`` is a state for most networks: it is updated like any other.  Where the
final total drives another loop, it is what the first loop hands on, and has to be seen as one
result.  Adding one value per step in their order is what a sum over the steps does.  A running
maximum, ``v if m is None else torch.maximum(m, v)``, has no finite initial value to start from.
"""

from __future__ import annotations

import math
from collections import Counter

from snnc.frontends.dag import Dag, Form

#: Function of a running value → what collects all steps, and the number that changes nothing.
_RUNNING = {"add": ("time_sum", 0.0), "maximum": ("time_max", -math.inf)}


def with_totals(dag: Dag, roots: list[int], steps: int) -> list[int]:
    """The outputs with every chain of ``steps`` summands, or maxima, as one term.

    Those that are used before they are complete stay what they are.
    """
    cone = dag.cone(roots)
    users = Counter(a for x in cone for a in set(dag[x].args))
    users.update(roots)
    memo: dict[int, int] = {}

    def replace(x: int) -> int | None:
        form = dag[x].form
        fn = form.attrs[0] if form.kind == "pointwise" else ""
        items = _items(dag, x, fn, steps, users) if fn in _RUNNING else None
        if items is None:
            return None
        shape = dag.shape(x)
        inner = tuple(dag.solid(dag.rewrite(y, memo, replace), shape) for y in items)
        return dag.make(Form(_RUNNING[fn][0]), inner, shape, dag[x].source)

    return [dag.rewrite(x, memo, replace) for x in roots]


def _items(dag: Dag, x: int, fn: str, steps: int, users: Counter[int]) -> list[int] | None:
    """What a chain of ``fn`` takes in, in order; None unless there is one value per step."""
    form, (_, neutral) = Form("pointwise", (fn,)), _RUNNING[fn]
    found: list[int] = []
    top = x
    while dag[x].form == form and (x == top or users[x] == 1):
        before, item = dag[x].args
        running = dag[item].form == form != dag[before].form and users[item] == 1
        if running or dag.value(item) == neutral:
            before, item = item, before
        if dag.shape(item) != dag.shape(top):
            return None
        found.append(item)
        x = before
        fresh = dag[x].form == form and any(dag.value(a) == neutral for a in dag[x].args)
        if len(found) == steps - 1 and dag[item].form == form and not fresh:
            break  # what is left is the first summand: a sum, as the others are
    if dag.value(x) != neutral:
        found.append(x)
    alike = len(found) == steps > 2 and dag.shape(found[-1]) == dag.shape(top)
    return found[::-1] if alike else None
