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
from itertools import permutations

from snnc.backends.c import names
from snnc.backends.c.kernel import live_lines, proven
from snnc.backends.c.lane import (
    SIGN,
    Lane,
    NoLanesError,
    carry,
    constant,
    is_negative,
    is_only_short,
    is_short,
    lifted,
    over,
)
from snnc.backends.c.lane_sums import Raised, joined
from snnc.backends.c.words import Bounds, computed, fits
from snnc.kernel import Kernel, Line

#: Lift of sums: that of a difference, which is 1 more, then has its sign in the highest bit.
_SUM = SIGN - 1
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
        self._sum = _SUM
        self._shifted_inputs: dict[str, Raised] = {}
        self._sums: dict[str, tuple[Lane, Raised]] = {}
        self._uses: Counter[str] = Counter()
        self._below: dict[str, tuple[Lane, Lane]] = {}

    def translate(self) -> None:
        """Translate all live lines.

        Raises:
            NoLanesError: If one of them has no translation.
        """
        lines = live_lines(self.kernel)
        uses = Counter([*self.kernel.outputs, *(s.next for s in self.kernel.states)])
        uses.update(a for line in lines for a in line.args)
        self._uses = uses
        products: dict[str, Line] = {}
        compared = [line.args[1] for line in lines if line.fn in ("ge", "lt")]
        if compared and all(a in self.env and self.env[a].low.isdigit() for a in compared):
            self._sum = SIGN  # nothing is added to compare with a number (``_borrowed``)
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
        low = self.word(text, name)
        high = ""
        if ctype == "int32_t" and not (fits(bounds, "int16_t") or is_short(bounds)):
            high = self.word(f"(uint32_t){text} >> 16", f"{name}_h")
        elif ctype == "uint16_t" and not fits(bounds, "int16_t"):
            high = "0"
        self.env[name] = Lane(low, high, bounds)

    def load_words(self, name: str, low: str, high: str, bounds: Bounds) -> None:
        """Take the words of a state as the value of ``name``; ``high`` is empty if it has one."""
        first = self.word(low, name)
        second = self.word(high, f"{name}_h") if high else ""
        self.env[name] = Lane(first, second, bounds, SIGN if high else 0)

    def high(self, x: Lane) -> str:
        """The high word of a translated value as states have it, with 2**15 added."""
        if x.high:
            return lifted(x.high, SIGN - x.lift)
        if x.bounds[0] >= 0:
            return f"{SIGN}u"
        sign = f"({x.low} != 0)" if is_only_short(x) else f"({x.low} >> 15)"
        return f"(uint16_t)({SIGN} - {sign})"

    def word(self, text: str, note: str) -> str:
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
                return self._sum_of(line, args, bounds)
            case "sub":
                return self._difference(args[0], args[1], bounds, note)
            case "neg":
                return self._difference(constant(0), args[0], bounds, note)
            case "shl":
                if not args[0].high:
                    self._shifted_inputs[note] = Raised(args[0], line.shift)
                return self.raised(args[0], line.shift, bounds, note)
            case "copy":
                return args[0]
            case "select":
                term = self._term(line.args[1], line.args[2])
                if term and args[0].bounds[0] >= 0 and args[0].bounds[1] <= 1:
                    if self._below.get(args[0].low) == (args[2], constant(-term.bounds[0])):
                        return self._reset(args[0], args[2], term, bounds, note)
                    return self._added(args[2], self._masked(args[0], term, note), bounds, note)
                return self._chosen(args[0], args[1], args[2], bounds, note)
            case "ge" | "lt":
                return self._compared(args[0], args[1], line.fn == "ge", note)
            case "le" | "gt":
                return self._compared(args[1], args[0], line.fn == "le", note)
            case "and" | "or" | "not" if all(a.bounds[0] >= 0 and a.bounds[1] <= 1 for a in args):
                sign = {"and": "&", "or": "|", "not": "^"}[line.fn]
                text = f"{args[0].low} {sign} {args[1].low if len(args) > 1 else '1u'}"
                return Lane(self.word(text, note), "", (0, 1))
            case "maximum" | "minimum":
                first = self._compared(args[0], args[1], line.fn == "maximum", note)
                return self._chosen(first, args[0], args[1], bounds, note)
        raise NoLanesError

    def _sum_of(self, line: Line, args: list[Lane], bounds: Bounds) -> Lane:
        """A sum; two narrow inputs that are added to a wide value are added to each other first."""
        for (name, _), (other, value) in permutations(zip(line.args, args, strict=True)):
            term = self._shifted_inputs.get(name)
            if term is None or not value.high:
                continue
            if other in self._sums:
                value, first = self._sums[other]
                joint = joined(self, first, term, line.name)
                if joint is not None:
                    return self._added(value, joint, bounds, line.name)
            if self._uses[line.name] == 1:
                self._sums[line.name] = value, term
        return self._added(args[0], args[1], bounds, line.name)

    def _reset(self, spike: Lane, x: Lane, less: Lane, bounds: Bounds, note: str) -> Lane:
        """``x`` less the number it was compared with, where it is not below that number."""
        mask = self.word(f"0 - {spike.low}", f"{note}_m")
        low = self.word(f"{x.low} + {self.word(f'{less.low} & {mask}', f'{note}_k')}", note)
        if fits(bounds, "int16_t"):
            return Lane(low, "", bounds)
        number = -less.bounds[0]
        high = f"{x.high} - (({x.low} <= {number % 65536 - 1}) & {spike.low})"
        if number >> 16:
            high += f" - ({number >> 16} & {mask})"
        return Lane(low, self.word(high, f"{note}_h"), bounds, x.lift)

    def _term(self, total: str, name: str) -> Lane | None:
        """What was added to ``name`` for ``total``, if that sum is of no other use."""
        for line in self.kernel.body:
            if line.name != total or line.fn != "add" or name not in line.args:
                continue
            return self.env.get(line.args[1 - line.args.index(name)])
        return None

    def _masked(self, which: Lane, x: Lane, note: str) -> Lane:
        """``x`` where ``which`` is 1, else 0: cheaper than a choice of two sums."""
        mask = self.word(f"0 - {which.low}", f"{note}_m")
        low = self.word(f"{x.low} & {mask}", f"{note}_k")
        high = self.word(f"{self._plain(x, note)} & {mask}", f"{note}_kh") if x.high else ""
        return Lane(low, high, (min(0, x.bounds[0]), max(0, x.bounds[1])))

    def _plain(self, x: Lane, note: str) -> str:
        """The high word of a value itself, also of one that needs none."""
        if x.high:
            return self.word(lifted(x.high, -x.lift), f"{note}_p") if x.lift else x.high
        if x.bounds[0] >= 0:
            return "0"
        if x.low[0].isdigit():
            return "65535"
        sign = f"({x.low} != 0)" if is_short(x.bounds) else f"({x.low} >> 15)"
        return self.word(f"0 - {sign}", f"{note}_sign")

    def _added(self, a: Lane, b: Lane, bounds: Bounds, note: str) -> Lane:
        if a.low[0].isdigit() or (b.high and not a.high):
            a, b = b, a
        low = self.word(f"{a.low} + {b.low}", note)
        if fits(bounds, "int16_t"):
            return Lane(low, "", bounds)
        high, lift = self._terms((a, b), note) if not is_negative(b) else self._terms((a,), note)
        if is_negative(b):  # the low words borrow where the sum is larger
            high, lift = f"{high} + ({low} <= {a.low})", lift + 1
        elif b.low != "0":
            high, lift = f"{high} - ({low} >= {b.low})", lift - 1
        return self._lane(low, high, lift, bounds, note)

    def _difference(self, a: Lane, b: Lane, bounds: Bounds, note: str) -> Lane:
        low = self.word(f"{a.low} - {b.low}", note)
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
        text, lift = left if right == "0" else f"{left} - {right}", a.lift - b.lift
        if b.low == "0":
            return text, lift
        if b.low.isdigit():  # one comparison; vectors have two for the other way around
            return f"{text} - ({a.low} <= {int(b.low) - 1})", lift
        return f"{text} + ({a.low} >= {b.low})", lift + 1

    def _lane(self, low: str, high: str, lift: int, bounds: Bounds, note: str) -> Lane:
        """A value of two words, with the lift of sums."""
        return Lane(low, self.word(lifted(high, self._sum - lift), f"{note}_h"), bounds, self._sum)

    def _compared(self, a: Lane, b: Lane, at_least: bool, note: str) -> Lane:
        """``a >= b`` or ``a < b``: by the sign of the difference."""
        bounds = a.bounds[0] - b.bounds[1], a.bounds[1] - b.bounds[0]
        if not fits(bounds, "int32_t"):
            raise NoLanesError
        if fits(bounds, "int16_t"):
            sign = f"({self.word(f'{a.low} - {b.low}', f'{note}_d')} >> 15)"
            text = f"{sign} ^ 1u" if at_least else sign
        else:
            high, lift = self._borrowed(a, b, note)
            text = f"{self.word(lifted(high, SIGN - lift), f'{note}_d')} >> 15"
            text = text if at_least else f"({text}) ^ 1u"
            found = self.word(text, note)
            if at_least and b.low.isdigit() and b.low != "0":
                self._below[found] = a, b
            return Lane(found, "", (0, 1))
        return Lane(self.word(text, note), "", (0, 1))

    def _chosen(self, which: Lane, a: Lane, b: Lane, bounds: Bounds, note: str) -> Lane:
        if which.high:
            raise NoLanesError
        low = self.word(f"({which.low} != 0u) ? {a.low} : {b.low}", note)
        if fits(bounds, "int16_t"):
            return Lane(low, "", bounds)
        if a.lift == b.lift and a.high and b.high:
            high = self.word(f"({which.low} != 0u) ? {a.high} : {b.high}", f"{note}_h")
            return Lane(low, high, bounds, a.lift)
        high = f"({which.low} != 0u) ? {self._plain(a, note)} : {self._plain(b, note)}"
        return Lane(low, self.word(high, f"{note}_h"), bounds)

    def raised(self, x: Lane, shift: int, bounds: Bounds, note: str) -> Lane:
        """``x * 2**shift``."""
        if shift == 0:
            return x
        if shift > 15 or is_only_short(x):
            raise NoLanesError
        low = self.word(f"(uint32_t){x.low} << {shift}", note)
        if fits(bounds, "int16_t"):
            return Lane(low, "", bounds)
        if x.high:
            high = self._plain(x, note)
            text = f"((uint32_t){high} << {shift}) | ({x.low} >> {16 - shift})"
        elif x.bounds[0] >= 0:
            text = f"{x.low} >> {16 - shift}"
        else:
            text = f"SNN_FLOOR({x.low}, {16 - shift})"
        return Lane(low, self.word(text, f"{note}_h"), bounds)

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
        if x.lift == SIGN and even:
            return self._lifted_product(x, factor, few, line)
        top = self._plain(x, note) if x.high else x.low
        negative = "" if x.bounds[0] >= 0 else self.word(f"{top} >> 15", f"{note}_n")
        # The low half comes from another number that is equal modulo 65536: gcc would unpack the
        # whole product for both halves otherwise.
        low = self.word(f"{x.low} * {few}", f"{note}_l")
        rounded = over(x.low, factor) + carry(line.rounding, low, negative)
        if not x.high:  # the word of a negative number is 65536 more
            text = rounded
            if negative:
                text += f" - (uint16_t)(({negative} != 0u) ? {factor} : 0u)"
            return Lane(self.word(text, note), "", bounds)
        rest = self.word(rounded, f"{note}_r")
        total = self.word(f"{self.word(f'{top} * {few}', f'{note}_q')} + {rest}", note)
        if fits(bounds, "int16_t"):
            return Lane(total, "", bounds)
        text = f"{over(top, factor)} + 1 - ({total} >= {rest})"
        if negative:
            text += f" - (uint16_t)(({negative} != 0u) ? {factor} : 0u)"
        return Lane(total, self.word(text, f"{note}_h"), bounds)

    def _lifted_product(self, x: Lane, factor: str, few: str, line: Line) -> Lane:
        """A shifted product of a value with 2**31 added: 2**15 A more, which is A / 2 words."""
        note, bounds = line.name, proven(line)
        low = self.word(f"{x.low} * {few}", f"{note}_l")
        if line.rounding == "half_away" and x.bounds[0] < 0:
            # a half of a negative number goes down; a mean of two is an operation of vectors
            half = self.word(f"({x.high} >> 15) + {SIGN - 2}", f"{note}_m")
            mean = self.word(f"({low} + {half} + 1) >> 1", f"{note}_c")
            up = f" + ({mean} >> 15)"
        else:
            negative = "" if x.bounds[0] >= 0 else f"(1 - ({x.high} >> 15))"
            up = carry(line.rounding, low, negative)
        rest = self.word(over(x.low, factor) + up, f"{note}_r")
        total = self.word(f"{self.word(f'{x.high} * {few}', f'{note}_q')} + {rest}", note)
        if fits(bounds, "int16_t"):
            return Lane(total, "", bounds)
        high = self.word(f"{over(x.high, factor)} - ({total} >= {rest})", f"{note}_h")
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
                few = f"{scaled}u" if scaled < SIGN else f"({scaled - 65536})"
                return self.env[other], f"{scaled}u", few
            text = self.factors[name]
            factor = self.word(f"(uint32_t){text} << {16 - shift}", name)
            return self.env[other], factor, f"(uint32_t){factor}"
        raise NoLanesError
