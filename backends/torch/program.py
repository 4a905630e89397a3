"""What the modules see of the stored program while they are built."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snnc.backends.numpy.simulator import Simulator

Record = dict[str, Any]
Bounds = tuple[int, int]

#: A range that says nothing: any word of 64 bits.
ANY: Bounds = (-(1 << 63), (1 << 63) - 1)


class Program(Simulator):
    """A stored program: its nodes, parameters, loops, and the check of its inputs."""

    def __init__(self, document: Record, tensors: dict[str, np.ndarray[Any, Any]]) -> None:
        super().__init__(document, tensors)
        self.neurons.clear()  # the modules run them, and NumPy's functions cannot be pickled

    def _load_weight(self, node: Record) -> None:
        """No copies of the weights: the modules keep their own."""

    def tensor(self, value: Any) -> Tensor:
        """The int64 tensor of a stored parameter."""
        return torch.tensor(self.param(value))

    def constant(self, const: Record) -> Tensor:
        """A constant of a kernel, looked up if it is a table."""
        return torch.tensor(self.const(const))

    def shape(self, node: Record, out: int = 0) -> tuple[int, ...]:
        """Shape of a node's value, without the batch."""
        return tuple(node["types"][out]["shape"])

    def bounds(self, node: Record, out: int = 0) -> Bounds:
        """Proven range of a node's value."""
        found = node["types"][out]["dtype"]
        return ANY if found.get("lo") is None else (found["lo"], found["hi"])

    def operand_bounds(self, node: Record, port: int = 0) -> Bounds:
        """Proven range of what a node reads: with the values before the first delayed one."""
        edge = node["inputs"][port]
        found = self.types[edge["src"]][edge["out"]]["dtype"]
        if found.get("lo") is None:
            return ANY
        lo, hi = found["lo"], found["hi"]
        if edge["delay"] or node["op"] == "IntDelayLinear":
            init = np.zeros(1, np.int64) if edge["init"] is None else self.param(edge["init"])
            lo, hi = min(lo, int(init.min())), max(hi, int(init.max()))
        return lo, hi


def magnitude(bounds: Bounds) -> int:
    """The largest absolute value in a range."""
    return max(abs(bounds[0]), abs(bounds[1]))


def word(bounds: Bounds) -> torch.dtype:
    """The narrowest integer type of torch in which values of a range are handed on.

    >>> word((0, 1)), word((-200, 5)), word((0, 1 << 40))
    (torch.int8, torch.int32, torch.int64)
    """
    for dtype in (torch.int8, torch.int32):
        limits = torch.iinfo(dtype)
        if limits.min <= bounds[0] and bounds[1] <= limits.max:
            return dtype
    return torch.int64


def aligned(x: Tensor, axes: int) -> Tensor:
    """A value with ``axes`` axes behind the batch; new ones are in front and of extent 1."""
    return x.reshape(x.shape[0], *[1] * (axes + 1 - x.ndim), *x.shape[1:])


def flat(x: Tensor) -> Tensor:
    """One row per sample, also of no samples."""
    return x.reshape(x.shape[0], prod(x.shape[1:]))
