"""Other choices of integers, each compiled in memory and measured before it is recommended.

Integers are chosen on every second calibration sample, and measured on the others, so that none is
praised for what it has learned by heart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from snnc.artifact import Artifact
from snnc.budget import parse_budget
from snnc.contributions import Contributions
from snnc.data import Data
from snnc.diagnostics import CompileError, Diagnostic, warning
from snnc.driver import lower
from snnc.graph import Graph
from snnc.layers import input_table
from snnc.loading import Loaded
from snnc.measure import FloatRunner, IntegerRunner, Measured, every, measure
from snnc.mixed_precision import within
from snnc.operations import packed
from snnc.options import Options
from snnc.passes.base import Context
from snnc.passes.calibration import FEW_SAMPLES, Calibration, counted
from snnc.passes.switched_kernel import INPUTS, ROUNDING, THRESHOLDS, WEIGHTS
from snnc.preparing import Prepared
from snnc.profile import PROFILES
from snnc.quantization import MOST_GUARD, Plan, heading
from snnc.relower import options_of, plan_of
from snnc.verify import float_graph

#: A part that removes less than this share of the loss is not worth an alternative.
WORTH = 0.1
#: A recommended alternative recovers at least this share of the loss.
ENOUGH = 0.5
#: Without more bytes, this part of what the best recovers is as good.
FREE = 0.75
#: A squared error, as a part of the variance of the outputs, that nobody sees.
NEGLIGIBLE = 1e-6
#: Layers of more bits than the artifact's get at most so many more, if each gets its own.
MORE_BITS = 4
#: Most layers that get bits of their own.
MOST_LAYERS = 16
#: Share of samples of another class above which bits are too few.
TOO_FEW = 0.01


@dataclass(frozen=True)
class Alternative:
    """Another way to choose the integers, measured.

    Attributes:
        name: What is different.
        how: What to tell ``snnc compile``.
        bytes: Constants and states, with weights packed to their bits.
        measured: Next to the float model, on samples that it was not chosen with.
        recovered: Share of the loss that is gone; negative if there is more.
    """

    name: str
    how: str
    bytes: int
    measured: Measured
    recovered: float | None

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "name": self.name,
            "how": self.how,
            "bytes": self.bytes,
            "recovered": self.recovered,
            **self.measured.document(),
        }


@dataclass(frozen=True)
class Alternatives:
    """What was tried and what follows from it.

    Attributes:
        samples: That alternatives were measured on.
        now: The artifact on them.
        bytes: Its size.
        tried: By their share of the loss, the best first.
        advice: The recommendation.
        best: What it recommends; None if nothing does enough.
        diagnostics: Warnings.
    """

    samples: int
    now: Measured
    bytes: int
    tried: tuple[Alternative, ...]
    advice: str
    best: Alternative | None
    diagnostics: tuple[Diagnostic, ...] = ()

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "samples": self.samples,
            "now": self.now.document(),
            "bytes": self.bytes,
            "tried": [a.document() for a in self.tried],
            "recommended": self.best and self.best.name,
            "advice": self.advice,
        }


@dataclass(frozen=True)
class _Wish:
    name: str
    how: str
    options: Options
    plan: Plan


def alternatives(
    artifact: Artifact,
    why: Contributions,
    calibration: Data,
    steps: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Alternatives:
    """Try what might bring the integers closer to the float model.

    Args:
        artifact: As it is.
        why: What its parts cost.
        calibration: Samples to choose and to measure with.
        steps: T.
        progress: Called with 1 for each alternative.
    """
    seen, unseen = every(calibration, 0, 2), every(calibration, 1, 2)
    found: list[Diagnostic] = []
    if len(seen) < FEW_SAMPLES:
        seen = unseen = calibration
        given = len(calibration)
        text = f"{counted(given)} few: {2 * FEW_SAMPLES} choose and measure apart"
        note = "alternatives are measured on the samples that they were chosen with"
        found.append(warning("W332", text, None, note, help="give more"))
    order = tuple(e.name for e in artifact.manifest.outputs)
    program = IntegerRunner(artifact.graph(), artifact.manifest.inputs, order)
    real = artifact.model()
    reference = FloatRunner(float_graph(real), program.spikes)
    now = measure(reference, program.outputs[0], {"now": program}, unseen, steps)["now"]
    size = packed(program.program)
    wishes = _wishes(artifact, why)
    if _mixes(artifact, wishes):
        wishes += _mixed(artifact, real, seen, size)
        progress(1)
    tried = []
    for wish in wishes:
        ctx = Context(calibration=Calibration(seen.dense))
        try:
            lowered, _ = lower(real.copy(), wish.options, ctx, lambda *_: None, wish.plan)
        except CompileError:
            continue  # such as a proof that needs more bits than there are
        finally:
            progress(1)
        runner = IntegerRunner(lowered, input_table(lowered, {}, {}), order)
        it = measure(reference, runner.outputs[0], {"it": runner}, unseen, steps)["it"]
        recovered = 1 - it.loss / now.loss if now.loss else None
        tried.append(Alternative(wish.name, wish.how, packed(lowered), it, recovered))
    tried.sort(key=lambda a: (-(a.recovered or 0.0), a.bytes))
    best = best_of(tried, size) if now.loss >= NEGLIGIBLE else None
    other, many = "other " if seen is not unseen else "", "" if len(unseen) == 1 else "s"
    where = f"measured on {len(unseen)} {other}calibration sample{many}"
    advice = _advice(artifact, why, now, best, tried, where)
    return Alternatives(len(unseen), now, size, tuple(tried), advice, best, tuple(found))


def count_of(artifact: Artifact, why: Contributions) -> int:
    """How many alternatives will be tried."""
    wishes = _wishes(artifact, why)
    return len(wishes) + 2 * _mixes(artifact, wishes)


def _wishes(artifact: Artifact, why: Contributions) -> list[_Wish]:
    """What to try: what costs most decides."""
    manifest = artifact.manifest
    options, plan = options_of(manifest), plan_of(manifest)
    if PROFILES[manifest.profile].exact or why.shipped.loss == 0:
        return []
    found = []
    costs = {c.part: c.removed or 0.0 for c in why.parts if c.layer is None}
    if costs.get(WEIGHTS, 1.0) >= WORTH:
        for method in ("gptq", "auto"):
            if method != plan.method:
                kept = ", bits of layers as they are" if _own(plan) else ""
                how = f"--method {method} --calibration DATA{kept}"
                chosen = {n: replace(c, method=None) for n, c in plan.layers.items()}
                other = replace(plan, method=method, layers=chosen)
                found.append(_Wish(f"method {method}", how, options, other))
        worst = why.worst_layer
        if worst is not None and worst.layer is not None:
            found += _wider(worst.layer, options, plan)
        if _own(plan):
            found += _one_more(artifact, options, plan)
        elif options.bits < 16:
            text = f"{options.bits + 1} bits in all layers"
            how = f"--bits {options.bits + 1}"
            found.append(_Wish(text, how, replace(options, bits=options.bits + 1), plan))
    if costs.get(INPUTS, 0.0) >= WORTH and options.input_bits < 16:
        bits = min(options.input_bits + 4, 16)
        wish = replace(options, input_bits=bits)
        found.append(_Wish(f"inputs of {bits} bits", f"--input-bits {bits}", wish, plan))
    if max(costs.get(THRESHOLDS, 0.0), costs.get(ROUNDING, 0.0)) >= WORTH:
        found += _finer(artifact, options, plan)
    return found


def _mixes(artifact: Artifact, wishes: list[_Wish]) -> bool:
    """Whether weights cost enough to try other bits for each layer, and are few layers."""
    layers = sum(1 for x in artifact.manifest.layers if x.weights)
    named = _own(plan_of(artifact.manifest))
    return bool(wishes) and wishes[0].plan.calibrated and 1 < layers <= MOST_LAYERS and not named


def _own(plan: Plan) -> bool:
    """Whether layers have bits of their own, as from a budget or ``snnc.toml``."""
    return any(choice.bits for choice in plan.layers.values())


def _one_more(artifact: Artifact, options: Options, plan: Plan) -> list[_Wish]:
    """One bit more in every layer, of layers with bits of their own."""
    layers = [entry.name for entry in artifact.manifest.layers if entry.weights]
    more = {n: bits + 1 for n in layers if (bits := plan.of(n).bits or options.bits) < 16}
    return _changed("1 bit more in all layers", "bits", more, options, plan)


def _mixed(artifact: Artifact, real: Graph, seen: Data, size: int) -> list[_Wish]:
    """The bits of every layer that make the outputs best in the bytes of the artifact."""
    most = min(artifact.manifest.bits + MORE_BITS, 16)
    options = replace(options_of(artifact.manifest), bits=most, method="gptq")
    budget = parse_budget(f"{size}B")
    ctx = Context(calibration=Calibration(seen.dense))
    loaded = Loaded(real, artifact.manifest.source, {}, False, ())
    prepared = Prepared(real.copy(), loaded, options, Plan("gptq"), ctx, ())
    try:
        fit = within(prepared, budget, lambda *_: None)
    except CompileError:
        return []
    if {c.bits for c in fit.plan.layers.values()} == {artifact.manifest.bits}:
        return []  # that is gptq with the same bits everywhere
    bits = ", ".join(f"{n} {c.bits}" for n, c in fit.plan.layers.items())
    how = f"--budget {budget.text} --bits {most} --method gptq --calibration DATA"
    return [_Wish(f"gptq, bits by layer: {bits}", how, options, fit.plan)]


def _wider(layer: str, options: Options, plan: Plan) -> list[_Wish]:
    """More bits for one layer, which those that share its scales must take, too."""
    bits, found = plan.of(layer).bits or options.bits, []
    for wide in range(bits + 1, min(bits + 2, 16) + 1):
        found += _changed(f"{layer} in {wide} bits", "bits", {layer: wide}, options, plan)
    return found


def _finer(artifact: Artifact, options: Options, plan: Plan) -> list[_Wish]:
    """More guard bits for all neurons."""
    more = {
        entry.name: guard + 4
        for entry in artifact.manifest.layers
        if entry.words
        and isinstance(guard := entry.facts.get("guard_bits"), int)
        and guard + 4 <= MOST_GUARD
    }
    return _changed("4 guard bits more", "guard", more, options, plan)


def _changed(
    name: str, key: str, values: dict[str, int], options: Options, plan: Plan
) -> list[_Wish]:
    """One key of ``snnc.toml`` with values for some layers; nothing if there are none."""
    if not values:
        return []
    how = ", ".join(f"{heading(layer)} {key} = {value}" for layer, value in values.items())
    changed: dict[str, Any] = {n: {key: value} for n, value in values.items()}
    layers = plan.layers | {n: replace(plan.of(n), **own) for n, own in changed.items()}
    wish = replace(plan, layers=layers, file="the alternative")
    return [_Wish(name, f"--config snnc.toml with {how}", options, wish)]


def best_of(tried: list[Alternative], size: int) -> Alternative | None:
    """What recovers enough, the smallest of that, and rather without more bytes."""
    enough = [a for a in tried if (a.recovered or 0.0) >= ENOUGH]
    free = [a for a in enough if a.bytes <= size]
    if free:
        return free[0]
    if enough:
        return min(enough, key=lambda a: a.bytes)
    some = [a for a in tried if (a.recovered or 0.0) >= WORTH]
    most = FREE * (some[0].recovered or 0.0) if some else 0.0
    free = [a for a in some if a.bytes <= size and (a.recovered or 0.0) >= most]
    return next(iter((*free, *some)), None)


def _advice(
    artifact: Artifact,
    why: Contributions,
    now: Measured,
    best: Alternative | None,
    tried: list[Alternative],
    measured: str,
) -> str:
    if now.loss < NEGLIGIBLE:
        return f"nothing to gain: the outputs are those of the float model ({measured})"
    place = _place(artifact, why)
    # Training takes minutes, so that it is named where the rest is not enough, and not measured.
    tune = "; not tried: snnc finetune" if why.worst and why.worst.part == WEIGHTS else ""
    if best is not None and best.recovered is not None:
        share = f"recovers {100 * best.recovered:.0f} % of the squared error of the outputs"
        tune = tune if best.recovered < ENOUGH else ""
        return f"{place}; {best.name} {share} ({measured}): {best.how}{tune}"
    if tried:
        return f"{place}; nothing that was tried recovers a tenth of it ({measured}){tune}"
    return f"{place}; there is nothing to try for it"


def _place(artifact: Artifact, why: Contributions) -> str:
    """What costs most."""
    worst, layer = why.worst, why.worst_layer
    if worst is None:
        return "what costs most is not known"
    if worst.removed is not None and worst.removed < WORTH:
        return "no part of the arithmetic alone costs much"
    if worst.part != WEIGHTS or layer is None or layer.layer is None:
        text = f"{worst.part} cost most"
        return text if worst.removed is None else f"{text}: {100 * worst.removed:.0f} %"
    if (layer.removed or 0.0) < WORTH:
        return "weights of all layers together cost most"
    choice = artifact.manifest.choices.get(layer.layer)
    bits = choice.bits if choice is not None and choice.bits else artifact.manifest.bits
    lost = 1 - (why.shipped.labels if why.shipped.labels is not None else 1.0)
    verdict = "are too few" if lost > TOO_FEW else "cost most"
    return f"layer {layer.layer}: {bits} bits {verdict}"
