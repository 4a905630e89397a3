"""A copy of the user's module that has forgotten what it was run on.

The module itself is never modified.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from snnc.diagnostics import fail
from snnc.frontends.members import modules_of, tensors_of

#: Methods without arguments by which libraries and users forget the state of a layer.
RESETS = ("reset", "reset_state", "reset_states", "reset_mem", "reset_hidden")

#: Types in which nothing is computed here.
HALF = (torch.float16, torch.bfloat16)
_HALF_NAMES = {"float16", "bfloat16"}


def fresh_copy(module: nn.Module) -> nn.Module:
    """A copy in eval mode, with its state reset; tensors left over from training are detached."""
    memo: dict[int, Any] = {}
    for m in modules_of(module):
        for value in vars(m).values():
            for leaf in pytree.tree_leaves(value):
                if isinstance(leaf, torch.Tensor) and not leaf.is_leaf:
                    memo[id(leaf)] = leaf.detach().clone()
    clone = _copied(module, memo).eval()
    with registered(clone):
        for m in modules_of(clone):
            if type(m).__module__.startswith("torch."):
                continue
            _reset(m)
            _empty_states(m)
    if any(p.dtype in HALF for p in _floats(clone)):
        clone.float()
    freeze_numbers(clone, floats=False)
    return clone


def _empty_states(layer: nn.Module) -> None:
    """Forget the batch size of an earlier call.

    A layer of sinabs that has run draws the states of another batch from its old ones, which a
    reset sets to zero but does not remove; without elements they are made anew.
    """
    if hasattr(layer, "handle_state_batch_size_mismatch"):
        for name, state in layer.named_buffers(recurse=False):
            layer.register_buffer(name, state.new_zeros(0))


def _reset(module: nn.Module) -> None:
    """Call every method by which a layer forgets its state.

    One that fails is no obstacle if another works: a class may inherit a method that does not
    know of its states (snnTorch's DeltaLeaky).
    """
    done = False
    failed: tuple[str, Exception] | None = None
    for name in RESETS:
        method = getattr(module, name, None)
        if callable(method) and _takes_nothing(method):
            try:
                method()
                done = True
            except Exception as e:
                failed = name, e
    if failed and not done:
        name, cause = failed
        first = (str(cause).splitlines() or [type(cause).__name__])[0]
        text = f"{type(module).__name__}.{name}() fails: {first}"
        raise fail("E139", text, help="call it yourself, or remove the method") from cause


def _takes_nothing(method: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return False
    return all(p.default is not p.empty or p.kind in (2, 4) for p in parameters)


def _copied(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """A deep copy, also of modules whose own ``__deepcopy__`` fails."""
    try:
        return copy.deepcopy(module, dict(memo))
    except Exception:
        for m in modules_of(module):
            memo[id(m)] = type(m).__new__(type(m))
        try:
            for m in modules_of(module):
                memo[id(m)].__dict__.update(copy.deepcopy(vars(m), memo))
        except Exception as e:
            first = (str(e).splitlines() or [type(e).__name__])[0]
            hint = "call the module with tensors that need no gradient before the export"
            raise fail("E139", "the module cannot be copied", None, first, help=hint) from e
        clone: nn.Module = memo[id(module)]
        return clone


def _floats(module: nn.Module) -> list[torch.Tensor]:
    return [p for p in tensors_of(module) if p.is_floating_point()]


def widened(module: nn.Module) -> list[str]:
    """Names of the half precision types whose weights are computed with in float32."""
    return sorted({str(p.dtype).removeprefix("torch.") for p in _floats(module)} & _HALF_NAMES)


@contextlib.contextmanager
def registered(module: nn.Module) -> Iterator[None]:
    """Let classes that keep a list of their instances know this module's alone.

    snnTorch resets all layers that were ever made through such a list.  Copies are not on it, and
    those that are on it belong to the user.
    """
    lists = {id(x): x for m in modules_of(module) if isinstance(x := _instances(m), list)}
    saved = {key: list(x) for key, x in lists.items()}
    try:
        for key, x in lists.items():
            x[:] = [m for m in modules_of(module) if id(_instances(m)) == key]
        yield
    finally:
        for key, x in lists.items():
            x[:] = saved[key]


def _instances(module: nn.Module) -> Any:
    return getattr(type(module), "instances", None)


def freeze_numbers(module: nn.Module, *, floats: bool) -> None:
    """Make 0-dim buffers Python numbers: integers are options, read by ``if``; floats may be."""
    for m in modules_of(module):
        for name, buffer in list(m._buffers.items()):  # noqa: SLF001
            if buffer is None or buffer.dim() or buffer.is_complex():
                continue
            if buffer.is_floating_point() and not floats:
                continue
            if name != "num_batches_tracked":
                del m._buffers[name]  # noqa: SLF001
                vars(m)[name] = buffer.item()
