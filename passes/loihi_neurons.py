"""Recognise neurons that Loihi has: leaky integrators, with or without a synaptic current.

In the normal form of ``kernel_form`` such a neuron is::

    i1 = alpha * i + g1 * x          v1 = beta * v + g2 * i1 + c
    s  = v1 > theta                  v' = s ? 0 : v1                   i' = i1

or without a current, ``v1 = beta * v + g * x + c``, or without spikes and a reset: a readout.
"""

from __future__ import annotations

from dataclasses import dataclass

from snnc.exact import ONE, ZERO, Expr, signs
from snnc.kernel import Kernel
from snnc.passes.kernel_form import (
    Analysis,
    Branch,
    Compare,
    Form,
    Linear,
    NotScaleFreeError,
    analyse,
)


class NotLoihiError(Exception):
    """The neuron is none of Loihi's; the message says why, ``nearest`` what would be."""

    def __init__(self, why: str, nearest: str) -> None:
        super().__init__(why)
        self.nearest = nearest


@dataclass(frozen=True)
class LoihiNeuron:
    """A recognised neuron.

    Attributes:
        gains: What each input is multiplied with on its way to the voltage.
        current: alpha; None without a synaptic current.
        voltage: beta.
        bias: c.
        threshold: theta; None for a readout.
        strict: Whether it fires above theta only.
    """

    gains: dict[str, Expr]
    current: Expr | None
    voltage: Expr
    bias: Expr
    threshold: Expr | None
    strict: bool


def recognise(kernel: Kernel) -> LoihiNeuron:
    """The parameters of a neuron.

    Raises:
        NotLoihiError: If Loihi has no such neuron.
    """
    try:
        return _Match(kernel, analyse(kernel)).neuron()
    except NotScaleFreeError as e:
        raise NotLoihiError(str(e), "a leaky integrator") from e


class _Match:
    def __init__(self, kernel: Kernel, analysis: Analysis) -> None:
        self.kernel, self.analysis = kernel, analysis
        self.steps = {s.name: s.value for s in analysis.steps}
        self.states = {s.name: s for s in kernel.states}

    def neuron(self) -> LoihiNeuron:
        for state in self.kernel.states:
            if state.init.data.any():
                raise NotLoihiError(f"{state.name} does not start at 0", "states that start at 0")
        if len(self.kernel.outputs) != 1:
            raise NotLoihiError("it has several outputs", "one output, its spikes")
        spike = self.analysis.aliases.get(self.kernel.outputs[0])
        if spike is None:
            return self._driven(self.kernel.outputs[0], None, None, False)
        compare = self.steps.get(spike)
        if not isinstance(compare, Compare) or compare.fn not in ("gt", "ge"):
            raise NotLoihiError("its output is not whether v exceeds a threshold", "a threshold")
        form = compare.form
        if not isinstance(form, Linear) or len(form.coefs) != 1:
            raise NotLoihiError("its threshold changes", "a constant threshold")
        (membrane, scale), theta = form.coefs[0], form.const
        if not (signs(scale) > 0).all():
            raise NotLoihiError("it fires below its threshold", "a positive threshold")
        theta = -theta / scale
        return self._driven(membrane, spike, theta, compare.fn == "gt")

    def _driven(
        self, membrane: str, spike: str | None, theta: Expr | None, strict: bool
    ) -> LoihiNeuron:
        value = self._linear(membrane)
        voltage = [s for s in self.states if self._is_voltage(s, membrane, spike)]
        coefs = dict(value.coefs)
        beta = coefs.pop(voltage[0], ZERO) if voltage else ZERO
        left = set(self.states) - set(voltage[:1])
        currents = [n for n in coefs if n not in self.kernel.inputs]
        if not currents and not left:
            return LoihiNeuron(coefs, None, beta, value.const, theta, strict)
        if len(currents) != 1 or len(coefs) != 1 or len(left) != 1:
            self._explain(membrane, spike)
        (name,), (state,) = currents, left
        if name in self.states:
            why = f"its voltage reads the current {name} of the step before"
            raise NotLoihiError(why, "a voltage that reads the new current")
        current = self._linear(name)
        if self._atom(self.analysis.values.get(self.states[state].next)) != name:
            self._explain(membrane, spike)
        gains = dict(current.coefs)
        alpha = gains.pop(state, ZERO)
        if current.const != ZERO:
            raise NotLoihiError("a bias enters its current", "a bias of the voltage, or none")
        if any(n not in self.kernel.inputs for n in gains):
            self._explain(membrane, spike)
        gains = {n: g * coefs[name] for n, g in gains.items()}
        return LoihiNeuron(gains, alpha, beta, value.const, theta, strict)

    def _linear(self, name: str) -> Linear:
        """The sum that a value is."""
        value = self.steps.get(name) or self.analysis.values.get(name)
        if isinstance(value, Linear) and (inner := self._atom(value)) in self.steps:
            value = self.steps[str(inner)]
        if not isinstance(value, Linear):
            raise NotLoihiError(
                f"{name} is not a sum of its input and states", "a leaky integrator"
            )
        return value

    def _is_voltage(self, state: str, membrane: str, spike: str | None) -> bool:
        """Whether the state is the membrane, set to zero by a spike."""
        form = self.analysis.values.get(self.states[state].next)
        if spike is None:  # nothing resets it
            return form == self.analysis.values.get(membrane)
        match form:
            case Branch(cond, yes, no):
                return cond == spike and yes == Linear() and self._atom(no) == membrane
        return False

    @staticmethod
    def _atom(form: Form | None) -> str | None:
        """The name, if the form is one value as it is."""
        if isinstance(form, Linear) and len(form.coefs) == 1 and form.const == ZERO:
            name, c = form.coefs[0]
            return name if c == ONE else None
        return None

    def _explain(self, membrane: str, spike: str | None) -> None:
        """Raise the most helpful error."""
        for state in self.states.values():
            form = self.analysis.values.get(state.next)
            if isinstance(form, Branch) and form.cond == spike and self._atom(form.no) == membrane:
                why = f"a spike does not reset {state.name} to zero"
                raise NotLoihiError(why, "a reset to zero; or --profile default")
        names = ", ".join(self.states)
        raise NotLoihiError(f"its states {names} are not a current and a voltage", "CUBA or LIF")
