"""``snnc inspect``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click
import msgspec

from snnc.artifact import Artifact, read_regular
from snnc.backends import folder_of
from snnc.commands.options import common, pass_console, sizes
from snnc.commands.tables import Row, Rows, layer_rows
from snnc.console import Console, visible
from snnc.container import LoadedModel, read_model
from snnc.inspection import ModelLayer, inspect_model
from snnc.manifest import InputEntry, LayerEntry, OutputEntry, Word
from snnc.profile import PROFILES


@click.command("inspect")
@click.argument("path", metavar="MODEL|DIR", type=click.Path(path_type=Path))
@click.option("--nir", default="", metavar="K=V,…", help="What a NIR file leaves open: reset=…")
@click.option("--onnx", default="", metavar="K=V,…", help="What an ONNX file leaves open: state=…")
@click.option("--lava-dl", default="", metavar="K=V,…", help="What a .net file leaves open.")
@click.option("--input", "shape", default="", metavar="1,28,28", help="Input of a pickled module.")
@click.option("--steps", type=click.IntRange(1), help="Time steps of a pickled module or .pt2.")
@common
@pass_console
def inspect_command(
    console: Console,
    path: Path,
    nir: str,
    onnx: str,
    lava_dl: str,
    shape: str,
    steps: int | None,
) -> None:
    """Show the layers of a model or an artifact, and what of a model is unsupported."""
    if path.is_dir():
        _artifact(console, path)
    else:
        _model(console, path, read_model(path, nir, onnx, lava_dl, sizes(shape), steps))


def _artifact(console: Console, folder: Path) -> None:
    artifact = Artifact.open(folder)
    m = artifact.manifest
    console.say(f"{visible(str(folder))}: {visible(m.name)}, {m.weight_bits} weights, {m.profile}")
    console.say(f"  source   {visible(m.source.file)} (sha256 {m.source.sha256[:12]}…)")
    console.say(f"  targets  {', '.join(m.targets)}")
    limit = f"at most {m.max_steps:,}" if m.max_steps else "any number of"
    console.say(f"  steps    {m.steps} as traced; ranges are proven for {limit} steps")
    for i in m.inputs:
        console.say(f"  input    {_input(i)}")
    for o in m.outputs:
        console.say(f"  output   {_output(o)}")
    for name in m.targets:
        if name == "c" or name.startswith("c:"):
            console.say(f"  memory   {name}: {_memory(artifact, name)}")
    console.say()
    console.table(*layer_rows(m.layers))
    console.say()
    console.table(*_ranges(m.layers))
    console.result = {"artifact": str(folder), "manifest": msgspec.to_builtins(m)}


def _memory(artifact: Artifact, target: str) -> str:
    """Constant tables and static variables of a C target, as its interface.json says."""
    text = read_regular(artifact.folder, f"{folder_of(target)}/interface.json")
    memory = json.loads(text)["memory"]
    return f"flash {memory['constant']:,} B and the code, RAM {memory['static']:,} B and the stack"


def _input(entry: InputEntry) -> str:
    head = "N, T" if entry.clock == "step" else "N"
    shape = ", ".join([head, *map(str, entry.shape)])
    real = f"[{entry.lo * entry.scale:.6g}, {entry.hi * entry.scale:.6g}]"
    text = f"({shape}), {real} as integers {entry.lo} to {entry.hi}"
    if entry.encoder:
        return f"{visible(entry.name)} {text}, encoder {visible(entry.encoder)}"
    return f"{visible(entry.name)} {text}, model layout {entry.layout}"


def _output(entry: OutputEntry) -> str:
    shape = ", ".join(["N, T" if entry.sequence else "N", *map(str, entry.shape)])
    scale = f"{entry.scale[0]:.6g}" if len(entry.scale) == 1 else f"{len(entry.scale)} scales"
    return f"{visible(entry.name)} ({shape}), real value = {scale} * n" + (
        " / T" if entry.per_step else ""
    )


def _ranges(layers: tuple[LayerEntry, ...]) -> Rows:
    rows: list[Row] = []
    for layer in layers:
        words = ([layer.range] if layer.range else []) + list(layer.words)
        rows += [
            (layer.name, w.name, f"{w.lo:,}", f"{w.hi:,}", str(w.bits), _error(layer, w))
            for w in words
        ]
    return ("layer", "word", "proven from", "to", "bits", "rounding below"), rows


def _error(layer: LayerEntry, word: Word) -> str:
    """By how much rounding changes a state between spikes, in steps and of the threshold."""
    steps, share = layer.facts.get(f"error.{word.name}"), layer.facts.get("rounding")
    if not isinstance(steps, float):
        return ""
    of = f", {100 * share:.2g} % of threshold" if isinstance(share, float) else ""
    return f"{steps:.3g} steps{of}"


def _model(console: Console, path: Path, model: LoadedModel) -> None:
    graph, profile = model.graph, str(model.meta.get("profile", "default"))
    found = inspect_model(graph, profile if profile in PROFILES else "default")
    console.say(f"{visible(str(path))}: {visible(graph.name)}, traced with {graph.steps} steps\n")
    rows = [(x.name, x.op, x.type, f"{x.parameters:,}", x.source) for x in found.layers]
    console.table(("layer", "operator", "type", "parameters", "source"), rows)
    _formulas(console, found.layers)
    console.say()
    console.table(*_constants(found.layers))
    console.report(*model.diagnostics, *found.diagnostics)
    layers = [dataclasses.asdict(x) for x in found.layers]
    console.result = {"model": str(path), "steps": graph.steps, "layers": layers}


def _formulas(console: Console, layers: tuple[ModelLayer, ...]) -> None:
    """Every different neuron once, with the layers that have it."""
    owners: dict[tuple[str, ...], list[str]] = {}
    for layer in layers:
        if layer.formula:
            owners.setdefault(layer.formula, []).append(layer.name)
    for formula, names in owners.items():
        console.say(f"\n  {visible(', '.join(names))}:")
        for line in formula:
            console.say(f"    {visible(line)}")


def _constants(layers: tuple[ModelLayer, ...]) -> Rows:
    rows: list[Row] = [(x.name, c.name, c.value, c.origin) for x in layers for c in x.constants]
    return ("neuron", "constant", "value", "from"), rows
