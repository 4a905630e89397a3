"""The forms of a program while its integers are trained, and the proof that the last one ships.

Formats of some values follow from proven ranges, and those from the weights: a program with other
integers may shift other bits.  So the model is lowered again as training goes on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch
from torch import Tensor

from snnc.backends.numpy.simulator import Simulator
from snnc.diagnostics import CompileError, fail
from snnc.driver import lower
from snnc.finetuning.constants import Source
from snnc.finetuning.network import TrainableNetwork
from snnc.finetuning.slopes import slopes
from snnc.graph import Graph
from snnc.options import Report
from snnc.params import Param
from snnc.passes.base import Context, Pass
from snnc.passes.follow_trained import constants, set_constants
from snnc.passes.kept_choices import KeptChoices
from snnc.passes.placed import Placed
from snnc.passes.prove_ranges import ProveRanges
from snnc.passes.quantize import Quantize
from snnc.passes.weight_rows import IntWeighted
from snnc.preparing import OF_DATA, Prepared
from snnc.quantization import TRAINED
from snnc.storage import dump_graph

Floats = npt.NDArray[np.float64]


@dataclass
class _Stages:
    """Keeps the model before it is quantized, and the program before its ranges are proven."""

    quantize: Quantize | None = None
    model: Graph | None = None
    program: Graph | None = None

    def before(self, pass_: Pass, graph: Graph, /) -> None:
        if isinstance(pass_, Quantize):
            self.quantize, self.model = pass_, graph
        elif isinstance(pass_, ProveRanges):
            self.program = graph

    def after(self, pass_: Pass, before: Graph, graph: Graph, seconds: float, /) -> None:
        pass


class Forms:
    """The program with the integers that training starts from, and later with others.

    Args:
        prepared: The model, with a method that chooses the first integers.
        report: Told of the first lowering.

    """

    def __init__(self, prepared: Prepared, report: Report) -> None:
        self._prepared = prepared
        self._form = _lowered(prepared, report)
        if not self._form.placed:
            raise fail("E336", "the network has no layer whose integers could be trained")
        self._choices = _trained(prepared.ctx.choices)
        self._sources = self._followed()
        self._latents = {name: s.start for name, s in self._sources.items()}

    @property
    def proven(self) -> Graph:
        """The present program."""
        return self._form.proven

    def network(self, steps: int) -> TrainableNetwork:
        """The present program to train with sequences of ``steps``.

        Raises:
            CompileError: E335 if float64 cannot hold its numbers.
        """
        form, follow = self._form, (self._sources, self._latents)
        try:
            return TrainableNetwork(form.program, form.placed, form.proven, *follow)
        except CompileError:  # sums over so many steps are smaller than over any number of them
            few = ProveRanges(steps).run(form.program.copy(), Context())
            return TrainableNetwork(form.program, form.placed, few, *follow)

    def renewed(self, network: TrainableNetwork, steps: int) -> TrainableNetwork:
        """The program that the numbers of a network make."""
        self._form = _lowered(self.with_integers(network), lambda *_: None)
        self._latents = _arrays(network)
        return self.network(steps)

    def with_integers(self, network: TrainableNetwork) -> Prepared:
        """What is to be compiled, with the network's numbers to follow."""
        prepared, layers, latents = self._prepared, network.trained(), _arrays(network)
        graph, arrays = self._form.program.copy(), dict(self._choices.arrays)
        for name, source in self._sources.items():
            arrays[name] = source.now(latents[name]).reshape(source.at.shape)
        for key, (_, _, parts, _) in self._choices.groups.items():
            peak = f"{key}/peak"
            grown = np.exp(latents[peak] - self._latents[peak]) if peak in latents else 1.0
            for name, _, _ in parts:
                weight, bias = layers[name].integers()
                node = graph[name]
                assert isinstance(node.op, IntWeighted), "a layer with weights"
                stored = weight.detach().numpy().astype(node.op.weight.data.dtype)
                graph.replace(replace(node, op=replace(node.op, weight=Param(stored))))
                if bias is not None:
                    step = self._form.placed[name].bias_step * grown
                    arrays[f"{key}/{name}/bias"] = bias.detach().numpy() * step
        kept = KeptChoices(graph, self._choices.groups, arrays)
        said = [d for d in prepared.ctx.diagnostics if d.code in OF_DATA]
        fresh = Context([*prepared.loaded.diagnostics, *said], reused=kept)
        options = replace(prepared.options, method=TRAINED)
        plan = replace(prepared.plan, method=TRAINED)
        return replace(prepared, options=options, plan=plan, ctx=fresh)

    def _followed(self) -> dict[str, Source]:
        """Row scales and constants of the model, and what follows them in the program."""
        form, choices = self._form, self._choices
        model, plan = form.model, replace(form.quantize.plan, method=TRAINED)
        quantize = replace(form.quantize, plan=plan)

        def quantized(graph: Graph, arrays: dict[str, Floats]) -> Graph | None:
            kept = KeptChoices(form.program, choices.groups, choices.arrays | arrays)
            try:
                return quantize.run(graph, Context(reused=kept))
            except CompileError:
                return None

        def scaled(name: str, array: Floats) -> Graph | None:
            return quantized(model.copy(), {name: array})

        def changed(name: str, array: Floats) -> Graph | None:
            graph = model.copy()
            set_constants(graph, {name: array})
            return quantized(graph, {})

        program = quantized(model.copy(), {})
        if program is None:
            return {}
        found = {}
        for key in choices.groups:
            name = f"{key}/peak"
            at = choices.arrays[name]
            found[name] = Source(at, True, tuple(slopes(program, partial(scaled, name), at, True)))
        for name, array in constants(model).items():
            at = array.astype(np.float64)
            if follow := slopes(program, partial(changed, name), at, False):
                found[name] = Source(at, False, tuple(follow))
        return found


