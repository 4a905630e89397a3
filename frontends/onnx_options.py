"""What an ONNX file leaves open: which inputs are states, where time is, what the inputs are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from snnc.frontends.file_options import OptionProblems
from snnc.frontends.readouts import READOUTS

#: The time axis of inputs that are the same at every step.
NO_AXIS = -1
_FORMAT = ("ONNX", "E163")


@dataclass(frozen=True, slots=True)
class OnnxOptions:
    """How to read an ONNX file.

    Attributes:
        state: (input, output) pairs: what a step leaves in the output, the next one finds in the
            input. Empty: pairs whose names say so, such as ``v`` and ``v_out``.
        steps: Steps of one sample, for a file that holds a single step.
        time_axis: Of the inputs; NO_AXIS, written ``none``: they have none, the loop is inside;
            None: found from what the graph does with them.
        readout: For a file that holds a single step, what an output is: all steps, or their sum,
            mean, last or maximum.
        input_lo: Smallest value of the inputs.
        input_hi: Largest value of the inputs.
        input_step: Grid of the inputs; 0: none.
    """

    state: tuple[tuple[str, str], ...] = ()
    steps: int | None = None
    time_axis: int | None = None
    readout: str = "stack"
    input_lo: float = 0.0
    input_hi: float = 1.0
    input_step: float = 0.0

    @classmethod
    def parse(cls, text: str) -> OnnxOptions:
        """Read ``state=v:v_out,steps=20``; ``state`` may be given several times.

        >>> OnnxOptions.parse("state=v:v_out,state=i:i_out,steps=20").state
        (('v', 'v_out'), ('i', 'i_out'))

        Raises:
            CompileError: E163 with everything that is wrong.
        """
        problems = OptionProblems(*_FORMAT)
        values: dict[str, Any] = {}
        known = [f.name for f in fields(cls)]
        for part in text.split(","):
            key, given, value = (piece.strip() for piece in part.partition("="))
            if not part.strip():
                continue
            if key not in known or not given:
                problems.unknown(part.strip(), known)
            elif key == "state":
                first, colon, last = (piece.strip() for piece in value.partition(":"))
                if not (first and colon and last):
                    hint = "give it as state=INPUT:OUTPUT"
                    problems.wrong("state", f"{value!a:.60}", help=hint)
                values["state"] = (*values.get("state", ()), (first, last))
            elif key == "readout":
                values[key] = value
            elif key == "time_axis" and value == "none":
                values[key] = NO_AXIS
            else:
                kind = float if key.startswith("input_") else int
                values[key] = problems.number(key, value, kind)
        problems.stop()
        return cls(**values).check()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> OnnxOptions:
        """From JSON values; the inverse of ``document``."""
        pairs = tuple((str(a), str(b)) for a, b in values.get("state", ()))
        return cls(**{**values, "state": pairs}).check()

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def check(self) -> OnnxOptions:
        """Return the options, or raise CompileError E163 with all that is wrong."""
        problems = OptionProblems(*_FORMAT)
        problems.one_of("readout", self.readout, READOUTS)
        if self.steps is not None and not 1 <= self.steps <= 1_000_000:
            problems.wrong("steps", self.steps, ", possible are 1 and more")
        if self.time_axis is not None and self.time_axis not in (0, 1, NO_AXIS):
            problems.wrong("time_axis", self.time_axis, ", possible are 0, 1 and none")
        for side in (0, 1):
            names = [pair[side] for pair in self.state]
            if len({*names}) < len(names):
                problems.add("ONNX option state names an input or output twice")
        problems.grid(self.input_lo, self.input_hi, self.input_step)
        problems.stop()
        return self
