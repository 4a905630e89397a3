"""Draw a sweep: accuracy against size and against operations, with the points that none beats."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from snnc.diagnostics import fail
from snnc.sweep import Point, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours that are told apart without red and green (Okabe and Ito).
_COLOURS = {
    "max": "#999999",
    "percentile": "#e69f00",
    "mse": "#0072b2",
    "gptq": "#d55e00",
    "auto": "#009e73",
}
_MARKERS = {"max": "s", "percentile": "v", "mse": "o", "gptq": "D", "auto": "^"}
_AXES = {
    "bytes": "constants and states, weights packed (kB)",
    "operations": "weights met by events, per sample",
}
#: Costs that are further apart than this get a logarithmic axis.
WIDE = 10


def draw(sweep: Sweep) -> bytes:
    """The picture as SVG; equal sweeps give equal bytes.

    Raises:
        CompileError: E645 if matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as e:
        hint = "pip install 'snnc[plot]'"
        raise fail("E645", "a picture of the sweep needs matplotlib", help=hint) from e
    with mpl.rc_context({"svg.hashsalt": "snnc", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(11, 4.6), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(1, 2, sharey=True)
        for ax, (cost, label) in zip(axes, _AXES.items(), strict=True):
            _panel(ax, sweep, cost, label)
        axes[0].set_ylabel(_quality_label(sweep))
        axes[0].legend(loc="lower right", frameon=False)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def _panel(ax: Axes, sweep: Sweep, cost: str, label: str) -> None:
    for method in dict.fromkeys(p.method for p in sweep.points):
        own = sorted(
            (p for p in sweep.points if p.method == method and not p.failed), key=lambda p: p.bits
        )
        x, y = [_cost(p, cost) for p in own], [_percent(p) for p in own]
        colour, marker = _COLOURS.get(method, "black"), _MARKERS.get(method, "x")
        ax.plot(x, y, marker=marker, color=colour, label=method, linewidth=1, markersize=5)
        for point, px, py in zip(own, x, y, strict=True):
            ax.annotate(str(point.bits), (px, py), (3, 4), textcoords="offset points", fontsize=7)
    front = sweep.front(cost)
    x, y = [_cost(p, cost) for p in front], [_percent(p) for p in front]
    ax.plot(
        x, y, color="black", linewidth=5, alpha=0.15, label="not beaten", drawstyle="steps-post"
    )
    if sweep.accuracy is not None:
        ax.axhline(100 * sweep.accuracy, color="grey", linestyle=":", label="float")
    ax.set_xlabel(label)
    costs = [_cost(p, cost) for p in sweep.points if not p.failed]
    if min(costs) > 0 and max(costs) > WIDE * min(costs):
        ax.set_xscale("log")
    ax.grid(alpha=0.25)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _cost(point: Point, cost: str) -> float:
    return point.bytes / 1000 if cost == "bytes" else point.operations


def _percent(point: Point) -> float:
    return 100 * (point.quality if point.quality is not None else float("nan"))


def _quality_label(sweep: Sweep) -> str:
    if any(p.accuracy is not None for p in sweep.points):
        return "accuracy (%)"
    if any(p.labels is not None for p in sweep.points):
        return "same class as the float model (%)"
    return "error of the outputs (−% of their deviation)"
