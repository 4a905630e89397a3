"""Set range and grid of the inputs from calibration data instead of the export's example.

The data also serve the methods of quantization that look at what reaches a layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from snnc.data import Data, check_any, check_labels
from snnc.diagnostics import Diagnostic, fail, stop_on_errors, warning
from snnc.frontends.ranges import observed
from snnc.generated_data import samples_of
from snnc.graph import Graph
from snnc.loading import Loaded
from snnc.manifest import InputEntry
from snnc.ops import Input, Output
from snnc.passes.calibration import Calibration
from snnc.types import Clock

#: Times that calibration data may be larger or smaller than the example, …
FAR = 16
#: … and sequences longer or shorter, before that is said.
LONGER = 4
#: The network in real numbers computes with float32, which has no larger ones.
LARGEST = float(np.finfo(np.float32).max)


def calibrate(graph: Graph, path: Path) -> Calibration:
    """Give every ``Input`` the range and grid of the data; returns them.

    Raises:
        CompileError: E42x if the data do not fit the network, are none or are no finite numbers.
    """
    nodes = [(node, node.op) for node in graph.nodes if isinstance(node.op, Input)]
    # Range and scale of these entries are not known yet; they only carry names and shapes.
    entries = tuple(
        InputEntry(node.name, op.type.shape, str(op.type.clock), 0, 0, 1.0, "")
        for node, op in nodes
    )
    data, name, digest = samples_of(path, entries)
    check_samples(data, name)
    stop_on_errors(check_labels(data.labels, class_count(graph)))
    for node, op in nodes:
        lo, hi, step = observed(data.dense[node.name])
        graph.replace(replace(node, op=replace(op, lo=lo, hi=hi, step=step)))
    return Calibration(data.dense, labels=data.labels, source=(name, digest))


def examples(graph: Graph) -> dict[str, Input]:
    """Inputs with the ranges of the example that a model was exported with."""
    return {n.name: n.op for n in graph if isinstance(n.op, Input)}


def unlike_example(
    loaded: Loaded, own: Mapping[str, Input], graph: Graph, data: Calibration
) -> list[Diagnostic]:
    """Warnings if the data are scaled or laid out as the example of the export was not.

    Args:
        loaded: With the number of steps of the example, if there was one.
        own: The model's inputs, with the ranges of the example.
        graph: With the ranges of the data.
        data: Samples.
    """
    found = []
    for node in graph:
        before = own.get(node.name)
        if not isinstance(node.op, Input) or before is None or before.type != node.op.type:
            continue
        a, b = (max(abs(op.lo), abs(op.hi)) for op in (before, node.op))
        if a and b and max(a / b, b / a) >= FAR and loaded.traced:
            text = f"calibration data of {node.name} are in [{node.op.lo:.6g}, {node.op.hi:.6g}]"
            why = f"the example of the export was in [{before.lo:.6g}, {before.hi:.6g}]"
            hint = "scale them as in training"
            found.append(warning("W334", text, None, why, help=hint))
        steps, traced = data.arrays[node.name].shape[1:2], loaded.graph.steps
        if node.op.type.clock is not Clock.STEP or steps[0] == traced:
            continue
        text = f"calibration data of {node.name} have {steps[0]} steps, the model {traced}"
        if loaded.fixed_steps:
            why = "it computes with the number of steps itself"
            hint = f"give sequences of {traced} steps, or export the model with as many"
            found.append(warning("W421", text, None, why, help=hint))
        elif loaded.traced and max(steps[0] / traced, traced / steps[0]) >= LONGER:
            why = "samples come first, time second: (N, T, …)"
            found.append(warning("W334", text, None, why, help="give sequences as in training"))
    return found


def class_count(graph: Graph) -> int | None:
    """How many classes the first output tells apart; None if it is no vector."""
    first = next((n for n in graph if isinstance(n.op, Output)), None)
    shape = () if first is None else first.type.shape
    return shape[0] if len(shape) == 1 else None


def check_samples(data: Data, name: str) -> None:
    """Make sure that there are samples, and that they are numbers that a float32 can be.

    Raises:
        CompileError: E421 if there are none, E424 for NaN, infinity and numbers that float32
            takes for infinity, with the samples.
    """
    check_any(data, name)
    bad, large = np.zeros(len(data), bool), np.zeros(len(data), bool)
    for x in data.arrays.values():
        if isinstance(x, np.ndarray) and np.issubdtype(x.dtype, np.floating):
            rows = x.reshape(len(x), -1)
            bad |= ~np.isfinite(rows).all(1)
            if x.itemsize > np.dtype(np.float32).itemsize:
                large |= (rows.max(1) > LARGEST) | (rows.min(1) < -LARGEST)
    for found, what, hint in (
        (bad, "NaN or infinity", "remove such samples"),
        (large, f"numbers beyond {LARGEST:.3g}", "scale them as in training, or remove them"),
    ):
        if (count := int(np.count_nonzero(found))) > 0:
            text = f"{count} of {len(data)} samples of {name} hold {what}"
            first = ", ".join(map(str, np.flatnonzero(found)[:5]))
            raise fail("E424", text, None, f"the first are {first}", help=hint)
