"""Whether the exported graph computes what the module computes, and whether anything fires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from snnc.diagnostics import Diagnostic, error, remark, warning
from snnc.frontends.evaluate import Evaluator
from snnc.frontends.layout import BATCH, TIME, Axes
from snnc.frontends.trace import Recipe, Unrolled
from snnc.graph import Graph

#: Relative to the largest magnitude of the output: room for a different order of float sums.
TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class NumericCheck:
    """Result of running module and graph on the example.

    Attributes:
        exact: Whether every output is equal bit for bit.
        difference: Largest absolute difference.
        active: Per comparison, the fraction of its elements that were true at least once.
    """

    exact: bool
    difference: float
    active: dict[str, float]


def sequence_first(x: torch.Tensor, time: int | None, batch: int | None) -> torch.Tensor:
    """Move batch to the front and time behind it."""
    if batch is None:
        x = x.unsqueeze(0)
        time = None if time is None else time + 1
        batch = 0
    order = [batch] if time is None else [batch, time]
    return x.permute(*order, *(d for d in range(x.dim()) if d not in order))


def arrange(y: torch.Tensor, axes: Axes, steps: int, batch: int | None) -> torch.Tensor:
    """Bring (batch, [steps], …) into the layout of the module's output."""
    factors = [f for axis in axes for f in axis]
    numbers = [f for f in factors if isinstance(f, int)]
    special = [f for f in (BATCH, TIME) if f in factors]
    if BATCH not in special:
        y = y[0]
    sizes = {BATCH: batch or 1, TIME: steps}
    y = y.reshape([*(sizes[f] for f in special), *numbers])
    place = iter(range(len(special), len(factors)))
    y = y.permute(*[next(place) if isinstance(f, int) else special.index(f) for f in factors])
    shape = []
    for axis in axes:
        n = 1
        for f in axis:
            n *= f if isinstance(f, int) else sizes[f]
        shape.append(n)
    return y.reshape(shape)


def compare(
    graph: Graph, recipe: Recipe, names: list[str], layouts: list[Axes], steps: int
) -> tuple[NumericCheck, list[Diagnostic]]:
    """Run both on the example.

    Returns:
        The result, and E138 if they differ, or what to know about the activity.
    """
    inputs = dict(zip(names, recipe.inputs, strict=True))
    given = {
        n: sequence_first(x.detach(), t, b)
        for (n, x), t, b in zip(inputs.items(), recipe.time_axes, recipe.batch_axes, strict=True)
        if n in graph
    }
    pairs = zip(recipe.inputs, recipe.batch_axes, strict=True)
    batch = next((x.shape[a] for x, a in pairs if a is not None), None)
    with torch.no_grad():
        expected = Unrolled(recipe, steps)(*recipe.inputs)
    run = Evaluator(graph, given, steps)
    found: list[Diagnostic] = []
    exact, worst = True, 0.0
    for name, want, axes in zip(recipe.names, expected, layouts, strict=True):
        have = arrange(run.outputs[name], axes, steps, batch)
        want = want.to(torch.float32)
        exact &= torch.equal(have, want)
        scale = max(1.0, float(want.abs().max())) if want.numel() else 1.0
        difference = float((have - want).abs().max()) if want.numel() else 0.0
        worst = max(worst, difference)
        if not difference <= TOLERANCE * scale:
            text = (
                f"output {name} of the exported graph differs from the module by {difference:.3g}"
            )
            note = "tolerated are rounding differences of float sums, 1e-5 of the largest value"
            hint = "if a state is kept between calls, reset it in forward; else please report this"
            found.append(error("E138", text, graph[name].loc, note, help=hint))
    active = {n: float((r > 0).float().mean()) for n, r in sorted(run.rates.items())}
    found += _activity(graph, run.rates, active)
    return NumericCheck(exact, worst, active), found


def _activity(graph: Graph, rates: dict[str, Any], active: dict[str, float]) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    for name, share in active.items():
        loc, total = graph[name].loc, rates[name].numel()
        if share == 0:
            text = f"{name}: none of {total} neurons fires on the example"
            found.append(
                warning("W138", text, loc, "the numeric check says nothing about silent neurons")
            )
        elif share < 1:
            silent = round(total * (1 - share))
            text = f"{name}: {silent} of {total} neurons never fire on the example"
            found.append(remark("W138", text, loc))
    return found
