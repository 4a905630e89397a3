"""Memory that this process shares with the workers that it forks later."""

from __future__ import annotations

import math
import mmap
from typing import Any

import numpy as np
import numpy.typing as npt


def shared(shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Zeros; nothing is left of them when all processes have ended, however they end."""
    size = 8 * math.prod(shape)
    return np.frombuffer(mmap.mmap(-1, max(size, 8)), np.int64)[: size // 8].reshape(shape)
