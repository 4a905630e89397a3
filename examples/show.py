"""Show what the main job did: Lava reading a digit, and a table of the verified numbers.

python examples/show.py BUILD    reads BUILD/NET/{verify.json,lava.npz,test.npz,alone.*,artifact}
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
SAMPLE = 0  # a digit of the test set


def percent(share: float) -> str:
    """A share as percent, in which only 1 is 100 %."""
    return "100 %" if share == 1 else f"{min(100 * share, 99.99):.2f} %"


def alone(folder: Path) -> str:
    """Whether the folders, each run by itself, computed what ``snnc run`` did on Lava."""
    with np.load(folder / "lava.npz") as run:
        raw = run["raw:out"]
    found = [np.load(folder / "alone.c.npy")]
    for name in ("numpy", "lava"):
        with np.load(folder / f"alone.{name}.npz") as results:
            found.append(results["out"])
    equal = all(np.array_equal(raw, other) for other in found)
    return f"{'equal' if equal else 'DIFFERENT'}: {len(raw)} digits, all three folders"


def column(folder: Path) -> dict[str, str]:
    """The numbers of one network, by what they mean."""
    report = json.loads((folder / "verify.json").read_text())
    manifest = json.loads((folder / "artifact/manifest.json").read_text())
    agreement = report["agreement"]
    words = [word for layer in manifest["layers"] for word in layer["words"]]
    found = {
        "accuracy, float": percent(report["float"]["accuracy"]),
        "accuracy, integers": percent(report["integer"]["accuracy"]),
        "same class": percent(agreement["labels"]),
        "same spikes": " ".join(map(percent, agreement["spikes"].values())),
        "same spikes, same weights": " ".join(map(percent, agreement["quantized_spikes"].values())),
        "spikes per neuron and step": " ".join(map(percent, report["rates"].values())),
        "widest integer": f"{max(word['bits'] for word in words)} bits, proven",
    }
    for name, backend in report["backends"].items():
        verdict = "equal" if backend["equal"] else "DIFFERENT"
        size = f"{backend['words_compared'] / 1e6:.1f} M integers, {backend['samples']} digits"
        found[f"{name} against definition"] = f"{verdict}: {size}"
    return found | {"run without snnc": alone(folder)}


def table(build: Path) -> Table:
    """All networks side by side."""
    columns = [column(build / net) for net in NETS]
    drawn = Table("", *NETS, title="1000 handwritten digits, never seen in training", box=None)
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


def picture(folder: Path) -> list[str]:
    """The digit, the spikes that Lava saw, and the scores, side by side in 80 columns."""
    with np.load(folder / "lava.npz") as run, np.load(folder / "test.npz") as test:
        image, label = test["x"][SAMPLE].reshape(28, 28) > 0.4, test["y"][SAMPLE]
        spikes = {name: run[f"record:{name}.s0"][SAMPLE] for name in ("lif1", "lif2")}
        scores = run["raw:out"][SAMPLE]
    parts = [blocks(image), *(blocks(some_active(s, 28)) for s in spikes.values())]
    bars = 12 * (scores - scores.min()) / (scores.max() - scores.min())
    parts.append(["", *(f"{i} {'█' * round(b)}" for i, b in enumerate(bars)), "", "", ""])
    titles = [f"a {label}", *(f"{name}, {len(s)} steps" for name, s in spikes.items()), "score"]
    rows = [titles, *map(list, zip(*parts, strict=True))]
    widths = (28, *(len(s) for s in spikes.values()), 14)
    return ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows]


def main(build: Path) -> None:
    """Print."""
    console = Console(width=110, highlight=False)
    for net in NETS:
        console.print(f"\n[bold]{net} on Lava[/bold]: some of the neurons of two layers\n")
        for line in picture(build / net):
            console.print(line, markup=False)
    console.print()
    console.print(table(build))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
