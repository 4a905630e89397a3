"""Inputs, outputs and states of a model: their names, types, and values before the first step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper

from snnc.backends.onnx.block import KINDS, Array, V

Shape = tuple[int, ...]


@dataclass(frozen=True)
class State:
    """A value that is kept from step to step.

    Attributes:
        name: Of the word.
        type: Of its elements.
        shape: Without the batch.
        first: Before the first step; it broadcasts to (1, *shape).
    """

    name: str
    type: int
    shape: Shape
    first: Array

    @property
    def given(self) -> str:
        """Name of the model's input for it."""
        return f"state:{self.name}"

    @property
    def left(self) -> str:
        """Name of the model's output for it."""
        return f"next:{self.name}"


def default(state: State) -> TensorProto:
    """The value of a state for whoever gives none: an initializer that may be overridden."""
    shape = (1, *state.shape)
    whole = np.broadcast_to(np.asarray(state.first, np.int64), shape)
    return numpy_helper.from_array(np.ascontiguousarray(whole, KINDS[state.type]), state.given)


def port(v: V, *shape: int | str) -> ValueInfoProto:
    """An input or output of a graph."""
    return helper.make_tensor_value_info(v.name, v.type, list(shape))
