"""How much a change of weights changes a network's outputs on calibration data."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.graph import Graph
from snnc.passes.calibration import Calibration

Array = npt.NDArray[Any]


class OutputErrors:
    """Compares networks with one in real numbers.

    Args:
        calibration: Samples.
        real: The network in real numbers.
    """

    def __init__(self, calibration: Calibration, real: Graph) -> None:
        self._calibration, self._real = calibration, real
        self._outputs: list[dict[str, Array]] | None = None

    def of(self, graph: Graph) -> float:
        """Squared change of the outputs, relative to their size; over all samples."""
        if self._outputs is None:
            self._outputs = self._calibration.outputs(self._real)
        total = 0.0
        found = self._calibration.outputs(graph)
        for name in self._outputs[0]:
            pairs = [(a[name], b[name]) for a, b in zip(self._outputs, found, strict=True)]
            change = sum(float(np.square(a - b).sum()) for a, b in pairs)
            size = sum(float(np.square(a).sum()) for a, _ in pairs)
            total += change / size if size else change
        return total
