"""Numbers that an optimizer changes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Latent:
    """What an optimizer changes.

    Attributes:
        value: The numbers.
        size: Relative to which the rate is.
        low: Bounds of the numbers, if there are any.
        high: The same.
    """

    value: nn.Parameter
    size: float
    low: Tensor | None = None
    high: Tensor | None = None
