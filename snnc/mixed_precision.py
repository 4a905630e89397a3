"""Bits by layer under a budget, from how much each layer's rounding changes the outputs.

Each layer alone is quantized in the network in real numbers, at every number of bits, by the
method that compiles it later; the change of the outputs on calibration data is its error there.
Errors of different layers are taken to add up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import safetensors.numpy

from snnc.backends.numpy.simulator import Simulator
from snnc.budget import Budget, Layer, least_loss
from snnc.diagnostics import CompileError, Diagnostic, error, fail, warning
from snnc.driver import lower
from snnc.encode import encode_input
from snnc.graph import Graph
from snnc.layers import input_table
from snnc.operations import count, packed
from snnc.options import Report
from snnc.passes.base import Context
from snnc.passes.calibration import FEW_SAMPLES, Calibration
from snnc.passes.choose_codes import weighted_names
from snnc.passes.output_error import OutputErrors
from snnc.preparing import Prepared
from snnc.storage import dump_graph
from snnc.verify import float_graph

#: Numbers of bits that are tried, as far as the user allows so many.
WIDTHS = (2, 3, 4, 5, 6, 8, 12, 16)
#: Calibration samples that operations are counted on.
COUNTED = 32
#: How often costs are estimated again, if bits mixed cost more than each number of bits said.
TRIES = 4


@dataclass(frozen=True)
class _Width:
    """The network with all layers at one number of bits."""

    program: Graph
    fake: Graph
    cost: dict[str, float]
    total: float


def within(prepared: Prepared, budget: Budget, report: Report) -> Prepared:
    """The same with a number of bits for every layer that the user has named none for.

    Raises:
        CompileError: E332 without calibration data, E341 if no bits are few enough.
    """
    data = prepared.ctx.calibration
    if data is None:
        hint = "give --calibration DATA.npz, some training samples"
        raise fail("E332", "a budget needs calibration data to measure layers with", help=hint)
    real = float_graph(prepared.graph)
    free = [n for n in weighted_names(real) if prepared.plan.of(n).bits is None]
    most = prepared.options.bits
    widths = {}
    for bits in sorted({*(b for b in WIDTHS if b < most), most}):
        widths[bits] = _lowered(prepared, bits, budget, data)
        report(f"{bits} bits", f"{widths[bits].total:,.0f} {budget.kind}", 0.0)
    errors = OutputErrors(Calibration(data.arrays), real)
    layers = {}
    for name in free:
        graphs = [_with_layer(real, w.fake, name) for w in widths.values()]
        alone = dict(zip(widths, errors.of(graphs, [name]), strict=True))
        layers[name] = Layer({b: w.cost[name] for b, w in widths.items()}, alone)
        told = ", ".join(f"{b}: {e:.2g}" for b, e in sorted(alone.items()))
        report("sensitivity", f"{name}  {told}", 0.0)
    return _fitted(prepared, budget, layers, widths, data, report)


def _fitted(
    prepared: Prepared,
    budget: Budget,
    layers: Mapping[str, Layer],
    widths: Mapping[int, _Width],
    data: Calibration,
    report: Report,
) -> Prepared:
    # what no layer's bits change: states, thresholds, layers whose bits the user has named
    fixed = max(w.total - sum(w.cost[n] for n in layers) for w in widths.values())
    limit = budget.limit - fixed
    # mostly the fewest bits, but states may be wider with those
    cheapest = min(widths, key=lambda b: (widths[b].total, b))
    least = dict.fromkeys(layers, cheapest)
    for last in (*[False] * TRIES, True):
        bits = None if last else least_loss(layers, limit)
        # estimates are cautious: only the smallest program says that none will do
        chosen = least if bits is None else bits
        named = {n: replace(prepared.plan.of(n), bits=b) for n, b in chosen.items()}
        plan = replace(prepared.plan, layers=prepared.plan.layers | named)
        fit = replace(prepared, plan=plan)
        total = _lowered(fit, prepared.options.bits, budget, data).total
        if total <= budget.limit:
            report("budget", f"{total:,.0f} of {budget.limit:,.0f} {budget.kind}", 0.0)
            ctx = _context(prepared, data)
            if not plan.calibrated and data.given < FEW_SAMPLES:  # else choosing codes says so
                ctx.emit(_few(data.given))
            return replace(fit, ctx=ctx)
        if chosen == least:
            break
        limit -= total - budget.limit
    own = {
        name: (given, max(w.cost[name] for w in widths.values()))
        for name in next(iter(widths.values())).cost
        if (given := prepared.plan.of(name).bits) is not None
    }
    raise CompileError([_unmet(budget, cheapest, layers, own, total)])


def _few(given: int) -> Diagnostic:
    told = f"{given} calibration sample{'' if given == 1 else 's'}"
    text = f"bits are chosen with {told}, {FEW_SAMPLES} and more are usual"
    return warning("W332", text, help="bits may suit these samples more than the task: give more")


def _unmet(
    budget: Budget,
    bits: int,
    layers: Mapping[str, Layer],
    own: Mapping[str, tuple[int, float]],
    best: float,
) -> Diagnostic:
    """E341; ``own`` are the bits and costs of layers whose bits the user has named."""
    least = {n: (bits, layer.cost[bits]) for n, layer in layers.items()}
    said = f"with {bits} bits in every layer" if layers else "as it is"
    if own and layers:
        said += " that has none of its own"
    why = [f"the best possible is {best:,.0f} {budget.kind}, {said}"]
    costs = least | dict(own)
    fixed = best - sum(cost for _, cost in costs.values())
    if fixed:
        why.append(f"{fixed:,.0f} of them are states, thresholds and biases")
    for name in sorted(costs, key=lambda n: -costs[n][1])[:3]:
        width, cost = costs[name]
        kept = ", which are its own" if name in own else ""
        why.append(f"{cost:,.0f} are {name} with {width} bits{kept}")
    hint = "allow more, or make the largest layers smaller"
    if own:
        hint = f"allow more, or give fewer bits to {max(own, key=lambda n: own[n][1])}"
    elif fixed > budget.limit:
        hint = "allow more, or use fewer neurons: what is no weight takes more already"
    return error("E341", f"no bits of layers meet the budget {budget.text}", None, *why, help=hint)


def _lowered(prepared: Prepared, bits: int, budget: Budget, data: Calibration) -> _Width:
    options = replace(prepared.options, bits=bits, dump_ir=None)
    ctx = _context(prepared, data)
    program, fake = lower(prepared.graph.copy(), options, ctx, lambda *_: None, prepared.plan)
    assert fake is not None, "quantize keeps the network with its weights"
    names = weighted_names(fake)
    if budget.kind == "bytes":
        sizes = {n: program[n].op.weight.data.size for n in names}  # type: ignore[attr-defined]
        own = {n: prepared.plan.of(n).bits or bits for n in names}
        cost = {n: sizes[n] * own[n] / 8 for n in names}
        return _Width(program, fake, cost, float(packed(program)))
    cost = _bit_operations(prepared, program, bits, data)
    return _Width(program, fake, {n: cost.get(n, 0.0) for n in names}, sum(cost.values()))


def _bit_operations(
    prepared: Prepared, program: Graph, bits: int, data: Calibration
) -> dict[str, float]:
    """By layer, per sample."""
    text, tensors = dump_graph(program)
    simulator = Simulator(json.loads(text), safetensors.numpy.load(tensors))
    entries = input_table(program, {}, {})
    encoded = {e.name: encode_input(data.arrays[e.name][:COUNTED], e)[0] for e in entries}
    counts = count(program, simulator, encoded, program.steps)
    return {
        layer.name: counts.per_sample(layer.effective) * (prepared.plan.of(layer.name).bits or bits)
        for layer in counts.layers
    }


def _context(prepared: Prepared, data: Calibration) -> Context:
    """A fresh one: nothing of a trial may be reported as of the result."""
    same = replace(data, used=False)
    return Context(list(prepared.loaded.diagnostics), calibration=same)


def _with_layer(real: Graph, fake: Graph, name: str) -> Graph:
    """The network in real numbers with one layer as it is quantized."""
    graph = real.copy()
    graph.replace(replace(graph[name], op=fake[name].op))
    return graph
