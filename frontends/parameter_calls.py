"""Operators on parameters alone: kept as they are, executed when the graph is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from snnc.frontends.dag import Form


@dataclass(frozen=True, slots=True)
class Operand:
    """Place of a tensor among the arguments of a call on parameters."""

    index: int


def frozen(x: Any) -> Any:
    """Arguments of a call as an attribute of a term, which has to be hashable."""
    if isinstance(x, list | tuple):
        return tuple(frozen(y) for y in x)
    if isinstance(x, dict):
        return tuple(sorted((k, frozen(v)) for k, v in x.items()))
    return x


def call_with(form: Form, operands: list[Any]) -> Any:
    """Execute an ``aten`` form on tensors; a fourth attribute picks one of several results."""
    target, args, kwargs, *pick = form.attrs
    namespace, name, overload = target.split(".")
    op = getattr(getattr(getattr(torch.ops, namespace), name), overload)

    def fill(x: Any) -> Any:
        if isinstance(x, Operand):
            return operands[x.index]
        return [fill(y) for y in x] if isinstance(x, tuple) else x

    value = op(*(fill(a) for a in args), **{k: fill(v) for k, v in kwargs})
    return value[pick[0]] if pick else value
