"""What an output may be, of a file that leaves it open: all steps, or one value of them."""

from __future__ import annotations

from typing import Literal

from snnc import ops

Readout = Literal["stack", "sum", "mean", "last", "max"]

READOUTS: dict[Readout, type[ops.Op]] = {
    "stack": ops.TimeStack,
    "sum": ops.TimeSum,
    "mean": ops.TimeMean,
    "last": ops.TimeLast,
    "max": ops.TimeMax,
}
