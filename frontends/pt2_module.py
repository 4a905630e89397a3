"""A program of a ``.pt2`` archive as a module: it executes calls of known operators, one by one."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Protocol, cast

import torch
from torch import nn
from torch.fx import traceback as fx_traceback

from snnc.frontends.pt2_archive import Pt2
from snnc.frontends.pt2_program import SIZES, PtProgram, Ref, Setting, state_is_kept
from snnc.frontends.readings import FileInput
from snnc.untrusted import UnsafeError

#: ``ScalarType`` of the archive → torch.
DTYPES = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64,
    6: torch.float16, 7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip
_LAYOUTS = {7: torch.strided}
_FORMATS = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}


class Exported(nn.Module):
    """Executes the program; its tensors are buffers ``t0``, ``t1`` … in the order of ``keys``."""

    def __init__(self, archive: Pt2, program: PtProgram, name: str) -> None:
        super().__init__()
        self.program, self.name = program, name
        self.keys: list[str] = []
        self.places: dict[str, str] = {}
        for value, key in program.tensors.items():
            if key not in archive.tensors:
                raise UnsafeError(f"tensor {key!a:.80} is missing")
            data, dtype = archive.tensors[key]
            self.places[value] = f"t{len(self.keys)}"
            tensor = torch.from_numpy(data.copy()).to(DTYPES[dtype])
            self.register_buffer(self.places[value], tensor)
            self.keys.append(key)
        self.functions = [_function(call.operator) for call in program.calls]

    @property
    def inputs(self) -> tuple[FileInput, ...]:
        """Inputs of the program."""
        return self.program.inputs

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of what it returns."""
        return self.program.output_names

    def described(self, traced: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
        """Its trace, in terms of the user's module.

        Raises:
            CompileError: E137 if the program changes its own tensors.
        """
        if changed := list(traced.graph_signature.buffers_to_mutate.values()):
            raise state_is_kept(self.name, self.keys[int(changed[0].rpartition(".t")[2])])
        return with_origins(traced, self.program.calls, self.keys)

    def forward(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        """Outputs of the program."""
        env: dict[str, Any] = {v: getattr(self, t) for v, t in self.places.items()}
        env |= {x.name: y for x, y in zip(self.program.inputs, inputs, strict=True)}
        for i, (call, function) in enumerate(zip(self.program.calls, self.functions, strict=True)):
            args = [_filled(a, env) for a in call.args]
            kwargs = {k: _filled(a, env) for k, a in call.kwargs.items()}
            with fx_traceback.preserve_node_meta(), fx_traceback.annotate({"call": i}):
                result = function(*args, **kwargs)
            if isinstance(call.results, str):
                env[call.results] = result
            elif call.results is not None:
                env |= dict(zip(call.results, result, strict=True))
        return [env[name] for name in self.program.outputs]


def _function(name: str) -> Any:
    if name in SIZES:
        return getattr(operator, name)
    packet, _, overload = name.partition(".")
    found = getattr(getattr(torch.ops.aten, packet, None), overload, None)
    if not isinstance(found, torch._ops.OpOverload):  # noqa: SLF001
        raise UnsafeError(f"there is no operator aten.{name}")
    return found


def _filled(value: Any, env: Mapping[str, Any]) -> Any:
    if isinstance(value, Ref):
        return env[value.name]
    if isinstance(value, list):
        return [_filled(v, env) for v in value]
    if isinstance(value, Setting):
        if value.kind == "as_device":
            return torch.device("cpu")
        tables: dict[str, dict[int, Any]] = {
            "as_scalar_type": DTYPES,
            "as_layout": _LAYOUTS,
            "as_memory_format": _FORMATS,
        }
        if value.value not in tables[value.kind]:
            raise UnsafeError(f"{value.kind} {value.value}")
        return tables[value.kind][value.value]
    return value


class Origin(Protocol):
    """A call of the file, with the module and the lines of the user's code that it comes from."""

    @property
    def path(self) -> str:
        """Path of the module."""

    @property
    def owner(self) -> str:
        """Class of the module."""

    @property
    def frames(self) -> tuple[tuple[str, int], ...]:
        """(file, line), outermost first."""


def with_origins(
    traced: torch.export.ExportedProgram, calls: Sequence[Origin], keys: Sequence[str]
) -> torch.export.ExportedProgram:
    """A trace whose nodes are annotated with indices of ``calls``, in the user's terms.

    Args:
        traced: Trace of a module with buffers ``t0``, ``t1`` and so on.
        calls: Where each call comes from.
        keys: Names of the buffers.
    """
    signature = traced.graph_signature
    for node in traced.graph.nodes:
        node.meta.pop("stack_trace", None)
        node.meta.pop("nn_module_stack", None)
        index = (node.meta.get("custom") or {}).get("call")
        if index is not None:
            call = calls[index]
            lines = [f'File "{file}", line {line}' for file, line in call.frames]
            node.meta["stack_trace"] = "\n".join(lines)
            node.meta["nn_module_stack"] = {call.path: (call.path, call.owner)}

    def key(buffer: str) -> str:
        return keys[int(buffer.rpartition(".t")[2])]

    places = {p: key(b) for p, b in signature.inputs_to_buffers.items()}
    described = SimpleNamespace(
        graph=traced.graph,
        graph_module=SimpleNamespace(meta={}),  # its tensors have the names of the file
        graph_signature=SimpleNamespace(
            inputs_to_parameters=places,
            inputs_to_buffers={},
            inputs_to_lifted_tensor_constants=signature.inputs_to_lifted_tensor_constants,
            output_specs=signature.output_specs,
        ),
        state_dict={key(b): traced.state_dict[b] for b in signature.inputs_to_buffers.values()},
        constants=traced.constants,
    )
    return cast("torch.export.ExportedProgram", described)
