"""What happens on the example: neurons that fire, graded emissions that change, outputs that do.

A comparison of module and graph says nothing about a threshold that is never crossed, about an
integer activation that is always zero, nor about an output that is always the same.
"""

from __future__ import annotations

from snnc.diagnostics import Diagnostic, remark, warning
from snnc.frontends.evaluate import Evaluator
from snnc.graph import Graph


def active_shares(run: Evaluator) -> dict[str, float]:
    """Per comparison and rounding inside the loops, the fraction of its elements that are active.

    An element of a comparison is active if it was true at least once; one of a rounding (a graded
    emission) if it took at least two values.
    """
    shares = {}
    for name, (lowest, highest) in sorted(run.ranges.items()):
        fires = name in run.rates
        active = highest > 0 if fires else highest > lowest
        shares[name] = float(active.float().mean())
    return shares


def saturated(run: Evaluator) -> list[str]:
    """Comparisons that are true for all elements, samples and steps."""
    return [n for n, (lowest, _) in sorted(run.ranges.items()) if n in run.rates and lowest.all()]


def varying_shares(run: Evaluator) -> dict[str, float]:
    """Per output, the fraction of its elements that take two values over samples and steps.

    Outputs of which there is one value only, those of a single sample after its last step, are
    left out.
    """
    shares = {}
    for name, y in sorted(run.outputs.items()):
        rank = len(run.graph[name].type.shape)
        values = y.reshape(-1, *y.shape[y.dim() - rank :])
        if len(values) > 1 and y.numel():
            shares[name] = float((values.amax(0) > values.amin(0)).float().mean())
    return shares


def report_activity(
    graph: Graph, run: Evaluator, active: dict[str, float], outputs: dict[str, float]
) -> list[Diagnostic]:
    """W138 where nothing happens, R138 where some neurons are silent."""
    found: list[Diagnostic] = []
    for name, share in active.items():
        loc, total = graph[name].loc, run.ranges[name][0].numel()
        how = ("fires", "fire") if name in run.rates else ("emits two values", "emit two values")
        if share == 0:
            text = f"{name}: none of {total} neurons {how[0]} on the example"
            note = "the numeric check says nothing about silent neurons"
            found.append(warning("W138", text, loc, note))
        elif share < 1:
            silent = round(total * (1 - share))
            text = f"{name}: {silent} of {total} neurons never {how[1]} on the example"
            found.append(remark("R138", text, loc))
    if not active:  # nothing fires or rounds: the outputs are all there is
        for name, share in outputs.items():
            if share == 0:
                text = f"output {name} is the same at every step of every sample of the example"
                note = "the numeric check says nothing about a network at rest"
                found.append(warning("W138", text, graph[name].loc, note))
    return found
