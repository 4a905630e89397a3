"""What every operator is: a frozen record of parameters with a rule for its output types.

Shapes are those of one sample at one step.  ``infer`` gives the output types from the input
types and raises ValueError, in the user's terms, if they do not fit.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, fields

import numpy as np

from snnc.params import Param
from snnc.types import TensorType

Types = tuple[TensorType, ...]


@dataclass(frozen=True, slots=True)
class Op(abc.ABC):
    """What a node computes: a frozen record of parameters with an ``infer`` rule."""

    @abc.abstractmethod
    def infer(self, inputs: Types) -> Types:
        """Types of the outputs."""

    @property
    def params(self) -> dict[str, Param]:
        """The constant parameters, by field name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v for k, v in values.items() if isinstance(v, Param)}


def one(inputs: Types) -> TensorType:
    """Return the only input."""
    if len(inputs) != 1:
        raise ValueError(f"needs one input, got {len(inputs)}")
    return inputs[0]


def checked_axis(axis: int, shape: tuple[int, ...]) -> int:
    """Return ``axis`` if it is one of ``shape``; axes count from 0, there are no negative ones."""
    if not 0 <= axis < len(shape):
        raise ValueError(f"axis {axis} of a value with shape {shape}")
    return axis


def checked_axes(axes: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return ``axes`` if they are different axes of ``shape``, in ascending order."""
    if not axes or list(axes) != sorted(set(axes)):
        raise ValueError(f"axes {axes} must be different and in ascending order")
    for axis in axes:
        checked_axis(axis, shape)
    return axes


def integers(**params: Param | None) -> None:
    """Check that parameters hold integers."""
    for name, param in params.items():
        if param is not None and not param.is_integer:
            raise ValueError(f"{name} must be integers, got {param}")


def broadcast(shapes: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """Common shape of values that are combined element by element."""
    try:
        return tuple(np.broadcast_shapes(*shapes))
    except ValueError:
        raise ValueError(f"shapes {list(shapes)} do not broadcast") from None
