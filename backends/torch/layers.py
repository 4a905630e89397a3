"""Layers with weights over features, and embeddings."""

from __future__ import annotations

import abc
from math import prod

import torch
from torch import Tensor

from snnc.backends.torch.operator import Function, Operator
from snnc.backends.torch.products import product, product_type
from snnc.backends.torch.program import Program, Record, flat, magnitude

#: What is taken off bytes without a sign.
_HALF = 128


class Weighted(Function):
    """A layer with weights (rows, ...): ``(sums << shift) + bias``.

    ``weight`` is the buffer of the stored weights; products use a copy in the type in which they
    are exact and fast.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        a = node["attributes"]
        weight = program.tensor(a["weight"])
        self.register_buffer("weight", weight)
        self.register_buffer("bias", None if a["bias"] is None else program.tensor(a["bias"]))
        self.shift: int = a["shift"]
        x = program.operand_bounds(node)
        rows = weight.abs().reshape(len(weight), prod(weight.shape[1:])).sum(1)
        self.bound = max(1, int(rows.max()) if len(rows) else 0) * magnitude(x)
        ends = (int(weight.min()), int(weight.max())) if weight.numel() else (0, 0)
        self.computed = product_type(x, ends, self.bound)
        bias = 0 if self.bias is None else int(self.bias.abs().max()) if len(weight) else 0
        whole = (self.bound << self.shift) + bias
        self.summed = torch.int32 if whole < 1 << 31 else torch.int64

    @abc.abstractmethod
    def sums(self, *operands: Tensor) -> Tensor:
        """The products alone, in the type of ``product``."""

    def finish(self, sums: Tensor, behind: int) -> Tensor:
        """Scale the sums and add the bias; ``behind`` axes follow that of the rows."""
        if self.shift == 0 and self.bias is None:
            return sums if sums.dtype == torch.int32 else sums.to(self.word)
        y = sums.to(self.summed)  # no one else's: it may be overwritten
        if self.shift:
            y <<= self.shift
        if self.bias is not None:
            y += self.bias.to(self.summed).reshape(-1, *[1] * behind)
        return y.to(self.word)


class Linear(Weighted):
    """``((weight @ x) << shift) + bias`` over the last axis.

    Of inputs from 0 to 255, such as images, 128 is taken off, and its products are added to the
    sums: then these are of bytes with a sign.
    """

    matrix: Tensor
    taken_off: Tensor | None

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        (lo, hi), weight = program.operand_bounds(node), self.weight
        moved = None
        if lo >= 0 and 127 < hi <= 255 and weight.numel():
            ends = int(weight.min()), int(weight.max())
            if product_type((lo - _HALF, hi - _HALF), ends, self.bound) == torch.int8:
                self.computed, moved = torch.int8, _HALF * weight.sum(1).to(torch.int32)
        self.register_buffer("taken_off", moved, persistent=False)
        self.keep("matrix", self.weight.T.to(self.computed))

    def forward(self, *operands: Tensor) -> Tensor:
        return self.finish(self.sums(*operands), 0)

    def sums(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        if x.ndim == 2:
            return self._products(x)
        rows = x.reshape(prod(x.shape[:-1]), x.shape[-1])
        return self._products(rows).reshape(*x.shape[:-1], self.matrix.shape[1])

    def _products(self, x: Tensor) -> Tensor:
        if self.taken_off is None:
            return product(x, self.matrix, self.bound)
        y = product(x - _HALF, self.matrix, self.bound)
        return y + self.taken_off.to(y.dtype)


class DelayLinear(Linear):
    """``((weight @ columns) << shift) + bias``: each column has read its input some steps ago.

    Attributes:
        lags: (steps, positions) of the columns, by delay; ``matrix`` has its rows in that order.
    """

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        a = node["attributes"]
        index, delay = program.tensor(a["index"]), program.tensor(a["delay"])
        order = torch.argsort(delay, stable=True)
        self.keep("matrix", self.matrix[order])
        self.lags = [int(d) for d in torch.unique(delay)]
        for lag in self.lags:
            self.keep(f"index_{lag}", index[delay == lag])

    def columns(self, past: list[Tensor]) -> Tensor:
        """The columns, in the order of ``matrix``, from the input at every lag."""
        found = [
            flat(x)[:, self.get_buffer(f"index_{lag}")]
            for lag, x in zip(self.lags, past, strict=True)
        ]
        return torch.cat(found, 1)


class Embedding(Function):
    """Row ``x`` of the table."""

    weight: Tensor

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        self.register_buffer("weight", program.tensor(node["attributes"]["weight"]))

    def forward(self, *operands: Tensor) -> Tensor:
        return self.weight[operands[0].long()].to(self.word)


#: The layers, by name.
LAYERS: dict[str, type[Operator]] = {
    "IntLinear": Linear,
    "IntDelayLinear": DelayLinear,
    "IntEmbedding": Embedding,
}
