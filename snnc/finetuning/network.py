"""The integer program as a network to train: its words forward, gradients backward."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from torch import Tensor, nn

from snnc.backends.torch import arithmetic, machine
from snnc.backends.torch.collectors import Collector, Sequence, Stack
from snnc.backends.torch.network import IntegerNetwork
from snnc.backends.torch.operator import Function, StepFunction
from snnc.backends.torch.phases import Run, Values
from snnc.backends.torch.program import Bounds, Program, Record, magnitude
from snnc.backends.torch.whole import collect, is_straight, operands, sequence
from snnc.diagnostics import CompileError, fail
from snnc.finetuning.constants import Floats, FollowingConstants, Source
from snnc.finetuning.gradients import ROOM
from snnc.finetuning.latent import Latent
from snnc.finetuning.layers import TRAINED, Trained
from snnc.finetuning.neuron import GROWTH, TrainedNeuron
from snnc.finetuning.operators import RealRescale, real_operator
from snnc.graph import Graph
from snnc.intops import IntNeuron
from snnc.kernel import Line, State
from snnc.passes.placed import Placed
from snnc.storage import dump_graph
from snnc.types import Int

#: Lines of a kernel that take less time as tensors than to be called step by step.
SHORT = 5
NOTHING: Mapping[str, Any] = {}


class TrainableNetwork(IntegerNetwork):
    """Runs the program on batches of integers in float64.

    Args:
        program: The integer program before its ranges were proven: clamps that are idle with the
            weights of today may act with those of tomorrow.
        placed: How its layers with weights became integers.
        proven: The same program with proven ranges.
        sources: Real numbers that its constants follow, by name.
        latents: Those of the program.
    """

    def __init__(
        self,
        program: Graph,
        placed: Mapping[str, Placed],
        proven: Graph,
        sources: Mapping[str, Source] = NOTHING,
        latents: Mapping[str, Floats] = NOTHING,
    ) -> None:
        text, tensors = dump_graph(program)
        known = ranges(proven)
        for node in proven:
            if any(isinstance(t.dtype, Int) and too_wide(t.dtype) for t in node.types):
                raise _wide(f"{node.name} has values of more than 53 bits")
        arrays = {k: v.copy() for k, v in safetensors.numpy.load(tensors).items()}
        stored = Program(json.loads(text), arrays)
        self._most = {n.name: _arriving(proven, n.name) * GROWTH for n in proven}
        self._placed, self._proven = placed, known  # read by ``module`` while layers are made
        super().__init__(stored)
        self.straight = is_straight(stored)
        self.words = dict.fromkeys(self.words, torch.float64)
        modules = dict(zip(self.names, self.layers, strict=True))
        self.constants = FollowingConstants(sources, latents, modules)

    def module(self, program: Program, node: Record) -> nn.Module:
        """The module of a node.

        Raises:
            CompileError: E335 if float64 cannot hold its numbers.
        """
        name = node["name"]
        most = self._most.get(name, ROOM)
        if node["op"] == "IntInput":
            return nn.Identity()
        if node["op"] == "IntNeuron":
            neuron = TrainedNeuron(program, node, self._proven.get(name, {}))
            if wide := neuron.wide():
                raise _wide(f"{name} computes with more than 53 bits, in {wide[0]}")
            return neuron
        if node["op"] in TRAINED:
            return TRAINED[node["op"]](program, node, self._placed[name], most)
        module = real_operator(program, node)
        if isinstance(module, RealRescale):
            factors = int(module.multiplier.abs().max()) * GROWTH  # which may be trained, too
            module.small = most * factors < arithmetic.FLOAT_ROOM
        return module

    def trained(self) -> dict[str, Trained]:
        """Layers with latents, by name."""
        pairs = zip(self.names, self.layers, strict=True)
        return {name: layer for name, layer in pairs if isinstance(layer, Trained)}

    def compile(self) -> None:
        """Let a C compiler make the populations fast that it can express, if there is one."""
        if not machine.available():
            return
        neurons = [layer for layer in self.layers if isinstance(layer, TrainedNeuron)]
        with contextlib.suppress(OSError):  # what it cannot compile stays tensors
            for neuron in neurons:
                neuron.compile(1 if self.straight else SHORT)

    def latents(self) -> dict[str, Latent]:
        """All that an optimizer changes, by name."""
        found = {}
        for name, layer in self.trained().items():
            rates = layer.rates()
            found[f"{name}.weight"] = Latent(layer.latent, rates.weight)
            if layer.offset is not None:
                found[f"{name}.bias"] = Latent(layer.offset, rates.bias)
        return found | self.constants.trained()

    @torch.no_grad()
    def carry(self, old: TrainableNetwork) -> dict[str, float]:
        """Take over latents of weights and biases.

        Returns:
            Factors of those that are counted in other steps now.
        """
        ratios = {}
        for name, layer in self.trained().items():
            before = old.trained()[name]
            layer.latent.copy_(before.latent)
            if layer.offset is not None and before.offset is not None:
                ratio = 2.0 ** (before.step_bits - layer.step_bits)
                layer.offset.copy_(before.offset * ratio)
                if ratio != 1:
                    ratios[f"{name}.bias"] = ratio
        return ratios

    def forward(
        self, inputs: Values, steps: int, record: Iterable[str] = (), stepwise: bool = False
    ) -> tuple[Values, Values]:
        """As ``IntegerNetwork.forward``, but of integers in float64, with gradients."""
        self.constants.refresh()
        for layer in self.layers:
            if isinstance(layer, Trained | TrainedNeuron):
                layer.refresh()
        return self.evaluate(inputs, steps, record, stepwise)

    def loop(self, run: Run, steps: int) -> None:
        """Evaluate the first loop, of a straight program over all steps at once."""
        if not self.straight:
            self.step_by_step(run, steps)
            return
        for node, module, own in self.parts.get("step", ()):
            name = node["name"]
            if isinstance(module, TrainedNeuron):
                _neuron(run, node, module, steps)
            elif isinstance(module, Function):
                flat = [x.flatten(0, 1) for x in operands(run, node, module, steps)]
                y = module.forward(*flat)
                run.values[name, 0] = y.reshape(steps, run.batch, *y.shape[1:])
            elif isinstance(module, StepFunction):
                arriving = [sequence(run, e, steps) for e in node["inputs"]]
                shape = (run.batch, *module.shape)
                found = [module.forward(t, *(x[t] for x in arriving)) for t in range(steps)]
                run.values[name, 0] = torch.stack([y.expand(shape) for y in found])
            elif isinstance(module, Collector | Sequence | Stack):
                assert not own, "a value of the first loop comes from no earlier loop"
                collect(run, node, module, steps)
            else:
                run.values[name, 0] = run.sequences[name]
        run.done["step"] = steps


def _neuron(run: Run, node: Record, module: TrainedNeuron, steps: int) -> None:
    name = node["name"]
    late = [sequence(run, e, steps) for e in node["inputs"]]
    states = module.start(run.batch)
    if not run.records and steps and (whole := module.advance(late, states)):
        run.values |= {(name, i): y for i, y in enumerate(whole[0])}
        return
    arriving = [x.unbind(0) for x in late]
    outputs: list[list[Tensor]] = []
    for t in range(steps):
        found, states = module.forward([x[t] for x in arriving], states)
        outputs.append(found)
        if run.records:
            words = dict(zip(module.outputs, found, strict=True))
            for word, value in (words | dict(zip(module.states, states, strict=True))).items():
                run.note(f"{name}.{word}", value)
    for i, values in enumerate(zip(*outputs, strict=True)):
        run.values[name, i] = torch.stack(values)


def ranges(program: Graph) -> dict[str, dict[str, Bounds]]:
    """Proven ranges of lines and states, by population."""
    found: dict[str, dict[str, Bounds]] = {}
    for node in program.nodes:
        if isinstance(node.op, IntNeuron):
            kernel = node.op.kernel
            items: tuple[Line | State, ...] = (*kernel.body, *kernel.states)
            found[node.name] = {
                i.name: (i.lo, i.hi) for i in items if i.lo is not None and i.hi is not None
            }
    return found


def _arriving(program: Graph, name: str) -> int:
    """The largest magnitude of what a node reads, also before the first delayed value."""
    most = 0
    for edge in program.in_edges(name):
        kind = program[edge.src].types[edge.out].dtype
        first = 0 if edge.init is None else int(np.abs(edge.init.data).max())
        assert isinstance(kind, Int), "programs compute with integers"
        most = max(most, first, ROOM if kind.lo is None else magnitude(kind.bounds))
    return most


def too_wide(kind: Int) -> bool:
    """Whether float64 may not hold what values of a proven range grow to."""
    return kind.lo is not None and magnitude(kind.bounds) * GROWTH >= ROOM


def _wide(text: str) -> CompileError:
    why = "training computes in float64, which holds integers up to there"
    return fail("E335", text, None, why, help="use fewer weight bits or guard bits")
