"""Run the user's module under ``torch.export`` with the time loop unrolled.

The module is copied and put in eval mode first.  Hidden state kept in attributes becomes plain
data flow because the whole loop is inside one exported program.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from snnc.diagnostics import CompileError
from snnc.frontends.recipe import Recipe, resize
from snnc.frontends.trace_failures import explain
from snnc.frontends.whole_loop import Unrolled, definition_of

#: Key in the metadata of a traced program of the names of tensors kept in plain attributes.
NAMES = "snnc.names"


def trace(recipe: Recipe, steps: int, batch: int | None) -> torch.export.ExportedProgram:
    """Export the module unrolled over ``steps``.

    Raises:
        CompileError: E130 data-dependent control flow, E136 a size depends on the number of
            steps, E139 the module does not run.
    """
    unrolled = Unrolled(recipe, steps, tracing=True)
    names = _attributes(unrolled.model)
    example = resize(recipe, steps, batch)
    with torch.no_grad(), warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        try:
            program = _decomposed(torch.export.export(unrolled, example, strict=False))
        except CompileError:
            raise
        except Exception as e:
            raise explain(e, recipe, steps, batch) from e
    program.graph_module.meta[NAMES] = names
    return program


def memory_of(tensor: torch.Tensor) -> tuple[Any, ...]:
    """What two tensors share that are the same piece of memory, read in the same way."""
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()


def _attributes(model: nn.Module) -> dict[tuple[Any, ...], str]:
    """Paths of tensors that are neither parameters nor buffers, by their memory.

    Norse keeps the parameters of a cell in a named tuple, ``cell.p.tau_mem_inv``.
    """
    found: dict[tuple[Any, ...], str] = {}
    for prefix, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute.startswith("_"):
                continue
            for path, leaf in pytree.tree_flatten_with_path(value)[0]:
                if isinstance(leaf, torch.Tensor) and leaf.numel():
                    names = (
                        getattr(k, "name", getattr(k, "key", getattr(k, "idx", k))) for k in path
                    )
                    dotted = ".".join((*filter(None, (prefix,)), attribute, *map(str, names)))
                    found.setdefault(memory_of(leaf), dotted)
    return found


class _WithoutTorch:
    """A stream without the whole graph that torch.export prints of what it cannot trace.

    What the user's own code prints is passed on.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        caller = sys._getframe(1).f_globals.get("__name__")  # noqa: SLF001
        if caller != "torch.export._trace":
            self.stream.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's own account of what it cannot trace; ours follows."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(_WithoutTorch(sys.stderr)):
            yield
    finally:
        logging.disable(before)


def _decomposed(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Without in-place operators and composites, but with linear, conv2d and BatchNorm whole."""
    from snnc.frontends.rules import RULES

    def plain(node: Any) -> bool:
        """Whether the rules read the call as it is."""
        schema = getattr(node.target, "_schema", None)
        return _rule_name(node) in RULES and (schema is None or not schema.is_mutable)

    calls = [n for n in program.graph.nodes if n.op == "call_function"]
    if all(map(plain, calls)):
        return program  # this is most of the time of a trace
    unknown = {n.target for n in calls if _rule_name(n).rstrip("_") not in RULES}
    known = torch.export.default_decompositions() if unknown else {}
    table = {target: known[target] for target in unknown if target in known}
    table |= {n.target: f for n in calls if (f := definition_of(n.target))}
    result: torch.export.ExportedProgram = program.run_decompositions(table)
    return result


def _rule_name(node: Any) -> str:
    name: str = getattr(node.target, "overloadpacket", node.target).__name__
    return name
