"""Products of computed matrices, and softmax."""

from __future__ import annotations

import torch
from torch import Tensor

from snnc.backends.torch.arithmetic import rsh
from snnc.backends.torch.operator import Function, Operator
from snnc.backends.torch.products import EXACT, float_product
from snnc.backends.torch.program import Program, Record, aligned, magnitude


class Matmul(Function):
    """``rsh(a @ b, shift, rounding)``; in floating words where that is exact."""

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        a, edge = node["attributes"], node["inputs"][0]
        self.shift, self.rounding = a["shift"], a["rounding"]
        inner = program.types[edge["src"]][edge["out"]]["shape"][-1]
        sides = [magnitude(program.operand_bounds(node, port)) for port in (0, 1)]
        self.bound = max(*sides, sides[0] * sides[1] * inner)
        self.exact = next((t for t, room in EXACT.items() if self.bound < room), None)
        small = self.bound + (1 << self.shift) < 1 << 31
        self.summed = torch.int32 if small else torch.int64

    def forward(self, *operands: Tensor) -> Tensor:
        most = max(x.ndim for x in operands) - 1
        a, b = (aligned(x, most) for x in operands)
        if self.exact:
            y = float_product(a.to(self.exact), b.to(self.exact))
            if not self.shift:
                return y.to(self.word)
            y = y.to(self.summed)
        elif a.is_cuda:  # CUDA has no products of integers
            y = (a.long()[..., None] * b.long()[..., None, :, :]).sum(-2)
        else:
            y = a.long() @ b.long()
        return rsh(y, self.shift, self.rounding).to(self.word)


class Softmax(Function):
    """``p_i = (e_i << out_bits) // Z``: see ``snnc.int_attention_ops``."""

    table: Tensor
    mask: Tensor | None

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        a = node["attributes"]
        self.axis, self.bits = a["axis"] + 1, a["out_bits"]
        self.multiplier, self.shift = a["multiplier"], a["shift"]
        self.register_buffer("table", program.tensor(a["table"]))
        self.register_buffer("mask", None if a["mask"] is None else program.tensor(a["mask"]))
        # behind 31 halvings nothing is left: no larger distance needs to be multiplied
        self.reach = -(-((31 * len(self.table)) << self.shift) // self.multiplier)

    def forward(self, *operands: Tensor) -> Tensor:
        x = operands[0].long()
        counts = torch.ones_like(x, dtype=torch.bool)
        if self.mask is not None:
            counts = counts & (self.mask != 0)
        if len(operands) == 2:
            counts = counts & (operands[1] != 0)
        least = x.amin(self.axis, keepdim=True)
        top = torch.where(counts, x, least).amax(self.axis, keepdim=True)
        d = (top - x).clamp(max=self.reach).masked_fill(~counts, self.reach)
        u = (d * self.multiplier + ((1 << self.shift) >> 1)) >> self.shift
        entries = len(self.table)
        halvings = torch.div(u, entries, rounding_mode="floor").clamp(max=31)
        e = (self.table[u % entries] >> halvings).masked_fill(~counts, 0)
        total = e.sum(self.axis, keepdim=True).clamp(min=1)
        return torch.div(e << self.bits, total, rounding_mode="floor").to(self.word)


#: The operators, by name.
ATTENTION: dict[str, type[Operator]] = {"IntMatmul": Matmul, "IntSoftmax": Softmax}
