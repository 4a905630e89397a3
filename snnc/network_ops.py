"""What a network is made of besides its layers: inputs, outputs, constants, sums and neurons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.kernel import PREDICATES, REAL_FUNCTIONS, Kernel
from snnc.op import Op, Types, broadcast, one
from snnc.params import Param
from snnc.types import FLOAT32, SPIKE, Clock, TensorType, latest


@dataclass(frozen=True, slots=True)
class Input(Op):
    """A network input. ``lo``, ``hi``: observed range; ``step``: its grid, 0 if none was found.

    An input of an integer type (``Int(0, 31)``: token numbers) has a range that is a promise:
    values outside are an error when the network runs.
    """

    type: TensorType
    lo: float = 0.0
    hi: float = 1.0
    step: float = 0.0

    def infer(self, inputs: Types) -> Types:
        if inputs:
            raise ValueError("an Input has no predecessors")
        if self.type.clock.phase > 1:
            raise ValueError(f"an Input is read in the first loop, not as {self.type}")
        return (self.type,)


@dataclass(frozen=True, slots=True)
class Output(Op):
    """A network output; the node's name is the output's name."""

    def infer(self, inputs: Types) -> Types:
        return (one(inputs),)


@dataclass(frozen=True, slots=True)
class Constant(Op):
    """A parameter of the model as a value; broadcasts like any array."""

    value: Param

    def infer(self, inputs: Types) -> Types:
        if inputs:
            raise ValueError("a Constant has no predecessors")
        return (TensorType(self.value.shape, FLOAT32, Clock.ONCE),)


@dataclass(frozen=True, slots=True)
class Pointwise(Op):
    """One real function of ``snnc.kernel.REAL_FUNCTIONS``, element by element, broadcasting."""

    fn: str

    def infer(self, inputs: Types) -> Types:
        if REAL_FUNCTIONS.get(self.fn) != len(inputs):
            raise ValueError(f"{self.fn!r} does not take {len(inputs)} operands")
        shape = broadcast(tuple(x.shape for x in inputs))
        dtype = SPIKE if self.fn in PREDICATES else FLOAT32
        return (TensorType(shape, dtype, latest(tuple(x.clock for x in inputs))),)


@dataclass(frozen=True, slots=True)
class Sum(Op):
    """``y = x0 + x1 + …`` of equal shapes: residual connections."""

    def infer(self, inputs: Types) -> Types:
        if not inputs or len({x.shape for x in inputs}) != 1:
            raise ValueError(f"cannot add shapes {[x.shape for x in inputs]}")
        return (TensorType(inputs[0].shape, FLOAT32, latest(tuple(x.clock for x in inputs))),)


def kernel_clock(kernel: Kernel, inputs: Types) -> Clock:
    """When a kernel runs; ValueError if it has states and reads what comes after the steps."""
    clock = latest(tuple(x.clock for x in inputs))
    if not kernel.states:
        return clock
    if clock.kind is Clock.END:
        raise ValueError("a neuron cannot read what is known only after the last step")
    return Clock.STEP if clock is Clock.ONCE else clock


@dataclass(frozen=True, slots=True)
class Neuron(Op):
    """A population of neurons: an elementwise program with state; one output per kernel output.

    Inputs are the kernel's, in order.  A program without state is a function, which is computed
    when its inputs are known: once, at every step or at the end.
    """

    kernel: Kernel
    shape: tuple[int, ...]

    def infer(self, inputs: Types) -> Types:
        self.kernel.check(REAL_FUNCTIONS)
        if len(inputs) != len(self.kernel.inputs):
            raise ValueError(f"kernel takes {len(self.kernel.inputs)} inputs, got {len(inputs)}")
        clock = kernel_clock(self.kernel, inputs)
        shapes = [x.shape for x in inputs] + [c.shape for c in self.kernel.consts]
        if np.broadcast_shapes(self.shape, *shapes) != self.shape:
            raise ValueError(f"inputs {shapes} do not broadcast to {self.shape}")
        spiking = {x.name for x in self.kernel.body if x.fn in PREDICATES}
        return tuple(
            TensorType(self.shape, SPIKE if name in spiking else FLOAT32, clock)
            for name in self.kernel.outputs
        )
