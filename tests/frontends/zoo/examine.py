"""What becomes of one network: recovered or refused, proven, equal, and compiled or not."""

from __future__ import annotations

import math
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import snnc
from snnc.artifact import Artifact
from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.exporting import Report, export
from snnc.frontends import from_torch
from snnc.frontends.numeric_check import sequence_first
from tests.frontends.zoo.case import Case
from tests.frontends.zoo.tampering import tampering_is_rejected


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
            and with the model with quantized weights; NaN without spikes.
        errors: Share of the outputs that differ by less than 1 % of the largest value from the
            same two models, and the largest difference as a fraction of that value.
        seconds: Time of the export.
    """

    case: Case
    refused: str = ""
    message: str = ""
    wrong: str = ""
    report: Report | None = None
    tampered: bool = False
    compiled: str = "-"
    agreement: tuple[float, float] = (math.nan, math.nan)
    errors: tuple[tuple[float, float], ...] = ()
    seconds: float = 0.0
    traced: list[Any] = field(default_factory=list)

    @property
    def active(self) -> list[bool]:
        """By comparison and rounding (by output, without any), whether something happens there.

        A comparison has to be true somewhere and false somewhere.
        """
        assert self.report is not None
        numeric = self.report.checks["numeric"]
        shares: dict[str, float] = numeric["active"] or numeric["outputs"]
        return [share > 0 and name not in numeric["saturated"] for name, share in shares.items()]

    @property
    def inactive(self) -> bool:
        """Whether the numeric comparison says nothing about some part of a recovered network."""
        return self.report is not None and not (self.active and all(self.active))

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
        active, outputs = self.active, "" if numeric["active"] else " outputs"
        integers = self.compiled
        if not integers and not math.isnan(self.agreement[0]):
            float_share, own_share = self.agreement
            integers = f"compiled, spikes {float_share:.2%} of float, {own_share:.2%} of quantized"
        elif not integers:
            sides = zip(("float", "quantized"), self.errors, strict=True)
            parts = (f"{share:.2%} of {k} (off by {worst:.1e})" for k, (share, worst) in sides)
            integers = f"compiled, outputs {', '.join(parts)}"
        flag = "" if self.as_expected else " (unexpected)"
        return (
            f"{head} recovered{flag} proof {proof} admissible {same} "
            f"active {sum(active)}/{len(active)}{outputs} states {checks['states']} "
            f"tampering {'rejected' if self.tampered else 'passed'} {self.seconds:.1f} s "
            f"| {integers}"
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
    if not outcome.tampered:
        outcome.wrong = "a step with another operator in it was proven"
    if not any(outcome.active):
        outcome.wrong = "nothing fires: the comparison says nothing"


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
        outcome.errors = _errors(artifact, data)
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


def _errors(artifact: Artifact, data: dict[str, Any]) -> tuple[tuple[float, float], ...]:
    """How far the integer outputs are from the float model's and from the quantized model's."""
    run = artifact.run(data)
    grid = {e.name: artifact.encode(data)[e.name] * e.scale for e in artifact.manifest.inputs}
    found = []
    for graph, given in ((artifact.model(), data), (artifact.fakequant(), grid)):
        assert graph is not None, "compile keeps the quantized model"
        expected = FloatSimulator(graph).run(given, run.steps)[0]
        errors = np.concatenate(
            [
                (np.abs(run.outputs[n] - y) / (np.abs(y).max() or 1.0)).ravel()
                for n, y in expected.items()
            ]
        )
        found.append((float((errors < 0.01).mean()), float(errors.max())))
    return tuple(found)
