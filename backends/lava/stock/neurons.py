"""Which integer neurons lava-nc's ``LIF`` computes, word for word.

In a step, after ``a`` arrived (``proc/lif/models.py`` of lava-nc 0.10.0)::

    u = wrap24(rz(u, du + 1) + (a << 6))      rz(x, d) = trunc(x * (4096 - d) / 4096)
    v = clip(rz(v, dv) + u + bias)            clip: to +-(2**23 - 1)
    s = v > (vth << 6);  v = 0 where s
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.backends.lava.stock.matrix import Ints
from snnc.intops import IntNeuron
from snnc.kernel import Kernel, Line

#: Decays are fractions of FULL; a voltage is at most TOP, a threshold mantissa LARGEST_THRESHOLD.
FULL, TOP, LARGEST_THRESHOLD = 4096, (1 << 23) - 1, (1 << 17) - 1
#: Currents are above -HALF and up to HALF.
HALF = 1 << 23
LARGEST_BIAS, LARGEST_EXPONENT = (1 << 12) - 1, 7

ZERO: Ints = np.array(0, np.int64)
ONE: Ints = np.array(1, np.int64)


class NotStockError(Exception):
    """No stock process computes this; the message says why, ``nearest`` what one would."""

    def __init__(self, why: str, nearest: str) -> None:
        super().__init__(why)
        self.nearest = nearest


@dataclass(frozen=True)
class Lif:
    """A population as LIF computes it; arrays have one number per neuron.

    Attributes:
        gains: What the inputs are multiplied with on their way to the current.
        offset: What the kernel adds to the current itself.
        current: Share of the current that is kept, of 4096; None if nothing is.
        voltage: The same of the voltage.
        bias: Added to the voltage.
        theta: It fires above this voltage; None: never.
        wraps: Whether the current is brought to 24 bits.
        words: Names of the words: state or output -> ``u``, ``v`` or ``s``.
    """

    gains: dict[str, Ints]
    offset: Ints
    current: Ints | None
    voltage: Ints
    bias: Ints
    theta: Ints | None
    wraps: bool
    words: dict[str, str]


@dataclass(frozen=True)
class _Terms:
    """``sum of coefs[name] * name + const``; names are atoms of the kernel."""

    coefs: dict[str, Ints]
    const: Ints

    def plus(self, other: _Terms, sign: int = 1) -> _Terms:
        coefs = dict(self.coefs)
        for name, c in other.coefs.items():
            coefs[name] = coefs.get(name, ZERO) + sign * c
        return _Terms(coefs, self.const + sign * other.const)

    def times(self, factor: Ints) -> _Terms:
        return _Terms({n: c * factor for n, c in self.coefs.items()}, self.const * factor)


def recognise(op: IntNeuron) -> Lif:
    """The parameters of a neuron.

    Raises:
        NotStockError: If LIF computes something else.
    """
    return _Match(op).lif()


class _Match:
    def __init__(self, op: IntNeuron) -> None:
        self.kernel: Kernel = op.kernel
        self.shape = op.shape
        self.lines: dict[str, Line] = {line.name: line for line in self.kernel.body}
        self.states = {s.name: s for s in self.kernel.states}
        self.consts: dict[str, Ints] = {}
        for c in self.kernel.consts:
            values = c.values.data.astype(np.int64)
            self.consts[c.name] = values if c.index is None else values[c.index.data]

    def lif(self) -> Lif:
        if any(s.init.data.any() for s in self.kernel.states):
            raise NotStockError("a state does not start at 0", "states that start at 0")
        if len(self.kernel.outputs) != 1:
            raise NotStockError("it has several outputs", "one output")
        output = self._copied(self.kernel.outputs[0])
        if (line := self.lines.get(output)) is None:
            raise NotStockError(f"its output is {output}, as it was", "an output that is computed")
        theta, voltage, strict = None, output, True
        if line.fn in ("gt", "ge", "lt", "le"):
            voltage, theta, strict = self._compared(line)
        v_state = self._state_of(voltage, output if theta is not None else None)
        total = self._expanded(self._unclipped(voltage))
        keep = self._keeps(total, v_state)
        rest = {n: c for n, c in total.coefs.items() if n not in (v_state, f"rz {v_state}")}
        words = {v_state: "v", self.kernel.outputs[0]: "s" if theta is not None else "v"}
        u_states = [s for s in self.states if s != v_state]
        if not u_states:
            found = self._driven(rest)
            lif = Lif(
                found[0], found[1], None, keep, self._full(total.const), theta, found[2], words
            )
        else:
            lif = self._with_current(rest, total, keep, u_states, theta, words)
        return lif if theta is None else self._on_grid(lif, strict)

    # -- parts of the kernel ---------------------------------------------------------------------

    def _compared(self, line: Line) -> tuple[str, Ints, bool]:
        """The voltage, the threshold, and whether it fires above it only."""
        a, b = line.args
        if a in self.consts:
            a, b = b, a
        if b not in self.consts or (line.fn in ("gt", "ge")) != (line.args[0] == a):
            raise NotStockError(f"it fires where {line}", "a constant threshold from below")
        return self._copied(a), self._full(self.consts[b]), line.fn in ("gt", "lt")

    def _state_of(self, voltage: str, spike: str | None) -> str:
        """The state that holds the voltage, set to zero by a spike."""
        for state in self.states.values():
            after = self._copied(state.next)
            if spike is None and after == voltage:
                return state.name
            line = self.lines.get(after)
            if spike is None or line is None or line.fn != "select":
                continue
            cond, yes, no = map(self._copied, line.args)
            if cond == spike and no == voltage and yes in self.consts:
                if self.consts[yes].any():
                    raise NotStockError("a spike resets it to a value", "a reset to zero")
                return state.name
        for state in self.states.values():
            line = self.lines.get(self._copied(state.next))
            if spike is not None and line is not None and spike in line.args:
                why = f"a spike does not set {state.name} to zero"
                raise NotStockError(why, "train with a reset to zero")
        names = ", ".join(self.states) or "none"
        raise NotStockError(f"its states ({names}) hold no voltage that it compares", "LIF or CUBA")

    def _unclipped(self, name: str) -> str:
        """What is clipped to the range of a voltage; clips that are proven idle may be missing."""
        sides = {"minimum": TOP, "maximum": -TOP}
        wanted = dict(sides)
        line = self.lines.get(name)
        top = line
        while line is not None and line.fn in sides:
            const = [a for a in line.args if a in self.consts]
            if len(const) != 1 or (self.consts[const[0]] != sides[line.fn]).any():
                raise NotStockError(f"it clips: {line}", "voltages clipped to 24 bits")
            wanted.pop(line.fn, None)
            (name,) = (self._copied(a) for a in line.args if a not in const)
            line = self.lines.get(name)
        high = "minimum" in wanted and (top is None or top.hi is None or top.hi > TOP)
        low = "maximum" in wanted and (top is None or top.lo is None or top.lo < -TOP)
        if high or low:
            raise NotStockError("its voltage leaves 24 bits", "--profile loihi")
        return name

    def _keeps(self, total: _Terms, state: str) -> Ints:
        """The share of a state that is kept, of 4096."""
        plain, rounded = total.coefs.get(state), total.coefs.get(f"rz {state}")
        if plain is not None and rounded is None and (plain == 1).all():
            return self._full(FULL * ONE)
        if rounded is not None and plain is None and (rounded == 1).all():
            return self._full(self._shares[state])
        if plain is None and rounded is None:
            return self._full(ZERO)
        raise NotStockError(f"{state} does not decay by a share of 4096", "--profile loihi")

    def _with_current(
        self,
        rest: dict[str, Ints],
        total: _Terms,
        keep: Ints,
        states: list[str],
        theta: Ints | None,
        words: dict[str, str],
    ) -> Lif:
        if len(states) != 1 or len(rest) != 1:
            names = ", ".join(self.states)
            raise NotStockError(f"its states {names} are no current and voltage", "LIF or CUBA")
        (state,), ((current, gain),) = states, rest.items()
        if self._copied(self.states[state].next) != current or (gain != 1).any():
            why = f"its voltage does not add the new current {state} as it is"
            raise NotStockError(why, "a voltage that adds the new current")
        wraps, inner = self._unwrapped(current)
        terms = self._expanded(inner)
        share = self._keeps(terms, state)
        drive = {n: c for n, c in terms.coefs.items() if n not in (state, f"rz {state}")}
        if set(drive) - set(self.kernel.inputs):
            raise NotStockError(f"its current reads {sorted(drive)}", "a current of inputs alone")
        kept = self.states[state]
        if not wraps and (kept.lo is None or kept.hi is None or kept.lo <= -HALF or kept.hi > HALF):
            raise NotStockError("its current leaves 24 bits", "--profile loihi")
        gains = {n: self._full(c) for n, c in drive.items()}
        offset = self._full(terms.const)
        bias = self._full(total.const)
        return Lif(gains, offset, share, keep, bias, theta, wraps, words | {state: "u"})

    def _driven(self, rest: dict[str, Ints]) -> tuple[dict[str, Ints], Ints, bool]:
        """Gains of the inputs of a neuron without a current that stays."""
        zero = np.zeros(int(np.prod(self.shape)), np.int64)
        if set(rest) <= set(self.kernel.inputs):
            return {n: self._full(c) for n, c in rest.items()}, zero, False
        if len(rest) == 1:
            ((name, gain),) = rest.items()
            wraps, inner = self._unwrapped(name)
            terms = self._expanded(inner)
            if wraps and (gain == 1).all() and set(terms.coefs) <= set(self.kernel.inputs):
                gains = {n: self._full(c) for n, c in terms.coefs.items()}
                return gains, self._full(terms.const), True
        raise NotStockError(f"its voltage reads {', '.join(sorted(rest))}", "LIF or CUBA")

    def _unwrapped(self, name: str) -> tuple[bool, str]:
        line = self.lines.get(name)
        if line is None or line.fn != "wrap":
            return False, name
        if line.shift != 24:
            raise NotStockError(f"its current wraps at {line.shift} bits", "24 bits")
        return True, self._copied(line.args[0])

    @staticmethod
    def _on_grid(lif: Lif, strict: bool) -> Lif:
        """The same with a threshold that is a multiple of 64, above which it fires."""
        assert lif.theta is not None, "a neuron that fires"
        below = lif.theta if strict else lif.theta - 1
        whole = lif.current is None and (lif.voltage == FULL).all() and not lif.wraps
        parts = [*lif.gains.values(), lif.offset, lif.bias]
        if whole and not any((x % 64).any() for x in parts):
            below = below // 64 * 64  # all voltages are multiples of 64
        if (below % 64).any():
            first = int(lif.theta[np.argmax(below % 64 != 0)])
            how = f"above {first}" if strict else f"at {first} already"
            why = f"it fires {how}, LIF above multiples of 64 only"
            raise NotStockError(why, "a comparison with >, and thresholds of --profile loihi")
        if (below < 0).any() or (below > 64 * LARGEST_THRESHOLD).any():
            raise NotStockError("its threshold does not fit 17 bits", "a smaller threshold")
        return Lif(**{**lif.__dict__, "theta": below})

    # -- lines -----------------------------------------------------------------------------------

    def _full(self, value: Ints) -> Ints:
        return np.broadcast_to(np.asarray(value, np.int64), self.shape).reshape(-1)

    def _copied(self, name: str) -> str:
        while (line := self.lines.get(name)) is not None and line.fn == "copy":
            name = line.args[0]
        return name

    @property
    def _shares(self) -> dict[str, Ints]:
        """By state, the share of 4096 that ``rz`` keeps."""
        found = {}
        for line in self.lines.values():
            if (pair := self._decayed(line)) is not None:
                found[pair[0]] = pair[1]
        return found

    def _decayed(self, line: Line) -> tuple[str, Ints] | None:
        """State and share, if the line is ``trunc(share * state / 4096)``."""
        if line.fn != "rsh" or line.rounding != "trunc":
            return None
        product = self.lines.get(self._copied(line.args[0]))
        if product is None:
            return None
        scale = 12 - line.shift  # constants may have been halved together with the divisor
        if product.fn == "shl" and product.args[0] in self.states and scale >= 0:
            return product.args[0], ONE << (product.shift + scale)
        if product.fn == "mul" and scale >= 0:
            for a, b in (product.args, product.args[::-1]):
                if a in self.consts and b in self.states:
                    share = self.consts[a] << scale
                    if (share >= 0).all() and (share <= FULL).all():
                        return b, share
        return None

    def _terms(self, name: str) -> _Terms:
        """A value as a sum of atoms: inputs, states, ``rz state``, and what is not linear.

        The new value of a state is an atom: what reads it may be a voltage.
        """
        name = self._copied(name)
        if any(self._copied(s.next) == name for s in self.kernel.states):
            return _Terms({name: ONE}, ZERO)
        return self._expanded(name)

    def _expanded(self, name: str) -> _Terms:
        """The same, but the value itself is no atom unless it is not linear."""
        if name in self.consts:
            return _Terms({}, self.consts[name])
        line = self.lines.get(name)
        if line is None:
            return _Terms({name: ONE}, ZERO)
        if (pair := self._decayed(line)) is not None:
            return _Terms({f"rz {pair[0]}": ONE}, ZERO)
        a = line.args
        if line.fn in ("add", "sub"):
            return self._terms(a[0]).plus(self._terms(a[1]), 1 if line.fn == "add" else -1)
        if line.fn == "neg":
            return self._terms(a[0]).times(-ONE)
        if line.fn == "shl":
            return self._terms(a[0]).times(ONE << line.shift)
        if line.fn == "mul":
            for factor, value in (a, a[::-1]):
                if (number := self.consts.get(self._copied(factor))) is not None:
                    return self._terms(value).times(number)
        return _Terms({name: ONE}, ZERO)
