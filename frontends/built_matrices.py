"""Weights that ``forward`` writes element by element, e.g. a band matrix over the steps.

Parts of parameters are copied into a tensor of zeros.  The rules for operators see a state that is
assigned to; what it is used for shows that it is a weight.  It is computed here, once.
"""

from __future__ import annotations

from typing import Any

import torch

#: Where products take their weights.
_WEIGHTS = {"addmm": (1, 2), "mm": (0, 1), "matmul": (0, 1), "linear": (1,)}
#: How tensors are written in parts.
_WRITES = frozenset(("select_scatter", "slice_scatter", "copy"))


def built_matrices(
    program: torch.export.ExportedProgram,
) -> tuple[dict[Any, tuple[str, torch.Tensor]], set[Any]]:
    """The matrices by node, with the name of a parameter; and nodes that serve nothing else."""
    known = _parameters(program)
    fixed = _independent(program, known)
    found: dict[Any, tuple[str, torch.Tensor]] = {}
    for node in program.graph.nodes:
        for place in _WEIGHTS.get(_name(node), ()):
            weight: Any = node.args[place] if place < len(node.args) else None
            if weight in fixed and weight not in known and weight not in found:
                inside = _inside(weight)
                names = [known[n][0] for n in inside if n in known]
                if names and any(_name(n) in _WRITES for n in inside):
                    found[weight] = (f"{names[0]}.matrix", _value(weight, inside, known))
    if not found:
        return {}, set()
    skipped: set[Any] = set()
    for node in reversed(program.graph.nodes):
        used = set(node.users)
        if node in fixed and node.op == "call_function" and used <= skipped | set(found) and used:
            skipped.add(node)
    return found, skipped


def _name(node: Any) -> str:
    target = getattr(node.target, "overloadpacket", node.target)
    return str(getattr(target, "__name__", "")) if node.op == "call_function" else ""


def _parameters(program: torch.export.ExportedProgram) -> dict[Any, tuple[str, torch.Tensor]]:
    signature = program.graph_signature
    named = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    found: dict[Any, tuple[str, torch.Tensor]] = {}
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in named:
            key = named[node.name]
            tensor = program.state_dict.get(key, program.constants.get(key))
            if isinstance(tensor, torch.Tensor):
                found[node] = (key.removeprefix("model."), tensor.detach())
    return found


def _independent(program: torch.export.ExportedProgram, known: dict[Any, Any]) -> set[Any]:
    """Nodes that no input has a part in."""
    fixed = set(known)
    for node in program.graph.nodes:
        if node.op == "call_function" and all(n in fixed for n in node.all_input_nodes):
            fixed.add(node)
    return fixed


def _inside(root: Any) -> list[Any]:
    """The node and what it is computed from, operands first."""
    done: dict[Any, None] = {}
    stack = [root]
    while stack:
        node = stack[-1]
        todo = [n for n in node.all_input_nodes if n not in done]
        if node in done or not todo:
            done.setdefault(stack.pop())
        else:
            stack += todo
    return list(done)


def _value(root: Any, inside: list[Any], known: dict[Any, Any]) -> torch.Tensor:
    values: dict[Any, Any] = {}
    with torch.no_grad():
        for node in inside:
            if node in known:
                values[node] = known[node][1]
                continue
            args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = node.target(*args, **kwargs)
    result: torch.Tensor = values[root]
    return result