def _arrays(network: TrainableNetwork) -> dict[str, Floats]:
    return {name: p.detach().numpy().copy() for name, p in network.constants.latents.items()}


def _trained(choices: KeptChoices) -> KeptChoices:
    """The same choices as those of training."""
    groups = {
        key: (TRAINED, bits, parts, "") for key, (_, bits, parts, _) in choices.groups.items()
    }
    return replace(choices, groups=groups)


@dataclass(frozen=True)
class _Form:
    """One lowering: the pass that quantizes, the graphs on the way, and how layers were placed."""

    quantize: Quantize
    model: Graph
    program: Graph
    proven: Graph
    placed: dict[str, Placed]


def _lowered(prepared: Prepared, report: Report) -> _Form:
    stages, ctx = _Stages(), prepared.ctx
    ctx.placed = {}
    graph, options = prepared.graph.copy(), replace(prepared.options, dump_ir=None)
    proven, _ = lower(graph, options, ctx, report, prepared.plan, [stages])
    assert stages.quantize, "the pipeline quantizes"
    assert stages.model, "the pipeline quantizes a model"
    assert stages.program, "the pipeline proves ranges"
    return _Form(stages.quantize, stages.model, stages.program, proven, ctx.placed)


@torch.no_grad()
def check_words(
    network: TrainableNetwork, inputs: dict[str, Tensor], steps: int, program: Graph
) -> None:
    """Compare every word of the program that is to be written with the trained network.

    Populations that are compiled keep no words: what comes of them is compared once more.

    Raises:
        CompileError: E338 for the first word that differs.
    """
    text, tensors = dump_graph(program)
    simulator = Simulator(json.loads(text), safetensors.numpy.load(tensors))
    words = simulator.words()
    given = {name: x.double() for name, x in inputs.items()}
    found = (*network(given, steps, words), network(given, steps)[0])
    outputs, records = simulator.run({k: x.numpy() for k, x in inputs.items()}, steps, words)
    for have, want in zip(found, (outputs, records, outputs), strict=True):
        for name, x in want.items():
            if not np.array_equal(have[name].numpy(), x):
                what = f"{name} of the compiled program is not what was trained"
                why = "a state reached its limit, or a number 53 bits"
                hint = "use fewer guard bits, or a lower rate"
                raise fail("E338", what, None, why, help=hint)
