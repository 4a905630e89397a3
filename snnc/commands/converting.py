"""``snnc convert``."""

from __future__ import annotations

from pathlib import Path

import click

from snnc.commands.options import common, pass_console
from snnc.console import Console, number, visible
from snnc.converting import convert


@click.command("convert")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--calibration", type=click.Path(path_type=Path), required=True, help="Its inputs.")
@click.option("--steps", type=click.IntRange(1), required=True, help="Time steps of a sample.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Model file [MODEL.spiking.pt].")
@click.option(
    "--percentile", default=99.9, show_default=True, help="Of a channel's values: its threshold."
)
@click.option("--delay", default=0, show_default=True, help="First steps that do not count.")
@click.option("--onnx", default="", metavar="K=V,…", help="What an ONNX file leaves open.")
@common
@pass_console
def convert_command(
    console: Console,
    /,
    model: Path,
    calibration: Path,
    steps: int,
    out: Path | None,
    percentile: float,
    delay: int,
    onnx: str,
) -> None:
    """Convert MODEL, a network of linear layers and ReLUs, to a spiking network.

    The file that it writes is compiled as any other model.
    """
    out = out or Path(f"{model.stem or 'model'}.spiking.pt")
    console.note(f"{visible(str(model))} → {visible(str(out))}, {steps} steps\n")
    done = convert(
        model, out, calibration, steps=steps, percentile=percentile, delay=delay, onnx=onnx
    )
    console.report(*done.diagnostics)
    rows = [
        (
            layer.name,
            str(len(layer.thresholds)),
            f"{layer.thresholds.min():.4g} … {layer.thresholds.max():.4g}",
            str(layer.silent) if layer.silent else "",
        )
        for layer in done.layers
    ]
    console.table(("neurons", "channels", "threshold", "never active"), rows)
    console.say(f"\n  outputs differ by {number(done.error, 2, percent=True)} of their size")
    if done.agreement is not None:
        same = number(done.agreement, 2, percent=True)
        console.say(f"  same class as before for {same} of the calibration samples")
    console.say(f"  next     snnc compile {visible(str(out))}")
    console.result = {
        "model": str(out),
        "steps": steps,
        "error": done.error,
        "agreement": done.agreement,
        "layers": [
            {"name": x.name, "channels": len(x.thresholds), "silent": x.silent} for x in done.layers
        ],
    }
