"""Codes: spikes from values and the number of the step, without a random generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from snnc.backends.numpy.program import Array, Program, Record

_WORD = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9


def mix(n: Array) -> Array:
    """Hash 32-bit numbers, given as int64, one to one: lowbias32 (C. Wellons, public domain)."""
    n = n ^ (n >> 16)
    n = (n * 0x7FEB352D) & _WORD
    n = n ^ (n >> 15)
    wide = n.astype(np.uint64) * np.uint64(0x846CA68B)
    n = (wide & np.uint64(_WORD)).astype(np.int64)
    return np.asarray(n ^ (n >> 16))


def dice(seed: int, step: int, shape: tuple[int, ...]) -> Array:
    """``h(seed, t, i) = mix(mix(seed + (t + 1) * G) ^ (i * G))`` mod 2**32 for all elements i.

    G is ``2**32`` divided by the golden ratio, 0x9E3779B9; i counts row-major.
    """
    key = mix(np.array((seed + (step + 1) * _GOLDEN) & _WORD, np.int64))
    place = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.uint64)
    place = (place * np.uint64(_GOLDEN)) & np.uint64(_WORD)
    found: Array = mix(key ^ place.astype(np.int64)).reshape(shape)
    return found


def rate_code(program: Program, node: Record, operands: list[Array], now: int) -> Array:
    """``s[t] = [h(seed, t, i) < floor(x * multiplier / 2**shift)]``."""
    a, (x,) = node["attributes"], operands
    limit = (x * a["multiplier"]) >> a["shift"]
    return np.asarray(dice(a["seed"], now, x.shape[1:]) < limit, np.int64)


#: Codes, which have no state but depend on the number of the step.
CODES: dict[str, Callable[[Program, Record, list[Array], int], Array]] = {
    "IntRateCode": rate_code,
}
