"""What a NIR file leaves open, and how each exporter means it.

NIR describes neurons by differential equations.  A program needs more: the length of a step, how
the equation is discretised, what a reset does and when, and whether the threshold itself fires.
None of it is in the file, nor is the name of the exporter.  Here every such question is an option
with a default, and the default can be taken from the exporter's own update rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args, get_type_hints

from snnc.diagnostics import CompileError, Diagnostic, error

Reset = Literal["zero", "subtract", "none"]
Timing = Literal["same", "next", "snntorch"]
Compare = Literal["gt", "ge"]
Decay = Literal["euler", "exp"]
Gain = Literal["ode", "r", "one"]
Synapse = Literal["ode", "jump", "decayed"]
Initial = Literal["zero", "v_leak", "v_reset"]
Readout = Literal["stack", "sum", "mean", "last", "max"]


@dataclass(frozen=True, slots=True)
class NirOptions:
    """How to read a NIR file. None means: as ``exporter`` does.

    Attributes:
        exporter: A name of ``EXPORTERS``; ``nir`` is the reading of the NIR paper.
        dt: Length of a step, in the unit of the time constants. None: the exporter's; for
            ``nir`` found from ``tau / r`` where that is a round number, else 1e-4.
        reset: After a spike: to ``v_reset`` (``zero``), down by ``v_threshold``, or not at all.
        timing: The reset happens in the step of the spike, or in the next step, computed from the
            membrane before it is updated (snnTorch's ``reset_delay=True``), or both with
            snnTorch's own correction (its ``reset_delay=False``).
        compare: Fires at ``v > v_threshold`` or at ``v >= v_threshold``.
        decay: ``1 - dt/tau`` (forward Euler) or ``exp(-dt/tau)``.
        gain: Of the input current: ``(1 - decay) * r`` as the equation says (``dt * r`` without
            a leak), ``r``, or 1 whatever ``r`` is.
        synapse: Gain of the input of a synapse: ``(1 - decay) * w_in`` as the equation says,
            ``w_in``, or ``decay * w_in``.
        initial: Membrane before the first step: 0, ``v_leak`` or ``v_reset``.
        readout: What an output is: all steps, or their sum, mean, last or maximum.
        steps: Steps of one sample, as a default for later commands.
        input_lo: Smallest value of the inputs.
        input_hi: Largest value of the inputs.
        input_step: Grid of the inputs; 0: none.
    """

    exporter: str = "nir"
    dt: float | None = None
    reset: Reset | None = None
    timing: Timing | None = None
    compare: Compare | None = None
    decay: Decay | None = None
    gain: Gain | None = None
    synapse: Synapse | None = None
    initial: Initial | None = None
    readout: Readout = "stack"
    steps: int = 1
    input_lo: float = 0.0
    input_hi: float = 1.0
    input_step: float = 1.0

    @classmethod
    def parse(cls, text: str) -> NirOptions:
        """Read ``reset=subtract,dt=1e-3``.

        >>> NirOptions.parse("exporter=norse,compare=ge").compare
        'ge'

        Raises:
            CompileError: E148 with everything that is wrong.
        """
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        return cls.of({key.strip(): value.strip() for key, _, value in pairs})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> NirOptions:
        """From names and values, which may be text; the inverse of ``dataclasses.asdict``."""
        found: list[Diagnostic] = []
        known = {f.name for f in fields(cls)}
        kept = {}
        for key, value in values.items():
            if key not in known:
                hint = f"known: {', '.join(sorted(known))}"
                found.append(error("E148", f"unknown NIR option {key!r}", help=hint))
            elif value is not None:
                kept[key] = _converted(key, value, found)
        if found:
            raise CompileError(found)
        return cls(**kept).check()

    def check(self) -> NirOptions:
        """Return the options, or raise CompileError E148 with all that is wrong."""
        found: list[Diagnostic] = []
        for key in _CHOICES:
            _one_of(key, getattr(self, key), found)
        if self.exporter not in EXPORTERS:
            hint = f"known: {', '.join(EXPORTERS)}"
            found.append(error("E148", f"unknown NIR exporter {self.exporter!r}", help=hint))
        if self.dt is not None and not 0 < self.dt < float("inf"):
            found.append(error("E148", f"NIR option dt is {self.dt}, possible are positive times"))
        if self.steps < 1:
            found.append(
                error("E148", f"NIR option steps is {self.steps}, possible are 1 and more")
            )
        numbers = (self.input_lo, self.input_hi, self.input_step)
        finite = all(abs(x) < float("inf") for x in numbers)
        if not finite or self.input_lo > self.input_hi or self.input_step < 0:
            found.append(error("E148", f"the range of the inputs is {numbers}"))
        if found:
            raise CompileError(found)
        return self

    def resolved(self) -> NirOptions:
        """Every None replaced by the exporter's convention, but for an unknown ``dt``."""
        convention = EXPORTERS[self.exporter]
        missing = {k: v for k, v in convention.values.items() if getattr(self, k) is None}
        return replace(self, **missing)


@dataclass(frozen=True, slots=True)
class Exporter:
    """The update rule of a library that writes NIR: values of options, and what to know."""

    values: dict[str, Any]
    notes: tuple[str, ...] = ()


_PAPER = {
    "reset": "zero",
    "timing": "same",
    "compare": "gt",
    "decay": "euler",
    "gain": "ode",
    "synapse": "ode",
    "initial": "zero",
}

#: Read in the sources of the libraries: what makes our step equal to the exporter's own.
EXPORTERS: dict[str, Exporter] = {
    "nir": Exporter(_PAPER),
    "snntorch": Exporter(
        {**_PAPER, "dt": 1e-4, "reset": "subtract", "timing": "next"},
        (
            "snnTorch's defaults are reset_mechanism='subtract' and reset_delay=True; layers made "
            "with others need reset=zero, or timing=snntorch for reset_delay=False",
            "its Synaptic with reset_mechanism='zero' and reset_delay=True drops the whole update "
            "of the membrane in the step of a reset, which no option says",
        ),
    ),
    "norse": Exporter(
        {**_PAPER, "dt": 1e-6, "synapse": "jump", "initial": "v_leak"},
        (
            "Norse writes tau * dt for a time constant; dt = 1e-6 gives back its steps of 1e-3",
            "its IAFCell ignores dt: use gain=r for integrate-and-fire neurons",
        ),
    ),
    "spikingjelly": Exporter({**_PAPER, "dt": 1e-4, "compare": "ge", "initial": "v_reset"}),
    "sinabs": Exporter(
        {**_PAPER, "dt": 1.0, "reset": "subtract", "compare": "ge", "decay": "exp"},
        (
            "sinabs counts time in steps and may fire several times in a step; here a neuron fires "
            "at most once",
            "its LIF normalises the input; ExpLeak, and LIF with norm_input=False, need gain=r",
        ),
    ),
    "rockpool": Exporter(
        {
            **_PAPER,
            "reset": "subtract",
            "compare": "ge",
            "decay": "exp",
            "gain": "one",
            "synapse": "decayed",
        },
        (
            "Rockpool adds the input without r, and may fire several times in a step; here a "
            "neuron fires at most once",
        ),
    ),
    "spyx": Exporter(
        {**_PAPER, "dt": 1e-4, "reset": "subtract"},
        ("spyx returns the spikes of a step one step later",),
    ),
    "lava": Exporter({**_PAPER, "dt": 1e-4}),
}

_CHOICES: dict[str, tuple[str, ...]] = {
    "reset": get_args(Reset),
    "timing": get_args(Timing),
    "compare": get_args(Compare),
    "decay": get_args(Decay),
    "gain": get_args(Gain),
    "synapse": get_args(Synapse),
    "initial": get_args(Initial),
    "readout": get_args(Readout),
}


def _one_of(key: str, value: str | None, found: list[Diagnostic]) -> None:
    if value is not None and value not in _CHOICES[key]:
        hint = f"possible: {', '.join(_CHOICES[key])}"
        found.append(error("E148", f"NIR option {key} is {value!r}", help=hint))


def _converted(key: str, value: Any, found: list[Diagnostic]) -> Any:
    """A value of the type of the option; a problem is added to ``found``."""
    hint = get_type_hints(NirOptions)[key]
    kinds = [kind for kind in (int, float) if kind in (hint, *get_args(hint))]
    if not kinds:
        return str(value)
    try:
        return kinds[0](value)
    except (TypeError, ValueError):
        found.append(error("E148", f"NIR option {key} is {value!r}, which is not a number"))
        return kinds[0](1)
