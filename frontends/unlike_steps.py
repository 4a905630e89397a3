"""Why the steps of a trace are not alike, where it can be told from the trace as a whole.

Recovery stops at the first pair of terms that do not match, which seldom shows the reason.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable

from snnc.diagnostics import Diagnostic, error
from snnc.frontends.dag import COLLECTS, TIMED, Dag

#: Longest alternation that is looked for.
_LONGEST_PERIOD = 4


def named_reason(dag: Dag, roots: list[int], code: str) -> Diagnostic | None:
    """A reason that has a name, as a diagnostic with ``code``; None if there is none."""
    return _continued_state(dag, roots, code) or _alternation(dag, roots, code)


def _continued_state(dag: Dag, roots: list[int], code: str) -> Diagnostic | None:
    """A loop whose every step needs the whole sequence, read in order by a loop before it."""
    for root in roots:
        items = dag[root].args
        if dag.kind(root) not in COLLECTS or not items:
            continue
        depths = [_depths(dag, x) for x in items]
        seen = {frozenset(d) for d in depths}
        first = depths[0]
        if len(seen) > 1 or len(first) < len(items):
            continue
        inside = any(dag.kind(x) in COLLECTS for x in dag.cone(items))
        steps = sorted(first)
        in_order = all(first[s] > first[t] for s, t in itertools.pairwise(steps))
        if in_order and not inside:
            return error(
                code,
                "the second loop starts from the state that the first one ends with",
                dag[items[0]].source.loc,
                "every step of the second loop needs the whole input sequence",
                help="start the second loop from zeros and give it a sum or mean of the first as "
                "input, or write one loop, with an input that tells its two parts apart",
            )
    return None


def _depths(dag: Dag, root: int) -> dict[int, int]:
    """Per step of the input that ``root`` depends on, the most operators in between."""
    depth = {root: 0}
    found: dict[int, int] = {}
    for x in reversed(list(dag.sorted_cone([root]))):
        form = dag[x].form
        if form.kind == "input" and form.attrs[1] is not None:
            found[form.attrs[1]] = max(depth[x], found.get(form.attrs[1], 0))
        for a in dag[x].args:
            depth[a] = max(depth[x] + 1, depth.get(a, 0))
    return found


def _alternation(dag: Dag, roots: list[int], code: str) -> Diagnostic | None:
    """Steps that compute something else by turns, as in ``if t % 2``."""
    steps = _operators_by_step(dag, roots)
    middle = [steps[t] for t in sorted(steps)][1:-1]  # the ends of a loop may differ
    kinds = [Counter({form: len(terms) for form, terms in s.items()}) for s in middle]
    for period in range(2, _LONGEST_PERIOD + 1):
        repeated = all(p == q for p, q in zip(kinds, kinds[period:], strict=False))
        if len(kinds) < 2 * period or not repeated or kinds[0] == kinds[1] == kinds[period - 1]:
            continue
        differing = (
            terms[0]
            for s, own, other in zip(middle, kinds, kinds[1:], strict=False)
            for form, terms in s.items()
            if own[form] > other[form]
        )
        return error(
            code,
            f"the steps alternate: step t is like step t-{period}, not like step t-1",
            dag[min(differing)].source.loc,
            "the compiled network executes the same step for every t",
            help="compute both ways at every step, and choose by an input that says whose turn "
            "it is: torch.where(turn > 0, a, b)",
        )
    return None


def _operators_by_step(dag: Dag, roots: list[int]) -> dict[int, dict[Hashable, list[int]]]:
    """Terms of each step, by what they compute; a step is known by the last input that it reads."""
    latest: dict[int, int] = {}
    found: dict[int, dict[Hashable, list[int]]] = {}
    for x in dag.sorted_cone(roots):
        term = dag[x]
        if term.reach != TIMED or term.form.kind in COLLECTS:
            continue
        form: Hashable = term.form
        if term.form.kind == "input":
            index, latest[x] = term.form.attrs
            form = ("input", index)
        else:
            latest[x] = max((latest[a] for a in term.args if a in latest), default=-1)
        if latest[x] >= 0:
            found.setdefault(latest[x], {}).setdefault(form, []).append(x)
    return found
