"""What a neuron does in its first step if nothing comes in."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.float_sim import FUNCTIONS
from snnc.kernel import Kernel


def first_step(kernel: Kernel) -> dict[str, npt.NDArray[Any]]:
    """Every line of a real kernel, from the initial states, for inputs of zero."""
    env: dict[str, Any] = dict.fromkeys(kernel.inputs, np.zeros(()))
    env |= {c.name: c.values.data.astype(np.float64) for c in kernel.consts}
    env |= {s.name: s.init.data.astype(np.float64) for s in kernel.states}
    with np.errstate(all="ignore"):
        for line in kernel.body:
            env[line.name] = np.asarray(FUNCTIONS[line.fn](*(env[a] for a in line.args)))
    return env
