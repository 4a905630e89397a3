"""First values that have the form of later ones: ``v = None`` and then a current that is a sum.

``mem = x if mem is None else beta * mem + x`` starts with the current itself.  Mostly it is told
from a membrane by its operator, a layer.  Where it is a sum, as ``w * x + b`` or the currents of
two layers are, both are sums, and only what they consist of tells them apart.
"""

from __future__ import annotations

from snnc.frontends.dag import CONSTANT, STATIC, Dag

#: Levels to which two currents are compared; more are taken for different.
_DEPTH = 300


class FirstValues:
    """Recognises the pair (value of step 1, value of step 0)."""

    def __init__(self, dag: Dag) -> None:
        self.dag = dag
        self._cones: dict[int, set[int]] = {}
        self._alike: dict[tuple[int, int], bool] = {}

    def __call__(self, a: int, b: int, depth: int = _DEPTH) -> bool:
        """Whether ``a`` combines a current like ``b`` with something computed from ``b``."""
        dag = self.dag
        if dag.kind(a) != "pointwise" or len(dag[a].args) != 2:
            return False
        return any(
            rest != b and self._from(rest, b) and self._current(own, b, depth)
            for own, rest in (dag[a].args, dag[a].args[::-1])
        )

    def _current(self, own: int, b: int, depth: int) -> bool:
        """Whether ``own`` is in step 1 what ``b`` is in step 0."""
        if own == b:  # else a running sum, which is added to
            return self.dag[b].reach == STATIC
        return self._one_step_later(own, b, depth)

    def _one_step_later(self, p: int, q: int, depth: int) -> bool:
        if p == q:
            return True
        if depth == 0:
            return False
        if (p, q) not in self._alike:
            x, y = self.dag[p], self.dag[q]
            if x.form.kind == y.form.kind == "input":
                (i, t), (j, s) = x.form.attrs, y.form.attrs
                same = i == j and None not in (t, s) and t - s == 1
            elif y.reach == CONSTANT < x.reach and x.form != y.form:
                same = y.form.kind != "literal"  # where another state starts from
            else:
                same = x.form == y.form and len(x.args) == len(y.args) > 0
                same = same and all(
                    self._one_step_later(m, n, depth - 1)
                    for m, n in zip(x.args, y.args, strict=True)
                )
            self._alike[p, q] = same or self(p, q, depth - 1)
        return self._alike[p, q]

    def _from(self, x: int, part: int) -> bool:
        if x not in self._cones:
            self._cones[x] = self.dag.cone([x])
        return part in self._cones[x]
