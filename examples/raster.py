"""Draw a digit and the spikes that a run recorded as an SVG picture.

snnc run ARTIFACT --data test.npz -o run.npz --record lif1,lif2
python examples/raster.py test.npz run.npz SAMPLE raster.svg
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
TOP, HEIGHT, STEP, LEFT = 34, 256, 22, 190  # of the rasters, in pixels
STYLE = "text{font:13px sans-serif;fill:#888}path{stroke:#e8590c}rect{fill:#888}.on{fill:#e8590c}"


def digit(image: Array) -> str:
    """28 x 28 pixels as squares of the opacity of their ink."""
    ink = [(r, c, image[r, c]) for r, c in np.argwhere(image > 0.15)]
    return "".join(
        f'<rect x="{6 * c}" y="{TOP + 6 * r}" width="6" height="6" opacity="{v:.1f}"/>'
        for r, c, v in ink
    )


def raster(spikes: Array, left: int) -> str:
    """Spikes (T, neurons): time to the right, neurons from the top down."""
    high = HEIGHT / spikes.shape[1]
    dots = "".join(f"M{STEP * t} {i}h{STEP - 5}" for t, i in np.argwhere(spikes))
    place = f"translate({left} {TOP + high / 2:g}) scale(1 {high:g})"
    return f'<path d="{dots}" transform="{place}" stroke-width="1.2"/>'


def bars(scores: Array, left: int) -> str:
    """A bar for the score of every class."""
    share = (scores - scores.min()) / (scores.max() - scores.min())
    drawn = ""
    for i, width in enumerate(share):
        y, mark = TOP + 18 * i, ' class="on"' if width == 1 else ""
        drawn += f'<text x="{left}" y="{y + 11}">{i}</text>'
        drawn += f'<rect x="{left + 14}" y="{y}" width="{80 * width:.0f}" height="12"{mark}/>'
    return drawn


def svg(image: Array, layers: dict[str, Array], scores: Array) -> str:
    """The picture: input, layers in their order, scores."""
    drawn = digit(image) + f'<text y="{TOP - 12}">a digit</text>'
    left = LEFT
    for name, spikes in layers.items():
        title = f"{name}: {spikes.shape[1]} neurons, {len(spikes)} steps"
        drawn += f'<text x="{left}" y="{TOP - 12}">{title}</text>' + raster(spikes, left)
        left += STEP * len(spikes) + 24
    drawn += f'<text x="{left}" y="{TOP - 12}">score</text>' + bars(scores, left)
    box = f'viewBox="0 0 {left + 100} {TOP + HEIGHT + 6}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}><style>{STYLE}</style>{drawn}</svg>\n'


def main(data: Path, results: Path, sample: int, out: Path) -> None:
    """Read both files and write the picture."""
    with np.load(data) as test, np.load(results) as run:
        image = test["x"][sample].reshape(28, 28)
        names = [n.split(":")[1] for n in run.files if n.startswith("record:")]
        layers = {n.split(".")[0]: run[f"record:{n}"][sample] for n in names if n.endswith(".s0")}
        scores = run["raw:out"][sample]
    flat = {name: spikes.reshape(len(spikes), -1) for name, spikes in layers.items()}
    out.write_text(svg(image, flat, scores))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
