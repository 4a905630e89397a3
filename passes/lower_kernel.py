"""Lower a scale-free kernel to integers.

The membrane lives in units of its own row: with ``U`` the real value of one integer step,

* an input arrives as an integer in units of ``U`` (its gain is part of ``U``);
* a decay ``a`` becomes ``rsh(round(a * 2**P) * v, P)``, from a table of distinct values;
* a threshold becomes the smallest integer that is at or above it, so comparing loses nothing:
  ``v >= theta  <=>  V >= ceil(theta/U)``  and  ``v > theta  <=>  V >= floor(theta/U) + 1``;
* what a reset subtracts or sets is ``round(c/U)``.

All constants are rounded with proof (``snnc.exact``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.exact import ONE, ZERO, Expr, ceiling, floats, flooring, leaf, nearest, signs
from snnc.kernel import MIRRORED, Kernel, State
from snnc.params import Param, compact
from snnc.passes.kernel_form import (
    Analysis,
    Branch,
    Compare,
    Extreme,
    Form,
    Linear,
    Logic,
    NotScaleFreeError,
    leaves,
)
from snnc.passes.kernel_units import lost, magnitude, unit_free
from snnc.passes.kernel_writer import KernelWriter
from snnc.passes.silence import first_step
from snnc.profile import Profile

Ints = npt.NDArray[np.int64]


@dataclass
class LoweredKernel:
    """The integer kernel, the unit of each output, and what was found wrong."""

    kernel: Kernel
    units: list[Expr]
    problems: list[tuple[str, str, str]] = field(default_factory=list)  # code, message, help
    losses: list[str] = field(default_factory=list)  # constants that rounding changes visibly
    factors: dict[str, Expr] = field(default_factory=dict)  # exact factor of every product line
    exact: dict[str, Expr] = field(default_factory=dict)  # what was rounded to a constant or state


def lower_kernel(
    real: Kernel,
    analysis: Analysis,
    gain: dict[str, Expr],
    unit: Expr,
    profile: Profile,
    spare: int = 0,
) -> LoweredKernel:
    """Write the integer kernel; every input is in units of ``unit``.

    The last ``spare`` bits of what is added or set are 0: halvings need them.

    Raises:
        NotScaleFreeError: If an output mixes units.
    """
    return _Lowering(real, analysis, gain, unit, profile, spare).go()


class _Lowering:
    def __init__(
        self,
        real: Kernel,
        analysis: Analysis,
        gain: dict[str, Expr],
        unit: Expr,
        profile: Profile,
        spare: int,
    ) -> None:
        self.real, self.analysis, self.profile = real, analysis, profile
        self.gain, self.unit, self.spare = gain, unit, spare
        self.w = KernelWriter(real, profile.rounding)
        self.problems: list[tuple[str, str, str]] = []
        self.losses: list[str] = []
        self.factors: dict[str, Expr] = {}
        self.exact: dict[str, Expr] = {}
        self.silent = first_step(real)
        self.numeric = {s.name for s in real.states} - analysis.predicates

    def go(self) -> LoweredKernel:
        for step in self.analysis.steps:
            match step.value:
                case Compare():
                    self._compare(step.name, step.value)
                case Logic():
                    self.w.emit(step.name, step.value.fn, *step.value.args)
                case Extreme():
                    a, b = (self._form(x) for x in step.value.args)
                    self.w.emit(step.name, step.value.fn, a, b)
                case _:
                    self._define(step.name, step.value)
        self._check_decays()
        kernel, units = self.w.kernel(self._state, self._output)
        return LoweredKernel(kernel, units, self.problems, self.losses, self.factors, self.exact)

    # -- forms --------------------------------------------------------------------------------

    def _coefficient(self, atom: str, c: Expr) -> Expr:
        return c / self.gain[atom] if atom in self.gain else c

    def _define(self, name: str, form: Form) -> None:
        value = self._form(form)
        lines = self.w.lines
        if lines and lines[-1].name == value and value.startswith("_"):
            lines[-1] = replace(lines[-1], name=name)
            if value in self.factors:
                self.factors[name] = self.factors.pop(value)
        else:
            self.w.emit(name, "copy", value)

    def _form(self, form: Form) -> str:
        if isinstance(form, Branch):
            yes, no = self._form(form.yes), self._form(form.no)
            return self.w.emit(self.w.fresh("_b0"), "select", form.cond, yes, no)
        return self._linear(form)

    def _whole(self, c: Expr) -> Ints:
        """A constant in integer steps."""
        return nearest(c / (self.unit * leaf(float(1 << self.spare)))) << self.spare

    def _linear(self, x: Linear) -> str:
        total: str | None = None
        for atom, coefficient in x.coefs:
            c = self._coefficient(atom, coefficient)
            term, minus = self._term(atom, c)
            if term is None:
                continue
            if total is None:
                total = self.w.emit(self.w.fresh("_n0"), "neg", term) if minus else term
            else:
                total = self.w.emit(self.w.fresh("_a0"), "sub" if minus else "add", total, term)
        if x.const != ZERO or total is None:
            k = self._whole(x.const)
            self.losses += lost(x.const, k, self.unit)
            if total is None:
                return self._constant("k", k, x.const / self.unit)
            if k.any():
                name = self._constant("k", k, x.const / self.unit)
                total = self.w.emit(self.w.fresh("_a0"), "add", total, name)
        return total

    def _constant(self, base: str, k: Ints, exact: Expr) -> str:
        """The name of a constant, the real value of which is ``exact`` steps."""
        name = self.w.const(base, k)
        self.exact.setdefault(name, exact)
        return name

    def _term(self, atom: str, c: Expr) -> tuple[str | None, bool]:
        """The atom times ``c``; the flag asks to subtract it."""
        plain = self._unit_sign(c)
        if plain is not None:
            return (None, False) if plain == 0 else (atom, plain < 0)
        largest = float(np.abs(floats(c)).max(initial=0.0))
        bits = self.profile.decay_bits
        if 0 < largest < 0.5:  # as many significant bits as a decay has
            bits = min(bits - int(np.frexp(largest)[1]), 60)
        raw = nearest(c * leaf(float(1 << bits)))
        if not raw.any():
            return None, False
        if int(np.abs(raw).max()) >= 1 << 31:
            self.problems.append(
                ("E324", f"a coefficient of {atom} is as large as {_worst(c)}", "rescale the model")
            )
        if atom in self.numeric:
            rounded_up = (raw >= 1 << bits) & (signs(c - ONE) < 0)
            if rounded_up.any():
                text = f"a decay of {atom} is so close to 1 that it rounds to 1 in {bits} bits"
                why = f"the longest time constant is 2**{bits + 1} steps"
                self.problems.append(("E323", text, why))
        first = int(raw.flat[0])
        if (raw == first).all() and first > 0 and first & (first - 1) == 0:
            spare = min(first.bit_length() - 1, bits)  # a power of two needs no product
            raw, bits = raw >> spare, bits - spare
        product = atom
        if (raw != 1).any():
            product = self.w.emit(self.w.fresh("_m0"), "mul", self.w.const("a", raw), atom)
            self.factors[product] = c
            if not bits:
                return product, False
        shifted = self.w.emit(self.w.fresh("_d0"), "rsh", product, shift=bits)
        if product == atom:
            self.factors[shifted] = c
        return shifted, False

    @staticmethod
    def _unit_sign(c: Expr) -> int | None:
        """0, 1 or -1 if every element is exactly that, else None."""
        if c.number is not None:
            return int(c.number) if c.number in (-1, 0, 1) else None
        near = floats(c)
        for value, one in ((1, ONE), (-1, -ONE)):
            if (near == value).all() and not signs(c - one).any():
                return value
        return 0 if not near.any() and not signs(c).any() else None

    # -- predicates ---------------------------------------------------------------------------

    def _compare(self, name: str, compare: Compare) -> None:
        form, fn = compare.form, compare.fn
        if fn in ("eq", "ne"):
            atoms = {atom for x in leaves(form) for atom, _ in x.coefs}
            if atoms and atoms <= unit_free(self.analysis, self.real.inputs):
                self.w.emit(name, fn, *atoms, self.w.const("k", np.array(0)))
                return
            raise NotScaleFreeError(f"{name}: equality of membranes is not defined in integers")
        if isinstance(form, Branch):  # each leaf has an exact threshold of its own
            sides = [self.w.fresh("_p0"), self.w.fresh("_p0")]
            for side, leaf_form in zip(sides, (form.yes, form.no), strict=True):
                self._compare(side, Compare(fn, leaf_form))
            self.w.emit(name, "select", form.cond, *sides)
            return
        if not form.coefs:
            sign = signs(form.const)
            truth = {"ge": sign >= 0, "gt": sign > 0, "le": sign <= 0, "lt": sign < 0}[fn]
            self.w.emit(name, "copy", self.w.const("k", truth.astype(np.int64)))
            return
        atom, first = form.coefs[0]
        c = self._coefficient(atom, first)
        if len(form.coefs) == 1:
            sign = signs(c)
            if not ((sign > 0).all() or (sign < 0).all()):
                raise NotScaleFreeError(f"{name}: a compared value has a factor of mixed sign")
            value, fn = atom, fn if sign.flat[0] > 0 else MIRRORED[fn]
            bound = -form.const / (c * self.unit)
        else:
            size = magnitude(c)
            coefs = tuple((a, self._coefficient(a, k) / size) for a, k in form.coefs)
            own = dict.fromkeys(self.gain, ONE)
            gain, self.gain = self.gain, own
            value = self._linear(Linear(coefs))
            self.gain = gain
            bound = -form.const / (size * self.unit)
        if fn in ("ge", "gt"):
            k = ceiling(bound) if fn == "ge" else flooring(bound) + 1
            if len(form.coefs) == 1:  # else a state moves the threshold
                self._check_threshold(name, bound)
        else:
            k = flooring(bound) if fn == "le" else ceiling(bound) - 1
        fn = "ge" if fn in ("ge", "gt") else "le"
        self.w.emit(name, fn, value, self._constant("theta", k, bound))

    def _check_threshold(self, name: str, bound: Expr) -> None:
        if name not in {self.analysis.aliases.get(o) for o in self.real.outputs}:
            return
        if not self.numeric:  # no membrane that rests: a sign is meant to be one
            return
        if not self.real.states:
            return  # a comparison with what its input brings, such as a bias: no threshold of rest
        shape = np.broadcast_shapes(bound.shape, self.silent[name].shape)
        fires = np.broadcast_to(self.silent[name] != 0, shape)  # a membrane may rest below it
        low = np.argwhere(fires & np.broadcast_to(signs(bound) <= 0, shape))
        if not len(low):
            return
        real = np.broadcast_to(floats(bound * self.unit), shape)
        some = ", ".join(f"{_index(i)}: {real[tuple(i)]:g}" for i in low[:5])
        text = f"threshold is not positive for {len(low)} of {bound_size(bound)} neurons ({some})"
        self.problems.append(
            ("E321", text, "such a neuron fires on silence; train a threshold > 0")
        )

    def _check_decays(self) -> None:
        chains = {s.name: self._chain(s.next) for s in self.real.states if s.name in self.numeric}
        for step in self.analysis.steps:
            if not isinstance(step.value, Compare):
                self._check_leaves(step.name, list(leaves(step.value)), chains)
        for name, form in self.analysis.values.items():
            self._check_leaves(name, list(leaves(form)), chains)

    def _check_leaves(self, name: str, found: list[Linear], chains: dict[str, set[str]]) -> None:
        for x in found:
            for atom, c in x.coefs:
                if atom not in self.numeric or name not in chains[atom]:
                    continue
                if self._feeds_back(atom):
                    continue  # a resonator or filter may be stable all the same: the proof says
                alone = len(self.numeric) == 1
                bad = signs(c - ONE) > 0 if not alone else (signs(c - ONE) > 0) | (signs(c) < 0)
                if np.any(bad):
                    self._bad_decay(atom, c, np.argwhere(bad))
                    return

    def _feeds_back(self, state: str) -> bool:
        """Whether another state follows from this one and this one from it."""
        sources = {s.name: self._chain(s.next, through=True) for s in self.real.states}
        return any(
            other != state and other in sources[state] and state in found
            for other, found in sources.items()
        )

    def _bad_decay(self, atom: str, c: Expr, where: npt.NDArray[Any]) -> None:
        values = floats(c)
        some = ", ".join(f"{_index(i)}: {values[tuple(i)]:g}" for i in where[:5])
        text = (
            f"decay of {atom} is outside [0, 1] for {len(where)} of {values.size} neurons ({some})"
        )
        self.problems.append(("E322", text, "such a state grows without bound; clamp the decay"))

    def _chain(self, name: str, through: bool = False) -> set[str]:
        """Names of the values that the new state is made of; ``through`` assignments, too."""
        seen, stack = {name}, [name]
        steps = {s.name: s.value for s in self.analysis.steps}
        while stack:
            now = stack.pop()
            own = steps.get(now)
            value = own if through and own is not None else self.analysis.values.get(now) or own
            if value is None or isinstance(value, Compare | Logic):
                continue
            for linear in leaves(value):
                for atom, _ in linear.coefs:
                    if atom not in seen:
                        seen.add(atom)
                        stack.append(atom)
        return seen

    # -- states and outputs -------------------------------------------------------------------

    def _state(self, state: State) -> State:
        if state.name in self.analysis.predicates:
            init = state.init.data.astype(np.int64)
            return State(state.name, self.analysis.aliases[state.next], Param(compact(init)))
        init = self._whole(leaf(state.init.data))
        self.exact[state.name] = leaf(state.init.data) / self.unit
        return State(state.name, self._value(state.next), Param(compact(init)))

    def _value(self, name: str) -> str:
        """The line for a number that is a state update or an output."""
        if name in self.analysis.aliases:  # a predicate as the new value of a numeric state
            return self._form(Branch(self.analysis.aliases[name], Linear((), ONE), Linear()))
        if self.w.defines(name):
            return name
        form = self.analysis.values[name]
        if isinstance(form, Linear) and len(form.coefs) == 1 and form.const == ZERO:
            atom, c = form.coefs[0]
            if self._unit_sign(self._coefficient(atom, c)) == 1:
                return atom
        if name in self.real.leaves():
            return self._form(form)
        self._define(name, form)
        return name

    def _output(self, name: str) -> tuple[str, Expr]:
        if name in self.analysis.aliases:
            return self.analysis.aliases[name], ONE
        form = self.analysis.values[name]
        match form:
            case Branch(cond, Linear() as yes, Linear() as no):
                if yes.is_constant and no == Linear() and (signs(yes.const) >= 0).all():
                    return cond, yes.const
                if yes.is_constant and no == Linear() and (signs(yes.const) <= 0).all():
                    # Units are positive: maxima and comparisons rely on it.
                    return self.w.emit(self.w.fresh("_n0"), "neg", cond), -yes.const
        if all(x.is_constant for x in leaves(form)):
            raise NotScaleFreeError(f"output {name} takes several fixed levels")
        return self._value(name), self.unit


def bound_size(expr: Expr) -> int:
    """Number of elements."""
    return int(np.prod(expr.shape, dtype=np.int64))


def _index(index: npt.NDArray[Any]) -> str:
    return "[" + ",".join(str(int(i)) for i in index) + "]"


def _worst(c: Expr) -> float:
    return float(np.abs(floats(c)).max())
