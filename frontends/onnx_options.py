"""What an ONNX file leaves open: which inputs are states, where time is, what the inputs are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from snnc.diagnostics import CompileError, Diagnostic, error

#: The time axis of inputs that are the same at every step.
NO_AXIS = -1
_READOUTS = ("stack", "sum", "mean", "last", "max")


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
        found: list[Diagnostic] = []
        values: dict[str, Any] = {}
        known = [f.name for f in fields(cls)]
        for part in text.split(","):
            key, given, value = (piece.strip() for piece in part.partition("="))
            if not part.strip():
                continue
            if key not in known or not given:
                hint = f"known: {', '.join(known)}"
                found.append(error("E163", f"unknown ONNX option {part.strip()!a:.60}", help=hint))
            elif key == "state":
                first, colon, last = (piece.strip() for piece in value.partition(":"))
                if not (first and colon and last):
                    text_ = f"ONNX option state is {value!a:.60}"
                    found.append(error("E163", text_, help="give it as state=INPUT:OUTPUT"))
                values["state"] = (*values.get("state", ()), (first, last))
            elif key == "readout":
                values[key] = value
            elif key == "time_axis" and value == "none":
                values[key] = NO_AXIS
            else:
                kind = float if key.startswith("input_") else int
                try:
                    values[key] = kind(value)
                except ValueError:
                    text_ = f"ONNX option {key} is {value!a:.60}, not a number"
                    found.append(error("E163", text_))
        if found:
            raise CompileError(found)
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
        found: list[Diagnostic] = []
        if self.readout not in _READOUTS:
            hint = f"known: {', '.join(_READOUTS)}"
            found.append(error("E163", f"ONNX option readout is {self.readout!a:.60}", help=hint))
        if self.steps is not None and not 1 <= self.steps <= 1_000_000:
            found.append(
                error("E163", f"ONNX option steps is {self.steps}, possible are 1 and more")
            )
        if self.time_axis is not None and self.time_axis not in (0, 1, NO_AXIS):
            text = f"ONNX option time_axis is {self.time_axis}, possible are 0, 1 and none"
            found.append(error("E163", text))
        for side in (0, 1):
            names = [pair[side] for pair in self.state]
            if len({*names}) < len(names):
                text = "ONNX option state names an input or output twice"
                found.append(error("E163", text))
        numbers = (self.input_lo, self.input_hi, self.input_step)
        finite = all(abs(x) < float("inf") for x in numbers)
        if not finite or self.input_lo > self.input_hi or self.input_step < 0:
            found.append(error("E163", f"the range of the inputs is {numbers}"))
        if found:
            raise CompileError(found)
        return self
