"""Neuron kernels in words of 16 bits, for vector units: twice as many neurons per vector.

A value is kept modulo 2**16 if its proven interval fits an int16, else as a pair of a low and a
high word, in two's complement.  Additions carry, comparisons look at the sign of a difference, and
a decay ``rsh(x * a, n)`` is a sum of products of 16 by 16 bits: with ``A = a * 2**(16-n)`` and
``x = 65536 h + l``,

    floor((x A + r) / 65536) = h A + floor((l A + r) / 65536)

where r says how to round (see ``_carry``).  Vector units of every kind have both halves of such
products, while products of 32 bits are slow or missing (SSE2).  Scalar processors are better
served by ``kernel``; the emitted file has both and ``SNN_LANES`` chooses.

High words are kept with something added (``Lane.lift``), so that constants meet in one addition:
states with 2**15, which makes them numbers without sign, whose products need no correction; what is
compared with 2**15 - 1.  Carries are written as ``1 - (sum >= term)``, the comparison that vectors
of 16 bits have.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from snnc.backends.c import names
from snnc.backends.c.kernel import live_lines, proven
from snnc.backends.c.lane import (
    Lane,
    NoLanesError,
    constant,
    is_negative,
    is_only_short,
    is_short,
)
from snnc.backends.c.words import Bounds, computed, fits
from snnc.kernel import Kernel, Line

_SIGN = 32768
#: Lift of sums: that of a difference, which is 1 more, then has its sign in the highest bit.
_SUM = _SIGN - 1
_NAME = re.compile(r"\bw\d+_\w+")


@dataclass
class Lanes:
    """The program of a kernel: ``lines`` of C, and the words of every name.

    Attributes:
        kernel: The kernel; its live lines are translated.
        env: Words of inputs, states and constants, and of what has been translated.
        factors: For every constant that is a vector, the C expression of an element.
        lines: Declarations.
    """

    kernel: Kernel
    env: dict[str, Lane]
    factors: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._count = 0

    def translate(self) -> None:
        """Translate all live lines.

        Raises:
            NoLanesError: If one of them has no translation.
        """
        lines = live_lines(self.kernel)
        uses = Counter([*self.kernel.outputs, *(s.next for s in self.kernel.states)])
        uses.update(a for line in lines for a in line.args)
        products: dict[str, Line] = {}
        for line in lines:
            if line.fn == "mul" and uses[line.name] == 1:
                products[line.name] = line
            elif line.fn == "rsh":
                self.env[line.name] = self._shifted(line, products.pop(line.args[0], None))
            else:
                self.env[line.name] = self._line(line)
        if products:
            raise NoLanesError

    def live(self, stores: list[str]) -> list[str]:
        """The declarations on which these statements depend."""
        needed = set(_NAME.findall(" ".join(stores)))
        kept = []
        for line in reversed(self.lines):
            name, _, text = line.removeprefix("const uint16_t ").partition(" = ")
            if name in needed:
                needed.update(_NAME.findall(text))
                kept.append(line)
        return kept[::-1]

    def load(self, name: str, ctype: str, text: str, bounds: Bounds) -> None:
        """Take an element of an array as the value of ``name``.

        Raises:
            NoLanesError: If it may have more than 32 bits.
        """
        if ctype == "int64_t" or computed(bounds) != "int32_t":
            raise NoLanesError
        low = self._word(text, name)
        high = ""
        if ctype == "int32_t" and not (fits(bounds, "int16_t") or is_short(bounds)):
            high = self._word(f"(uint32_t){text} >> 16", f"{name}_h")
        elif ctype == "uint16_t" and not fits(bounds, "int16_t"):
            high = "0"
        self.env[name] = Lane(low, high, bounds)

    def load_words(self, name: str, low: str, high: str, bounds: Bounds) -> None:
        """Take the words of a state as the value of ``name``; ``high`` is empty if it has one."""
        first = self._word(low, name)
        second = self._word(high, f"{name}_h") if high else ""
        self.env[name] = Lane(first, second, bounds, _SIGN if high else 0)

    def high(self, x: Lane) -> str:
        """The high word of a translated value as states have it, with 2**15 added."""
        if x.high:
            return _lifted(x.high, _SIGN - x.lift)
        if x.bounds[0] >= 0:
            return f"{_SIGN}u"
        sign = f"({x.low} != 0)" if is_only_short(x) else f"({x.low} >> 15)"
        return f"(uint16_t)({_SIGN} - {sign})"

    def _word(self, text: str, note: str) -> str:
        """A new variable."""
        self._count += 1
        name = f"w{self._count}_{names.slug(note)}"
        self.lines.append(f"const uint16_t {name} = (uint16_t)({text});")
        return name

    def _line(self, line: Line) -> Lane:
        if any(a not in self.env for a in line.args):
            raise NoLanesError
        args, bounds, note = [self.env[a] for a in line.args], proven(line), line.name
        if not fits(bounds, "int32_t"):
            raise NoLanesError
        match line.fn:
            case "add":
                return self._added(args[0], args[1], bounds, note)
            case "sub":
                return self._difference(args[0], args[1], bounds, note)
            case "neg":
                return self._difference(constant(0), args[0], bounds, note)
            case "shl":
                return self._raised(args[0], line.shift, bounds, note)
            case "copy":
                return args[0]
            case "select":
                term = self._term(line.args[1], line.args[2])
                if term and args[0].bounds[0] >= 0 and args[0].bounds[1] <= 1:
                    return self._added(args[2], self._masked(args[0], term, note), bounds, note)
                return self._chosen(args[0], args[1], args[2], bounds, note)
            case "ge" | "lt":
                return self._compared(args[0], args[1], line.fn == "ge", note)
            case "le" | "gt":
                return self._compared(args[1], args[0], line.fn == "le", note)
            case "and" | "or" | "not" if all(a.bounds[0] >= 0 and a.bounds[1] <= 1 for a in args):
                sign = {"and": "&", "or": "|", "not": "^"}[line.fn]
                text = f"{args[0].low} {sign} {args[1].low if len(args) > 1 else '1u'}"
                return Lane(self._word(text, note), "", (0, 1))
            case "maximum" | "minimum":
                first = self._compared(args[0], args[1], line.fn == "maximum", note)
                return self._chosen(first, args[0], args[1], bounds, note)
        raise NoLanesError

    def _term(self, total: str, name: str) -> Lane | None:
        """What was added to ``name`` for ``total``, if that sum is of no other use."""
        for line in self.kernel.body:
            if line.name != total or line.fn != "add" or name not in line.args:
                continue
            return self.env.get(line.args[1 - line.args.index(name)])
        return None

    def _masked(self, which: Lane, x: Lane, note: str) -> Lane:
        """``x`` where ``which`` is 1, else 0: cheaper than a choice of two sums."""
        mask = self._word(f"0 - {which.low}", f"{note}_m")
        low = self._word(f"{x.low} & {mask}", f"{note}_k")
        high = self._word(f"{self._plain(x, note)} & {mask}", f"{note}_kh") if x.high else ""
        return Lane(low, high, (min(0, x.bounds[0]), max(0, x.bounds[1])))

    def _plain(self, x: Lane, note: str) -> str:
        """The high word of a value itself, also of one that needs none."""
        if x.high:
            return self._word(_lifted(x.high, -x.lift), f"{note}_p") if x.lift else x.high
        if x.bounds[0] >= 0:
            return "0"
        if x.low[0].isdigit():
            return "65535"
        sign = f"({x.low} != 0)" if is_short(x.bounds) else f"({x.low} >> 15)"
        return self._word(f"0 - {sign}", f"{note}_sign")

    def _added(self, a: Lane, b: Lane, bounds: Bounds, note: str) -> Lane:
        if a.low[0].isdigit() or (b.high and not a.high):
            a, b = b, a
        low = self._word(f"{a.low} + {b.low}", note)
        if fits(bounds, "int16_t"):
            return Lane(low, "", bounds)
        high, lift = self._terms((a, b), note) if not is_negative(b) else self._terms((a,), note)
        if is_negative(b):  # the low words borrow where the sum is larger
            high, lift = f"{high} + ({low} <= {a.low})", lift + 1
        elif b.low != "0":
            high, lift = f"{high} - ({low} >= {b.low})", lift - 1
        return self._lane(low, high, lift, bounds, note)

    def _difference(self, a: Lane, b: Lane, bounds: Bounds, note: str) -> Lane:
        low = self._word(f"{a.low} - {b.low}", note)
        if fits(bounds, "int16_t"):
            return Lane(low, "", bounds)
        high, lift = self._borrowed(a, b, note)
        return self._lane(low, high, lift, bounds, note)

    def _terms(self, values: tuple[Lane, ...], note: str) -> tuple[str, int]:
        """The sum of high words and its lift."""
        texts = [x.high or self._plain(x, note) for x in values]
        return " + ".join(t for t in texts if t != "0") or "0", sum(x.lift for x in values)

    def _borrowed(self, a: Lane, b: Lane, note: str) -> tuple[str, int]:
        """The high word of ``a - b`` and its lift."""
        left, right = a.high or self._plain(a, note), b.high or self._plain(b, note)
        text = left if right == "0" else f"{left} - {right}"
        return f"{text} + ({a.low} >= {b.low})", a.lift - b.lift + 1

    def _lane(self, low: str, high: str, lift: int, bounds: Bounds, note: str) -> Lane:
        """A value of two words, with the lift of sums."""
        return Lane(low, self._word(_lifted(high, _SUM - lift), f"{note}_h"), bounds, _SUM)

    def _compared(self, a: Lane, b: Lane, at_least: bool, note: str) -> Lane:
        """``a >= b`` or ``a < b``: by the sign of the difference."""
        bounds = a.bounds[0] - b.bounds[1], a.bounds[1] - b.bounds[0]
        if not fits(bounds, "int32_t"):
            raise NoLanesError
        if fits(bounds, "int16_t"):
            sign = f"({self._word(f'{a.low} - {b.low}', f'{note}_d')} >> 15)"
            text = f"{sign} ^ 1u" if at_least else sign
        else:
            high, lift = self._borrowed(a, b, note)
            text = f"{self._word(_lifted(high, _SIGN - lift), f'{note}_d')} >> 15"
            text = text if at_least else f"({text}) ^ 1u"
        return Lane(self._word(text, note), "", (0, 1))

    def _chosen(self, which: Lane, a: Lane, b: Lane, bounds: Bounds, note: str) -> Lane:
        if which.high:
            raise NoLanesError
        low = self._word(f"({which.low} != 0u) ? {a.low} : {b.low}", note)
        if fits(bounds, "int16_t"):
            return Lane(low, "", bounds)
        if a.lift == b.lift and a.high and b.high:
            high = self._word(f"({which.low} != 0u) ? {a.high} : {b.high}", f"{note}_h")
            return Lane(low, high, bounds, a.lift)
        high = f"({which.low} != 0u) ? {self._plain(a, note)} : {self._plain(b, note)}"
        return Lane(low, self._word(high, f"{note}_h"), bounds)

    def _raised(self, x: Lane, shift: int, bounds: Bounds, note: str) -> Lane:
        """``x * 2**shift``."""
        if shift == 0:
            return x
        if shift > 15 or is_only_short(x):
            raise NoLanesError
        low = self._word(f"(uint32_t){x.low} << {shift}", note)
        if fits(bounds, "int16_t"):
            return Lane(low, "", bounds)
        if x.high:
            high = self._plain(x, note)
            text = f"((uint32_t){high} << {shift}) | ({x.low} >> {16 - shift})"
        elif x.bounds[0] >= 0:
            text = f"{x.low} >> {16 - shift}"
        else:  # of x + 2**15, which is not negative
            text = f"(({x.low} ^ {_SIGN}) >> {16 - shift}) - {1 << (shift - 1)}"
        return Lane(low, self._word(text, f"{note}_h"), bounds)

    def _shifted(self, line: Line, product: Line | None) -> Lane:
        """A rounding right shift, of a product or of a value."""
        shift, bounds, note = line.shift, proven(line), line.name
        if line.rounding == "half_even" or not fits(bounds, "int32_t"):
            raise NoLanesError
        if product is None:
            (name,) = line.args
            if name not in self.env or not 0 < shift < 16:
                raise NoLanesError
            x, factor, few = self.env[name], f"{1 << (16 - shift)}u", f"{1 << (16 - shift)}u"
        else:
            x, factor, few = self._factor(product, shift)
        if is_only_short(x):
            raise NoLanesError
        even = factor[0].isdigit() and int(factor.rstrip("u")) % 2 == 0
        if x.lift == _SIGN and even:
            return self._lifted_product(x, factor, few, line)
        top = self._plain(x, note) if x.high else x.low
        negative = "" if x.bounds[0] >= 0 else self._word(f"{top} >> 15", f"{note}_n")
        # The low half comes from another number that is equal modulo 65536: gcc would unpack the
        # whole product for both halves otherwise.
        low = self._word(f"{x.low} * {few}", f"{note}_l")
        over = _over(x.low, factor) + _carry(line.rounding, low, negative)
        if not x.high:  # the word of a negative number is 65536 more
            text = over
            if negative:
                text += f" - (uint16_t)(({negative} != 0u) ? {factor} : 0u)"
            return Lane(self._word(text, note), "", bounds)
        rest = self._word(over, f"{note}_r")
        total = self._word(f"{self._word(f'{top} * {few}', f'{note}_q')} + {rest}", note)
        if fits(bounds, "int16_t"):
            return Lane(total, "", bounds)
        text = f"{_over(top, factor)} + 1 - ({total} >= {rest})"
        if negative:
            text += f" - (uint16_t)(({negative} != 0u) ? {factor} : 0u)"
        return Lane(total, self._word(text, f"{note}_h"), bounds)

    def _lifted_product(self, x: Lane, factor: str, few: str, line: Line) -> Lane:
        """A shifted product of a value with 2**31 added: 2**15 A more, which is A / 2 words."""
        note, bounds = line.name, proven(line)
        low = self._word(f"{x.low} * {few}", f"{note}_l")
        if line.rounding == "half_away" and x.bounds[0] < 0:
            # a half of a negative number goes down; low is even, as A is
            carry = f" + ((({low} >> 1) + {_SIGN // 2 - 1} + ({x.high} >> 15)) >> 15)"
        else:
            negative = "" if x.bounds[0] >= 0 else f"(1 - ({x.high} >> 15))"
            carry = _carry(line.rounding, low, negative)
        rest = self._word(_over(x.low, factor) + carry, f"{note}_r")
        total = self._word(f"{self._word(f'{x.high} * {few}', f'{note}_q')} + {rest}", note)
        if fits(bounds, "int16_t"):
            return Lane(total, "", bounds)
        high = self._word(f"{_over(x.high, factor)} - ({total} >= {rest})", f"{note}_h")
        return Lane(total, high, bounds, int(factor.rstrip("u")) // 2 - 1)

    def _factor(self, product: Line, shift: int) -> tuple[Lane, str, str]:
        """The variable operand, and A twice: as it is, and for the low half."""
        constants = {c.name: c for c in self.kernel.consts if c.index is None}
        for name, other in (product.args, product.args[::-1]):
            if name not in constants or other not in self.env or other in constants:
                continue
            data = constants[name].values.data
            lo, hi = int(data.min()), int(data.max())
            if lo < 0 or hi >= 1 << shift or not 0 < shift <= 16:
                continue
            if lo == hi:
                scaled = lo << (16 - shift)
                # neither product wraps around
                few = f"{scaled}u" if scaled < _SIGN else f"({scaled - 65536})"
                return self.env[other], f"{scaled}u", few
            text = self.factors[name]
            factor = self._word(f"(uint32_t){text} << {16 - shift}", name)
            return self.env[other], factor, f"(uint32_t){factor}"
        raise NoLanesError


def _carry(rounding: str, low: str, negative: str) -> str:
    """What the rounding adds to the high half, of which ``low`` is the rest."""
    if rounding == "half_up" or (rounding == "half_away" and not negative):
        return f" + ({low} >> 15)"
    if rounding == "half_away":  # a half of a negative number goes down
        return f" + ({low} > (uint16_t)({_SIGN - 1}u + {negative}))"
    if rounding == "trunc" and negative:
        return f" + ({negative} & ({low} != 0u))"
    return ""


def _over(word: str, factor: str) -> str:
    """The high half of a product of words."""
    return f"(uint16_t)(((uint32_t){word} * {factor}) >> 16)"


def _lifted(text: str, lift: int) -> str:
    """An expression of a word and a constant, modulo 2**16.

    >>> _lifted("h", 32767 - 5), _lifted("h", -1), _lifted("h", 65536)
    ('h + 32762', 'h - 1', 'h')
    """
    lift = (lift + _SIGN) % (2 * _SIGN) - _SIGN
    if lift == 0:
        return text
    return f"{text} + {lift}" if lift > 0 else f"{text} - {-lift}"
