"""Running sums as sums over the steps.

``total = total + spikes`` is a state for most networks: it is updated like any other.  Where the
final total drives another loop, it is what the first loop hands on, and has to be seen as one
result.  Adding one value per step in their order is what a sum over the steps does.
"""

from __future__ import annotations

from collections import Counter

from snnc.frontends.dag import Dag, Form


def with_totals(dag: Dag, roots: list[int], steps: int) -> list[int]:
    """The outputs with every chain of ``steps`` summands as one term.

    Sums that are used before they are complete stay what they are.
    """
    cone = dag.cone(roots)
    users = Counter(a for x in cone for a in set(dag[x].args))
    users.update(roots)
    memo: dict[int, int] = {}

    def replace(x: int) -> int | None:
        items = _summands(dag, x, steps, users)
        if items is None:
            return None
        shape = dag.shape(x)
        inner = tuple(dag.solid(dag.rewrite(y, memo, replace), shape) for y in items)
        return dag.make(Form("time_sum"), inner, shape, dag[x].source)

    return [dag.rewrite(x, memo, replace) for x in roots]


def _summands(dag: Dag, x: int, steps: int, users: Counter[int]) -> list[int] | None:
    """What a chain of additions adds, in order; None unless there is one value per step."""
    found: list[int] = []
    top = x
    while dag[x].form == Form("pointwise", ("add",)) and (x == top or users[x] == 1):
        before, item = dag[x].args
        if _is_add(dag, item) and not _is_add(dag, before) and users[item] == 1:
            before, item = item, before
        if dag.shape(item) != dag.shape(top):
            return None
        found.append(item)
        x = before
        if len(found) == steps - 1 and _is_add(dag, item) and not _from_zero(dag, x):
            break  # what is left is the first summand: a sum, as the others are
    if dag.value(x) != 0:
        found.append(x)
    alike = len(found) == steps > 2 and dag.shape(found[-1]) == dag.shape(top)
    return found[::-1] if alike else None


def _is_add(dag: Dag, x: int) -> bool:
    return dag[x].form == Form("pointwise", ("add",))


def _from_zero(dag: Dag, x: int) -> bool:
    return _is_add(dag, x) and any(dag.value(a) == 0 for a in dag[x].args)
