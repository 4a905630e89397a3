"""Show what the main job did: a table of the verified numbers, and Lava reading a digit.

python examples/show.py BUILD    reads BUILD/NET/{verify.json,lava.npz,test.npz,artifact}
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

Array = npt.NDArray[Any]
NETS = ("mlp_digits", "conv_digits")


def percent(share: float) -> str:
    """A share as percent."""
    return f"{100 * share:.1f} %"


def column(folder: Path) -> dict[str, str]:
    """The numbers of one network, by what they mean."""
    report = json.loads((folder / "verify.json").read_text())
    manifest = json.loads((folder / "artifact/manifest.json").read_text())
    spikes = report["agreement"]["spikes"]
    words = [word for layer in manifest["layers"] for word in layer["words"]]
    found = {
        "float accuracy": percent(report["float"]["accuracy"]),
        "integer accuracy": percent(report["integer"]["accuracy"]),
        "same class": percent(report["agreement"]["labels"]),
        "same spikes": " ".join(map(percent, spikes.values())),
        "firing rates": " ".join(map(percent, report["rates"].values())),
        "widest state": f"{max(word['bits'] for word in words)} bits, proven",
    }
    for name, backend in report["backends"].items():
        verdict = "equal" if backend["equal"] else "DIFFERENT"
        size = f"{backend['samples']} digits, {backend['words_compared'] / 1e6:,.1f} M integers"
        found[f"{name} vs definition"] = f"{verdict}: {size}"
    return found


def table(build: Path) -> Table:
    """All networks side by side."""
    columns = [column(build / net) for net in NETS]
    drawn = Table("", *NETS, title="handwritten digits, never seen in training")
    for row in columns[0]:
        drawn.add_row(row, *(c.get(row, "") for c in columns))
    return drawn


def blocks(image: Array) -> list[str]:
    """Draw a picture of 0 and 1, of an even height, with two rows to a line."""
    pairs = image.reshape(-1, 2, image.shape[1]).transpose(0, 2, 1).astype(int)
    return ["".join(" ▀▄█"[a + 2 * b] for a, b in line) for line in pairs]


def some_active(raster: Array, neurons: int) -> Array:
    """Of spikes (T, ...), neurons that fire but not always, as (neurons, T)."""
    flat = raster.reshape(len(raster), -1).T
    active = np.flatnonzero((flat.sum(1) > 0) & (flat.sum(1) < len(raster)))
    keep = active[np.linspace(0, len(active) - 1, neurons).astype(int)]
    return flat[keep]


def picture(folder: Path, sample: int) -> list[str]:
    """The digit, the spikes that Lava saw, and the scores, side by side in 80 columns."""
    with np.load(folder / "lava.npz") as run, np.load(folder / "test.npz") as test:
        image = test["x"][sample].reshape(28, 28) > 0.4
        rasters = {n.split(":")[1]: run[n][sample] for n in run.files if n.startswith("record:")}
        spikes = {n: a for n, a in rasters.items() if a.max() <= 1 and a.min() >= 0}
        (output, *_) = (n.split(":")[1] for n in run.files if n.startswith("raw:"))
        scores, label = run[output][sample], test["y"][sample]
    names = list(spikes)[:2]
    parts = [blocks(image), *(blocks(some_active(spikes[n], 28)) for n in names)]
    bars = np.maximum(scores / scores.max(), 0) * 12
    parts.append(["", *(f"{i} {'█' * round(b)}" for i, b in enumerate(bars)), "", "", ""])
    widths = (28, *(spikes[n].shape[0] for n in names), 14)
    titles = [f"a {label}", *(n.split(".")[0] for n in names), "score"]
    rows = [titles, *map(list, zip(*parts, strict=True))]
    return ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows]


def svg(folder: Path, sample: int) -> str:
    """All spikes of one digit: time to the right, a row for every neuron."""
    with np.load(folder / "lava.npz") as run:
        rasters = [run[n][sample] for n in run.files if n.startswith("record:")]
    layers = [a.reshape(len(a), -1) for a in rasters if a.max() <= 1 and a.min() >= 0]
    height = sum(a.shape[1] for a in layers) + 8 * (len(layers) - 1)
    dots, top = "", 0
    for layer in layers:
        dots += "".join(f"M{20 * t} {top + i}h16" for t, i in np.argwhere(layer))
        top += layer.shape[1] + 8
    box = f'viewBox="0 0 {20 * len(layers[0])} {height}"'
    path = f'<path d="{dots}" stroke="#d9480f" stroke-width="1"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{path}</svg>\n'


def main(build: Path) -> None:
    """Print, and write BUILD/NET/raster.svg."""
    console = Console(width=100, highlight=False)
    for net in NETS:
        console.print(f"\n[bold]{net} on Lava[/bold], 28 neurons of two layers over 16 steps\n")
        for line in picture(build / net, 3):
            console.print(line, markup=False)
        (build / net / "raster.svg").write_text(svg(build / net, 3))
    console.print(table(build))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
