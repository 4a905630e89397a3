"""What a lava-dl file leaves open: the comparison, the delay of a layer, inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from snnc.frontends.file_options import OptionProblems, pairs_of
from snnc.frontends.readouts import Readout

Compare = Literal["gt", "ge"]

_NUMBERS: dict[str, type[int | float]] = {
    **dict.fromkeys(("delay_shift", "steps"), int),
    **dict.fromkeys(("input_lo", "input_hi", "input_step"), float),
}
_FORMAT = ("lava-dl", "E178")
_CHOICES = {"compare": get_args(Compare), "readout": get_args(Readout)}
_MAX_SIDE = 1 << 24


@dataclass(frozen=True, slots=True)
class LavaDlOptions:
    """How to read a ``.net`` file.

    Attributes:
        compare: A neuron fires at ``v > threshold``, as Loihi does and lava-dl since it adds an
            epsilon to the threshold, or at ``v >= threshold``, as lava-dl trained before.
        delay_shift: 1: the spikes of each layer arrive one step later, as lava-dl trains with
            ``delay_shift=True`` and as Lava and Loihi run; 0: within the step.
        readout: What the output is: all steps, or their sum, mean, last or maximum.
        steps: Steps of one sample, as a default for later commands; 0: as the file says, or 1.
        input: Shape of the input, e.g. ``2x32x32``, for files that do not say it.
        input_lo: Smallest value of the inputs. None: 0, and -1 in front of encoding neurons.
        input_hi: Largest value of the inputs. None: 1.
        input_step: Grid of the inputs, a power of two for encoding neurons. None: 1, and 1/32 in
            front of encoding neurons, to which lava-dl rounds the input there.
    """

    compare: Compare = "gt"
    delay_shift: int = 0
    readout: Readout = "stack"
    steps: int = 0
    input: str = ""
    input_lo: float | None = None
    input_hi: float | None = None
    input_step: float | None = None

    @classmethod
    def parse(cls, text: str) -> LavaDlOptions:
        """Read ``compare=ge,delay_shift=1``.

        >>> LavaDlOptions.parse("compare=ge,input=2x8x8").shape
        (2, 8, 8)

        Raises:
            CompileError: E178 with everything that is wrong.
        """
        return cls.of(pairs_of(text))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> LavaDlOptions:
        """From names and values, which may be text; the inverse of ``dataclasses.asdict``."""
        problems = OptionProblems(*_FORMAT)
        kept = problems.typed(values, [f.name for f in fields(cls)], _NUMBERS)
        problems.stop()
        return cls(**kept).check()

    def check(self) -> LavaDlOptions:
        """Return the options, or raise CompileError E178 with all that is wrong."""
        problems = OptionProblems(*_FORMAT)
        for key, choices in _CHOICES.items():
            problems.one_of(key, getattr(self, key), choices)
        if self.delay_shift not in (0, 1):
            problems.wrong("delay_shift", self.delay_shift, ", not 0 or 1")
        if self.steps < 0:
            problems.wrong("steps", self.steps)
        if self.input and not self._sides():
            hint = "for example input=2x32x32: channels, height and width"
            problems.wrong("input", f"{self.input!a:.60}", help=hint)
        problems.grid(*self.grid(-1.0, 1.0), needed=True)
        problems.stop()
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that ``input`` names; () if it is not given."""
        return self._sides()

    def _sides(self) -> tuple[int, ...]:
        parts = self.input.lower().split("x")
        if not all(p.isascii() and p.isdigit() and 0 < int(p) <= _MAX_SIDE for p in parts):
            return ()
        return tuple(map(int, parts)) if len(parts) <= 3 else ()

    def grid(self, lo: float, step: float) -> tuple[float, float, float]:
        """Range and step of the inputs, with these defaults."""
        low = lo if self.input_lo is None else self.input_lo
        high = 1.0 if self.input_hi is None else self.input_hi
        return low, high, step if self.input_step is None else self.input_step
