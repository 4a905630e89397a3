"""Products of a matrix of integers by constant weights, exactly, in the fastest type."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

#: Magnitude below which every partial sum is exact, by floating type.
EXACT = {torch.float32: 1 << 24, torch.float64: 1 << 53}
#: CUDA's int8 product takes more rows than these, and multiples of this.
_CUDA_ROWS, _CUDA_MULTIPLE = 16, 8
#: Smaller sizes gain nothing; and of one row or column, whose stride says nothing, torch 2.13
#: returns memory that it has not written.
_CPU_LEAST = 4


def product_type(x: tuple[int, int], weight: tuple[int, int], bound: int) -> torch.dtype:
    """The type in which ``x @ weight`` is computed.

    Args:
        x: Range of the values.
        weight: Range of the weights.
        bound: No partial sum is larger.
    """
    if bound < 1 << 31 and all(lo >= -128 and hi <= 127 for lo, hi in (x, weight)):
        return torch.int8
    return next((t for t, room in EXACT.items() if bound < room), torch.int64)


def product(x: Tensor, weight: Tensor, bound: int) -> Tensor:
    """``x @ weight`` of (rows, k) and (k, out); the second is in its ``product_type``."""
    if weight.dtype != torch.int8:
        return _matmul(x.to(weight.dtype), weight)
    if _int8(x.device.type, x.shape[0], *weight.shape):
        return _bytes(x.to(torch.int8).contiguous(), weight)
    wide = torch.float32 if bound < EXACT[torch.float32] else torch.float64
    return _matmul(x.to(wide), weight.to(wide))


def _bytes(x: Tensor, weight: Tensor) -> Tensor:
    """The product of bytes, in int32; torch offers it under this name alone."""
    return torch._int_mm(x, weight)  # noqa: SLF001


def _matmul(x: Tensor, weight: Tensor) -> Tensor:
    if x.dtype == torch.int64 and x.is_cuda:  # CUDA has no products of integers
        return torch.stack([(x * w).sum(-1) for w in weight.T], -1)
    return float_product(x, weight)


def float_product(x: Tensor, y: Tensor) -> Tensor:
    """``x @ y`` in their type, not in one that autocast or the cut of float32 to TF32 chooses."""
    with torch.autocast(x.device.type, enabled=False):
        chosen = torch.get_float32_matmul_precision()
        if x.dtype != torch.float32 or chosen == "highest":
            return x @ y
        torch.set_float32_matmul_precision("highest")
        try:
            return x @ y
        finally:
            torch.set_float32_matmul_precision(chosen)


def _int8(device: str, rows: int, fan_in: int, out: int) -> bool:
    """Whether the product of bytes takes these sizes here, and is exact."""
    if device == "cuda":
        return rows > _CUDA_ROWS and fan_in % _CUDA_MULTIPLE == 0 == out % _CUDA_MULTIPLE
    return device == "cpu" and min(rows, fan_in, out) >= _CPU_LEAST and _exact_on_cpu()


@functools.cache
def _exact_on_cpu() -> bool:
    """Whether sums of products of bytes are exact on this processor.

    Some libraries add pairs of products in saturating 16-bit words on processors without a dot
    product of bytes.  The largest products of every sign, over many lengths, would show it.
    """
    ends = torch.tensor([-128, -127, 127, 1, 0], dtype=torch.int8)
    for rows, fan_in in ((1, 2), (5, 64), (40, 129), (130, 515)):
        x = ends.repeat(rows, -(-fan_in // len(ends)))[:, :fan_in]
        x = torch.cat([torch.full((1, fan_in), int(e), dtype=torch.int8) for e in ends] + [x])
        for weight in (x[:5], x.roll(1, 1)[: max(5, rows)]):
            found = _bytes(x.contiguous(), weight.contiguous().T)
            if not torch.equal(found.double(), x.double() @ weight.double().T):
                return False
    return True
