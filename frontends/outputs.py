"""What a module returns, whatever it is packed in, as tensors with names."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch.utils import _pytree as pytree

from snnc.diagnostics import fail


def flat_outputs(out: Any, steps: int, *, every_step: bool) -> tuple[list[str], list[torch.Tensor]]:
    """Names and tensors of what a module returns.

    Keys of dicts and fields of named tuples and dataclasses are names; other outputs have none.

    Args:
        out: What ``forward`` returned.
        steps: Number of steps: a list of so many equal tensors is one tensor of all steps.
        every_step: Whether ``forward`` computed one step only, so that no list is one.
    """

    def stacked(x: Any) -> bool:
        many = isinstance(x, list | tuple) and len(x) == steps > 1
        return many and all(isinstance(y, torch.Tensor) and y.shape == x[0].shape for y in x)

    out = _with_names(out)
    if not every_step:
        parts = out if isinstance(out, tuple | list) and not stacked(out) else [out]
        merged = [torch.stack(list(y)) if stacked(y) else y for y in parts]
        out = merged[0] if len(merged) == 1 else merged
    found, _ = pytree.tree_flatten_with_path(out)
    keys, tensors = [], []
    for path, leaf in found:
        if isinstance(leaf, torch.Tensor):
            named = [str(k.key) for k in path if isinstance(k, pytree.MappingKey)]
            keys.append(".".join(named))
            tensors.append(leaf)
    return keys, tensors


def _with_names(x: Any) -> Any:
    """Dicts in place of named tuples and dataclasses."""
    fields = getattr(x, "_fields", None)
    if isinstance(x, tuple) and fields is not None:
        return {name: _with_names(y) for name, y in zip(fields, x, strict=True)}
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return {f.name: _with_names(getattr(x, f.name)) for f in dataclasses.fields(x)}
    if type(x) in (list, tuple):
        return type(x)(map(_with_names, x))
    if type(x) is dict:
        return {key: _with_names(y) for key, y in x.items()}
    return x


def output_names(keys: list[str], given: tuple[str, ...]) -> list[str]:
    """A name for every output: those that the user gives, or from the keys, or numbers.

    Raises:
        CompileError: E139 if the user gives another number of names.
    """
    if given:
        if len(given) != len(keys):
            text = f"{len(given)} output names for {len(keys)} outputs"
            raise fail("E139", text, help="give one name for every tensor that forward returns")
        return list(given)
    if len(keys) == 1:
        return [keys[0] or "out"]
    names = [key or f"out{i}" for i, key in enumerate(keys)]
    # the parts of a tuple in a dict
    count = [names[:i].count(name) for i, name in enumerate(names)]
    return [f"{n}.{k}" if names.count(n) > 1 else n for n, k in zip(names, count, strict=True)]
