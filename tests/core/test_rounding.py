"""The scalar definition, the simulator's and the intervals' rounding agree, exhaustively."""

import math
from fractions import Fraction

import numpy as np
import pytest

from snnc.backends import float_sim
from snnc.backends.numpy import arithmetic
from snnc.interval import Interval
from snnc.kernel import ROUNDINGS
from snnc.rounding import rdiv, rsh, wrap

VALUES = np.arange(-600, 601)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("shift", range(9))
def test_all_definitions_agree(rounding: str, shift: int) -> None:
    scalar = [rsh(int(x), shift, rounding) for x in VALUES]
    assert arithmetic.rsh(VALUES, shift, rounding).tolist() == scalar
    interval = Interval(VALUES, VALUES).rsh(shift, rounding)
    assert interval.lo.tolist() == interval.hi.tolist() == scalar


@pytest.mark.parametrize("shift", range(1, 9))
def test_mathematical_meaning(shift: int) -> None:
    for x in map(int, VALUES):
        exact = Fraction(x, 1 << shift)
        away = math.copysign(math.floor(abs(exact) + Fraction(1, 2)), x)
        assert rsh(x, shift, "half_away") == int(away)
        assert rsh(x, shift, "trunc") == math.trunc(exact)
        assert rsh(x, shift, "floor") == math.floor(exact)
        assert rsh(x, shift, "half_up") == math.floor(exact + Fraction(1, 2))
        assert rsh(x, shift, "half_even") == round(exact)


def test_unknown_rounding_is_refused() -> None:
    with pytest.raises(ValueError, match="stochastic"):
        rsh(1, 1, "stochastic")


@pytest.mark.parametrize("bits", range(2, 9))
def test_all_definitions_of_a_wrapping_word_agree(bits: int) -> None:
    scalar = [wrap(int(x), bits) for x in VALUES]
    assert {(x - y) % (1 << bits) for x, y in zip(VALUES, scalar, strict=True)} == {0}
    assert (min(scalar), max(scalar)) == (1 - (1 << (bits - 1)), 1 << (bits - 1))
    assert arithmetic.SHIFTS["wrap"](VALUES, bits, "").tolist() == scalar
    half = np.float64(1 << (bits - 1))
    assert float_sim.FUNCTIONS["wrap"](VALUES.astype(float), half).tolist() == scalar
    for lo, hi in ((-600, 600), (-3, 2), (-half, half), (1 - half, half), (5, 6)):
        inside = [y for x, y in zip(VALUES, scalar, strict=True) if lo <= x <= hi]
        found = Interval.of(int(lo), int(hi)).wrap(bits).bounds
        assert found[0] <= min(inside)
        assert max(inside) <= found[1]
        if 1 - half <= lo and hi <= half:
            assert found == (lo, hi)


@pytest.mark.parametrize("d", [-70, -7, -2, -1, 1, 2, 3, 64, 601])
def test_all_definitions_of_a_quotient_agree(d: int) -> None:
    scalar = [rdiv(int(x), d) for x in VALUES]
    for x, y in zip(map(int, VALUES), scalar, strict=True):
        exact = abs(Fraction(x, d))
        assert abs(y) == math.floor(exact + Fraction(1, 2))
        assert y * x * d >= 0
    assert arithmetic.rdiv(VALUES, np.int64(d)).tolist() == scalar
    for lo, hi in ((-600, 600), (-3, 2), (5, 6), (-8, -7)):
        inside = [y for x, y in zip(VALUES, scalar, strict=True) if lo <= x <= hi]
        assert Interval.of(lo, hi).div(Interval.of(d, d)).bounds == (min(inside), max(inside))
