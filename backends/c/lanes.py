"""Neuron kernels in words of 16 bits, for vector units: twice as many neurons per vector.

A value is kept modulo 2**16 if its proven interval fits an int16, else as a pair of a low and a
high word, in two's complement.  Additions carry, comparisons look at the sign of a difference, and
a decay ``rsh(x * a, n)`` is a sum of products of 16 by 16 bits: with ``A = a * 2**(16-n)`` and
``x = 65536 h + l``,

    floor((x A + r) / 65536) = h A + floor((l A + r) / 65536)

where r says how to round (see ``_carry``).  Vector units of every kind have both halves of such
products, while products of 32 bits are slow or missing (SSE2).  Scalar processors are better
served by ``kernel``; the emitted file has both and ``SNN_LANES`` chooses.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from snnc.backends.c import names
from snnc.backends.c.kernel import live_lines, proven
from snnc.backends.c.words import Bounds, computed, fits
from snnc.kernel import Kernel, Line

_SIGN = 32768
_NAME = re.compile(r"\bw\d+_\w+")


class NoLanesError(Exception):
    """The kernel has values of more than 32 bits, or an operation that lanes lack."""


@dataclass(frozen=True, slots=True)
class Lane:
    """C expressions, free of side effects, of a value's words; ``high`` is empty for one word."""

    low: str
    high: str
    bounds: Bounds

    @property
    def top(self) -> str:
        """The word with the sign."""
        return self.high or self.low

    @property
    def is_narrow(self) -> bool:
        """Whether one word holds the value."""
        return fits(self.bounds, "int16_t")


