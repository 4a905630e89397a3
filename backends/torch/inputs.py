"""Arrays of NumPy as the words that a network reads: checked, narrowed and turned in one pass.

Inputs are often of 64 bits, and reading them from memory takes longer than a compiled network.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snnc.backends.torch import machine
from snnc.backends.torch.ckernel import TYPES
from snnc.backends.torch.program import Bounds

_SOURCES = {
    np.dtype(f"{sign}int{bits}"): f"{sign}int{bits}_t"
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
    if (sign, bits) != ("u", 64)
}


def taken(x: npt.NDArray[Any], kind: torch.dtype, bounds: Bounds, has_steps: bool) -> Tensor | None:
    """The same values of a narrower type, where steps lie one after the other, each of all samples.

    Args:
        x: Integers (N, T, ...) or (N, ...).
        kind: The type.
        bounds: Of all values.
        has_steps: Whether the second axis is that of steps.

    Returns:
        A tensor of the shape of ``x``, or None if it lies in memory as this function does not take
        it, or if a value is out of bounds.

    Raises:
        OSError: The compiler fails.
    """
    if x.dtype not in _SOURCES or not (x.flags.c_contiguous and x.flags.aligned and x.size):
        return None
    batch, steps = x.shape[0], x.shape[1] if has_steps else 1
    size = x.size // (batch * steps)
    y = torch.empty((steps, batch, size), dtype=kind)
    ends: list[tuple[int, int]] = []
    run = machine.build(_source(_SOURCES[x.dtype], TYPES[kind]))

    def part(first: int, last: int) -> None:
        found = np.empty(2, np.int64)
        sizes = [first, last, batch, steps, size]
        run(sizes, [x.ctypes.data, y.data_ptr(), found.ctypes.data])
        ends.append((int(found[0]), int(found[1])))

    machine.parallel(part, batch, x.size)
    if min(lo for lo, _ in ends) < bounds[0] or max(hi for _, hi in ends) > bounds[1]:
        return None
    if not has_steps:
        return y.reshape(x.shape)
    return y.reshape(steps, batch, *x.shape[2:]).transpose(0, 1)


def _source(source: str, kind: str) -> str:
    """``run``: first and last sample, N, T, elements; the array, the tensor, least and largest."""
    return f"""\
#include <stdint.h>
void run(const int64_t *d, void *const *p) {{
  {source} least[64], most[64];
  for (int i = 0; i < 64; i++) least[i] = most[i] = *(const {source} *)p[0];
  for (int64_t n = d[0]; n < d[1]; n++) for (int64_t t = 0; t < d[3]; t++) {{
    const {source} *__restrict__ x = (const {source} *)p[0] + (n * d[3] + t) * d[4];
    {kind} *__restrict__ y = ({kind} *)p[1] + (t * d[2] + n) * d[4];
    int64_t k = 0;
    for (; k + 64 <= d[4]; k += 64) for (int i = 0; i < 64; i++) {{
      const {source} v = x[k + i];
      least[i] = v < least[i] ? v : least[i];
      most[i] = v > most[i] ? v : most[i];
      y[k + i] = ({kind})v;
    }}
    for (int i = 0; k < d[4]; k++, i++) {{
      least[i] = x[k] < least[i] ? x[k] : least[i];
      most[i] = x[k] > most[i] ? x[k] : most[i];
      y[k] = ({kind})x[k];
    }}
  }}
  int64_t *found = p[2];
  found[0] = least[0], found[1] = most[0];
  for (int i = 1; i < 64; i++) {{
    found[0] = least[i] < found[0] ? least[i] : found[0];
    found[1] = most[i] > found[1] ? most[i] : found[1];
  }}
}}
"""
