"""Set range and grid of the inputs from calibration data instead of the export's example.

The data also serve the methods of quantization that look at what reaches a layer.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from snnc.data import load_data
from snnc.diagnostics import fail
from snnc.frontends.ranges import observed
from snnc.graph import Graph
from snnc.manifest import InputEntry
from snnc.ops import Input
from snnc.passes.calibration import Calibration


def calibrate(graph: Graph, path: Path) -> Calibration:
    """Give every ``Input`` the range and grid of the data; returns them.

    Raises:
        CompileError: E42x if the data do not fit the network.
    """
    nodes = [(node, node.op) for node in graph.nodes if isinstance(node.op, Input)]
    # Range and scale of these entries are not known yet; they only carry names and shapes.
    entries = tuple(
        InputEntry(node.name, op.type.shape, str(op.type.clock), 0, 0, 1.0, "")
        for node, op in nodes
    )
    data = load_data(path, entries)
    for node, op in nodes:
        x = data.dense[node.name]
        if not x.size:
            raise fail("E421", f"{path.name} holds no samples to calibrate with")
        if not np.isfinite(x).all():
            raise fail("E424", f"{path.name} holds NaN or infinity", help="remove such samples")
        lo, hi, step = observed(x)
        graph.replace(replace(node, op=replace(op, lo=lo, hi=hi, step=step)))
    return Calibration(data.dense)
