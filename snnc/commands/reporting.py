"""``snnc report``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from snnc.artifact import Artifact
from snnc.atomic import check_place, write_file
from snnc.backends import load_backend
from snnc.calibrate import check_samples
from snnc.commands.options import binning_of, common, event_options, names, pass_console
from snnc.console import Console, visible
from snnc.data import load_data
from snnc.diagnostics import fail

#: Backends that take too long to be run for a page unless they are named.
SLOW = ("lava",)


@click.command("report")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help=".npy or .npz: x, y.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Page to write [DIR.html].")
@click.option("--samples", type=click.IntRange(1), help="First samples of the data only.")
@click.option("--sample", type=click.IntRange(0), default=0, show_default=True, help="To draw.")
@click.option("--steps", type=click.IntRange(1), help="Time steps, if the input is static.")
@click.option("--backend", help="To compare: a comma list [all but Lava].")
@click.option("--no-explain", is_flag=True, help="Leave out why integers differ, which takes long.")
@event_options
@common
@pass_console
def report_command(
    console: Console,
    /,
    folder: Path,
    data: Path | None,
    out: Path | None,
    samples: int | None,
    sample: int,
    steps: int | None,
    backend: str | None,
    no_explain: bool,
    **events: Any,
) -> None:
    """Write one HTML page about an artifact, and with --data about what it does.

    Pipeline, layers, ranges with their headroom, weights before and after, spikes float and
    integer, classes, energy with its sources, sizes and mapping.  The page holds no scripts and
    fetches nothing.
    """
    from snnc.page.gather import gather
    from snnc.page.render import render

    artifact = Artifact.open(folder)
    manifest = artifact.manifest
    out = out or folder.with_name(f"{folder.name}.html")
    check_place(out, data)
    loaded = None
    if data is not None:
        shape = manifest.outputs[0].shape
        classes = shape[0] if len(shape) == 1 else None
        loaded = load_data(data, manifest.inputs, classes, binning_of(**events)).first(samples)
        check_samples(loaded, data.name)
        console.report(*loaded.diagnostics)
        if sample >= len(loaded):
            text = f"--sample is {sample}, there are samples 0 to {len(loaded) - 1}"
            raise fail("E421", text, help="they are counted from 0")
    if backend is not None:
        chosen = tuple(map(artifact.backend, names(backend)))
    else:
        runnable = [n for n in manifest.targets if load_backend(n).runs]
        chosen = tuple(n for n in runnable if not n.startswith(SLOW))
    started = ("", time.perf_counter())

    def note(stage: str) -> None:
        nonlocal started
        now = time.perf_counter()
        if started[0]:
            console.stage(started[0], "", now - started[1])
        started = (stage, now)

    place = "" if data is None else data.name
    page = gather(artifact, loaded, place, chosen, steps, sample, not no_explain, note)
    note("")
    if page.report is not None:
        console.report(*page.report.diagnostics)
    content = render(page).encode("utf-8", "backslashreplace")
    write_file(out, content)
    console.say(f"  written  {visible(str(out))}  ({len(content) / 1000:,.0f} kB)")
    console.result = {"artifact": str(folder), "page": str(out), "bytes": len(content)}
