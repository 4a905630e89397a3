"""The checked network of an ONNX graph, under one reading of its axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from snnc.container import LoadedModel
from snnc.diagnostics import Diagnostic, remark
from snnc.frontends.independent import refuse_joined_samples
from snnc.frontends.onnx_file import OnnxModel
from snnc.frontends.onnx_fold import Const
from snnc.frontends.onnx_module import OnnxModule, labels
from snnc.frontends.onnx_options import OnnxOptions
from snnc.frontends.onnx_reference import Run, reference, session
from snnc.frontends.onnx_states import Pair, started
from snnc.frontends.onnx_step import StepModule, step_recipe
from snnc.frontends.readings import FileInput, Reading
from snnc.frontends.recipe import Recipe
from snnc.frontends.recover_reading import finished, recipe_of, unclashing
from snnc.frontends.whole_loop import read_out


@dataclass(frozen=True)
class Recovery:
    """A checked file, with extents for its inputs.

    Attributes:
        data: The file, for onnxruntime.
        name: Of the file.
        file: What is in it.
        model: What is recovered: without the inputs that are constant.
        inputs: Of ``model``.
        known: Values that do not depend on the inputs.
        wish: Options of the user.
        all_inputs: Of the file.
        zeros: Inputs of the file that are states, and start at zero.
    """

    data: bytes
    name: str
    file: OnnxModel
    model: OnnxModel
    inputs: tuple[FileInput, ...]
    known: Mapping[str, Const]
    wish: OnnxOptions
    all_inputs: tuple[FileInput, ...]
    zeros: tuple[str, ...] = ()

    def varied(self, reading: Reading) -> bool:
        """Whether the number of steps can be chosen, as far as the types of the inputs say."""
        sides = zip(self.model.graph.inputs, reading.times, strict=True)
        return any(t is not None and not isinstance((x.shape or ())[t], int) for x, t in sides)

    def with_states_at_zero(self, pairs: Sequence[Pair]) -> Recovery:
        """With the loop inside, states that are inputs are where it starts: at zero."""
        model, inputs, zeros = started(self.model, self.inputs, pairs)
        known = {**self.known, **zeros}
        return replace(self, model=model, inputs=inputs, known=known, zeros=tuple(zeros))

    @property
    def span(self) -> tuple[float, float, float]:
        """Range and grid of the inputs."""
        return self.wish.input_lo, self.wish.input_hi, self.wish.input_step

    def _module(self) -> OnnxModule:
        return OnnxModule(self.model, self.inputs, self.known)

    def from_trace(self, reading: Reading, varied: bool) -> LoadedModel:
        """The network of a graph with a loop in it, or unrolled.

        Raises:
            CompileError: Everything that stands in the way.
        """
        module = self._module()
        module.own_steps = reading.steps
        module.batches = reading.batches
        names = list(labels([x.name for x in self.inputs], "in"))
        recipe = recipe_of(module, reading)
        recipe.output_names = unclashing(names, module.output_names)
        recipe.names[:] = recipe.output_names
        if varied:
            recipe.step_attributes = ("steps",)
        run, version = session(self.data, self.all_inputs)

        def once(run: Run, recipe: Recipe) -> list[torch.Tensor]:
            given = dict(zip((x.name for x in self.inputs), recipe.inputs, strict=True))
            values = [
                given.get(x.name, torch.zeros([n for n, _ in x.shape])) for x in self.all_inputs
            ]
            outputs = dict(zip(self.file.graph.outputs, run(values), strict=True))
            return [outputs[o] for o in self.model.graph.outputs]

        check = reference(run, version, once)
        found = finished(
            recipe,
            reading,
            names,
            self.name,
            "onnx",
            varied=varied,
            reference=check,
            span=self.span,
        )
        refuse_joined_samples(self._module(), reading, self.name)
        return self._described(found, module)

    def from_step(self, pairs: Sequence[Pair], steps: int) -> LoadedModel:
        """The network that calls the graph once for every step.

        Raises:
            CompileError: Everything that stands in the way.
        """
        step = StepModule(self._module(), pairs)
        names = list(labels([self.inputs[i].name for i in step.data], "in"))
        recipe, reading = step_recipe(step, names, self.wish.readout, steps)
        run, version = session(self.data, self.inputs)

        def stepwise(run: Run, recipe: Recipe) -> list[torch.Tensor]:
            return read_out(step.stepped(run, recipe.inputs), recipe.readout)

        check = reference(run, version, stepwise)
        found = finished(
            recipe, reading, names, self.name, "onnx", varied=True, reference=check, span=self.span
        )
        listed = ", ".join(f"{a} from {b}" for a, b in pairs)
        text = f"the file holds one step; its states start at zero: {listed}"
        return self._described(found, step.inner, remark("R161", text))

    def _described(self, found: LoadedModel, module: OnnxModule, *more: Diagnostic) -> LoadedModel:
        wish = self.wish
        graph = found.graph
        for zero in self.zeros:
            text = f"the input {zero} is a state; it starts at zero"
            more = (*more, remark("R161", text))
        meta: dict[str, Any] = {
            **found.meta,
            "producer": module.model.producer,
            "opset": module.opset,
            "onnx": wish.document(),
        }
        return LoadedModel(graph, meta, [*more, *found.diagnostics])
