"""From a trained network without time, in a file, to a spiking one in a model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snnc.backends.float_sim import FloatSimulator
from snnc.container import LoadedModel, write_model
from snnc.data import Array, Data, as_data, load_data
from snnc.diagnostics import Diagnostic, fail
from snnc.encode import classes
from snnc.frontends.ranges import observed
from snnc.graph import Graph
from snnc.loading import load
from snnc.manifest import InputEntry
from snnc.ops import Input
from snnc.passes.ann_to_snn import BATCH, SpikingLayer, static, to_spiking
from snnc.passes.base import run_passes
from snnc.passes.prune_dead import PruneDead


@dataclass(frozen=True)
class Conversion:
    """What was converted, and how close it is on the calibration data.

    Attributes:
        graph: The spiking network.
        layers: Its populations.
        error: Mean absolute difference of the outputs, relative to their mean magnitude.
        agreement: Share of samples of which both put the same class first; None without classes.
        diagnostics: What reading the file said.
    """

    graph: Graph
    layers: tuple[SpikingLayer, ...]
    error: float
    agreement: float | None
    diagnostics: tuple[Diagnostic, ...]


def convert(
    model: Path | str,
    out: Path | str,
    calibration: Path | str | Array | Mapping[str, Array],
    *,
    steps: int,
    percentile: float = 99.9,
    delay: int = 0,
    onnx: str = "",
) -> Conversion:
    """Convert a ReLU network to integrate-and-fire neurons and write it as a model file.

    Args:
        model: File of a network of linear layers and ReLUs, such as of
            ``snnc.export(ann, x, "ann.pt", static=True, steps=1)``, or ONNX.
        out: Model file to write; it is compiled as any other.
        calibration: Inputs, (N, ...): an array, several by name, or a data file.
        steps: T, over which outputs are averaged.
        percentile: Of a channel's activations, which becomes its threshold.
        delay: Steps at the start that do not count in the average.
        onnx: What an ONNX file leaves open.

    Raises:
        CompileError: E1xx if the network cannot be read or converted, E42x for the data.
    """
    loaded = load(Path(model), onnx=onnx)
    ann = static(loaded.graph)
    inputs = {n.name: n.op for n in ann if isinstance(n.op, Input)}
    entries = tuple(
        InputEntry(name, op.type.shape, "once", 0, 0, 1.0, "") for name, op in inputs.items()
    )
    if isinstance(calibration, Path | str):
        data = load_data(Path(calibration), entries)
    else:
        data = as_data(calibration, entries)
    if not len(data):
        raise fail("E421", "there are no samples to calibrate with")
    for name, x in data.dense.items():
        if not np.isfinite(x).all():
            raise fail("E424", f"input {name!r} holds NaN or infinity", help="remove such samples")
    for node in [n for n in ann if isinstance(n.op, Input)]:
        lo, hi, step = observed(data.dense[node.name])
        op = Input(inputs[node.name].type, lo, hi, step)
        ann.replace(type(node)(node.name, op, node.types, node.loc))
    made = to_spiking(ann, data.dense, steps, percentile, delay)
    graph = run_passes(made.graph, [PruneDead()])
    difference, agreement = _compare(ann, graph, data)
    meta = {
        "producer": "snnc convert",
        "fixed_steps": False,
        "inputs": [{"name": name, "batch_axis": 0} for name in inputs],
        "conversion": {"percentile": percentile, "delay": delay, "source": loaded.source.file},
    }
    write_model(Path(out), LoadedModel(graph, meta))
    return Conversion(graph, made.layers, difference, agreement, loaded.diagnostics)


def _compare(ann: Graph, snn: Graph, data: Data) -> tuple[float, float | None]:
    pairs = []
    for start in range(0, len(data), BATCH):
        x = data.part(start, start + BATCH).dense
        expected, found = (FloatSimulator(g).run(x)[0] for g in (ann, snn))
        pairs += [(expected[name], found[name]) for name in expected]
    size = sum(float(np.abs(a).sum()) for a, _ in pairs)
    off = sum(float(np.abs(a - b).sum()) for a, b in pairs)
    same: list[bool] = []
    for a, b in pairs:
        first, second = classes(a, False), classes(b, False)
        if first is not None and second is not None:
            same += list(first == second)
    return off / size if size else off, float(np.mean(same)) if same else None
