"""``snnc run``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import click
import numpy as np

from snnc.artifact import Artifact
from snnc.atomic import check_place, write_file
from snnc.backends.base import Arrays
from snnc.commands.options import binning_of, common, event_options, names, pass_console
from snnc.console import Console, number, visible
from snnc.data import load_data
from snnc.diagnostics import fail
from snnc.early_exit import parse_exit
from snnc.encode import classes


@click.command("run")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), required=True, help=".npy or .npz: x, y.")
@click.option("--backend", default="numpy", show_default=True, help="Which backend runs it.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Results, .npz.")
@click.option("--record", default="", help="Layers whose spikes and states to keep: a comma list.")
@click.option("--samples", type=click.IntRange(1), help="First samples only.")
@click.option("--steps", type=click.IntRange(1), help="Time steps, if the input is static.")
@click.option(
    "--integers",
    type=click.Path(path_type=Path),
    help="Also write the integer inputs, for the artifact's own run programs (.npy, or .npz).",
)
@click.option("--exit", "until", metavar="OUTPUT=NUMBER", help="Stop a sample at confidence=0.9.")
@event_options
@common
@pass_console
def run_command(
    console: Console,
    /,
    folder: Path,
    data: Path,
    backend: str,
    out: Path,
    record: str,
    samples: int | None,
    steps: int | None,
    integers: Path | None,
    until: str | None,
    **events: Any,
) -> None:
    """Run an artifact on data and write the outputs of every sample.

    OUT.npz holds each output as real numbers under its name and as integers under `raw:NAME`,
    `class` if the first output is a vector, and `record:LAYER.WORD` for recorded words.
    """
    artifact = Artifact.open(folder)
    for path in filter(None, (out, integers)):
        check_place(path, data)
    if integers is not None and integers.absolute() == out.absolute():
        text = f"-o and --integers are both {out}"
        raise fail("E435", text, help="name two files")
    backend = artifact.backend(backend)
    artifact.check_backend(backend)
    exit_ = None if until is None else parse_exit(until)
    if exit_ is not None and record:
        text = "--record keeps words of whole samples, --exit stops them"
        raise fail("E427", text, help="leave one of them out")
    binning = binning_of(**events)
    loaded = load_data(data, artifact.manifest.inputs, binning=binning).first(samples)
    words = artifact.words(names(record))
    # before any memory is asked for
    count = artifact.steps_of(artifact.encode_data(loaded.first(0))[0], steps)
    console.report(*artifact.check_steps(count), *loaded.diagnostics)
    encoded, found = artifact.encode_data(loaded)
    console.report(*found)
    if exit_ is None:
        result = artifact.run_encoded(encoded, backend, words, steps)
    else:
        console.report(*artifact.check_exit())
        result = artifact.run_until(encoded, exit_, backend, steps)
    arrays = dict(result.outputs)
    arrays |= {} if result.used is None else {"steps": result.used}
    arrays |= {f"raw:{name}": a for name, a in result.raw.items()}
    arrays |= {f"record:{name}": a for name, a in result.words.items()}
    first = artifact.manifest.outputs[0]
    predicted = classes(result.outputs[first.name], first.sequence)
    accuracy = None
    if predicted is not None:
        arrays["class"] = predicted
        if loaded.labels is not None and len(loaded):
            accuracy = float(np.mean(predicted == loaded.labels))
    if integers is not None:
        write_file(integers, _stored(encoded))
    write_file(out, _archive(arrays))
    console.say(f"{len(loaded)} samples of {result.steps} steps on {backend}")
    mean = None if result.used is None or not len(loaded) else float(result.used.mean())
    if mean is not None:
        console.say(f"  stopped   after {mean:.2f} steps on average")
    if accuracy is not None:
        console.say(f"  accuracy  {number(accuracy, percent=True)}")
    console.say(f"  written   {visible(str(out))}: {visible(', '.join(arrays))}")
    console.result = {
        "artifact": str(folder),
        "backend": backend,
        "samples": len(loaded),
        "steps": result.steps,
        "mean_steps": mean,
        "accuracy": accuracy,
        "out": str(out),
        "arrays": {name: list(a.shape) for name, a in arrays.items()},
    }


def _archive(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _stored(arrays: Arrays) -> bytes:
    if len(arrays) > 1:
        return _archive(arrays)
    buffer = io.BytesIO()
    np.save(buffer, next(iter(arrays.values())))
    return buffer.getvalue()
