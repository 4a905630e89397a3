"""The forms of a program while its integers are trained, and the proof that the last one ships.

Formats of some values follow from proven ranges, and those from the weights: a program with other
integers may shift other bits.  So the model is lowered again with the integers of every epoch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import safetensors.numpy
import torch
from torch import Tensor

from snnc.backends.numpy.simulator import Simulator
from snnc.diagnostics import fail
from snnc.driver import lower
from snnc.finetuning.network import TrainableNetwork
from snnc.graph import Graph
from snnc.options import Report
from snnc.params import Param
from snnc.passes.base import Context, Pass
from snnc.passes.kept_choices import KeptChoices
from snnc.passes.placed import Placed
from snnc.passes.prove_ranges import ProveRanges
from snnc.passes.weight_rows import IntWeighted
from snnc.preparing import OF_DATA, Prepared
from snnc.quantization import TRAINED
from snnc.storage import dump_graph


@dataclass
class _Unproven:
    """Keeps the program as it is before its ranges are proven."""

    program: Graph | None = None

    def before(self, pass_: Pass, graph: Graph, /) -> None:
        if isinstance(pass_, ProveRanges):
            self.program = graph

    def after(self, pass_: Pass, before: Graph, graph: Graph, seconds: float, /) -> None:
        pass


class Forms:
    """The program with the integers that training starts from, and later with others.

    Args:
        prepared: The model, with a method that chooses the first integers.
        report: Told of the first lowering.

    Attributes:
        proven: The present program.
    """

    def __init__(self, prepared: Prepared, report: Report) -> None:
        self._prepared = prepared
        self._program, self._placed, self.proven = _lowered(prepared, report)
        self._choices = prepared.ctx.choices
        if not self._placed:
            raise fail("E336", "the network has no layer whose integers could be trained")

    def network(self) -> TrainableNetwork:
        """The present program to train."""
        return TrainableNetwork(self._program, self._placed, self.proven)

    def renewed(self, network: TrainableNetwork) -> TrainableNetwork | None:
        """The program with a network's integers, if it differs in more than those."""
        program, placed, proven = _lowered(self.with_integers(network), lambda *_: None)
        if self._skeleton(program) == self._skeleton(self._program):
            return None
        self._program, self._placed, self.proven = program, placed, proven
        return self.network()

    def with_integers(self, network: TrainableNetwork) -> Prepared:
        """What is to be compiled, with the network's integers to follow."""
        prepared, layers = self._prepared, network.trained()
        graph, arrays = self._program.copy(), dict(self._choices.arrays)
        groups = {
            key: (TRAINED, bits, parts, "")
            for key, (_, bits, parts, _) in self._choices.groups.items()
        }
        for key, (_, _, parts, _) in groups.items():
            for name, _, _ in parts:
                weight, bias = layers[name].integers()
                node = graph[name]
                assert isinstance(node.op, IntWeighted), "a layer with weights"
                stored = weight.detach().numpy().astype(node.op.weight.data.dtype)
                graph.replace(replace(node, op=replace(node.op, weight=Param(stored))))
                if bias is not None:
                    step = self._placed[name].bias_step
                    arrays[f"{key}/{name}/bias"] = bias.detach().numpy() * step
        kept = KeptChoices(graph, groups, arrays)
        said = [d for d in prepared.ctx.diagnostics if d.code in OF_DATA]
        fresh = Context([*prepared.loaded.diagnostics, *said], reused=kept)
        options = replace(prepared.options, method=TRAINED)
        plan = replace(prepared.plan, method=TRAINED)
        return replace(prepared, options=options, plan=plan, ctx=fresh)

    def _skeleton(self, program: Graph) -> tuple[bytes, bytes]:
        """The program without the integers that are trained."""
        graph = program.copy()
        for name in self._placed:
            node = graph[name]
            assert isinstance(node.op, IntWeighted), "a layer with weights"
            zeros = Param(np.zeros_like(node.op.weight.data))
            bias = None if node.op.bias is None else Param(np.zeros(node.op.bias.shape, np.int8))
            graph.replace(replace(node, op=replace(node.op, weight=zeros, bias=bias)))
        return dump_graph(graph)


def _lowered(prepared: Prepared, report: Report) -> tuple[Graph, dict[str, Placed], Graph]:
    """The program before its ranges are proven, how layers were placed, and the proven program."""
    unproven, ctx = _Unproven(), prepared.ctx
    ctx.placed = {}
    graph, options = prepared.graph.copy(), replace(prepared.options, dump_ir=None)
    proven, _ = lower(graph, options, ctx, report, prepared.plan, [unproven])
    assert unproven.program is not None, "the pipeline proves ranges"
    return unproven.program, ctx.placed, proven


@torch.no_grad()
def check_words(
    network: TrainableNetwork, inputs: dict[str, Tensor], steps: int, program: Graph
) -> None:
    """Compare every word of the program that is to be written with the trained network.

    Raises:
        CompileError: E338 for the first word that differs.
    """
    text, tensors = dump_graph(program)
    simulator = Simulator(json.loads(text), safetensors.numpy.load(tensors))
    words = simulator.words()
    given = {name: x.double() for name, x in inputs.items()}
    found = network(given, steps, words)
    expected = simulator.run({name: x.numpy() for name, x in inputs.items()}, steps, words)
    for have, want in zip(found, expected, strict=True):
        for name, x in want.items():
            if not np.array_equal(have[name].numpy(), x):
                what = f"{name} of the compiled program is not what was trained"
                why = "a state reached its limit, or a number 53 bits"
                hint = "use fewer guard bits, or a lower rate"
                raise fail("E338", what, None, why, help=hint)
