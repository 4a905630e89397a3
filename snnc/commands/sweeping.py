"""``snnc sweep``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from snnc.atomic import write_file
from snnc.calibrate import check_samples, class_count
from snnc.commands.options import (
    binning_of,
    common,
    event_options,
    pass_console,
    sizes,
)
from snnc.commands.tables import Row
from snnc.console import Console, number, visible
from snnc.data import load_data
from snnc.diagnostics import CompileError, fail, warning
from snnc.manifest import InputEntry
from snnc.ops import Input
from snnc.options import Options
from snnc.sweep import Point, Sweep, Sweeper, parse_bits, parse_methods, question, sweep
from snnc.types import Clock

PICTURE = "sweep.svg"


@click.command("sweep")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), required=True, help=".npy or .npz: x, y.")
@click.option("--bits", default="2..8", show_default=True, help="Bits of weights: 2..8 or 3,4.")
@click.option("--method", default="all", show_default=True, help="A comma list, or all.")
@click.option("--calibration", type=click.Path(path_type=Path), help="Data for gptq and auto.")
@click.option("--config", type=click.Path(path_type=Path), help="snnc.toml: choices by layer.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Folder of points [MODEL.sweep]."
)
@click.option("--samples", type=click.IntRange(1), help="First samples of the data only.")
@click.option("--input-bits", type=int, default=8, show_default=True, help="Bits of real inputs.")
@click.option("--module", metavar="FILE.py:FACTORY", help="Your code, for a file of bare weights.")
@click.option("--nir", default="", metavar="K=V,…", help="What a NIR file leaves open: reset=…")
@click.option("--onnx", default="", metavar="K=V,…", help="What an ONNX file leaves open: state=…")
@click.option("--input", "shape", default="", metavar="1,28,28", help="Input of a pickled module.")
@click.option("--steps", type=click.IntRange(1), help="Time steps, if the file leaves them open.")
@click.option("--encode", multiple=True, metavar="NAME:K=V,…", help="Put an encoder in front.")
@event_options
@common
@pass_console
def sweep_command(
    console: Console,
    /,
    model: Path,
    data: Path,
    bits: str,
    method: str,
    out: Path | None,
    samples: int | None,
    shape: str,
    dt: int | None,
    bins: int | None,
    sensor: str | None,
    **chosen: Any,
) -> None:
    """Compile MODEL with many bits and methods; show accuracy against size and operations.

    Every point is kept in a folder: the same command goes on after it was stopped.  With matplotlib
    the folder also gets a picture, sweep.svg.
    """
    options = Options(shape=sizes(shape), **chosen)
    known = options.calibration is not None
    choices = [(b, m) for b in parse_bits(bits) for m in parse_methods(method, known)]
    if method.strip() == "all" and not known:
        console.note("  without --calibration: max, percentile and mse only")
    sweeper = Sweeper(model, options)
    loaded = load_data(
        data, _inputs(sweeper), class_count(sweeper.graph), binning_of(dt, bins, sensor)
    )
    loaded = loaded.first(samples)
    check_samples(loaded, data.name)
    console.report(*loaded.diagnostics)
    folder = out or Path(f"{model.stem or 'model'}.sweep")
    asked = question(model, options, data, len(loaded), sweeper.seen)
    before = [time.perf_counter()]

    def report(point: Point, was_there: bool) -> None:
        now = time.perf_counter()
        text = "was there" if was_there else _short(point)
        console.stage(f"{point.bits} {point.method}", text, now - before[0])
        before[0] = now

    steps = _steps(sweeper, loaded.part(0, 1).dense)
    try:
        found = sweep(folder, sweeper, asked, choices, loaded, steps, report)
    except KeyboardInterrupt as e:
        kept = f"points so far are in {folder}"
        raise fail("E009", f"stopped; {kept}", help="the same command goes on from there") from e
    console.report(*sweeper.warned)
    console.note("")
    console.table(*_rows(found))
    if found.accuracy is not None:
        console.say(f"\n  float accuracy {number(found.accuracy, percent=True)}")
    console.say(f"  measured on {found.samples} samples; * is not beaten by any cheaper point")
    picture = _draw(console, found, folder)
    if picture is not None:
        console.say(f"  picture  {visible(str(picture))}")
    console.result = {
        "folder": str(folder),
        "picture": None if picture is None else str(picture),
        "resumed": found.resumed,
        **found.document(),
    }


def _inputs(sweeper: Sweeper) -> tuple[InputEntry, ...]:
    """Names and shapes of the inputs; their integers differ from point to point."""
    return tuple(
        InputEntry(n.name, n.op.type.shape, str(n.op.type.clock), 0, 0, 1.0, "")
        for n in sweeper.graph
        if isinstance(n.op, Input)
    )


def _steps(sweeper: Sweeper, arrays: dict[str, Any]) -> int:
    for node in sweeper.graph:
        if isinstance(node.op, Input) and node.op.type.clock is Clock.STEP:
            return int(arrays[node.name].shape[1])
    return sweeper.graph.steps


def _short(point: Point) -> str:
    if point.failed:
        return point.failed
    text = f"{point.bytes / 1000:,.1f} kB"
    return text if point.accuracy is None else f"{100 * point.accuracy:.2f} %, {text}"


def _rows(found: Sweep) -> tuple[Row, list[Row]]:
    columns = ("bits", "method", "accuracy", "same class", "output error", "F1", "kB packed")
    small, quick = found.front("bytes"), found.front("operations")
    rows: list[Row] = []
    for p in found.points:
        if p.failed:
            rows.append((str(p.bits), p.method, "", "", "", "", "", "", "", p.failed))
            continue
        rows.append(
            (
                str(p.bits),
                p.method,
                number(p.accuracy, percent=True),
                number(p.labels, percent=True),
                number(p.error, percent=True),
                number(p.f1, percent=True),
                f"{p.bytes / 1000:,.1f}{'*' if p in small else ' '}",
                f"{p.operations:,.0f}{'*' if p in quick else ' '}",
                f"{p.nanojoules:,.1f}",
                "",
            )
        )
    return (*columns, "operations", "nJ est.", ""), rows


def _draw(console: Console, found: Sweep, folder: Path) -> Path | None:
    """Write the picture; a warning if it cannot be drawn."""
    from snnc.pareto_plot import draw

    if all(p.quality is None for p in found.points):
        return None
    try:
        content = draw(found)
    except CompileError as e:
        first = e.diagnostics[0]
        console.report(warning("W645", first.message, help=first.help))
        return None
    write_file(folder / PICTURE, content)
    return folder / PICTURE
