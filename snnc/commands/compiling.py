"""``snnc compile``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from snnc.commands.options import common, names, pass_console, sizes
from snnc.commands.tables import layer_rows
from snnc.console import Console, visible
from snnc.driver import compile_model
from snnc.options import Options
from snnc.version import __version__


@click.command("compile")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Artifact to write [MODEL.snnc]."
)
@click.option("--target", default="numpy", show_default=True, help="A comma list: snnc targets.")
@click.option("--bits", type=int, default=8, show_default=True, help="Bits of a weight, 2 to 16.")
@click.option("--input-bits", type=int, default=8, show_default=True, help="Bits of real inputs.")
@click.option("--method", default="mse", show_default=True, help="max, percentile, gptq, auto.")
@click.option("--config", type=click.Path(path_type=Path), help="snnc.toml: choices by layer.")
@click.option("--budget", metavar="64KiB", help="Bits by layer: B…MiB, k…Gbitops.")
@click.option("--reuse", type=click.Path(path_type=Path), help="Artifact: its integers again.")
@click.option("--calibration", type=click.Path(path_type=Path), help="Data, or FILE.py:GENERATOR.")
@click.option("--profile", help="Numeric profile: default, loihi [the model's own].")
@click.option("--lava-mode", default="custom", show_default=True, help="Whose processes: stock.")
@click.option("--max-steps", type=int, help="Longest sequence to prove ranges for.")
@click.option("--module", metavar="FILE.py:FACTORY", help="Your code, for a file of bare weights.")
@click.option("--nir", default="", metavar="K=V,…", help="What a NIR file leaves open: reset=…")
@click.option("--onnx", default="", metavar="K=V,…", help="What an ONNX file leaves open: state=…")
@click.option("--lava-dl", default="", metavar="K=V,…", help="What a .net file leaves open.")
@click.option("--input", "shape", default="", metavar="1,28,28", help="Input of a pickled module.")
@click.option("--steps", type=click.IntRange(1), help="Time steps of a pickled module or .pt2.")
@click.option("--encode", multiple=True, metavar="NAME:K=V,…", help="Put an encoder in front.")
@click.option("--exit", default="", metavar="confidence,margin", help="Outputs to stop early by.")
@click.option("--dump-ir", type=click.Path(path_type=Path), help="Write the graph of every pass.")
@click.option("--force", is_flag=True, help="Replace an older artifact.")
@common
@pass_console
def compile_command(
    console: Console,
    /,
    model: Path,
    out: Path | None,
    target: str,
    shape: str,
    exit: str,
    **chosen: Any,
) -> None:
    """Compile MODEL (from snnc.export) to an artifact: a folder that runs without snnc."""
    # the other flags are fields of Options, by the same names
    options = Options(targets=names(target), shape=sizes(shape), exit=names(exit), **chosen)
    out = out or Path(f"{model.stem or 'model'}.snnc")
    console.note(f"snnc {__version__} · {visible(str(model))} → {visible(str(out))}\n")
    compiled = compile_model(model, out, options, console.stage, console.report)
    console.report(*(d for d in compiled.diagnostics if d not in console.diagnostics))
    manifest = compiled.artifact.manifest
    console.note("")
    console.table(*layer_rows(manifest.layers))
    tree = manifest.tree
    console.say(f"\n  written  {visible(str(out))}  (sha256 {tree[:8]}…{tree[-4:]})")
    console.say(f"  targets  {', '.join(manifest.targets)}")
    console.say(f"  next     snnc verify {visible(str(out))} --data DATA.npz")
    console.result = {
        "artifact": str(out),
        "tree_sha256": tree,
        "targets": list(manifest.targets),
        "bits": manifest.bits,
        "layers": msgspec.to_builtins(manifest.layers),
    }
