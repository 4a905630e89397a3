"""Text form of a graph: deterministic, one node a line, kernels written out."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from snnc.kernel import Const, Kernel
from snnc.params import Param
from snnc.types import TensorType

if TYPE_CHECKING:
    from snnc.graph import Edge, Graph


def text(graph: Graph) -> str:
    """Print the graph; two graphs with different semantics print differently."""
    limit = f" max_steps={graph.max_steps}" if graph.max_steps else ""
    later = f" later_steps={_attribute(graph.later_steps)}" if graph.later_steps else ""
    lines = [f"graph {graph.name} steps={graph.steps}{later}{limit} {{"]
    for node in graph:
        args = ", ".join(_operand(e) for e in graph.in_edges(node.name))
        types = ", ".join(map(str, node.types))
        attrs, block = [], []
        for f in fields(node.op):
            value = getattr(node.op, f.name)
            if isinstance(value, Kernel):
                block = kernel_lines(value)
            elif value is not None and (value or f.name != "start"):  # from the first step on
                attrs.append(f"{f.name}={_attribute(value)}")
        suffix = f" {{{', '.join(attrs)}}}" if attrs else ""
        lines.append(f"  %{node.name}: {types} = {type(node.op).__name__}({args}){suffix}")
        lines += [f"      {line}" for line in block]
        lines.append(f"      // {node.loc}")
    return "\n".join([*lines, "}"])


def kernel_lines(kernel: Kernel) -> list[str]:
    """Print a kernel: header, constants, states, assignments with proven ranges, updates."""
    out = [f"kernel({', '.join(kernel.inputs)}) -> {', '.join(kernel.outputs)}"]
    out += [f"const {_const(c)}" for c in kernel.consts]
    out += [f"table {_const(c)}" for c in kernel.tables]
    for s in kernel.states:
        out.append(f"state {s.name} = {_param(s.init)}{_range(s.lo, s.hi)}")
    out += [f"{line}{_range(line.lo, line.hi)}" for line in kernel.body]
    out += [f"{s.name}' = {s.next}" for s in kernel.states]
    return out


def _range(lo: int | None, hi: int | None) -> str:
    return "" if lo is None else f"  in [{lo}, {hi}]"


def _const(const: Const) -> str:
    origin = f"  // {const.origin}" if const.origin else ""
    if const.index is None:
        return f"{const.name} = {_param(const.values)}{origin}"
    return f"{const.name} = {_param(const.values)}[{_param(const.index)}]{origin}"


def _operand(edge: Edge) -> str:
    out = f".{edge.out}" if edge.out else ""
    init = f" from {_param(edge.init)}" if edge.init is not None else ""
    delay = f"@-{edge.delay}{init}" if edge.delay else ""
    return f"%{edge.src}{out}{delay}"


def _attribute(value: Any) -> str:
    if isinstance(value, Param):
        return _param(value)
    if isinstance(value, tuple):
        return "x".join(map(str, value)) if value else "()"
    if isinstance(value, TensorType | str):
        return str(value)
    return repr(value)


def _param(param: Param) -> str:
    if param.size == 1:
        return str(param.data.reshape(-1)[0])
    if param.size <= 8 and len(param.shape) == 1:
        return f"[{' '.join(str(x) for x in param.data)}]"
    digest = hashlib.sha256()
    for part in param.raw():
        digest.update(part)
    return f"{param}#{digest.hexdigest()[:8]}"
