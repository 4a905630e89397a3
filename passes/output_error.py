"""How much a change of weights changes a network's outputs on calibration data."""

from __future__ import annotations

from collections.abc import Iterable
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

    def of(self, graphs: list[Graph], changed: Iterable[str]) -> list[float]:
        """Squared change of the outputs of each, relative to their size; over all samples.

        Args:
            graphs: Alike but for the weights of some nodes.
            changed: Those nodes.
        """
        if self._outputs is None:
            self._outputs = self._calibration.outputs(self._real)
        names = list(self._outputs[0])
        changes = [dict.fromkeys(names, 0.0) for _ in graphs]
        for found, want in zip(
            self._calibration.variants(graphs, changed), self._outputs, strict=True
        ):
            for change, have in zip(changes, found, strict=True):
                for name in names:
                    change[name] += float(np.square(have[name] - want[name]).sum())
        sizes = {
            name: sum(float(np.square(batch[name]).sum()) for batch in self._outputs)
            for name in names
        }
        return [sum(c[n] / sizes[n] if sizes[n] else c[n] for n in names) for c in changes]
