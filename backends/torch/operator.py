"""The modules of operators: what is common to them."""

from __future__ import annotations

import abc

from torch import Tensor, nn

from snnc.backends.torch.program import Program, Record, word


class Operator(nn.Module, abc.ABC):
    """One node of the program as a module; its parameters are integer buffers.

    Values are tensors with the batch first, of any type that holds their proven range: every
    operator converts its operands to the type in which it computes.

    Args:
        program: The stored program.
        node: The node of it.
    """

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__()
        self.word = word(program.bounds(node))
        self.shape = program.shape(node)

    def keep(self, name: str, value: Tensor) -> None:
        """Register a tensor that follows from stored parameters, and moves with the module."""
        self.register_buffer(name, value.contiguous(), persistent=False)


class Function(Operator):
    """An operator without state."""

    @abc.abstractmethod
    def forward(self, *operands: Tensor) -> Tensor:
        """The value of operands (N, ...)."""


class StepFunction(Operator):
    """An operator without state that knows the number of the step, counted from 0."""

    @abc.abstractmethod
    def forward(self, now: int, *operands: Tensor) -> Tensor:
        """The value at step ``now``; it broadcasts to (N, ...)."""
