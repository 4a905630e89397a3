"""Table and plot of the measured times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Row:
    """Times of one net at one density: processor seconds per sample, by contender and round."""

    net: str
    density: float | None
    seconds: dict[str, npt.NDArray[np.float64]]
    same: dict[str, float]

    def ratio(self, name: str, base: str) -> float:
        """Median over the rounds of the time of ``name`` in units of that of ``base``."""
        return float(np.median(self.seconds[name] / self.seconds[base]))

    def table(self, bases: list[str]) -> str:
        """Lines of the table: median time, and how many times slower than each base."""
        lines = []
        for name, seconds in self.seconds.items():
            ratios = "  ".join(f"{self.ratio(name, base):9.2f}x" for base in bases)
            same = f"{self.same[name]:7.1%}" if name in self.same else "       "
            time = float(np.median(seconds)) * 1e6
            density = "     -" if self.density is None else f"{self.density:6.0%}"
            lines.append(f"{self.net:>6} {density}  {name:20} {time:10.1f}  {ratios}  {same}")
        return "\n".join(lines)


def header(bases: list[str]) -> str:
    """Titles of the columns."""
    names = "  ".join(f"{f'/ {base}':>10}" for base in bases)
    return f"   net density  contender            us/sample  {names}  same"


def plot(rows: list[Row], path: Path) -> None:
    """Time per sample over the density, one picture per net."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    nets = list(dict.fromkeys(row.net for row in rows if row.density is not None))
    figure, axes = plt.subplots(
        1, len(nets), figsize=(5 * len(nets), 5), squeeze=False, layout="constrained"
    )
    for axis, net in zip(axes[0], nets, strict=True):
        own = [row for row in rows if row.net == net]
        for name in own[0].seconds:
            line = [float(np.median(row.seconds[name])) * 1e6 for row in own]
            style = "-" if name.startswith("snnc") else ":" if name.endswith("bound") else "--"
            axis.plot(
                [100 * (row.density or 0) for row in own], line, style, marker="o", label=name
            )
        axis.set(title=f"net ({net})", xlabel="density, %", xscale="log", yscale="log")
        axis.grid(visible=True, alpha=0.3)
    axes[0][0].set_ylabel("processor time per sample, µs")
    axes[0][-1].legend(fontsize=7)
    figure.savefig(path)
