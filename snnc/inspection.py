"""Look into a model before compiling: layers, equations of neurons, what is unsupported."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.diagnostics import CompileError, Diagnostic
from snnc.formula import Folded, formula_of
from snnc.graph import Graph, Node
from snnc.ops import Constant, Neuron
from snnc.passes.base import Context, run_passes
from snnc.passes.pipeline import integer_pipeline, real_pipeline


@dataclass(frozen=True)
class ModelConstant:
    """A constant of a neuron: its value or range, and where in the model it comes from.

    ``name`` is a parameter, or the expression of parameters that is folded to the constant.
    """

    name: str
    value: str
    origin: str


@dataclass(frozen=True)
class ModelLayer:
    """A layer as traced; ``formula`` is what a neuron does, one equation a line."""

    name: str
    op: str
    type: str
    parameters: int
    source: str
    formula: tuple[str, ...]
    constants: tuple[ModelConstant, ...] = ()


@dataclass(frozen=True)
class Inspection:
    """What a model holds, and every diagnostic that compiling it would give."""

    layers: tuple[ModelLayer, ...]
    diagnostics: tuple[Diagnostic, ...]


def inspect_model(graph: Graph, profile: str = "default") -> Inspection:
    """Describe a model and try to compile it, without writing anything."""
    try:
        shown = run_passes(graph, real_pipeline())
    except CompileError:
        shown = graph  # the operators as traced; the second attempt reports why
    ctx = Context()
    found: list[Diagnostic] = []
    try:
        run_passes(graph, integer_pipeline(profile=profile), ctx)
    except CompileError as e:
        found += e.diagnostics
    layers = tuple(_layer(node) for node in shown if not isinstance(node.op, Constant))
    return Inspection(layers, (*ctx.diagnostics, *found))


def _layer(node: Node) -> ModelLayer:
    kernel = node.op.kernel if isinstance(node.op, Neuron) else None
    formula = formula_of(kernel) if kernel else None
    parameters = sum(p.data.size for p in node.op.params.values())
    parameters += sum(c.values.data.size for c in (*kernel.consts, *kernel.tables)) if kernel else 0
    return ModelLayer(
        name=node.name,
        op=type(node.op).__name__,
        type=", ".join(map(str, node.types)),
        parameters=int(parameters),
        source=f"{node.loc.file}:{node.loc.line}" if node.loc.file else "",
        formula=formula.equations if formula else (),
        constants=tuple(map(_constant, formula.folded)) if formula else (),
    )


def _constant(folded: Folded) -> ModelConstant:
    return ModelConstant(folded.expression, folded.value, ", ".join(folded.origins))
