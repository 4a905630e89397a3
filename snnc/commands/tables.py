"""The layer table as people read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from snnc.console import number
from snnc.divergence import Divergence, Drift
from snnc.manifest import LayerEntry, Word
from snnc.verification import Report

if TYPE_CHECKING:
    from snnc.alternatives import Alternatives
    from snnc.contributions import Contributions
    from snnc.measure import Measured

Row = tuple[str, ...]
Rows = tuple[Row, list[Row]]


#: Most spiking layers that have columns of their own.
MOST_LAYERS = 4
#: Operators that move values without changing them.
_SILENT = ("IntRepeat", "IntTimeLast", "IntTimeStack")


def layer_rows(layers: Sequence[LayerEntry]) -> Rows:
    """Columns and rows: one row for each layer with weights, state or an accumulator."""
    columns = ("layer", "operator", "shape", "weights", "bits", "rms err", "guard", "acc bits")
    rows: list[Row] = [
        (
            layer.name,
            layer.op.removeprefix("Int"),
            "×".join(map(str, layer.shape)) or "scalar",
            f"{layer.weights:,}" if layer.weights else "",
            str(layer.weight_bits) if layer.weights else "",
            _percent(layer.facts.get("rms_error")),
            _text(layer.facts.get("guard_bits")),
            "" if layer.words else _bits(layer.range),
            "/".join(str(w.bits) for w in layer.words),
            _source(layer),
        )
        for layer in layers
        if layer.op not in _SILENT
    ]
    return (*columns, "state bits", "source"), rows


def agreement_rows(report: Report) -> Rows:
    """One row for each spiking layer: agreement with the float model, and rates."""
    columns = ("layer", "spikes as float", "as float, same weights", "F1", "rate", "change", "EMD")
    rows: list[Row] = []
    for layer, rate in report.rates.items():
        d = report.divergence.get(layer)
        change = None if d is None else d.rate_change
        rows.append(
            (
                layer,
                number(report.spikes.get(layer), 3, percent=True),
                number(report.quantized_spikes.get(layer), 3, percent=True),
                "" if d is None else number(d.f1, 2, percent=True),
                number(rate, 4),
                "" if change is None else f"{100 * change:+.2f} %",
                "" if d is None else number(d.emd, 5),
                "" if d is None else _first(d),
            )
        )
    return (*columns, "first other spike"), rows


def _first(d: Divergence) -> str:
    if d.first is None:
        return "none"
    index = ",".join(map(str, d.first.index))
    return f"step {d.first.step}, sample {d.first.sample}, neuron [{index}]"


def contribution_rows(found: Contributions) -> Rows:
    """One row for the integers as they are, and one for each part that is switched back."""
    columns = ("in real numbers", "error removed", "output error", "same class")
    layers = tuple(found.shipped.divergence)
    each = len(layers) <= MOST_LAYERS
    every: list[tuple[str, float | None, Measured]] = [("nothing", None, found.shipped)]
    every += [(c.name, c.removed, c.measured) for c in found.parts]
    rows: list[Row] = []
    for name, removed, measured in every:
        scores = [d.f1 for d in measured.divergence.values()]
        rows.append(
            (
                name,
                "" if removed is None else f"{100 * removed:z.1f} %",
                number(measured.error, 3, percent=True),
                number(measured.labels, 2, percent=True),
                *(number(f1, percent=True) for f1 in (scores if each else ())),
                *(() if each else (number(measured.f1, percent=True),)),
                *(() if each else (number(min(scores), percent=True),)),
            )
        )
    heads = tuple(f"F1 {x}" for x in layers) if each else ("F1, mean", "F1, worst layer")
    return (*columns, *heads), rows


def alternative_rows(found: Alternatives) -> Rows:
    """One row for the artifact, and one for each alternative, the best first."""
    columns = ("integers", "recovered", "output error", "F1", "accuracy", "kB packed")
    every: list[tuple[str, float | None, Measured, int]] = [
        ("as they are", None, found.now, found.bytes)
    ]
    every += [(a.name, a.recovered, a.measured, a.bytes) for a in found.tried]
    rows: list[Row] = [
        (
            name,
            "" if recovered is None else f"{100 * recovered:z.1f} %",
            number(measured.error, 3, percent=True),
            number(measured.f1, 2, percent=True),
            number(measured.accuracy, 2, percent=True),
            f"{size / 1000:,.1f}",
        )
        for name, recovered, measured, size in every
    ]
    return columns, rows


def output_rows(report: Report) -> Rows:
    """One row for each output: how far it is from the float model's, and in how many samples."""
    columns = ("output", "error", "in samples", "error, same weights", "in samples")
    rows: list[Row] = [
        (name, *_drift(drift), *_drift(report.quantized_outputs.get(name)))
        for name, drift in report.outputs.items()
    ]
    return columns, rows


def _drift(drift: Drift | None) -> Row:
    if drift is None:
        return "", ""
    worst = "" if drift.worst is None else f", most in sample {drift.worst}"
    return number(drift.error, 3, percent=True), f"{drift.samples}{worst}"


def backend_rows(report: Report) -> Rows:
    """One row for each backend: whether every integer was equal."""
    columns = ("backend", "every integer equal", "samples", "integers compared")
    verdicts = {True: "yes", False: "NO", None: "did not run"}
    rows: list[Row] = [
        (name, verdicts[c.equal], str(c.samples), f"{c.words_compared:,}")
        for name, c in report.backends.items()
    ]
    return columns, rows


def _percent(value: object) -> str:
    return f"{100 * value:.2f} %" if isinstance(value, float) else ""


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _bits(word: Word | None) -> str:
    return "" if word is None else str(word.bits)


def _source(layer: LayerEntry) -> str:
    return f"{layer.file}:{layer.line}" if layer.file else ""
