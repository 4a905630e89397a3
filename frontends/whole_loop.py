"""The user's module with the time loop around it, as a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from snnc.frontends.module_copy import freeze_numbers, fresh_copy, registered
from snnc.frontends.outputs import flat_outputs, output_names
from snnc.frontends.recipe import Recipe, resize


class Unrolled(nn.Module):
    """The user's module, run over all steps; returns a flat list of tensors.

    Args:
        recipe: How to run it.
        steps: How often.
        tracing: Whether to look at the structure alone: all loops have the same number of steps,
            and buffers may be numbers.
    """

    def __init__(self, recipe: Recipe, steps: int, tracing: bool = False) -> None:
        super().__init__()
        self.model = fresh_copy(recipe.module)
        _resize_tables(self.model, recipe, steps)
        if tracing and recipe.frozen:
            freeze_numbers(self.model, floats=True)
        self.recipe = recipe
        self.steps = steps
        for dotted in recipe.step_attributes:
            owner, _, name = dotted.rpartition(".")
            own = steps if tracing else recipe.own_counts.get(dotted, steps)
            setattr(self.model.get_submodule(owner), name, own)

    def forward(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        """Run all steps."""
        for dotted in self.recipe.batch_attributes:
            owner, _, name = dotted.rpartition(".")
            setattr(self.model.get_submodule(owner), name, inputs[0].shape[0])
        if self.recipe.joined:
            inputs = tuple(x.flatten(0, 1) for x in inputs)
        with _Visible(), registered(self.model):
            return self._loop(inputs) if self.recipe.loop else self._call(inputs)

    def _call(self, inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        keyword = self.recipe.step_keyword
        out = self.model(
            *self.recipe.arguments(inputs), **({keyword: self.steps} if keyword else {})
        )
        return self._flat(out)

    def _loop(self, inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        recipe, outs = self.recipe, []
        axes = zip(inputs, recipe.batch_axes, strict=True)
        batch = next((x.shape[a] for x, a in axes if a is not None), None)
        state = recipe.state
        if batch is not None:
            state = pytree.tree_map_only(torch.Tensor, lambda s: s.expand(batch, *s.shape), state)
        for t in range(self.steps):
            now = recipe.arguments(
                [
                    x if a is None else x.select(a, t)
                    for x, a in zip(inputs, recipe.time_axes, strict=True)
                ]
            )
            if not recipe.explicit_state:
                out = self.model(*now)
            elif _several(recipe.state):
                out, *new = self.model(*now, *state)
                nested = len(recipe.state) == 1 and isinstance(recipe.state[0], tuple | list)
                grouped = len(new) == 1 and isinstance(new[0], tuple | list)
                state = new[0] if grouped and not nested else new
            else:
                out, state = self.model(*now, state)
            outs.append(self._flat(out))
        return read_out(outs, recipe.readout)

    def _flat(self, out: Any) -> list[torch.Tensor]:
        keys, tensors = flat_outputs(out, self.steps, every_step=self.recipe.loop)
        self.recipe.names[:] = output_names(keys, self.recipe.output_names)
        return tensors


def runs(recipe: Recipe, steps: int, batch: int | None) -> bool:
    """Whether the module runs on its example with so many steps, and samples if it has such."""
    try:
        with torch.no_grad():
            Unrolled(recipe, steps)(*resize(recipe, steps, batch))
    except Exception:
        return False
    return True


def read_out(outs: list[list[torch.Tensor]], readout: str) -> list[torch.Tensor]:
    """What is returned of the outputs of all steps: a ``readout`` of Recipe."""
    kinds: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "stack": lambda y: y,
        "sum": lambda y: y.sum(0),
        "mean": lambda y: y.mean(0),
        "last": lambda y: y[-1],
        "max": lambda y: y.amax(0),
    }
    return [kinds[readout](torch.stack(y)) for y in zip(*outs, strict=True)]


def _several(state: Any) -> bool:
    """Whether ``forward`` takes the parts of the state as arguments of their own."""
    return isinstance(state, tuple | list) and not hasattr(state, "_fields")


def _resize_tables(model: nn.Module, recipe: Recipe, steps: int) -> None:
    for dotted in recipe.tables if steps != recipe.table_steps else ():
        path, _, name = dotted.rpartition(".")
        owner = model.get_submodule(path)
        table = _resized(getattr(owner, name).detach(), recipe.table_steps, steps)
        if name in dict(owner.named_buffers(recurse=False)):
            setattr(owner, name, table)
        else:
            setattr(owner, name, nn.Parameter(table))


def _resized(table: torch.Tensor, own: int, steps: int) -> torch.Tensor:
    """Cut or continue a table; a matrix whose rows are the same filter stays one."""
    if table.shape == (own, own) and steps > own:
        longer = table.new_zeros(steps, steps)
        longer[:own, :own] = table
        for row in range(own, steps):
            longer[row, 1:] = longer[row - 1, :-1]
        return longer
    for axis, size in enumerate(table.shape):
        if size == own:
            table = table.index_select(axis, torch.arange(steps) % size)
    return table


class _Visible(TorchFunctionMode):
    """Show the tracer what it would not see.

    ``x.data`` is read as ``x.detach()``, and an operator that a library has registered as its own
    is the Python function behind it: to look into it afterwards takes twice the time of a trace.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func == torch.Tensor.data.__get__:  # type: ignore[attr-defined]
            return args[0].detach()
        if isinstance(func, torch._ops.OpOverload) and (own := definition_of(func)):  # noqa: SLF001
            return own(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def definition_of(target: Any) -> Callable[..., Any] | None:
    """The Python function behind an operator that a library has registered as its own."""
    from torch._library.custom_ops import OPDEFS

    name = getattr(getattr(target, "_schema", None), "name", "")
    definition = OPDEFS.get(name)
    return getattr(definition, "_init_fn", None)
