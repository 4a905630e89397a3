"""Normalizations of one sample at one step."""

from __future__ import annotations

import torch
from torch import Tensor

from snnc.backends.torch.arithmetic import isqrt, rdiv
from snnc.backends.torch.operator import Function, Operator
from snnc.backends.torch.program import Program, Record


def bit_length(x: Tensor) -> Tensor:
    """Number of bits of int64 that are not negative."""
    return ((x[..., None] >> torch.arange(63, device=x.device)) > 0).sum(-1)


def scaled(x: Tensor, shift: Tensor) -> Tensor:
    """``x / 2**shift`` rounded half away from zero; negative shifts multiply."""
    right, left = shift.clamp(min=0), (-shift).clamp(min=0)
    one = torch.ones_like(right)
    size = (x.abs() + ((one << right) >> 1)) >> right
    return torch.where(x < 0, -size, size) << left


class Norm(Function):
    """``y_i = (e_i * 2**guard * gain_i) / R + offset_i``: see ``snnc.int_norm_ops``."""

    gain: Tensor
    offset: Tensor | None

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        a = self.attributes = node["attributes"]
        self.centered = node["op"] == "IntLayerNorm"
        self.register_buffer("gain", program.tensor(a["gain"]))
        self.register_buffer("offset", None if a["offset"] is None else program.tensor(a["offset"]))

    def forward(self, *operands: Tensor) -> Tensor:
        return self.normalized(operands[0].long(), self.gain, self.offset).to(self.word)

    def normalized(self, x: Tensor, gain: Tensor, offset: Tensor | None) -> Tensor:
        """The value in int64, with a gain and an offset of int64."""
        a, shape = self.attributes, x.shape
        x = x.flatten(x.ndim - a["axes"])
        n = x.shape[-1]
        d = n * x - x.sum(-1, keepdim=True) if self.centered else x
        t = bit_length(d.abs().amax(-1, keepdim=True)) + (a["lift"] - a["bits"])
        t = t.clamp(min=0)
        e = scaled(d, t - a["lift"])
        q = torch.div((e * e).sum(-1, keepdim=True) + n // 2, n, rounding_mode="floor")
        eps = torch.full_like(t, a["eps"]) >> (2 * t).clamp(max=62)
        root = isqrt((q << 2 * a["guard"]) + eps).clamp(min=1)
        y = rdiv((e << a["guard"]) * gain.reshape(-1), root)
        if offset is not None:
            y = y + offset.reshape(-1)
        return y.reshape(shape)


#: The operators, by name.
NORMS: dict[str, type[Operator]] = {"IntLayerNorm": Norm, "IntRMSNorm": Norm}
