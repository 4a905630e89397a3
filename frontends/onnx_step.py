"""A step with explicit states, as the module that ``Unrolled`` calls once for every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from snnc.frontends.onnx_module import OnnxModule
from snnc.frontends.pt2_module import DTYPES
from snnc.frontends.readings import FileInput, Reading
from snnc.frontends.recipe import Recipe
from snnc.frontends.recover_reading import unclashing


class StepModule(nn.Module):
    """Takes data, then states; returns the outputs, then the new states.

    Attributes:
        inner: Executes the step.
        data: Which inputs are data.
        states: (input, output) of every state, by index.
        results: Which outputs are outputs of the network.
    """

    def __init__(self, inner: OnnxModule, pairs: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.inner = inner
        names, outputs = [x.name for x in inner.inputs], list(inner.model.graph.outputs)
        self.states = [(names.index(a), outputs.index(b)) for a, b in pairs]
        taken, left = {i for i, _ in self.states}, {o for _, o in self.states}
        self.data = [i for i in range(len(names)) if i not in taken]
        self.results = [o for o in range(len(outputs)) if o not in left] or sorted(left)

    def forward(self, *values: torch.Tensor) -> Any:
        """One step."""
        places = [*self.data, *(i for i, _ in self.states)]
        given = [v for _, v in sorted(zip(places, values, strict=True), key=lambda pair: pair[0])]
        found = self.inner(*given)
        out = tuple(found[o] for o in self.results)
        return (out[0] if len(out) == 1 else out, *(found[o] for _, o in self.states))

    def stepped(self, run: Any, inputs: Sequence[torch.Tensor]) -> list[list[torch.Tensor]]:
        """Outputs of every step when something else computes the step."""
        states = [torch.zeros([n for n, _ in self.inner.inputs[i].shape]) for i, _ in self.states]
        states = [s.to(DTYPES[self.inner.inputs[i].dtype]) for s, (i, _) in
                  zip(states, self.states, strict=True)]  # fmt: skip
        places = [*self.data, *(i for i, _ in self.states)]
        collected: list[list[torch.Tensor]] = []
        for t in range(len(inputs[0])):
            values = [*(x[t] for x in inputs), *states]
            given = [v for _, v in sorted(zip(places, values, strict=True), key=lambda p: p[0])]
            found = run(given)
            states = [found[o] for _, o in self.states]
            collected.append([found[o] for o in self.results])
        return collected


def step_recipe(
    step: StepModule, input_names: Sequence[str], readout: str, steps: int
) -> tuple[Recipe, Reading]:
    """How to run the step over a sequence, from states that are zero."""
    inner = step.inner
    data = [inner.inputs[i] for i in step.data]
    batched = len({x.shape[0] for x in inner.inputs if x.shape}) == 1 and all(
        len(x.shape) > 1 for x in inner.inputs
    )
    inner.batches = (0 if batched else None,) * len(inner.inputs)
    generator = torch.Generator().manual_seed(0)
    example = tuple(
        torch.rand(steps, *(n for n, _ in x.shape), generator=generator).to(DTYPES[x.dtype])
        for x in data
    )
    reading = Reading(steps, (0,) * len(data), (1 if batched else None,) * len(data), None)
    state = tuple(_zeros(inner.inputs[i], batched) for i, _ in step.states)
    recipe = Recipe(
        step,
        example,
        reading.times,
        reading.batches,
        loop=True,
        state=state,
        explicit_state=True,
        readout=readout,
        describe=inner.described,
    )
    outputs = tuple(inner.output_names[o] for o in step.results)
    recipe.output_names = unclashing(list(input_names), outputs)
    recipe.names[:] = recipe.output_names
    return recipe, reading


def _zeros(x: FileInput, batched: bool) -> torch.Tensor:
    shape = [n for n, _ in x.shape]
    return torch.zeros(shape[1:] if batched else shape, dtype=DTYPES[x.dtype])
