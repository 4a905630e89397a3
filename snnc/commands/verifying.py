"""``snnc verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snnc.artifact import Artifact
from snnc.commands.options import binning_of, common, event_options, names, pass_console
from snnc.commands.tables import agreement_rows, backend_rows
from snnc.console import Console, number, visible
from snnc.container import read_model
from snnc.data import load_data
from snnc.verify import verify


@click.command("verify")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), required=True, help=".npy or .npz: x, y.")
@click.option("--backend", default="all", show_default=True, help="Which: a comma list.")
@click.option("--model", type=click.Path(path_type=Path), help="Float model [the one compiled].")
@click.option("--samples", type=click.IntRange(1), help="First samples only [all; Lava: 50].")
@click.option("--steps", type=click.IntRange(1), help="Time steps, if the input is static.")
@event_options
@common
@pass_console
def verify_command(
    console: Console,
    /,
    folder: Path,
    data: Path,
    backend: str,
    model: Path | None,
    samples: int | None,
    steps: int | None,
    **events: Any,
) -> None:
    """Compare the float model, the integer program and every backend on data.

    Backends must equal the program in every spike, state word and output; if one does not, the
    exit code is 7.
    """
    artifact = Artifact.open(folder)
    graph = None if model is None else read_model(model).graph
    outputs = artifact.manifest.outputs
    classes = outputs[0].shape[0] if len(outputs[0].shape) == 1 else None
    binning = binning_of(**events)
    loaded = load_data(data, artifact.manifest.inputs, classes, binning).first(samples)
    chosen = None if backend == "all" else names(backend)
    with console.progress("verify", len(loaded)) as advance:
        report = verify(
            artifact, loaded, chosen, model=graph, samples=samples, steps=steps, progress=advance
        )
    console.report(*report.diagnostics)
    console.result = {"artifact": str(folder), **report.document()}
    labelled = "" if loaded.labels is None else ", with labels"
    console.say(
        f"{visible(str(folder))}: {report.samples} samples of {report.steps} steps{labelled}\n"
    )
    accuracy = [f"{kind} {number(share, percent=True)}" for kind, share in report.accuracy.items()]
    if report.labels is not None:
        accuracy.append(f"same class {number(report.labels, percent=True)}")
    if accuracy:
        console.say(f"  accuracy   {'   '.join(accuracy)}\n")
    console.table(*agreement_rows(report))
    console.say()
    console.table(*backend_rows(report))
