"""How to run a module over time, on which example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn


@dataclass
class Recipe:
    """How to run the module over time.

    Attributes:
        module: The user's module, never modified.
        inputs: Example inputs.
        keys: Of the inputs, if the module takes them as one dict; else empty.
        time_axes: Per input, its time axis, or None for an input that is the same at every step.
        batch_axes: Per input, its batch axis, or None for a single sample.
        step_attributes: Dotted attributes that hold the number of steps.
        step_keyword: Keyword of ``forward`` that takes the number of steps.
        loop: Whether the module computes one step, so that the loop has to be written around it.
        state: Initial explicit state of a step module, without batch; None if it keeps its own.
        readout: For a step module: what is returned of the outputs of all steps.
        joined: Whether the module takes batch and time as one axis, (B*T, …); the example has two.
        batch_attributes: Dotted attributes that hold the number of samples.
        describe: For a program of a file: puts names and lines of its author into a trace.
        tables: Parameters and buffers with one row or column per step, for ``table_steps`` steps.
            For another number of steps they are cut, or their rows and columns repeated: the
            structure of the network shows, its weights do not matter.
        table_steps: The only number of steps that the module can take.
        frozen: Whether buffers of one number are traced as that number, for ``if`` to read.
        own_counts: What ``step_attributes`` hold, if they differ: blocks with steps of their own.
            All are traced with one number of steps.
    """

    module: nn.Module
    inputs: tuple[torch.Tensor, ...]
    time_axes: tuple[int | None, ...]
    batch_axes: tuple[int | None, ...]
    step_attributes: tuple[str, ...] = ()
    step_keyword: str | None = None
    loop: bool = False
    state: Any = None
    explicit_state: bool = False
    readout: str = "stack"
    output_names: tuple[str, ...] = ()
    names: list[str] = field(default_factory=list)
    joined: bool = False
    batch_attributes: tuple[str, ...] = ()
    describe: Callable[[Any], Any] | None = None
    tables: tuple[str, ...] = ()
    table_steps: int = 0
    frozen: bool = False
    own_counts: dict[str, int] = field(default_factory=dict)
    keys: tuple[str, ...] = ()

    def arguments(self, inputs: Sequence[torch.Tensor]) -> tuple[Any, ...]:
        """The inputs as ``forward`` takes them."""
        return (dict(zip(self.keys, inputs, strict=True)),) if self.keys else tuple(inputs)

    def own_steps(self, default: int) -> int:
        """Number of steps of the example."""
        pairs = zip(self.inputs, self.time_axes, strict=True)
        return next((x.shape[a] for x, a in pairs if a is not None), default)


def resize(recipe: Recipe, steps: int, batch: int | None) -> tuple[torch.Tensor, ...]:
    """The example with other extents, by repeating or dropping steps and samples.

    A copy: a module that writes into its input does not change the user's tensors.
    """
    out = []
    for x, time, samples in zip(recipe.inputs, recipe.time_axes, recipe.batch_axes, strict=True):
        for axis, size in ((time, steps), (samples, batch)):
            if axis is not None and size is not None:
                x = x.index_select(axis, torch.arange(size) % x.shape[axis])
        out.append(x.clone())
    return tuple(out)
