"""Operators that reduce axes of one sample."""

from __future__ import annotations

import torch
from torch import Tensor

from snnc.backends.torch.operator import Function, Operator
from snnc.backends.torch.program import Program, Record


class Reduce(Function):
    """Sum, maximum, minimum or product over the axes."""

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        a = node["attributes"]
        self.fn, self.keepdims = a["fn"], a["keepdims"]
        self.axes = tuple(axis + 1 for axis in a["axes"])

    def forward(self, *operands: Tensor) -> Tensor:
        x = operands[0].long()
        if not self.axes:  # torch takes no axes for all
            return x.to(self.word)
        if self.fn == "prod":
            for axis in sorted(self.axes, reverse=True):
                x = x.prod(axis, keepdim=self.keepdims)
            return x.to(self.word)
        if self.fn == "sum":
            return x.sum(self.axes, keepdim=self.keepdims).to(self.word)
        function = torch.amax if self.fn == "max" else torch.amin
        return function(x, self.axes, keepdim=self.keepdims).to(self.word)


class ArgMax(Function):
    """The first position of the maximum along the axis."""

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        self.axis = node["attributes"]["axis"] + 1

    def forward(self, *operands: Tensor) -> Tensor:
        return operands[0].argmax(self.axis)  # documented to be the first


class TopK(Function):
    """The ``k`` largest elements along one axis, or their positions; of equal ones, the first."""

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        a = node["attributes"]
        self.axis, self.k, self.positions = a["axis"] + 1, a["k"], a["positions"]

    def forward(self, *operands: Tensor) -> Tensor:
        x = operands[0].long()
        order = torch.sort(-x, dim=self.axis, stable=True).indices.narrow(self.axis, 0, self.k)
        return (order if self.positions else x.gather(self.axis, order)).to(self.word)


#: The operators, by name.
REDUCTIONS: dict[str, type[Operator]] = {
    "IntReduce": Reduce,
    "IntArgMax": ArgMax,
    "IntTopK": TopK,
}
