"""What an operator's rule reads and returns: calls, and tensors with batch and time marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from snnc.frontends.dag import Source
from snnc.frontends.layout import Axes, timed


class Refusal(Exception):  # noqa: N818  it is collected, and becomes a diagnostic
    """A rule cannot handle a call; carries code, message and help."""

    def __init__(self, code: str, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.help = code, message, help


class Unknown:
    """The result of a refused call; everything computed from it is unknown too."""


@dataclass(frozen=True, slots=True)
class Random:
    """Drawn numbers: no part of a network, unless they are multiplied by zero."""

    refusal: Refusal
    source: Source


@dataclass(frozen=True, slots=True)
class AfterZeros:
    """A sequence behind ``count`` steps of zeros, which only a causal convolution may read."""

    sequence: Traced
    count: int


class SampleNumbers:
    """``torch.arange(batch)``: every sample's own place, which only an assignment may read."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A tensor of the program.

    Attributes:
        axes: Factors of every axis.
        terms: One per step if time is among the axes, else one.  A term has the shape
            ``inner(axes)``, or ``()`` for a tensor with one value everywhere ("soft").
        dtype: Of the tensor; comparisons are bool, as terms they are the numbers 0 and 1.
    """

    axes: Axes
    terms: tuple[int, ...]
    dtype: torch.dtype

    @property
    def timed(self) -> bool:
        """Whether time is among the axes."""
        return timed(self.axes)

    def at(self, step: int) -> int:
        """The term of a step."""
        return self.terms[step] if self.timed else self.terms[0]


@dataclass(frozen=True, slots=True)
class Call:
    """One call in the program."""

    name: str
    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any

    def arg(self, index: int, name: str, default: Any = None) -> Any:
        """Positional or keyword argument."""
        if index < len(self.args):
            return self.args[index]
        return self.kwargs.get(name, default)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result."""
        return tuple(int(n) for n in self.result.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the result."""
        dtype: torch.dtype = self.result.dtype
        return dtype
