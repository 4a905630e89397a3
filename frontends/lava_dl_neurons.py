"""The neurons of lava-dl as kernels: the arithmetic of Loihi, with every rounding stated.

Decays are of 4096, products are rounded toward zero, inputs and biases are shifted by 6 bits, the
current is a word of 24 bits that wraps and the voltage one that saturates::

    u' = wrap(trunc((4096 - iDecay) * u / 4096) + trunc(64 * x))
    v1 = clip(trunc((4096 - vDecay) * v / 4096) + u' + 64 * bias)
    s  = v1 > 64 * vThMant        v' = s ? 0 : v1

Sources: lava-nc 0.10.0 ``proc/lif/models.py`` (``AbstractPyLifModelFixed``) and
``proc/atrlif/models.py``, lava-dl ``slayer/neuron/{cuba,alif}.py``, Davies et al., IEEE Micro
38(1), 2018.  An adaptive neuron (ALIF) is not reset; its threshold and a refractory state rise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.frontends.lava_dl_file import Fields, RawLayer
from snnc.frontends.lava_dl_options import LavaDlOptions
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

#: A decay of 4096 forgets everything.
FULL = 4096
#: Voltages saturate here; currents wrap above ``TOP + 1``.
TOP = (1 << 23) - 1
_LARGEST = 1 << 31


class UnsupportedError(Exception):
    """The layer is a valid one of lava-dl, and snnc does not read it."""


@dataclass(frozen=True)
class NeuronKind:
    """A type of neurons.

    Attributes:
        required: Parameters that the file must have.
        optional: Parameters with a default, or that do not change what is computed.
        build: Makes the kernel; None if the type is not supported.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    build: Callable[[Neuron], Kernel]


@dataclass(frozen=True)
class Neuron:
    """A population to be written as a kernel.

    Attributes:
        fields: Its parameters in the file.
        shape: Of the population.
        options: How the file is read.
        bias: Added to its voltage (CUBA) or current (ALIF), in units of weights; None: nothing.
        encoder: Factor and offset of an input layer, whose neurons read real numbers.
    """

    fields: Fields
    shape: Shape
    options: LavaDlOptions
    bias: Array | None = None
    encoder: tuple[float, float] | None = None

    def whole(self, name: str, lo: int, hi: int, default: int | None = None) -> Array:
        """An integer parameter, one for all neurons or one for each channel."""
        value = self.fields.get(name, default)
        if value is None or isinstance(value, str):
            raise ValueError(f"{name} is missing, or not a number")
        return per_channel(np.asarray(value), name, self.shape, lo, hi)


def per_channel(value: Array, name: str, shape: Shape, lo: int, hi: int) -> Array:
    """One integer for all, or one for each channel, broadcasting to ``shape``.

    Raises:
        ValueError: If there are others, or fractions, or values outside ``lo`` to ``hi``.
    """
    data = np.asarray(value, np.float64).reshape(-1)
    if data.size not in (1, shape[0]):
        raise ValueError(f"{name} has {data.size} values for {shape[0]} channels")
    if not (data == np.rint(data)).all():
        raise ValueError(f"{name} is {data[data != np.rint(data)][0]:g}, not a whole number")
    if ((data < lo) | (data > hi)).any():
        outside = data[(data < lo) | (data > hi)][0]
        raise ValueError(f"{name} is {outside:g}, possible are {lo} to {hi}")
    same = bool((data == data[0]).all())
    found: Array = data[:1].reshape(()) if same else data.reshape(-1, *[1] * (len(shape) - 1))
    return found


def neuron_kernel(layer: RawLayer, neuron: Neuron) -> Kernel:
    """The kernel of a layer's neurons, with one input and one output.

    Raises:
        ValueError: If a parameter is missing or wrong.
        UnsupportedError: If there is no kernel for them.
    """
    kind = neuron.fields.get("type")
    if kind not in NEURONS:
        known = ", ".join(NEURONS)
        raise UnsupportedError(f"neurons of type {kind!r:.40} are not read (known: {known})")
    return NEURONS[str(kind)].build(neuron)