def constant(value: int) -> Lane:
    """A number as words."""
    high = "" if fits((value, value), "int16_t") else f"{(value >> 16) & 65535}"
    return Lane(f"{value & 65535}", high, (value, value))


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
        self._sums: dict[tuple[str, str], Lane] = {}
        self._negated = _negated(self.kernel)

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
        if ctype == "int32_t" and not fits(bounds, "int16_t"):
            high = self._word(f"(uint32_t){text} >> 16", f"{name}_h")
        elif ctype == "uint16_t" and not fits(bounds, "int16_t"):
            high = "0"
        self.env[name] = Lane(low, high, bounds)

    def load_words(self, name: str, low: str, high: str, bounds: Bounds) -> None:
        """Take the words of a state as the value of ``name``; ``high`` is empty if it has one."""
        first = self._word(low, name)
        self.env[name] = Lane(first, self._word(high, f"{name}_h") if high else "", bounds)

    def high(self, x: Lane) -> str:
        """The high word of a value that has been translated."""
        if x.high or x.bounds[0] >= 0:
            return x.high or "0"
        return f"(uint16_t)(0 - ({x.low} >> 15))"

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
                return self._sum(line.args[0], line.args[1], bounds, note)
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
                return self._compared(line.args[0], line.args[1], line.fn == "ge", note)
            case "le" | "gt":
                return self._compared(line.args[1], line.args[0], line.fn == "le", note)
            case "and" | "or" | "not" if all(a.bounds[0] >= 0 and a.bounds[1] <= 1 for a in args):
                sign = {"and": "&", "or": "|", "not": "^"}[line.fn]
                text = f"{args[0].low} {sign} {args[1].low if len(args) > 1 else '1u'}"
                return Lane(self._word(text, note), "", (0, 1))
            case "maximum" | "minimum":
                first = self._compared(line.args[0], line.args[1], line.fn == "maximum", note)
                return self._chosen(first, args[0], args[1], bounds, note)
        raise NoLanesError

    def _term(self, total: str, name: str) -> Lane | None:
        """What was added to ``name`` for ``total``, if that sum is of no other use."""
        for line in self.kernel.body:
            if line.name != total or line.fn != "add" or name not in line.args:
                continue
            other = line.args[1 - line.args.index(name)]
            if line.args in self._sums or line.args[::-1] in self._sums:
                return None
            return self.env.get(other)
        return None

    def _masked(self, which: Lane, x: Lane, note: str) -> Lane:
        """``x`` where ``which`` is 1, else 0: cheaper than a choice of two sums."""
        mask = self._word(f"0 - {which.low}", f"{note}_m")
        low = self._word(f"{x.low} & {mask}", f"{note}_k")
        high = self._word(f"{x.high} & {mask}", f"{note}_kh") if x.high else ""
        return Lane(low, high, (min(0, x.bounds[0]), max(0, x.bounds[1])))

    def _high(self, x: Lane, note: str) -> str:
        """The high word of a value, also of one that needs none."""
        if x.high:
            return x.high
        if x.bounds[0] >= 0:
            return "0"
        if x.low[0].isdigit():
            return "65535"
        return self._word(f"0 - ({x.low} >> 15)", f"{note}_sign")

    def _sum(self, left: str, right: str, bounds: Bounds, note: str) -> Lane:
        """``left + right``; a sum that a comparison has made is used again."""
        for key in ((left, right), (right, left)):
            if key in self._sums:
                found = self._sums[key]
                return Lane(found.low, "" if fits(bounds, "int16_t") else found.high, bounds)
        return self._added(self.env[left], self.env[right], bounds, note)

    def _added(self, a: Lane, b: Lane, bounds: Bounds, note: str) -> Lane:
        if a.low[0].isdigit():
            a, b = b, a
        low = self._word(f"{a.low} + {b.low}", note)
        if fits(bounds, "int16_t"):
            return Lane(low, "", bounds)
        high = [h for h in (self._high(a, note), self._high(b, note)) if h != "0"]
        if b.low != "0":
            high.append(f"({low} < {b.low})")
        return Lane(low, self._word(" + ".join(high), f"{note}_h"), bounds)

    def _difference(self, a: Lane, b: Lane, bounds: Bounds, note: str) -> Lane:
        low = self._word(f"{a.low} - {b.low}", note)
        if fits(bounds, "int16_t"):
            return Lane(low, "", bounds)
        text = f"{self._high(a, note)} - {self._high(b, note)} - ({a.low} < {b.low})"
        return Lane(low, self._word(text, f"{note}_h"), bounds)

    def _compared(self, left: str, right: str, at_least: bool, note: str) -> Lane:
        """``left >= right`` or ``left < right``: by the sign of the difference."""
        a, b = self.env[left], self.env[right]
        bounds = a.bounds[0] - b.bounds[1], a.bounds[1] - b.bounds[0]
        if not fits(bounds, "int32_t"):
            raise NoLanesError
        if right in self._negated:
            key = (left, self._negated[right])
            if key not in self._sums:
                self._sums[key] = self._added(a, self.env[key[1]], bounds, key[1])
            d = self._sums[key]
        else:
            d = self._difference(a, b, bounds, f"{note}_d")
        text = f"({d.top} >> 15) ^ 1u" if at_least else f"{d.top} >> 15"
        return Lane(self._word(text, note), "", (0, 1))

    def _chosen(self, which: Lane, a: Lane, b: Lane, bounds: Bounds, note: str) -> Lane:
        if which.high:
            raise NoLanesError
        low = self._word(f"({which.low} != 0u) ? {a.low} : {b.low}", note)
        if fits(bounds, "int16_t"):
            return Lane(low, "", bounds)
        high = f"({which.low} != 0u) ? {self._high(a, note)} : {self._high(b, note)}"
        return Lane(low, self._word(high, f"{note}_h"), bounds)

    def _raised(self, x: Lane, shift: int, bounds: Bounds, note: str) -> Lane:
        """``x * 2**shift``."""
        if shift == 0:
            return x
        if shift > 15:
            raise NoLanesError
        low = self._word(f"(uint32_t){x.low} << {shift}", note)
        if fits(bounds, "int16_t"):
            return Lane(low, "", bounds)
        if x.high:
            text = f"((uint32_t){x.high} << {shift}) | ({x.low} >> {16 - shift})"
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
        negative = "" if x.bounds[0] >= 0 else self._word(f"{x.top} >> 15", f"{note}_n")
        # The low half comes from another number that is equal modulo 65536: gcc would unpack the
        # whole product for both halves otherwise.
        low = self._word(f"{x.low} * {few}", f"{note}_l")
        carry = _carry(line.rounding, low, negative)
        over = f"(uint16_t)(((uint32_t){x.low} * {factor}) >> 16)"
        if not x.high:  # the word of a negative number is 65536 more
            text = (
                over
                + carry
                + (f" - (uint16_t)(({negative} != 0u) ? {factor} : 0u)" if negative else "")
            )
            return Lane(self._word(text, note), "", bounds)
        rest = self._word(over + carry, f"{note}_r")
        whole = self._word(f"{x.high} * {few}", f"{note}_q")
        total = self._word(f"{whole} + {rest}", note)
        if fits(bounds, "int16_t"):
            return Lane(total, "", bounds)
        text = f"(uint16_t)(((uint32_t){x.high} * {factor}) >> 16) + ({total} < {rest})"
        if negative:
            text += f" - (uint16_t)(({negative} != 0u) ? {factor} : 0u)"
        return Lane(total, self._word(text, f"{note}_h"), bounds)

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


def _negated(kernel: Kernel) -> dict[str, str]:
    """For a constant that is read, another one of the opposite sign, if there is one."""
    plain = {c.name: c.values.data for c in kernel.consts if c.index is None}
    return {
        name: other
        for name, data in plain.items()
        for other, values in plain.items()
        if data.shape == values.shape and bool((data == -values).all())
    }
