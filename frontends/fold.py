"""Values of expressions of parameters, in the model's own arithmetic."""

from __future__ import annotations

import numpy as np
import torch

from snnc.diagnostics import fail
from snnc.frontends.dag import Dag, Term
from snnc.frontends.evaluate import apply
from snnc.frontends.parameter_calls import call_with
from snnc.frontends.term_ops import WEIGHTED, operator
from snnc.frontends.torch_layers import layer
from snnc.params import Param


class Folder:
    """Evaluates terms that depend on nothing but parameters."""

    def __init__(self, dag: Dag) -> None:
        self.dag = dag
        self._known: dict[int, torch.Tensor | float] = {}

    def fold(self, x: int) -> torch.Tensor | float:
        """The value of an expression of parameters, in the model's own arithmetic."""
        for y in self.dag.sorted_cone([x]):
            if y in self._known:
                continue
            term = self.dag[y]
            args = [self._known[a] for a in term.args]
            match term.form.kind:
                case "literal":
                    value: torch.Tensor | float = term.form.attrs[0]
                case "fill":
                    value = torch.full(term.shape, term.form.attrs[0])
                case "param":
                    value = self.dag.tensors[term.form.attrs[0]].reshape(term.shape)
                case "pointwise":
                    value = apply(*term.form.attrs, *args)
                case "aten":
                    value = call_with(term.form, [torch.as_tensor(a) for a in args])
                case _:
                    value = self._operator(term, [torch.as_tensor(a) for a in args])
            self._known[y] = value
        return self._known[x]

    def _operator(self, term: Term, args: list[torch.Tensor]) -> torch.Tensor:
        """A layer or a rearrangement of parameters: one sample."""
        count = 1 if term.form.kind in WEIGHTED else len(args)
        op = operator(term.form, term.shape, [Param(a.detach().numpy()) for a in args[count:]])
        if op is None:
            raise fail("E133", f"{term.form.kind} of parameters alone", term.source.loc)
        return layer(op, *(a[None] for a in args[:count]))[0]

    def neutral(self, x: int, number: float) -> bool:
        """Whether the value is this number everywhere."""
        value = self.fold(x)
        return bool((torch.as_tensor(value) == number).all())

    def param(self, x: int) -> Param:
        """The value as a constant: float32, or float64 for a number of the source code."""
        value = self.fold(x)
        if isinstance(value, float):
            return Param(np.array(value, np.float64))
        if value.dtype in (torch.bool, torch.int64, torch.int32, torch.uint8, torch.int8):
            value = value.to(torch.float32)
        return Param(value.detach().contiguous().cpu().numpy())
