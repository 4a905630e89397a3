"""``snnc cost``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import safetensors.numpy

from snnc.artifact import Artifact
from snnc.atomic import check_place, write_file
from snnc.backends.base import Arrays
from snnc.backends.numpy.simulator import Simulator
from snnc.calibrate import check_samples
from snnc.commands.options import binning_of, common, event_options, pass_console
from snnc.commands.tables import Row, Rows
from snnc.console import Console, number, visible
from snnc.data import load_data
from snnc.energy import Estimate, digital, figures, loihi, quantized_ann, verdict
from snnc.operations import Counts, count
from snnc.storage import dump_graph

#: Samples that are counted unless the user says otherwise.
SAMPLES = 100


@click.command("cost")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), required=True, help=".npy or .npz: x, y.")
@click.option("--samples", type=click.IntRange(1), default=SAMPLES, show_default=True)
@click.option("--steps", type=click.IntRange(1), help="Time steps, if the input is static.")
@click.option(
    "--sana-fe",
    type=click.Path(path_type=Path),
    help="Write the first sample and the network, of profile loihi, for SANA-FE (YAML).",
)
@event_options
@common
@pass_console
def cost_command(
    console: Console,
    /,
    folder: Path,
    data: Path,
    samples: int,
    steps: int | None,
    sana_fe: Path | None,
    **events: Any,
) -> None:
    """Count operations on data, by NeuroBench's names, and estimate energies with their sources."""
    artifact = Artifact.open(folder)
    if sana_fe is not None:
        check_place(sana_fe, data)
    loaded = load_data(data, artifact.manifest.inputs, binning=binning_of(**events)).first(samples)
    check_samples(loaded, data.name)
    encoded, found = artifact.encode_data(loaded)
    console.report(*loaded.diagnostics, *found)
    counts = count(artifact.graph(), artifact.simulator, encoded, artifact.steps_of(encoded, steps))
    if sana_fe is not None:
        write_file(sana_fe, _for_sana_fe(artifact, encoded, counts.steps).encode())
    estimates = [digital(counts), quantized_ann(counts)]
    if artifact.manifest.profile == "loihi":
        estimates.append(loihi(counts))
    shown = f"{counts.samples} samples of {counts.steps} steps"
    console.say(f"{visible(str(folder))}: {shown}, per sample\n")
    console.table(*_layers(counts))
    console.say()
    for name, value in counts.metrics.items():
        text = number(value, 2, percent=True) if name.endswith("Sparsity") else f"{value:,.0f}"
        console.say(f"  {name:18} {text}")
    console.say(
        f"  {'bit budget':18} {counts.bit_budget} bits of a synapse (steps × weight × event)"
    )
    console.say("\nenergy, estimated")
    for estimate in estimates:
        parts = ", ".join(f"{k} {v / 1000:,.1f}" for k, v in estimate.parts.items())
        console.say(f"  {estimate.nanojoules:12,.1f} nJ  {estimate.name}: {parts}")
    console.say(f"  {verdict(counts)}")
    console.say("\nsources")
    for name in dict.fromkeys(u for e in estimates for u in e.used):
        figure = figures()[name]
        doubt = "" if figure.certain else " (as quoted, not compared with the original)"
        console.say(f"  {name} {figure.picojoules:g} pJ: {figure.source}{doubt}")
    console.result = {
        "artifact": str(folder),
        "samples": counts.samples,
        "steps": counts.steps,
        **counts.metrics,
        "bit_budget": counts.bit_budget,
        "layers": [asdict(x) for x in counts.layers],
        "populations": [asdict(p) for p in counts.populations],
        "energy": [_document(e) for e in estimates],
        "verdict": verdict(counts),
    }


def _for_sana_fe(artifact: Artifact, encoded: Arrays, steps: int) -> str:
    """The network and its first sample, as SANA-FE reads them."""
    from snnc.backends.lava.stock.legalise import legalise
    from snnc.backends.lava.stock.sana_fe import network_yaml

    plan = legalise(artifact.graph())
    document, tensors = dump_graph(plan.front)
    front = Simulator(json.loads(document), safetensors.numpy.load(tensors))
    first = {name: encoded[name][:1] for name in front.inputs}
    values, _ = front.run(first, steps)
    spikes = {s.name: values[plan.outputs[s.name]].reshape(steps, -1) for s in plan.sources}
    return network_yaml(plan, spikes)


def _document(estimate: Estimate) -> dict[str, object]:
    sources = {name: asdict(figures()[name]) for name in estimate.used}
    return {
        "hardware": estimate.name,
        "nanojoules": estimate.nanojoules,
        "picojoules": estimate.parts,
        "figures": sources,
    }


def _layers(counts: Counts) -> Rows:
    columns = ("layer", "reads", "events", "effective", "dense", "updates", "rate")
    rows: list[Row] = [
        (
            x.name,
            "numbers" if x.graded else "spikes",
            f"{counts.per_sample(x.events):,.0f}",
            f"{counts.per_sample(x.effective):,.0f}",
            f"{counts.per_sample(x.dense):,.0f}",
            "",
            "",
        )
        for x in counts.layers
    ]
    rows += [
        (
            p.name,
            "",
            f"{counts.per_sample(p.events):,.0f}",
            "",
            "",
            f"{counts.per_sample(p.updates):,.0f}",
            number(p.events / p.elements, 4) if p.elements else "",
        )
        for p in counts.populations
    ]
    return columns, rows
