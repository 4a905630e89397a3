"""Put an encoder between an input and the network: the encoder becomes part of the model.

``x[t]`` (spikes that the user's training code makes) becomes ``code(x)[t]``: the network reads the
encoder's spikes, and the input becomes the value that is encoded, one per sample.  Only ``delta``
keeps an input at every step.  The encoder is made of the operators that models are made of
(``passes/encoders.py``), so that the float model, the proof and every target take it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from snnc.diagnostics import CompileError, Diagnostic, error, fail
from snnc.encoder_choice import EncoderChoice
from snnc.graph import Edge, Graph, Node
from snnc.ops import Input
from snnc.passes.base import Context, Pass, run_passes
from snnc.passes.encoders import BUILDERS, Site, source_shape
from snnc.types import FLOAT32, Clock, Int, TensorType


@dataclass(frozen=True)
class EncodeInput(Pass):
    """Make an encoder the first layer of the network."""

    name: ClassVar[str] = "encode-input"
    choice: EncoderChoice

    def run(self, graph: Graph, ctx: Context) -> Graph:
        node = find_input(graph, self.choice)
        assert isinstance(node.op, Input), "found as such"
        shape = source_shape(self.choice, node.type.shape, node.loc)
        clock = Clock.STEP if self.choice.kind == "delta" else Clock.ONCE
        top = float(self.choice.options.get("max", 1.0))
        op = Input(TensorType(shape, FLOAT32, clock), 0.0, top)
        readers = graph.out_edges(node.name)
        for edge in readers:
            graph.disconnect(edge)
        graph.replace(Node(node.name, op, (op.type,), node.loc))
        site = Site(graph, node.name, node.loc, self.choice)
        coded = BUILDERS[self.choice.kind](site, node.name)
        for edge in readers:
            graph.connect(Edge(coded, edge.dst, edge.port, 0, edge.delay, edge.init))
        _infer(graph)
        return graph


def find_input(graph: Graph, choice: EncoderChoice) -> Node:
    """The input that the encoder is for.

    Raises:
        CompileError: E231 if there is none, or none that is read at every step.
    """
    inputs = [n for n in graph.nodes if isinstance(n.op, Input)]
    steps = [n for n in inputs if n.type.clock is Clock.STEP]
    names = ", ".join(n.name for n in inputs)
    if choice.input and choice.input not in [n.name for n in inputs]:
        raise fail("E231", f"no input is named {choice.input!r}", help=f"inputs are {names}")
    picked = [n for n in steps if choice.input in ("", n.name)]
    if not picked:
        text = f"{choice.input or names} is read once per sample, not at every step"
        why = "an encoder takes the place of the spikes that the network reads at every step"
        raise fail("E231", text, inputs[0].loc, why, help="leave --encode out")
    if len(picked) > 1:
        text = f"several inputs are read at every step: {', '.join(n.name for n in picked)}"
        raise fail("E231", text, help=f"say which: --encode {picked[0].name}={choice.text}")
    if isinstance(picked[0].type.dtype, Int):
        text = f"input {picked[0].name} takes whole numbers, such as tokens, which have no code"
        raise fail("E231", text, picked[0].loc, help="leave --encode out")
    return picked[0]


def check_values(graph: Graph, choices: tuple[EncoderChoice, ...]) -> list[Diagnostic]:
    """An E233 for every encoded input whose calibrated values its encoder does not take."""
    found = []
    for choice in choices:
        op, top = graph[choice.input].op, float(choice.options.get("max", 0.0))
        assert isinstance(op, Input), "encoders have inputs"
        if top and (op.lo < 0 or op.hi > top):
            text = f"{choice.kind} takes values from 0 to {top:g}"
            why = f"{choice.input} has {op.lo:g} to {op.hi:g}"
            hint = "shift and scale the data to [0, 1]"
            hint += f", or say what counts as full: max={op.hi:g}" if op.lo >= 0 else ""
            found.append(error("E233", text, graph[choice.input].loc, why, help=hint))
    return found


def encode_inputs(
    graph: Graph, choices: Iterable[EncoderChoice]
) -> tuple[Graph, tuple[EncoderChoice, ...]]:
    """The graph with all encoders, and these with the names of their inputs.

    Raises:
        CompileError: E231 and E232, with all that is wrong.
    """
    problems: list[Diagnostic] = []
    named = []
    for choice in choices:
        try:
            named.append(replace(choice, input=find_input(graph, choice).name))
            graph = run_passes(graph, (EncodeInput(named[-1]),))
        except CompileError as e:
            problems += e.diagnostics
    if problems:
        raise CompileError(problems)
    return graph, tuple(named)


def _infer(graph: Graph) -> None:
    """Types anew, in order: operators that move elements hand on what these are."""
    for node in list(graph):
        operands = [graph[e.src].types[e.out] for e in graph.in_edges(node.name)]
        graph.replace(Node(node.name, node.op, node.op.infer(tuple(operands)), node.loc))
