"""``snnc verify``."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import click

from snnc.artifact import Artifact
from snnc.calibrate import check_samples
from snnc.commands.options import binning_of, common, event_options, names, pass_console
from snnc.commands.tables import (
    agreement_rows,
    alternative_rows,
    backend_rows,
    contribution_rows,
    output_rows,
)
from snnc.console import Console, number, visible
from snnc.container import read_model
from snnc.data import Data, load_data
from snnc.diagnostics import fail
from snnc.generated_data import samples_of
from snnc.own_code import is_source
from snnc.verify import verify


@click.command("verify")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help=".npy or .npz: x, y.")
@click.option("--prove", is_flag=True, help="Also prove the emitted C with Frama-C Eva.")
@click.option("--proof", type=click.Path(path_type=Path), help="Keep harnesses in a new folder.")
@click.option("--backend", default="all", show_default=True, help="Which: a comma list.")
@click.option("--model", type=click.Path(path_type=Path), help="Float model [the one compiled].")
@click.option("--samples", type=click.IntRange(1), help="First samples only [all; Lava: 50].")
@click.option("--steps", type=click.IntRange(1), help="Time steps, if the input is static.")
@click.option("--explain", is_flag=True, help="Also say why the integers leave the float model.")
@click.option(
    "--explain-samples", type=click.IntRange(1), default=64, show_default=True, help="For that."
)
@click.option(
    "--calibration", type=click.Path(path_type=Path), help="Data to try other integers with."
)
@event_options
@common
@pass_console
def verify_command(
    console: Console,
    /,
    folder: Path,
    data: Path | None,
    prove: bool,
    proof: Path | None,
    backend: str,
    model: Path | None,
    samples: int | None,
    steps: int | None,
    explain: bool,
    explain_samples: int,
    calibration: Path | None,
    **events: Any,
) -> None:
    """Compare the float model, the integer program and every backend on data.

    Backends must equal the program in every spike, state word and output; if one does not, the
    exit code is 7.  --prove shows for all inputs and any number of steps that nothing in the C code
    overflows or is undefined; it needs no data.  --explain switches parts of the arithmetic back to
    real numbers in turn, and with --calibration compiles and measures what might be better.
    """
    if calibration is not None and not explain:
        raise fail("E001", "--calibration is for --explain", help="give --explain, too")
    if model is not None and explain:
        text = "--explain compares with the model that was compiled"
        raise fail("E001", text, help="leave --model out")
    if data is None and not prove:
        hint = "name a file with --data, or prove the C with --prove"
        raise fail("E001", "there is nothing to compare on", help=hint)
    artifact = Artifact.open(folder)
    if prove:
        _prove(console, artifact, proof)
    if data is None:
        return
    graph = None if model is None else read_model(model).graph
    outputs = artifact.manifest.outputs
    classes = outputs[0].shape[0] if len(outputs[0].shape) == 1 else None
    binning = binning_of(**events)
    loaded = load_data(data, artifact.manifest.inputs, classes, binning).first(samples)
    other = None
    if calibration is not None:
        if is_source(str(calibration)):
            other, name, _ = samples_of(calibration, artifact.manifest.inputs)
        else:
            other, name = (
                load_data(calibration, artifact.manifest.inputs, classes, binning),
                calibration.name,
            )
        check_samples(other, name)
    check_samples(loaded, data.name)
    chosen = None if backend == "all" else names(backend)
    with console.progress("verify", len(loaded)) as advance:
        report = verify(
            artifact, loaded, chosen, model=graph, samples=samples, steps=steps, progress=advance
        )
    console.report(*report.diagnostics)
    console.result |= {"artifact": str(folder), **report.document()}
    labelled = "" if loaded.labels is None else ", with labels"
    console.say(
        f"{visible(str(folder))}: {report.samples} samples of {report.steps} steps{labelled}\n"
    )
    if model is not None and not _is_compiled(model, artifact):
        console.say(
            f"  float model  {visible(str(model))}, of other content than the compiled one\n"
        )
    accuracy = [f"{kind} {number(share, percent=True)}" for kind, share in report.accuracy.items()]
    if report.labels is not None:
        accuracy.append(f"same class {number(report.labels, percent=True)}")
    if accuracy:
        console.say(f"  accuracy   {'   '.join(accuracy)}\n")
    if report.divergence:
        console.table(*agreement_rows(report))
        console.say()
    console.table(*output_rows(report))
    console.say()
    console.table(*backend_rows(report))
    if explain:
        _explain(console, artifact, loaded.first(explain_samples), other, report.steps)


def _is_compiled(model: Path, artifact: Artifact) -> bool:
    """Whether a model file is the one that was compiled."""
    with model.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == artifact.manifest.source.sha256


def _explain(
    console: Console, artifact: Artifact, data: Data, calibration: Data | None, steps: int
) -> None:
    """Say what each part of the arithmetic costs, and measure alternatives."""
    from snnc.alternatives import alternatives, count_of
    from snnc.contributions import contributions

    with console.progress("explain", 1) as advance:
        why = contributions(artifact, data, steps, advance)
    console.say(f"\nwhy, on {why.samples} samples: with one part in real numbers again\n")
    console.table(*contribution_rows(why))
    if not why.parts:
        console.say(f"\n  parts are not told apart: {visible(why.unknown)}")
    elif why.twin is not None and why.twin < 1:
        share = number(why.twin, 3, percent=True)
        console.say(f"\n  the real twin of the program repeats {share} of its spikes")
    console.result["explanation"] = {"contributions": why.document(), "alternatives": None}
    if calibration is None:
        console.say("\n  --calibration DATA measures what would be better")
        return
    with console.progress("alternatives", count_of(artifact, why)) as advance:
        found = alternatives(artifact, why, calibration, steps, advance)
    console.report(*found.diagnostics)
    console.say(f"\nalternatives, on {found.samples} samples of {steps} steps\n")
    console.table(*alternative_rows(found))
    console.say(f"\n  {visible(found.advice)}")
    console.result["explanation"] = {
        "contributions": why.document(),
        "alternatives": found.document(),
    }


def _prove(console: Console, artifact: Artifact, kept: Path | None) -> None:
    """Prove the C target and show a line for every harness."""
    from snnc.backends.c.network import Network
    from snnc.backends.c.proof import uncovered
    from snnc.backends.c.proof_run import Verdict, check_certificate, prove, write_proof

    artifact.check_backend("c")
    with tempfile.TemporaryDirectory(prefix="snnc-proof-") as name:
        place = Path(name)
        if kept is not None:
            if kept.exists():
                raise fail("E431", f"{kept} exists", help="choose another folder with --proof")
            place = kept
        found = write_proof(artifact.graph(), place)
        verdicts: list[Verdict] = []
        with console.progress("prove", len(found)) as advance:
            for harness in found:
                verdicts.append(prove(place / "proof", harness, place / "c"))
                advance(1)
        certified = check_certificate(place / "proof", artifact.folder / "program")
    rows = [
        (v.node, v.name, str(v.alarms), f"{v.valid} of {v.asserts}", f"{v.seconds:.1f} s")
        for v in verdicts
    ]
    console.table(("layer", "harness", "alarms", "assertions", "time"), rows)
    console.say(f"\n  certificate  {certified}")
    rest = uncovered(Network(artifact.graph()), found)
    if rest:
        console.say(f"  without a harness  {visible(', '.join(rest))}")
    console.result["proof"] = {
        "certificate": certified,
        "uncovered": rest,
        "harnesses": [
            {"layer": v.node, "name": v.name, "alarms": v.alarms, "proven": v.proven}
            for v in verdicts
        ],
    }
    if left := [v for v in verdicts if not v.proven]:
        text = f"{left[0].name} of layer {left[0].node} is not proven"
        why = f"{left[0].alarms} alarms, {left[0].valid} of {left[0].asserts} assertions valid"
        raise fail("E414", text, None, why, help="--proof DIR keeps the harnesses and README.txt")
