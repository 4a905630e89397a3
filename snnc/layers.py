"""The layer table: what the compiler decided for each layer, as the manifest keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from snnc.graph import Graph, Node
from snnc.intops import (
    IntConcat,
    IntEmbedding,
    IntExpand,
    IntInput,
    IntNeuron,
    IntOutput,
    IntRepeat,
    IntReshape,
    IntSlice,
    IntTake,
    IntTimeLast,
    IntTimeStack,
    IntTranspose,
)
from snnc.manifest import Fact, InputEntry, LayerEntry, OutputEntry, Word
from snnc.types import Clock, Int

_SILENT = (IntInput, IntOutput, IntReshape)
#: What hands numbers on as they are.
_MOVES = (IntReshape, IntTranspose, IntSlice, IntConcat, IntExpand, IntTake, IntRepeat, IntTimeLast)


def layer_table(graph: Graph, facts: Mapping[str, Mapping[str, object]]) -> tuple[LayerEntry, ...]:
    """Describe every layer of an integer program; ``facts`` is ``Context.layers``."""
    return tuple(_layer(n, facts.get(n.name, {})) for n in graph if not isinstance(n.op, _SILENT))


def input_table(
    graph: Graph, layouts: Mapping[str, str], encoders: Mapping[str, str]
) -> tuple[InputEntry, ...]:
    """Describe the inputs, each with its encoder if it has one.

    ``layouts`` gives the order of axes in the user's model; what is encoded has ours.
    """
    entries = []
    for node in graph:
        op = node.op
        if isinstance(op, IntInput):
            head = "N" if op.clock is Clock.ONCE else "NT"
            own, encoder = head + "." * len(op.shape), encoders.get(node.name, "")
            layout = own if encoder else layouts.get(node.name, own)
            size = (op.lo, op.hi, float(op.scale))
            strict = _numbers_rows(graph, node)
            entries.append(
                InputEntry(node.name, op.shape, str(op.clock), *size, layout, strict, encoder)
            )
    return tuple(entries)


def _numbers_rows(graph: Graph, node: Node) -> bool:
    """Whether a value numbers the rows of a table."""
    return any(
        isinstance(user.op, IntEmbedding)
        or (isinstance(user.op, _MOVES) and _numbers_rows(graph, user))
        for user in graph.users(node.name)
    )


def output_table(graph: Graph, order: Sequence[str] = ()) -> tuple[OutputEntry, ...]:
    """Describe the outputs: those in ``order`` first, as the user's model returns them."""
    entries = []
    for node in graph:
        op = node.op
        if isinstance(op, IntOutput):
            sequence = any(isinstance(p.op, IntTimeStack) for p in graph.operands(node.name))
            scale = tuple(float(s) for s in np.asarray(op.scale.data, np.float64).reshape(-1))
            entries.append(
                OutputEntry(
                    name=node.name,
                    shape=node.type.shape,
                    clock=str(node.type.clock),
                    sequence=sequence,
                    scale=scale,
                    scale_shape=op.scale.shape,
                    per_step=op.per_step,
                )
            )
    place = {name: i for i, name in enumerate(order)}
    return tuple(sorted(entries, key=lambda e: place.get(e.name, len(place))))


def _layer(node: Node, facts: Mapping[str, object]) -> LayerEntry:
    weight = getattr(node.op, "weight", None)
    bits = 0
    if weight is not None and weight.data.size:
        bits = Int(int(weight.data.min()), int(weight.data.max())).width
    kernel = node.op.kernel if isinstance(node.op, IntNeuron) else None
    states = [] if kernel is None else [_word(s.name, s.lo, s.hi) for s in kernel.states]
    dtype = node.type.dtype
    assert isinstance(dtype, Int), f"{node.name} is not an integer"
    return LayerEntry(
        name=node.name,
        op=type(node.op).__name__,
        shape=node.type.shape,
        clock=str(node.type.clock),
        path=node.loc.path,
        file=node.loc.file,
        line=node.loc.line,
        weights=0 if weight is None else int(weight.data.size),
        weight_bits=bits,
        range=_word("value", dtype.lo, dtype.hi),
        words=tuple(w for w in states if w is not None),
        facts={key: _fact(value) for key, value in sorted(facts.items())},
    )


def _word(name: str, lo: int | None, hi: int | None) -> Word | None:
    if lo is None or hi is None:
        return None
    return Word(name, lo, hi, Int(lo, hi).width)


def _fact(value: Any) -> Fact:
    """A fact as JSON; reals keep four digits, so that no last bit of a sum shows."""
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.4g}")
    if isinstance(value, np.ndarray | list | tuple):
        items: Any = [_fact(item) for item in value]
        return items  # type: ignore[no-any-return]
    return str(value)
