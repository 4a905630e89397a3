"""A line per network and exporter: ``python -m tests.frontends.zoo.onnx_files [PREFIX]``.

Every network that snnc recovers from torch is exported to ONNX, unrolled over its steps, by both
exporters of torch, read back without its module, and compared with onnxruntime and with what was
recovered from torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import sys
import time
import warnings
from collections import Counter
from typing import Any

import torch

from snnc.container import LoadedModel
from snnc.diagnostics import CompileError
from snnc.frontends.evaluate import Evaluator
from snnc.frontends.from_onnx import read_bytes
from snnc.frontends.layout import Axes, Special
from snnc.frontends.numeric_check import arrange, sequence_first
from snnc.frontends.recipe import Recipe
from snnc.frontends.whole_loop import Unrolled
from tests.frontends.zoo.case import Case
from tests.frontends.zoo.catalogue import cases
from tests.frontends.zoo.examine import examine

#: The exporter of ``torch.export`` programs, with and without its optimiser, and the older one.
EXPORTERS = ("dynamo", "dynamo raw", "older")


@dataclasses.dataclass
class OnnxOutcome:
    """What becomes of one file.

    Attributes:
        name: Of the network and the exporter.
        failed: Why the exporter did not write it; empty if it did.
        refused: Code of the refusal.
        message: First line of the refusal, or what is wrong.
        wrong: Whether something is that must never be.
        model: What was read.
        same: Whether it computes the same, bit for bit, as what was recovered from torch.
        seconds: Time of reading.
    """

    name: str
    failed: str = ""
    refused: str = ""
    message: str = ""
    wrong: bool = False
    model: LoadedModel | None = None
    same: bool = False
    seconds: float = 0.0

    @property
    def kind(self) -> str:
        """One word for the statistics."""
        if self.failed:
            return "not exported"
        return "wrong" if self.wrong else "refused" if self.refused else "recovered"

    def __str__(self) -> str:
        head = f"{self.name:48}"
        if self.model is None or self.wrong:
            return f"{head} {self.kind} {self.refused} {self.failed or self.message}"
        checks = self.model.meta["checks"]
        runtime = checks["numeric"]["onnxruntime"]
        ort = (
            "-"
            if runtime is None
            else "exact"
            if runtime["exact"]
            else f"{runtime['difference']:.1e}"
        )
        alike = "as from torch" if self.same else "differs in rounding"
        return (
            f"{head} recovered proof {' '.join(checks['proof'])} onnxruntime {ort} {alike} "
            f"states {checks['states']} {self.seconds:.1f} s"
        )


def exported(recipe: Recipe, steps: int, exporter: str) -> bytes:
    """The module of a recipe, unrolled over its steps, as an ONNX file."""
    module = Unrolled(recipe, steps).eval()
    buffer = io.BytesIO()
    quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with torch.no_grad(), warnings.catch_warnings(), quiet[0], quiet[1]:
            warnings.simplefilter("ignore")
            if exporter == "older":
                torch.onnx.export(module, recipe.inputs, buffer, dynamo=False, opset_version=17)
                return buffer.getvalue()
            program = torch.export.export(module, recipe.inputs, strict=False)
            optimize = exporter == "dynamo"
            found = torch.onnx.export(program, dynamo=True, optimize=optimize, verbose=False)
            assert found is not None, "without a file it is returned"
            return bytes(found.model_proto.SerializeToString())
    finally:
        logging.disable(before)


def _run(model: LoadedModel, recipe: Recipe, steps: int) -> list[torch.Tensor]:
    """Outputs in the layout of the module."""
    sides = list(zip(recipe.inputs, model.meta["inputs"], strict=True))
    given = {
        i["name"]: sequence_first(x, i["time_axis"], i["batch_axis"])
        for x, i in sides
        if i["name"] in model.graph
    }
    batch = next((x.shape[a] for x, i in sides if (a := i["batch_axis"]) is not None), None)
    outputs = Evaluator(model.graph, given, steps).outputs
    return [
        arrange(outputs[o["name"]], _axes(o["axes"]), steps, batch) for o in model.meta["outputs"]
    ]


def _axes(axes: list[list[Any]]) -> Axes:
    return tuple(tuple(f if isinstance(f, int) else Special(f) for f in axis) for axis in axes)


def examine_file(
    case: Case, exporter: str, recipe: Recipe, direct: LoadedModel, steps: int
) -> OnnxOutcome:
    """Export, read back, and compare."""
    outcome = OnnxOutcome(f"{case.name} ({exporter})")
    try:
        data = exported(recipe, steps, exporter)
    except Exception as e:
        outcome.failed = f"{type(e).__name__}: {(str(e).splitlines() or [''])[0][:80]}"
        return outcome
    start = time.perf_counter()
    try:
        outcome.model = read_bytes(data, "net.onnx", {})
    except CompileError as e:
        outcome.refused = e.diagnostics[0].code
        outcome.message = str(e.diagnostics[0]).splitlines()[0].partition(": ")[2][:120]
        outcome.wrong = outcome.refused in ("E138", "E901")
        return outcome
    except Exception as e:
        outcome.wrong = True
        outcome.message = f"crashed: {type(e).__name__}: {(str(e).splitlines() or [''])[0]}"
        return outcome
    finally:
        outcome.seconds = time.perf_counter() - start
    _compare(outcome, recipe, direct, steps)
    return outcome


def _compare(outcome: OnnxOutcome, recipe: Recipe, direct: LoadedModel, steps: int) -> None:
    """Run both networks on the example."""
    model = outcome.model
    assert model is not None, "it was read"
    have, want = _run(model, recipe, steps), _run(direct, recipe, steps)
    for a, b in zip(have, want, strict=True):
        if a.shape != b.shape:
            outcome.wrong, outcome.message = True, f"shapes {tuple(a.shape)} and {tuple(b.shape)}"
            return
        scale = max(1.0, float(b.abs().max()))
        if float((a - b).abs().max()) > 1e-4 * scale:
            outcome.wrong, outcome.message = True, "computes something else than from torch"
    outcome.same = all(torch.equal(a, b) for a, b in zip(have, want, strict=True))


def main() -> int:
    """Print the table and the counts; the exit code is 1 if anything is wrong."""
    torch.set_num_threads(1)
    counts: Counter[str] = Counter()
    exporters = sys.argv[2].split(",") if len(sys.argv) > 2 else EXPORTERS
    for case in cases(*sys.argv[1:2]):
        outcome = examine(case, compile_too=False)
        if outcome.report is None or not outcome.traced:
            continue
        recipe, steps = outcome.traced[0], outcome.report.model.graph.steps
        for exporter in exporters:
            found = examine_file(case, exporter, recipe, outcome.report.model, steps)
            counts[found.kind] += 1
            sys.stdout.write(f"{found}\n")
            sys.stdout.flush()
    sys.stdout.write(", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())) + "\n")
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
