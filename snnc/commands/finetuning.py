"""``snnc finetune``."""

from __future__ import annotations

from pathlib import Path

import click

from snnc.commands.options import common, names, pass_console, sizes
from snnc.console import Console, visible
from snnc.diagnostics import fail
from snnc.options import Options


@click.command("finetune")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Artifact to write [MODEL.snnc]."
)
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Samples x and labels y."
)
@click.option("--target", default="numpy", show_default=True, help="A comma list: snnc targets.")
@click.option("--bits", type=int, default=8, show_default=True, help="Bits of a weight, 2 to 16.")
@click.option("--input-bits", type=int, default=8, show_default=True, help="Bits of real inputs.")
@click.option("--method", default="gptq", show_default=True, help="What training starts from.")
@click.option("--config", type=click.Path(path_type=Path), help="snnc.toml: choices by layer.")
@click.option("--module", metavar="FILE.py:FACTORY", help="Your code, for a file of bare weights.")
@click.option("--nir", default="", metavar="K=V,…", help="What a NIR file leaves open: reset=…")
@click.option("--onnx", default="", metavar="K=V,…", help="What an ONNX file leaves open: state=…")
@click.option("--input", "shape", default="", metavar="1,28,28", help="Input of a pickled module.")
@click.option("--steps", type=click.IntRange(1), help="Time steps of a pickled module or .pt2.")
@click.option("--encode", multiple=True, metavar="NAME:K=V,…", help="Put an encoder in front.")
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=50, show_default=True)
@click.option("--rate", type=float, default=0.02, show_default=True, help="Step, per weight size.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the order.")
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Continue from this file.")
@click.option("--force", is_flag=True, help="Replace an older artifact.")
@common
@pass_console
def finetune_command(
    console: Console,
    /,
    model: Path,
    out: Path | None,
    data: Path,
    target: str,
    shape: str,
    epochs: int,
    batch: int,
    rate: float,
    seed: int,
    checkpoint: Path | None,
    **chosen: object,
) -> None:
    """Train the integers of MODEL on data; `compile --reuse` emits them for other targets."""
    try:
        from snnc.finetuning.finetune import finetune_model
        from snnc.finetuning.training import Schedule
    except ImportError as e:
        hint = "pip install 'snnc[torch]'"
        raise fail("E643", f"training needs torch: {e}", help=hint) from e
    options = Options(targets=names(target), shape=sizes(shape), **chosen)  # type: ignore[arg-type]
    out = out or Path(f"{model.stem or 'model'}.snnc")
    console.note(f"training {visible(str(model))} → {visible(str(out))}\n")
    schedule = Schedule(epochs, batch, rate, seed)
    try:
        compiled = finetune_model(
            model,
            out,
            options,
            data,
            schedule=schedule,
            checkpoint=checkpoint,
            report=console.stage,
        )
    except KeyboardInterrupt as e:
        if checkpoint is None or not checkpoint.is_file():
            raise
        text = f"stopped; what was trained so far is in {checkpoint}"
        raise fail("E009", text, help="the same command goes on from there") from e
    console.report(*compiled.diagnostics)
    manifest = compiled.artifact.manifest
    console.say(f"\n  written  {visible(str(out))}  (sha256 {manifest.tree[:8]}…)")
    console.say(f"  next     snnc verify {visible(str(out))} --data DATA.npz")
    source = str(model) if options.module is None else f"{model} --module {options.module}"
    console.say(f"           snnc compile {visible(source)} --reuse {visible(str(out))} -o NET")
    console.result = {"artifact": str(out), "tree_sha256": manifest.tree, "bits": manifest.bits}
