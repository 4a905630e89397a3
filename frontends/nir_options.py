"""What a NIR file leaves open, and how each exporter means it.

NIR describes neurons by differential equations.  A program needs more: the length of a step, how
the equation is discretised, what a reset does and when, and whether the threshold itself fires.
None of it is in the file, nor is the name of the exporter.  Here every such question is an option
with a default, and the default can be taken from the exporter's own update rule
(``nir_exporters.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from snnc.diagnostics import CompileError, error
from snnc.frontends.file_options import OptionProblems, pairs_of
from snnc.frontends.nir_exporters import EXPORTERS
from snnc.frontends.readouts import Readout

Reset = Literal["zero", "subtract", "none"]
Timing = Literal["same", "next", "drop", "snntorch"]
Compare = Literal["gt", "ge"]
Decay = Literal["euler", "exp"]
Gain = Literal["ode", "r", "one"]
Synapse = Literal["ode", "jump", "decayed"]
Initial = Literal["zero", "v_leak", "v_reset"]
Spikes = Literal["one", "many"]
Floor = Literal["none", "zero"]
Loop = Literal["spikes", "current"]

_FORMAT = ("NIR", "E148")
_NUMBERS: dict[str, type[int | float]] = {
    "steps": int,
    **dict.fromkeys(("dt", "input_lo", "input_hi", "input_step"), float),
}


@dataclass(frozen=True, slots=True)
class NirOptions:
    """How to read a NIR file. None means: as ``exporter`` does.

    Attributes:
        exporter: A name of ``EXPORTERS``; ``nir`` is the reading of the NIR paper.
        dt: Length of a step, in the unit of the time constants. None: the exporter's; for
            ``nir`` found from ``tau / r`` where that is a round number, else 1e-4.
        reset: After a spike: to ``v_reset`` (``zero``), down by ``v_threshold``, or not at all.
        timing: The reset happens in the step of the spike (``same``), or in the next step, computed
            from the membrane before it is updated (``next``, snnTorch's ``reset_delay=True``), or
            in the next step in place of the update (``drop``, so do snnTorch's Synaptic and Alpha
            with ``reset_mechanism="zero"``), or both with snnTorch's own correction (its
            ``reset_delay=False``).
        compare: Fires at ``v > v_threshold`` or at ``v >= v_threshold``.
        spikes: At most one spike in a step, or as many as the threshold fits into the membrane.
        decay: ``1 - dt/tau`` (forward Euler) or ``exp(-dt/tau)``.
        decay_syn: The same for the current of a synapse. None: as ``decay``.
        gain: Of the input current: ``(1 - decay) * r`` as the equation says (``dt * r`` without
            a leak), ``r``, or 1 whatever ``r`` is.
        synapse: Gain of the input of a synapse: ``(1 - decay) * w_in`` as the equation says,
            ``w_in``, or ``decay`` whatever ``w_in`` is.
        initial: Membrane before the first step: 0, ``v_leak`` or ``v_reset``.
        floor: Lowest membrane that is kept: any, or 0.
        loop: What a loop keeps for the next step: the spikes, so that a bias on the way back acts
            from the first step on, or the current that arrives, which is 0 in the first step.
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
    spikes: Spikes | None = None
    decay: Decay | None = None
    decay_syn: Decay | None = None
    gain: Gain | None = None
    synapse: Synapse | None = None
    initial: Initial | None = None
    floor: Floor | None = None
    loop: Loop | None = None
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
        return cls.of(pairs_of(text))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> NirOptions:
        """From names and values, which may be text; the inverse of ``dataclasses.asdict``."""
        problems = OptionProblems(*_FORMAT)
        kept = problems.typed(values, [f.name for f in fields(cls)], _NUMBERS)
        problems.stop()
        return cls(**kept).check()

    def check(self) -> NirOptions:
        """Return the options, or raise CompileError E148 with all that is wrong."""
        problems = OptionProblems(*_FORMAT)
        for key, choices in _CHOICES.items():
            if (value := getattr(self, key)) is not None:
                problems.one_of(key, value, choices)
        if self.exporter not in EXPORTERS:
            problems.unknown(self.exporter, EXPORTERS, "exporter")
        if self.dt is not None and not 0 < self.dt < float("inf"):
            problems.wrong("dt", self.dt, ", possible are positive times")
        if self.steps < 1:
            problems.wrong("steps", self.steps, ", possible are 1 and more")
        problems.grid(self.input_lo, self.input_hi, self.input_step)
        problems.stop()
        return self

    def resolved(self) -> NirOptions:
        """Every None replaced by the exporter's convention, but for an unknown ``dt``.

        Raises:
            CompileError: E148 for choices that exclude each other.
        """
        convention = EXPORTERS[self.exporter]
        missing = {k: v for k, v in convention.values.items() if getattr(self, k) is None}
        chosen = replace(self, **missing)
        chosen = replace(chosen, decay_syn=chosen.decay_syn or chosen.decay)
        found = [
            error("E148", f"NIR options {one} and {other} exclude each other", None, why)
            for one, other, why in _EXCLUSIVE
            if all(str(getattr(chosen, k)) == v for k, v in map(_pair, (one, other)))
        ]
        if found:
            raise CompileError(found)
        return chosen


_ONCE = "a reset by several thresholds is defined for the step of the spikes: timing=same"
_EXCLUSIVE = (
    ("timing=drop", "reset=subtract", "in place of the update a membrane can only be set"),
    ("spikes=many", "timing=next", _ONCE),
    ("spikes=many", "timing=drop", _ONCE),
    ("spikes=many", "timing=snntorch", _ONCE),
)


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


_CHOICES: dict[str, tuple[str, ...]] = {
    "reset": get_args(Reset),
    "timing": get_args(Timing),
    "compare": get_args(Compare),
    "spikes": get_args(Spikes),
    "decay": get_args(Decay),
    "decay_syn": get_args(Decay),
    "gain": get_args(Gain),
    "synapse": get_args(Synapse),
    "initial": get_args(Initial),
    "floor": get_args(Floor),
    "loop": get_args(Loop),
    "readout": get_args(Readout),
}


def choices() -> dict[str, tuple[str, ...]]:
    """The values of every option that is a choice."""
    return dict(_CHOICES)
