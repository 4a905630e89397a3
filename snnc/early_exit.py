"""Stop each sample as soon as an output of one number, such as a confidence, reaches a limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.diagnostics import fail
from snnc.manifest import Manifest, OutputEntry

Array = npt.NDArray[Any]

#: Outputs of one number that `compile --exit` adds.
CRITERIA = ("confidence", "margin")


@dataclass(frozen=True)
class Exit:
    """The criterion.

    Attributes:
        output: Name of an output of one number.
        threshold: Real value at which a sample stops.
    """

    output: str
    threshold: float


def parse_exit(text: str) -> Exit:
    """Read ``confidence=0.9``.

    Raises:
        CompileError: E427 unless it is a name and a number.
    """
    name, equals, value = text.rpartition("=")
    try:
        threshold = float(value)
    except ValueError:
        threshold = math.nan
    if not equals or not math.isfinite(threshold):
        raise fail("E427", f"--exit {text} is not OUTPUT=NUMBER", help="e.g. --exit confidence=0.9")
    return Exit(name.strip(), threshold)


def integer_limits(manifest: Manifest, exit_: Exit, steps: int) -> npt.NDArray[np.int64]:
    """For every step, the least integer of the output whose real value reaches the threshold.

    Raises:
        CompileError: E427 if the artifact has no such output, or cannot stop early.
    """
    outputs = {o.name: o for o in manifest.outputs}
    entry = outputs.get(exit_.output)
    if entry is None or math.prod(entry.shape) != 1 or len(entry.scale) != 1:
        single = ", ".join(o.name for o in manifest.outputs if math.prod(o.shape) == 1)
        text = f"the artifact has no output {exit_.output!r} of one number"
        hint = f"it has {single}" if single else "compile with --exit confidence or --exit margin"
        raise fail("E427", text, help=hint)
    if late := [o.name for o in manifest.outputs if o.sequence or o.clock != "end"]:
        text = f"output {late[0]} is not known after any number of steps"
        raise fail("E427", text, help="samples can stop early if all outputs collect over time")
    return np.array([_limit(entry, exit_.threshold, t + 1) for t in range(steps)], np.int64)


def _limit(entry: OutputEntry, threshold: float, steps: int) -> int:
    scale = Fraction(entry.scale[0]) / (steps if entry.per_step else 1)
    least = math.ceil(Fraction(threshold) / scale)
    return max(-(1 << 62), min(1 << 62, least))
