"""Rounding right shifts without a branch, so that loops over neurons can be vectorised.

Negative numbers are not shifted: a multiple of ``2**shift`` that makes every value of the proven
interval non-negative is added before the shift and taken back after it.  All roundings but
half_even are then a floor of the value plus a constant and a term that depends on the sign.
"""

from __future__ import annotations

from dataclasses import dataclass

from snnc.backends.c.words import LIMITS, Bounds, computed, literal, product


@dataclass(frozen=True, slots=True)
class Var:
    """A C expression without side effects, its word and the interval of its values."""

    text: str
    word: str
    bounds: Bounds

    def as_(self, word: str) -> str:
        """The expression in ``word``, which holds its value."""
        return self.text if word == self.word else f"({word}){self.text}"


def rounded(x: Var, shift: int, rounding: str) -> tuple[str, str]:
    """A rounding right shift, as one operand, and its word."""
    if shift == 0:
        return x.text, x.word
    word = "int64_t" if shift > 30 else x.word
    value, top = x.as_(word), LIMITS[word][1]
    lift = _lift(x.bounds, shift)
    if rounding == "half_even" or (max(0, x.bounds[1]) + ((lift + 1) << shift)) > top:
        return f"snn_{rounding}_{'64' if word == 'int64_t' else '32'}({value}, {shift})", word
    added = (lift << shift) + _constant(shift, rounding)
    text = f"{value} + {literal(added, word)}" if added else value
    if x.bounds[0] < 0:
        text += _by_sign(shift, rounding, value, word)
    text = f"(({text}) >> {shift})"
    return (f"({text} - {literal(lift, word)})" if lift else text), word


@dataclass(frozen=True, slots=True)
class Shifted:
    """A right shift of a product: declarations that come before, the expression and its word."""

    before: tuple[str, ...]
    text: str
    word: str = "int32_t"


def shifted_product(x: Var, factor: Var, shift: int, rounding: str, name: str) -> Shifted | None:
    """``rsh(x * factor, shift)`` in words of 32 bits although the product has more, or None."""
    if rounding == "half_even" or shift == 0 or factor.bounds[0] < 0:
        return None
    if computed(x.bounds, factor.bounds) != "int32_t":
        return None
    factor, shift = _reduced(factor, shift)
    return (
        _direct(x, factor, shift, rounding)
        or _complement(x, factor, shift, rounding)
        or _halves(x, factor, shift, rounding, name)
    )


def _reduced(factor: Var, shift: int) -> tuple[Var, int]:
    """``factor / 2**shift`` as a fraction of smaller numbers, if the factor is a constant."""
    value = factor.bounds[0]
    if value != factor.bounds[1]:
        return factor, shift
    while value > 0 and value % 2 == 0 and shift > 1:
        value, shift = value // 2, shift - 1
    return Var(literal(value, "int32_t"), "int32_t", (value, value)), shift


def _direct(x: Var, factor: Var, shift: int, rounding: str) -> Shifted | None:
    """The product itself, if it fits after all."""
    bounds = product(x.bounds, factor.bounds)
    if computed(bounds, x.bounds, factor.bounds) != "int32_t" or shift > 30:
        return None
    text = f"({x.as_('int32_t')} * {factor.as_('int32_t')})"
    return Shifted((), rounded(Var(text, "int32_t", bounds), shift, rounding)[0])


def _complement(x: Var, factor: Var, shift: int, rounding: str) -> Shifted | None:
    """A decay close to 1: ``x + rsh(-x * (2**shift - factor), shift)``, of a smaller product."""
    one = 1 << shift
    few = one - factor.bounds[1], one - factor.bounds[0]
    lost = product(x.bounds, few)
    if few[0] < 0 or computed(lost, few) != "int32_t":
        return None
    # the sign of x takes away at most 1 and adds at most 2**shift - 1
    lift = -((-lost[1] - 1) >> shift) if lost[1] >= 0 else 0
    if max(0, -lost[0]) + ((lift + 2) << shift) > LIMITS["int32_t"][1]:
        return None
    value = x.as_("int32_t")
    added = (lift << shift) + _constant(shift, rounding)
    if few[0] == few[1]:
        rate = literal(few[0], "int32_t")
    else:
        rate = f"({literal(one, 'int32_t')} - {factor.as_('int32_t')})"
    text = f"{literal(added, 'int32_t')} - {value} * {rate}"
    if x.bounds[0] < 0:
        text += _by_sign(shift, rounding, value, "int32_t")
    return Shifted((), f"{value} + ((({text}) >> {shift}) - {literal(lift, 'int32_t')})")


def _halves(x: Var, factor: Var, shift: int, rounding: str, name: str) -> Shifted | None:
    """``snn_product`` of words of 32 bits: by halves of x, or in words of 64 bits.

    Here ``x = h * 2**shift + l`` with ``0 <= l < 2**shift``, all lifted above zero.
    """
    lift, (lo, hi), high = _lift(x.bounds, shift), x.bounds, factor.bounds[1]
    if ((1 << shift) - 1) * high + (1 << shift) >= 1 << 32:
        return None
    whole = ((lo >> shift) * high, ((hi >> shift) + lift + 1) * high)
    if computed(whole, (0, max(0, hi) + (lift << shift)), (0, lift * high)) != "int32_t":
        return None
    value, multiplier = x.as_("int32_t"), factor.as_("int32_t")
    added = f" + {literal(lift << shift, 'int32_t')}" if lift else ""
    unsigned = f"{name}_u"
    before = f"const uint32_t {unsigned} = (uint32_t)({value}{added});"
    rest = f"{_constant(shift, rounding)}u"
    if lo < 0:
        rest += _by_sign(shift, rounding, value, "uint32_t")
    text = f"(int32_t)snn_product({unsigned}, (uint32_t){multiplier}, {rest}, {shift})"
    if lift:
        text += f" - {literal(lift, 'int32_t')} * {multiplier}"
    return Shifted((before,), text)


def _lift(bounds: Bounds, shift: int) -> int:
    """Smallest n for which no value plus ``n * 2**shift`` is negative."""
    return -((min(0, bounds[0])) >> shift)


def _constant(shift: int, rounding: str) -> int:
    """What is added to every value before the floor."""
    return 1 << (shift - 1) if rounding in ("half_up", "half_away") else 0


def _by_sign(shift: int, rounding: str, value: str, word: str) -> str:
    """What is added to negative values before the floor."""
    if rounding == "half_away":
        if word == "int64_t":
            return f" - (int64_t)({value} < 0)"
        sign = f"((uint32_t){value} >> 31)"  # cheaper than a comparison in a vector
        return f" - {sign}" if word == "uint32_t" else f" - (int32_t){sign}"
    if rounding == "trunc":
        most = f"{(1 << shift) - 1}u" if word == "uint32_t" else literal((1 << shift) - 1, word)
        return f" + (({value} < 0) ? {most} : 0{'u' if word == 'uint32_t' else ''})"
    return ""
