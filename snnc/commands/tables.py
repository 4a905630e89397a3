"""The layer table as people read it."""

from __future__ import annotations

from collections.abc import Sequence

from snnc.manifest import LayerEntry, Word

Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]


def layer_rows(layers: Sequence[LayerEntry]) -> Rows:
    """Columns and rows: one row for each layer with weights, state or an accumulator."""
    columns = ("layer", "operator", "shape", "weights", "bits", "rms err", "guard", "acc")
    rows = [
        (
            layer.name,
            layer.op.removeprefix("Int"),
            "×".join(map(str, layer.shape)) or "scalar",
            f"{layer.weights:,}" if layer.weights else "",
            str(layer.weight_bits) if layer.weights else "",
            _percent(layer.facts.get("rms_error")),
            _text(layer.facts.get("guard_bits")),
            _bits(layer.range),
            "/".join(str(w.bits) for w in layer.words),
            _source(layer),
        )
        for layer in layers
    ]
    return (*columns, "state bits", "source"), rows


def _percent(value: object) -> str:
    return f"{100 * value:.2f} %" if isinstance(value, float) else ""


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _bits(word: Word | None) -> str:
    return "" if word is None else str(word.bits)


def _source(layer: LayerEntry) -> str:
    return f"{layer.file}:{layer.line}" if layer.file else ""
