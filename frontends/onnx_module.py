"""A graph of ONNX as a module: it executes known operators, one by one, on torch tensors.

What is known without the inputs (sizes, positions, initial states) stays a ``Const``; weights are
buffers.  The exporters write the batch size of their example into shapes and into initial states;
for another batch size these are adapted, which is a guess that the checks of the recovered network
decide about: they run the file as it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.fx import traceback as fx_traceback

from snnc.diagnostics import CompileError, fail
from snnc.frontends.onnx_call import Call
from snnc.frontends.onnx_file import OnnxGraph, OnnxModel, OnnxNode
from snnc.frontends.onnx_fold import Const, fold, foldable
from snnc.frontends.pt2_module import with_origins
from snnc.frontends.readings import FileInput

#: Elements of the largest tensor.
_LARGEST = 1 << 28
#: Calls of the longest run.
_CALLS = 100_000

_NAME = re.compile(r"[A-Za-z_][\w.-]{0,100}", re.ASCII)

Value = Any  # a tensor, a Const, None for one that is left out, or a list of tensors


class OnnxModule(nn.Module):
    """Executes a model.

    Attributes:
        inputs: With the extents that the examples have.
        output_names: Of the model.
        steps: How often a loop of ``own_steps`` rounds is run.
        batches: Per input, its batch axis, or None.
    """

    def __init__(
        self, model: OnnxModel, inputs: tuple[FileInput, ...], known: Mapping[str, Const]
    ) -> None:
        super().__init__()
        self.model, self.inputs = model, inputs
        self.output_names = labels(model.graph.outputs, "out")
        self.known = dict(known)
        self.opset = model.opset
        self.own_steps = self.steps = 0
        self.batches: tuple[int | None, ...] = (None,) * len(inputs)
        self.keys: list[str] = []
        self.places: dict[str, str] = {}
        self.origins = _Shared()
        self._calls = 0
        self._own_batch: int | None = None
        self._batch: int | None = None
        for graph in (model.graph, *model.graph.bodies()):
            for name, array in graph.tensors.items():
                self._register(name, array)
            for node in graph.nodes:
                value = node.attrs.get("value")
                if node.op == "Constant" and isinstance(value, np.ndarray):
                    self._register(node.outputs[0], value)

    def _register(self, name: str, array: np.ndarray) -> None:
        if array.dtype.kind == "f" and name not in self.places:
            self.places[name] = f"t{len(self.keys)}"
            key = re.sub(r"[^\w.]+", "_", name).strip("_.") or "tensor"
            self.keys.append(key if key not in self.keys else f"{key}_{len(self.keys)}")
            self.register_buffer(self.places[name], torch.from_numpy(array.copy()))

    def forward(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        """Outputs of the model."""
        self._calls = 0
        self.origins.clear()
        env: dict[str, Value] = dict(self.known)
        for x, tensor, axis in zip(self.inputs, inputs, self.batches, strict=True):
            env[x.name] = tensor
            if axis is not None:
                self._own_batch, self._batch = x.shape[axis][0], int(tensor.shape[axis])
        self.run(self.model.graph, env)
        return [self.tensor(env[name]) for name in self.model.graph.outputs]

    def run(self, graph: OnnxGraph, env: dict[str, Value]) -> None:
        """Execute the nodes of a graph, adding their results to ``env``."""
        from snnc.frontends.onnx_operators import RULES

        for name, array in graph.tensors.items():
            env.setdefault(name, Const(array, name))
        for node in graph.nodes:
            if node.outputs and all(o in self.known for o in node.outputs if o):
                continue
            self._calls += 1
            if self._calls > _CALLS:
                text = f"the loops of the model make more than {_CALLS:,} calls"
                raise fail("E143", text, node.loc, help="export the model again")
            values = [env[name] if name else None for name in node.inputs]
            if foldable(node, values):
                results: Any = self._folded(node, values)
            else:
                self.origins.append(node)
                call = {"call": len(self.origins) - 1}
                with fx_traceback.preserve_node_meta(), fx_traceback.annotate(call):
                    results = _applied(RULES[node.op], Call(self, node, values, env))
            results = results if isinstance(results, tuple) else (results,)
            for name, value in zip(node.outputs, results, strict=False):
                if isinstance(value, torch.Tensor) and value.numel() > _LARGEST:
                    text = f"a tensor of shape {tuple(value.shape)} is computed"
                    raise fail("E141", text, node.loc, help="export the model again")
                if name:
                    env[name] = value

    def _folded(self, node: OnnxNode, values: Sequence[Any]) -> tuple[Const, ...]:
        if node.op == "Constant" and isinstance(node.attrs.get("value"), np.ndarray):
            return (Const(node.attrs["value"], node.outputs[0]),)
        if node.op == "Identity":
            return (values[0],)
        if node.op in ("Expand", "ConstantOfShape"):
            shape = values[-1]
            changed = Const(np.array(self.shape(shape), np.int64), live=True)
            return tuple(fold(node, [*values[:-1], changed]))
        return tuple(fold(node, values))

    # ---- values

    def shape(self, wanted: Const) -> list[int]:
        """A shape that a new tensor gets; the first extent that is the batch size follows it."""
        shape = wanted.ints()
        if wanted.live or self._batch is None or self._batch == self._own_batch:
            return shape
        for i, n in enumerate(shape[:2]):
            if n == self._own_batch:
                shape[i] = self._batch
                break
        return shape

    def reshaped(self, wanted: list[int], have: int, live: bool) -> list[int]:
        """The shape that ``have`` elements get: one extent follows the batch size."""
        fixed = math.prod(wanted)
        if live or self._batch is None or not self._own_batch or fixed <= 0 or fixed == have:
            return wanted
        grown = [
            (n * self._batch // self._own_batch, i)
            for i, n in enumerate(wanted)
            if n % self._own_batch == 0
        ]
        grown.sort(key=lambda g: wanted[g[1]] != self._own_batch)
        for n, i in grown:
            if fixed // wanted[i] * n == have:
                return [*wanted[:i], n, *wanted[i + 1 :]]
        return wanted

    def tensor(self, x: Value) -> torch.Tensor:
        """A value as a tensor with its own shape."""
        if isinstance(x, Const):
            if x.name in self.places:
                return cast("torch.Tensor", getattr(self, self.places[x.name]))
            if x.array.dtype.kind == "f":
                kind = torch.get_default_dtype() if x.array.dtype == np.float32 else torch.float64
                if x.uniform:
                    return torch.full(x.array.shape, float(x.array.reshape(-1)[0]), dtype=kind)
                return torch.tensor(np.ascontiguousarray(x.array)).to(kind)
            return torch.tensor(np.ascontiguousarray(x.array))
        if not isinstance(x, torch.Tensor):
            raise TypeError("a tensor is expected")
        return x

    def whole(self, x: Value) -> torch.Tensor:
        """A value as a tensor for as many samples as there are, for what joins tensors."""
        if isinstance(x, Const) and x.array.dtype.kind == "f" and x.uniform:
            kind = torch.get_default_dtype() if x.array.dtype == np.float32 else torch.float64
            shape = self.shape(Const(np.array(x.array.shape, np.int64), live=x.live))
            return torch.full(shape, float(x.array.reshape(-1)[0]), dtype=kind)
        return self.tensor(x)

    def operand(self, x: Value) -> torch.Tensor | float | bool | int:
        """A value that is broadcast: a number, if it is known to be one."""
        if not isinstance(x, Const):
            return self.tensor(x)
        if x.array.ndim == 0:
            if x.array.dtype == np.float32:
                return float(str(x.array))  # the same float32, as it was written: 0.1
            number: float | bool | int = x.array.item()
            return number
        array = x.array
        if array.dtype.kind == "f" and x.uniform:
            kind = torch.get_default_dtype() if array.dtype == np.float32 else torch.float64
            return torch.full(self._shrunk(array).shape, float(array.reshape(-1)[0]), dtype=kind)
        small = self._shrunk(array)
        if small.shape == array.shape:
            return self.tensor(x)
        if x.name in self.places:
            tensor = self.tensor(x)
            for axis, (n, m) in enumerate(zip(array.shape, small.shape, strict=True)):
                tensor = tensor if n == m else tensor.narrow(axis, 0, 1)
            return tensor
        return torch.tensor(np.ascontiguousarray(small))

    def _shrunk(self, array: np.ndarray) -> np.ndarray:
        """Without repetitions for each sample of the exporter's batch, which broadcasting makes."""
        own = self._own_batch
        for axis in range(min(2, array.ndim - 1)) if own and own > 1 else ():
            if array.shape[axis] == own:
                first = array.take([0], axis)
                if (first == array).all():
                    array = first
        return array

    def described(self, traced: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
        """Its trace, in terms of the module that was exported."""
        return with_origins(traced, self.origins, self.keys)


def _applied(rule: Callable[[Call], Any], call: Call) -> Any:
    node = call.node
    try:
        return rule(call)
    except CompileError:
        raise
    except (RuntimeError, ValueError, IndexError, TypeError, KeyError, AttributeError) as e:
        first = (str(e).splitlines() or [type(e).__name__])[0]
        text = f"operands of {node.op} do not fit: {first}"
        raise fail("E160", text, node.loc, help="export the model again") from e


class _Shared(list[OnnxNode]):
    """The calls of the last run, of a module and of all its copies."""

    def __deepcopy__(self, memo: object) -> _Shared:
        return self


def labels(names: Sequence[str], stem: str) -> tuple[str, ...]:
    """Names that a user may have given; others, which exporters make up, are numbered."""
    plain = [n if _NAME.fullmatch(n) else f"{stem}{i}" for i, n in enumerate(names)]
    if len(names) == 1 and plain[0] != names[0]:
        return (stem,)
    return (
        tuple(plain)
        if len({*plain}) == len(names)
        else tuple(f"{stem}{i}" for i in range(len(names)))
    )
