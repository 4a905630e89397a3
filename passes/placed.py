"""What was placed for a layer with weights, kept for those who change its integers afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Placed:
    """How the numbers of one layer became integers.

    Attributes:
        targets: (rows, columns) real weights in steps of their row's scale.
        bits: Of a weight.
        spare: The last bits of biases that are 0.
        bias_step: (rows,) real value of one step of an integer bias.
    """

    targets: Floats
    bits: int
    spare: int
    bias_step: Floats
