"""The neurons of NIR as kernels: the one place where its equations become steps.

With ``k = dt / tau``, ``decay = 1 - k`` (forward Euler, the default) or ``exp(-k)``, one step of a
neuron is, in this order::

    LIF, LI        tau dv/dt = (v_leak - v) + r I
                   v' = decay v + (1 - decay) (v_leak + r I)
    IF, I          dv/dt = r I
                   v' = v + dt r I
    CubaLIF, -LI   tau_syn dI/dt = -I + w_in S
                   I' = decay_syn I + (1 - decay_syn) w_in S, then LIF with I'
    spike          s = v' > v_threshold
    reset          v' = v_reset, or v' - v_threshold, where s

With ``timing="next"`` the reset comes first, decided by the membrane of the last step::

    r = v > v_threshold
    zero           v = v_reset where r, then the update
    subtract       the update, then v' - v_threshold where r

With ``timing="drop"`` the reset takes the place of the update: ``v' = v_reset where r``.

``timing="snntorch"`` is what snnTorch does with ``reset_delay=False``: the reset of ``next``, and
after the spike ``v' - (s - r) v_threshold``.  For a reset to zero this is the same as ``same``.

With ``spikes="many"`` a neuron sends ``s = max(floor(v' / v_threshold), 0)`` spikes in a step (with
``compare="gt"`` ``max(ceil(v' / v_threshold) - 1, 0)``), and a subtraction takes ``s`` thresholds.
With ``floor="zero"`` the membrane that is kept is at least 0.

The parameters enter kernels as the file has them, so that a printed kernel is the user's formula.

Equations: NIR 1.0, ``nir/ir/neuron.py``; Pedersen et al., Nature Communications 15 (2024) 8122.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.frontends.nir_file import RawNode
from snnc.frontends.nir_options import NirOptions
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class NeuronKind:
    """What a NIR neuron has: required and optional parameters, and the parts of its step."""

    required: tuple[str, ...]
    optional: dict[str, float]
    tau: str = ""
    fires: bool = True

    @property
    def parameters(self) -> tuple[str, ...]:
        """All parameters."""
        return (*self.required, *self.optional)


_LEAKY = {"r": 1.0, "v_leak": 0.0}
NEURONS: dict[str, NeuronKind] = {
    "I": NeuronKind((), {"r": 1.0}, fires=False),
    "IF": NeuronKind(("v_threshold",), {"r": 1.0, "v_reset": 0.0}),
    "LI": NeuronKind(("tau",), _LEAKY, "tau", fires=False),
    "LIF": NeuronKind(("tau", "v_threshold"), {**_LEAKY, "v_reset": 0.0}, "tau"),
    "CubaLI": NeuronKind(("tau_syn", "tau_mem"), {**_LEAKY, "w_in": 1.0}, "tau_mem", fires=False),
    "CubaLIF": NeuronKind(
        ("tau_syn", "tau_mem", "v_threshold"),
        {**_LEAKY, "w_in": 1.0, "v_reset": 0.0},
        "tau_mem",
    ),
    "Threshold": NeuronKind(("threshold",), {}),
}


def parameters(node: RawNode) -> dict[str, Array]:
    """The parameters of a neuron, missing ones at their defaults; equal values as one number."""
    kind = NEURONS[node.kind]
    found = {}
    for name in kind.parameters:
        value = node.fields.get(name, np.float64(kind.optional.get(name, 0.0)))
        array = np.asarray(value)
        array = array if array.dtype.kind == "f" else array.astype(np.float64)
        if array.size and (array == array.reshape(-1)[0]).all():
            array = array.reshape(-1)[0]
        found[name] = np.asarray(array)
    return found


def fitted(value: Array, shape: tuple[int, ...]) -> Array:
    """A parameter without leading axes of length 1 that the neuron does not have.

    Raises ValueError unless it has one value, or one for each neuron.
    """
    while value.ndim > len(shape) and value.shape[0] == 1:
        value = value[0]
    if value.size == 1:
        return value.reshape(())
    if value.shape != shape:
        raise ValueError(f"parameters of shape {value.shape} for neurons of shape {shape}")
    return value


def neuron_kernel(
    node: RawNode, shape: tuple[int, ...], inputs: int, options: NirOptions, dt: float
) -> Kernel:
    """The kernel of a neuron of this shape with so many input currents.

    Args:
        node: The neuron.
        shape: Of its input.
        inputs: How many values arrive; they are added.
        options: Resolved.
        dt: Length of a step.

    Raises:
        ValueError: If a parameter does not fit the shape.
    """
    return _Builder(node, shape, options, dt).build(inputs)


class _Builder:
    def __init__(
        self, node: RawNode, shape: tuple[int, ...], options: NirOptions, dt: float
    ) -> None:
        self.node, self.kind, self.options, self.dt = node, NEURONS[node.kind], options, dt
        values = parameters(node)
        self.values = {name: fitted(value, shape) for name, value in values.items()}
        self.consts: dict[str, Const] = {}
        self.body: list[Line] = []

    def build(self, inputs: int) -> Kernel:
        names = ("i",) if inputs == 1 else tuple(f"i{n}" for n in range(inputs))
        total = names[0]
        for n, name in enumerate(names[1:], 1):
            total = self.line("i" if n == inputs - 1 else f"i_{n}", "add", total, name)
        if self.node.kind == "Threshold":
            fire = self.options.compare or "gt"
            self.line("s", fire, total, self.parameter("threshold"))
            return self.kernel(names, (), ("s",))
        states = []
        if "tau_syn" in self.kind.required:
            total = self.synapse(total)
            states.append(State("current", total, Param(np.zeros(()))))
        after, new = self.membrane(total)
        if self.kind.fires and self.options.floor == "zero":
            new = self.line("v_kept", "maximum", new, self.number("zero", 0.0))
        start = self.values.get(self.options.initial or "zero", np.zeros(()))
        states.append(State("v", new, Param(start.astype(np.float64))))
        return self.kernel(names, tuple(states), ("s",) if self.kind.fires else (after,))

    def kernel(
        self, inputs: tuple[str, ...], states: tuple[State, ...], outputs: tuple[str, ...]
    ) -> Kernel:
        needed = {*outputs, *(state.next for state in states)}
        body: list[Line] = []
        for line in reversed(self.body):  # an option may have made another line useless
            if line.name in needed:
                needed.update(line.args)
                body.insert(0, line)
        consts = tuple(c for c in self.consts.values() if c.name in needed)
        return Kernel(inputs, states, consts, tuple(body), outputs)

    def line(self, name: str, fn: str, *args: str) -> str:
        self.body.append(Line(name, fn, args))
        return name

    def parameter(self, name: str) -> str:
        if name not in self.consts:
            self.consts[name] = Const(
                name, Param(self.values[name]), None, f"{self.node.path}.{name}"
            )
        return name

    def number(self, name: str, value: float, origin: str = "") -> str:
        self.consts.setdefault(
            name, Const(name, Param(np.asarray(value, np.float64)), None, origin)
        )
        return name

    def step(self) -> str:
        return self.number("dt", self.dt, "length of a step")

    def is_value(self, name: str, value: float) -> bool:
        return bool((self.values[name] == value).all())

    def decay(self, tau: str, suffix: str, rule: str | None) -> tuple[str, str]:
        """Lines of the decay, and of 1 minus it."""
        rate = self.line(f"k{suffix}", "div", self.step(), self.parameter(tau))
        one = self.number("one", 1.0)
        if rule == "euler":
            return self.line(f"decay{suffix}", "sub", one, rate), rate
        decay = self.line(f"decay{suffix}", "exp", self.line(f"nk{suffix}", "neg", rate))
        return decay, self.line(f"rest{suffix}", "sub", one, decay)

    def synapse(self, total: str) -> str:
        """Lines of the synaptic current; the value is its new value."""
        decay, rest = self.decay("tau_syn", "_syn", self.options.decay_syn)
        if self.options.synapse == "decayed":
            gain = decay
        else:
            gain = self.gained(rest if self.options.synapse == "ode" else "", "w_in", "gain_syn")
        kept = self.line("kept_syn", "mul", decay, "current")
        return self.line("current1", "add", kept, self.driven(gain, total, "drive_syn"))

    def gained(self, factor: str, parameter: str, name: str) -> str:
        """``factor * parameter``, without a factor of 1; empty for a gain of 1."""
        if self.is_value(parameter, 1.0):
            return factor
        value = self.parameter(parameter)
        return self.line(name, "mul", factor, value) if factor else value

    def driven(self, gain: str, value: str, name: str) -> str:
        return self.line(name, "mul", gain, value) if gain else value

    def membrane(self, total: str) -> tuple[str, str]:
        """Lines of the membrane; the values are the membrane that is compared, and the new one."""
        fires, timing = self.kind.fires, self.options.timing
        reset = self.options.reset if fires else "none"
        old = "v"
        twice = timing == "snntorch" and reset == "subtract"
        late = twice or (timing in ("next", "drop") and reset != "none")
        if late:
            self.line("late", self.options.compare or "gt", "v", self.parameter("v_threshold"))
            if reset == "zero" and timing == "next":
                old = self.line("v0", "where", "late", self.parameter("v_reset"), "v")
        new = self.update(old, total)
        if late and timing == "drop":
            new = self.line("v2", "where", "late", self.parameter("v_reset"), new)
        if late and reset == "subtract":
            drop = self.line("drop", "mul", "late", self.parameter("v_threshold"))
            new = self.line("v2", "sub", new, drop)
        if not fires:
            return new, new
        self.fire(new)
        if twice:
            fall = self.line("fall", "mul", self.line("rest_of", "sub", "s", "late"), "v_threshold")
            return new, self.line("v3", "sub", new, fall)
        if late or reset == "none":
            return new, new
        if reset == "zero":
            fired = "s"
            if self.options.spikes == "many":
                fired = self.line("fired", "gt", "s", self.number("zero", 0.0))
            return new, self.line("v2", "where", fired, self.parameter("v_reset"), new)
        if self.options.spikes == "many":
            drop = self.line("drop", "mul", "s", self.parameter("v_threshold"))
            return new, self.line("v2", "sub", new, drop)
        low = self.line("low", "sub", new, self.parameter("v_threshold"))
        return new, self.line("v2", "where", "s", low, new)

    def fire(self, membrane: str) -> None:
        """Lines of the spikes ``s`` of a membrane that was updated."""
        compare, threshold = self.options.compare or "gt", self.parameter("v_threshold")
        if self.options.spikes != "many":
            self.line("s", compare, membrane, threshold)
            return
        if not (self.values["v_threshold"] > 0).all():
            raise ValueError("spikes=many needs v_threshold above 0")
        fit = self.line("fit", "div", membrane, threshold)
        if compare == "ge":
            count = self.line("count", "floor", fit)
        else:
            above = self.line("above", "ceil", fit)
            count = self.line("count", "sub", above, self.number("one", 1.0))
        self.line("s", "maximum", count, self.number("zero", 0.0))

    def update(self, old: str, total: str) -> str:
        """Lines of the membrane's equation; the value is the membrane before a reset."""
        mode = self.options.gain
        if not self.kind.tau:
            gain = (
                ""
                if mode == "one"
                else self.gained(self.step() if mode == "ode" else "", "r", "gain")
            )
            return self.line("v1", "add", old, self.driven(gain, total, "drive"))
        decay, rest = self.decay(self.kind.tau, "", self.options.decay)
        gain = "" if mode == "one" else self.gained(rest if mode == "ode" else "", "r", "gain")
        kept = self.line("kept", "mul", decay, old)
        drive = self.driven(gain, total, "drive")
        if self.is_value("v_leak", 0.0):
            return self.line("v1", "add", kept, drive)
        pull = self.line("pull", "mul", rest, self.parameter("v_leak"))
        return self.line("v1", "add", self.line("pulled", "add", kept, pull), drive)
