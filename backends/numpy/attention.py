"""Products of computed matrices, and softmax, on int64 arrays with the batch first."""

from __future__ import annotations

import numpy as np

from snnc.backends.numpy.arithmetic import rsh
from snnc.backends.numpy.program import Array, Operator, Program, Record


def matmul(program: Program, node: Record, operands: list[Array]) -> Array:
    """``rsh(a @ b, shift, rounding)``; in floating point where that is exact."""
    a, b = _aligned(operands)
    peak = [max(abs(int(x.min(initial=0))), abs(int(x.max(initial=0)))) for x in (a, b)]
    if peak[0] * peak[1] * a.shape[-1] < 1 << 53:
        y = (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
    else:
        y = a @ b
    return rsh(y, node["attributes"]["shift"], node["attributes"]["rounding"])


def _aligned(operands: list[Array]) -> list[Array]:
    """Operands with equally many axes: leading axes broadcast behind the batch."""
    most = max(x.ndim for x in operands)
    return [x.reshape(len(x), *[1] * (most - x.ndim), *x.shape[1:]) for x in operands]


def softmax(program: Program, node: Record, operands: list[Array]) -> Array:
    """``p_i = (e_i << out_bits) // Z``; an element that does not count is 0.

    ``e_i = table[u_i % 2**F] >> (u_i // 2**F)`` with
    ``u_i = ((max(x) - x_i) * multiplier + (1 << shift >> 1)) >> shift``.
    """
    a, x = node["attributes"], operands[0]
    axis, table = a["axis"] + 1, program.param(a["table"])
    counts = np.ones(x.shape, bool)
    if a["mask"] is not None:
        counts = counts & (program.param(a["mask"]) != 0)
    if len(operands) == 2:
        counts = counts & (operands[1] != 0)
    top = np.where(counts, x, x.min(axis, keepdims=True)).max(axis, keepdims=True)
    # behind 31 halvings nothing is left: no larger distance needs to be multiplied
    reach = -(-((31 * len(table)) << a["shift"]) // a["multiplier"])
    d = np.where(counts, np.minimum(top - x, reach), reach)
    u = (d * a["multiplier"] + ((1 << a["shift"]) >> 1)) >> a["shift"]
    halvings = np.minimum(u // len(table), 31)
    e = np.where(counts, table[u % len(table)] >> halvings, 0)
    total = e.sum(axis, keepdims=True)
    return np.asarray((e << a["out_bits"]) // np.maximum(total, 1))


#: The operators, by name.
ATTENTION: dict[str, Operator] = {"IntMatmul": matmul, "IntSoftmax": softmax}