@dataclass
class _Program:
    """A kernel in the making."""

    lines: list[Line] = field(default_factory=list)
    consts: dict[str, Const] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)

    def const(self, name: str, value: Any, origin: str = "") -> str:
        self.consts[name] = Const(name, Param(np.asarray(value, np.float64)), None, origin)
        return name

    def do(self, name: str, fn: str, *args: str) -> str:
        self.lines.append(Line(name, fn, args))
        return name

    def state(self, name: str, next: str, init: Any = 0.0) -> None:
        self.states.append(State(name, next, Param(np.asarray(init, np.float64))))

    def decayed(self, of: str, decay: Array, origin: str, state: str = "") -> str | None:
        """``trunc((4096 - decay) * of / 4096)``; None if nothing is kept."""
        if (decay == FULL).all():
            return None
        keep = self.const(f"keep_{state or of}", FULL - decay, f"4096 - {origin}")
        product = self.do(f"m_{state or of}", "mul", keep, of)
        share = self.do(f"q_{state or of}", "div", product, self.const("one", FULL))
        return self.do(f"d_{state or of}", "trunc", share)

    def sum(self, name: str, *terms: str | None) -> str:
        """The sum of those that are there, at least one."""
        left = [t for t in terms if t is not None]
        total = left[0]
        for i, term in enumerate(left[1:]):
            total = self.do(name if i == len(left) - 2 else f"{name}_{i}", "add", total, term)
        return total

    def drive(self, neuron: Neuron, exponent: Array, bias: str | None) -> str:
        """What arrives, in units of the state."""
        x = "x"
        if neuron.encoder is not None:
            factor, offset = neuron.encoder
            x = self.do("scaled", "mul", self.const("factor", factor, "weight"), x)
            x = self.do("shifted", "add", x, self.const("offset", offset, "bias"))
        origin = "2**(6 + wgtExp)"
        a = self.do("a0", "mul", self.const("unit", np.exp2(6 + exponent), origin), x)
        a = self.sum("a1", a, bias)
        return self.do("a2", "trunc", a)

    def current(self, neuron: Neuron, bias: str | None = None) -> str:
        """``u' = wrap(decayed u + input)``; returns u'."""
        decay = neuron.whole("iDecay", 0, FULL)
        exponent = neuron.whole("wgtExp", -6, 8, 0)
        kept = self.decayed("u", decay, "iDecay")
        total = self.sum("u0", kept, self.drive(neuron, exponent, bias))
        u = self.do("u1", "wrap", total, self.const("half", TOP + 1))
        if kept is not None:
            self.state("u", u)
        return u

    def voltage(self, neuron: Neuron, driven: str) -> tuple[str, bool]:
        """``clip(decayed v + driven)``, and whether v is kept."""
        decay = neuron.whole("vDecay", 0, FULL)
        kept = self.decayed("v", decay, "vDecay")
        total = self.sum("v0", kept, driven)
        low = self.do("low", "maximum", total, self.const("bottom", -TOP))
        return self.do("v1", "minimum", low, self.const("top", TOP)), kept is not None

    def graded(self, neuron: Neuron, spike: str) -> str:
        """The output: the spike, or the voltage of the spike in units of 2**-12."""
        if not neuron.whole("gradedSpike", 0, 1, 0):
            return spike
        value = self.do("payload", "div", "v1", self.const("one", FULL))
        return self.do("graded", "where", spike, value, self.const("zero", 0.0))

    def kernel(self, output: str) -> Kernel:
        return Kernel(
            ("x",),
            tuple(self.states),
            tuple(self.consts.values()),
            tuple(self.lines),
            (output,),
        )


def _cuba(neuron: Neuron) -> Kernel:
    p = _Program()
    driven = p.current(neuron)
    if neuron.bias is not None:
        driven = p.do("biased", "add", driven, p.const("bias", 64 * neuron.bias, "64 * bias"))
    norm = neuron.whole("weight_exp", -3, 3, 0)
    if norm.any():
        driven = p.do("divided", "div", driven, p.const("scale", np.exp2(norm), "2**weight_exp"))
        driven = p.do("normed", "trunc", driven)
    v, kept = p.voltage(neuron, driven)
    theta = 64 * neuron.whole("vThMant", -_LARGEST, _LARGEST)
    if (theta >= TOP).all():  # what lava-dl writes for a layer that shall not fire
        if kept:
            p.state("v", v)
        return p.kernel(v)
    compare = neuron.options.compare
    s = p.do("s", compare, v, p.const("theta", theta, "64 * vThMant"))
    zero = p.const("zero", 0.0)
    refractory = neuron.whole("refDelay", 1, 63, 1)
    if (refractory > 1).any():  # after a spike the voltage is held at 0 for refDelay - 1 steps
        ready = p.do("ready", "le", "wait", zero)
        s = p.do("fires", "and", s, ready)
        less = p.do("less", "sub", "wait", p.const("step", 1.0))
        left = p.do("left", "maximum", less, zero)
        p.state("wait", p.do("wait1", "where", s, p.const("delay", refractory - 1), left))
        v = p.do("held", "where", ready, v, zero)
    if kept:
        p.state("v", p.do("v2", "where", s, zero, v))
    return p.kernel(p.graded(neuron, s))


def _alif(neuron: Neuron) -> Kernel:
    if (neuron.whole("refDelay", 1, 63, 1) > 1).any():
        raise UnsupportedError("adaptive neurons with a refDelay above 1 are not read")
    p = _Program()
    bias = None if neuron.bias is None else p.const("bias", 64 * neuron.bias, "64 * bias")
    v, kept = p.voltage(neuron, p.current(neuron, bias))
    if kept:
        p.state("v", v)
    base = 64 * neuron.whole("vThMant", 0, 1 << 17)
    theta0 = p.const("theta0", base, "64 * vThMant")
    above = p.do("above", "sub", "theta", theta0)
    held = p.decayed(above, neuron.whole("thDecay", 0, FULL), "thDecay", "theta")
    theta = p.sum("theta1", held, theta0)
    rest = p.decayed("r", neuron.whole("refDecay", 0, FULL), "refDecay")
    s = p.do("s", "ge", v, p.sum("limit", theta, rest))
    step = p.const("step", 64 * neuron.whole("vThStep", -_LARGEST, _LARGEST), "64 * vThStep")
    higher = p.do("higher", "add", theta, step)
    p.state("theta", p.do("theta2", "where", s, higher, theta), base)
    twice = p.do("twice", "mul", p.const("two", 2.0), theta)
    zero = p.const("zero", 0.0)
    refractory = p.sum("r1", rest if rest is not None else zero, twice)
    p.state("r", p.do("r2", "where", s, refractory, rest if rest is not None else zero))
    return p.kernel(p.graded(neuron, s))


_TRAINING = ("type", "scaleRho", "tauRho", "theta", "refDelay", "gradedSpike", "messageBits")

#: The types of neurons that are read.
NEURONS: dict[str, NeuronKind] = {
    **dict.fromkeys(
        ("CUBA", "LOIHI"),
        NeuronKind(
            ("iDecay", "vDecay", "vThMant"),
            (*_TRAINING, "wgtExp", "weight_exp"),
            _cuba,
        ),
    ),
    "ALIF": NeuronKind(
        ("iDecay", "vDecay", "thDecay", "refDecay", "vThMant", "vThStep"),
        _TRAINING,
        _alif,
    ),
}
