"""Choice of C integer types from proven intervals, and literals of those types."""

from __future__ import annotations

from collections.abc import Iterable

Bounds = tuple[int, int]

#: Types that store a value, smallest first.
_STORED: tuple[tuple[str, int, int], ...] = (
    ("uint8_t", 0, (1 << 8) - 1),
    ("int8_t", -(1 << 7), (1 << 7) - 1),
    ("uint16_t", 0, (1 << 16) - 1),
    ("int16_t", -(1 << 15), (1 << 15) - 1),
    ("int32_t", -(1 << 31), (1 << 31) - 1),
    ("int64_t", -(1 << 63), (1 << 63) - 1),
)
SIZES = {name: (hi - lo).bit_length() // 8 for name, lo, hi in _STORED} | {"uint32_t": 4}
LIMITS = {name: (lo, hi) for name, lo, hi in _STORED}


def fits(bounds: Bounds, name: str) -> bool:
    """Whether every value of the interval has a place in the type."""
    lo, hi = LIMITS[name]
    return lo <= bounds[0] and bounds[1] <= hi


def stored(bounds: Bounds) -> str:
    """Smallest type for an array of such values.

    >>> stored((0, 1)), stored((-1, 127)), stored((0, 40000)), stored((0, 1 << 31))
    ('uint8_t', 'int8_t', 'uint16_t', 'int64_t')
    """
    return next(name for name in LIMITS if fits(bounds, name))


def computed(*bounds: Bounds) -> str:
    """Type in which all these values can be computed: ``int32_t`` or ``int64_t``."""
    return "int32_t" if all(fits(b, "int32_t") for b in bounds) else "int64_t"


def hull(*bounds: Bounds) -> Bounds:
    """Smallest interval around all."""
    return min(lo for lo, _ in bounds), max(hi for _, hi in bounds)


def product(a: Bounds, b: Bounds) -> Bounds:
    """Interval of ``x * y``."""
    corners = [x * y for x in a for y in b]
    return min(corners), max(corners)


def prefix_sums(terms: Iterable[Bounds]) -> Bounds:
    """Interval of every sum of the first k terms, for all k >= 0."""
    lo = hi = 0
    seen = [(0, 0)]
    for a, b in terms:
        lo, hi = lo + a, hi + b
        seen.append((lo, hi))
    return hull(*seen)


def literal(value: int, name: str) -> str:
    """Write ``value`` as a constant of type ``name``.

    >>> literal(-5, "int32_t"), literal(1 << 40, "int64_t")
    ('-INT32_C(5)', 'INT64_C(1099511627776)')
    """
    macro = "INT64_C" if name == "int64_t" else "INT32_C"
    if value in (-(1 << 31), -(1 << 63)) and value == LIMITS[name][0]:
        return f"(-{macro}({-value - 1}) - 1)"  # the magnitude itself is not a signed constant
    return f"-{macro}({-value})" if value < 0 else f"{macro}({value})"


def index_type(size: int) -> str:
    """Type of an element number below ``size``."""
    return "uint16_t" if size <= 1 << 16 else "uint32_t"
