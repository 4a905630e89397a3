"""What becomes of one network: recovered or refused, proven, equal, and compiled or not."""

from __future__ import annotations

import math
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import snnc
from snnc.diagnostics import CompileError
from snnc.exporting import Report, export
from snnc.frontends import from_torch
from snnc.frontends.dag import Dag
from snnc.frontends.numeric_check import sequence_first
from snnc.frontends.peel import Simplifier
from snnc.frontends.step import State, StepProgram
from snnc.frontends.unroll import proves, unroll
from tests.frontends.zoo.case import Case

#: What stands in for a function in a step that was tampered with.
_OTHER = {"add": "sub", "sub": "add", "mul": "add", "div": "mul", "ge": "lt", "gt": "le"}


@dataclass
class Outcome:
    """What was found out about a case.

    Attributes:
        case: Which.
        refused: Code of the refusal by the frontend; empty if it was recovered.
        message: First line of the refusal.
        wrong: Anything that must never be: a crash, a check that did not hold.
        report: Of the export.
        tampered: Whether the proof rejected a step with another operator in it.
        compiled: Code of the refusal by the passes; empty if it was compiled.
        agreement: Smallest share of spikes that the integers have in common with the model,
            and with the model with quantized weights.
        seconds: Time of the export.
    """

    case: Case
    refused: str = ""
    message: str = ""
    wrong: str = ""
    report: Report | None = None
    tampered: bool | None = None
    compiled: str = "-"
    agreement: tuple[float, float] = (math.nan, math.nan)
    seconds: float = 0.0
    traced: list[Any] = field(default_factory=list)

    @property
    def as_expected(self) -> bool:
        """Recovered if it has to be, else refused with its code, and nothing wrong."""
        return not self.wrong and self.refused == self.case.refused

    def __str__(self) -> str:
        head = f"{self.case.name:42}"
        if self.wrong:
            return f"{head} WRONG {self.wrong}"
        if self.report is None:
            flag = "" if self.as_expected else " (unexpected)"
            return f"{head} refused {self.refused}{flag}: {self.message}"
        checks = self.report.checks
        numeric = checks["numeric"]
        proof = " ".join(
            f"{t}:{'=' if p == 'identical' else '~'}" for t, p in checks["proof"].items()
        )
        same = "exact" if numeric["exact"] else f"{numeric['difference']:.1e}"
        active = [share > 0 for share in numeric["active"].values()]
        integers = self.compiled
        if not integers:
            float_share, own_share = self.agreement
            integers = f"compiled, spikes {float_share:.2%} of float, {own_share:.2%} of quantized"
        flag = "" if self.as_expected else " (unexpected)"
        return (
            f"{head} recovered{flag} proof {proof} admissible {same} "
            f"active {sum(active)}/{len(active)} states {checks['states']} "
            f"{'tampering rejected' if self.tampered else '-'} {self.seconds:.1f} s | {integers}"
        )


def examine(case: Case, compile_too: bool = True) -> Outcome:
    """Export, tamper with the proof, compile, and compare spikes."""
    outcome = Outcome(case)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        try:
            _export(outcome, Path(folder) / "model.pt")
        except CompileError as e:
            outcome.refused = e.diagnostics[0].code
            outcome.message = str(e.diagnostics[0]).splitlines()[0].partition(": ")[2]
        except Exception as e:
            first = (str(e).splitlines() or [""])[0]
            outcome.wrong = f"crashed: {type(e).__name__}: {first}"
        if outcome.report is not None:
            _check(outcome)
            if compile_too:
                _compile(outcome, Path(folder))
    return outcome


def _export(outcome: Outcome, path: Path) -> None:
    start = time.perf_counter()
    module, example = outcome.case.build()
    recovered = []

    def keep(recipe: Any, steps: int) -> Any:
        recovered.append((recipe, genuine(recipe, steps)))
        return recovered[-1][1]

    genuine = from_torch.recover_proven
    with mock.patch.object(from_torch, "recover_proven", keep):
        outcome.report = export(module, example, path, **outcome.case.options)
    outcome.seconds = time.perf_counter() - start
    outcome.traced = recovered[0]


def _check(outcome: Outcome) -> None:
    assert outcome.report is not None
    checks = outcome.report.checks
    _, found = outcome.traced
    dag, program, proof = found.dag, found.program, found.proof
    if set(checks["proof"].values()) - {"identical", "up to zeros"} or not checks["admissible"]:
        outcome.wrong = f"proof {checks['proof']}"
    outcome.tampered = tampering_is_rejected(dag, program, max(map(int, proof)))
    if outcome.tampered is False:
        outcome.wrong = "a step with another operator in it was proven"
    if not any(checks["numeric"]["active"].values()) and checks["numeric"]["active"]:
        outcome.wrong = "nothing fires: the comparison says nothing"


def tampering_is_rejected(dag: Dag, program: StepProgram, steps: int) -> bool | None:
    """Put another function in the place of the first one, in one loop after the other.

    None if there is no function to replace.
    """
    traced = unroll(dag, program, steps)
    found = [
        proves(dag, wrong, steps, traced, Simplifier(dag)) is None
        for wrong in _tampered(dag, program)
    ]
    return all(found) if found else None


def _tampered(dag: Dag, program: StepProgram) -> Iterator[StepProgram]:
    for k, loop in enumerate(program.loops):
        roots = [s.next for s in loop.states] + list(loop.outputs)
        target = next(
            (
                x
                for x in dag.sorted_cone(roots)
                if dag.kind(x) == "pointwise" and dag[x].form.attrs[0] in _OTHER and dag[x].reach
            ),
            None,
        )
        if target is None:
            continue
        memo = {target: dag.pointwise(_OTHER[dag[target].form.attrs[0]], *dag[target].args)}
        states = tuple(
            State(s.initial, dag.rewrite(s.next, memo, lambda _: None)) for s in loop.states
        )
        outputs = tuple(dag.rewrite(x, memo, lambda _: None) for x in loop.outputs)
        loops = list(program.loops)
        loops[k] = StepProgram(states, outputs)
        last = loops.pop()
        yield StepProgram(last.states, last.outputs, tuple(loops), program.links)


def _compile(outcome: Outcome, folder: Path) -> None:
    assert outcome.report is not None
    recipe = outcome.traced[0]
    try:
        artifact = snnc.compile(folder / "model.pt", folder / "out", target="numpy")
        names = [i["name"] for i in outcome.report.model.meta["inputs"]]
        sides = zip(names, recipe.inputs, recipe.time_axes, recipe.batch_axes, strict=True)
        data = {n: sequence_first(x, t, b).contiguous().numpy() for n, x, t, b in sides}
        known = {e.name for e in artifact.manifest.inputs}
        data = {n: x for n, x in data.items() if n in known}
        found = artifact.verify(next(iter(data.values())) if len(data) == 1 else data)
    except CompileError as e:
        first = e.diagnostics[0]
        outcome.compiled = f"{first.code} {first.message.splitlines()[0]}"
        return
    except Exception as e:
        outcome.compiled = f"crashed: {type(e).__name__}: {(str(e).splitlines() or [''])[0]}"
        return
    agreement = found.document()["agreement"]
    outcome.compiled = ""
    outcome.agreement = (
        min(agreement.get("spikes", {}).values(), default=math.nan),
        min(agreement.get("quantized_spikes", {}).values(), default=math.nan),
    )
