"""Constants of neurons and normalizations that were trained, in place of those of the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, get_args

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.diagnostics import fail
from snnc.graph import Graph, Node
from snnc.params import Param
from snnc.passes.base import Context, Pass
from snnc.passes.weight_rows import Weighted

Array = npt.NDArray[Any]

#: In front of the names of such constants, among all that was chosen.
PREFIX = "real/"
#: Layers with weights, which have integers of their own, and tables that are only looked up.
_NOT_HERE = (*get_args(Weighted), ops.Embedding)


class FollowTrained(Pass):
    """Take the constants over that ``snnc finetune`` has trained, if it made the choices."""

    name: ClassVar[str] = "follow-trained"

    def run(self, graph: Graph, ctx: Context) -> Graph:
        if ctx.reused is None:
            return graph
        found = {k: a for k, a in ctx.reused.arrays.items() if k.startswith(PREFIX)}
        if found:
            set_constants(graph, found)
            ctx.choices.arrays |= found
        return graph


def constants(graph: Graph) -> dict[str, Array]:
    """What the model may have learned, by ``real/node/field`` or ``real/node/kernel.name``.

    Those are arrays, and single numbers that are parameters of it; numbers in its code are of the
    neuron's equation.
    """
    found = {}
    for node in graph:
        for name, param in _params(node.op):
            if param.data.dtype.kind != "f" or not np.isfinite(param.data).all():
                continue
            if param.data.size > 1 or (param.data.size and _is_named(node, name)):
                found[f"{PREFIX}{node.name}/{name}"] = param.data
    return found


def _is_named(node: Node, field: str) -> bool:
    """Whether a number has a name in the user's model, such as ``lif1.beta``."""
    origin = node.name
    if isinstance(node.op, ops.Neuron):
        consts = {f"kernel.{c.name}": c.origin for c in node.op.kernel.consts}
        origin = consts[field]
    return origin[:1].isalpha()


def set_constants(graph: Graph, arrays: Mapping[str, Array]) -> None:
    """Replace constants; they keep their types.

    Raises:
        CompileError: E333 if the graph has no such constant.
    """
    for key, array in arrays.items():
        name, field = key.removeprefix(PREFIX).rsplit("/", 1)
        old = dict(_params(graph[name].op)).get(field) if name in graph else None
        if old is None or old.data.size != array.size:
            text = f"the artifact of --reuse has a constant {field} of {name}, the model has none"
            raise fail("E333", text, help="give the same model and the same --config")
        fresh = Param(array.reshape(old.shape).astype(old.data.dtype))
        node = graph[name]
        graph.replace(replace(node, op=_with(node.op, field, fresh)))


def _params(op: ops.Op) -> Iterator[tuple[str, Param]]:
    if isinstance(op, ops.Neuron):
        for const in op.kernel.consts:
            if const.index is None:
                yield f"kernel.{const.name}", const.values
    elif not isinstance(op, _NOT_HERE):
        yield from op.params.items()


def _with(op: ops.Op, field: str, value: Param) -> ops.Op:
    if not isinstance(op, ops.Neuron):
        changes: dict[str, Any] = {field: value}
        return replace(op, **changes)
    name = field.removeprefix("kernel.")
    consts = tuple(replace(c, values=value) if c.name == name else c for c in op.kernel.consts)
    return replace(op, kernel=replace(op.kernel, consts=consts))
