"""Trained integers as choices that a compilation follows, and the proof that it does."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import safetensors.numpy
import torch
from torch import Tensor

from snnc.backends.numpy.simulator import Simulator
from snnc.diagnostics import fail
from snnc.finetuning.network import TrainableNetwork
from snnc.graph import Graph
from snnc.params import Param
from snnc.passes.base import Context
from snnc.passes.kept_choices import KeptChoices
from snnc.passes.weight_rows import IntWeighted
from snnc.preparing import OF_DATA, Prepared
from snnc.quantization import TRAINED
from snnc.storage import dump_graph


def with_integers(prepared: Prepared, program: Graph, network: TrainableNetwork) -> Prepared:
    """What is to be compiled, with the trained integers to follow."""
    ctx = prepared.ctx
    assert ctx.placed is not None, "asked for"
    graph, arrays = program.copy(), dict(ctx.choices.arrays)
    groups = {
        " + ".join(name for name, _, _ in layers): (TRAINED, bits, layers, "")
        for _, bits, layers, _ in ctx.choices.groups.values()
    }
    for key, (_, _, layers, _) in groups.items():
        for name, _, _ in layers:
            weight, bias = network.trained()[name].integers()
            node = graph[name]
            assert isinstance(node.op, IntWeighted), "a layer with weights"
            stored = weight.detach().numpy().astype(node.op.weight.data.dtype)
            graph.replace(replace(node, op=replace(node.op, weight=Param(stored))))
            if bias is not None:
                arrays[f"{key}/{name}/bias"] = bias.detach().numpy() * ctx.placed[name].bias_step
    kept = KeptChoices(graph, groups, arrays)
    said = [d for d in ctx.diagnostics if d.code in OF_DATA]
    fresh = Context([*prepared.loaded.diagnostics, *said], reused=kept)
    options = replace(prepared.options, method=TRAINED)
    plan = replace(prepared.plan, method=TRAINED)
    return replace(prepared, options=options, plan=plan, ctx=fresh)


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
