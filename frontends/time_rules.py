"""Reductions: over time they leave the step, over space they are pools."""

from __future__ import annotations

from typing import Any

from snnc.frontends.dag import Form
from snnc.frontends.feature_terms import reduced_features
from snnc.frontends.layout import BATCH, TIME, inner, over_steps
from snnc.frontends.pointwise_rules import apply
from snnc.frontends.scalarize import Rule, Scalarizer, refuses
from snnc.frontends.shape_rules import reshaped
from snnc.frontends.traced import Call, Refusal, Traced
from snnc.frontends.warm_up import collecting


def _reduce(kind: str) -> Rule:
    """``kind`` is sum, mean or max; any, as the maximum of truth values, counts as max."""

    def rule(s: Scalarizer, call: Call) -> Any:
        x = s.solid(s.operand(call.args[0]))
        dims = call.arg(1, "dim")
        keep = bool(call.arg(2, "keepdim", False))
        rank = len(x.axes)
        if dims is None or dims == []:
            dims = list(range(rank))
        over = sorted({d % rank for d in ([dims] if isinstance(dims, int) else dims)})
        y = reduced(s, x, kind, over, keep)
        if call.name == "max" and isinstance(call.result, tuple):
            return [y, Refusal("E210", "the index of a maximum is not supported")]
        return Traced(y.axes, y.terms, call.dtype)

    return rule


def reduced(s: Scalarizer, x: Traced, kind: str, over: list[int], keep: bool) -> Traced:
    """Reduce ``x`` over the given axes."""
    over = [d for d in over if s.extents.size(x.axes[d]) != 1 or not keep]
    over_time = [d for d in over if over_steps(x.axes[d])]
    if any(BATCH in x.axes[d] for d in over):
        raise Refusal("E210", f"{kind} over the batch mixes samples")
    if any(TIME in x.axes[d] for d in over if d not in over_time):
        raise Refusal("E133", f"{kind} over an axis that joins steps and features")
    inside = [d for d in over if d not in over_time]
    if inside:
        x = _over_space(s, x, kind, inside)
    if over_time:
        form = collecting(kind, x.axes)
        term = s.dag.make(form, x.terms, inner(x.axes))
        axes = tuple((1,) if d in over_time else a for d, a in enumerate(x.axes))
        x = Traced(axes, (s.dag.reshape(term, inner(axes)),), x.dtype)
    axes = tuple(a for d, a in enumerate(x.axes) if keep or d not in over)
    return reshaped(s, x, axes)


def _over_space(s: Scalarizer, x: Traced, kind: str, over: list[int]) -> Traced:
    """Reduce over height and width, by a pool as large as the image."""
    rank = len(x.axes)
    if all(s.extents.size(x.axes[d]) == 1 for d in over):
        return x
    shape = inner(x.axes)
    image = over == [rank - 2, rank - 1] and len(shape) == 3 and len(inner(x.axes[-2:])) == 2
    if not image or kind in ("prod", "min"):
        return reduced_features(s, x, kind, over)
    window = shape[1:]
    form = Form(
        {"sum": "sum_pool", "mean": "avg_pool", "max": "max_pool"}[kind],
        (*(window, window, (0, 0)),),
    )
    terms = tuple(s.dag.make(form, (t,), (shape[0], 1, 1)) for t in x.terms)
    return Traced((*x.axes[:-2], (1,), (1,)), terms, x.dtype)


def _maximum(s: Scalarizer, call: Call) -> Any:
    """``max(x, dim)`` reduces; ``max(x, y)`` is elementwise."""
    if len(call.args) > 1 and isinstance(call.args[1], Traced):
        return apply(s, "maximum", *call.args[:2], dtype=call.dtype)
    return _reduce("max")(s, call)


@refuses
def _mixes(s: Scalarizer, call: Call) -> Any:
    """Operators along one axis, which must not be time."""
    x, result = call.args[0], call.result
    shape = (result[0] if isinstance(result, tuple | list) else result).shape
    axes = x.axes if isinstance(x, Traced) else s.extents.classify(tuple(map(int, shape)))
    dims = call.arg(1, "dim", -1)
    dims = [dims] if isinstance(dims, int) else dims
    if isinstance(dims, list) and axes and any(TIME in axes[d % len(axes)] for d in dims):
        raise Refusal(
            "E133",
            f"{call.name} along time needs the whole sequence at once",
            "write it as a loop with a state, or apply it outside",
        )
    raise Refusal("E210", f"operator {call.target} is not supported")


TIME_RULES: dict[str, Rule] = {
    "sum": _reduce("sum"),
    "mean": _reduce("mean"),
    "amax": _reduce("max"),
    "any": _reduce("max"),
    "max": _maximum,
    **dict.fromkeys(("cumprod", "cummax", "cummin"), _mixes),
}
