"""Numbers of a model that are not finite, as an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.diagnostics import Diagnostic, Loc, error


def not_finite(values: npt.NDArray[Any], title: str, loc: Loc) -> list[Diagnostic]:
    """E301 with the first NaN or infinity of an array that messages call ``title``, if any."""
    bad = np.argwhere(~np.isfinite(values))
    if not len(bad):
        return []
    index = [int(i) for i in bad[0]]
    text = f"{title}{index if index else ''} is {values[tuple(index)]}"
    note = f"{len(bad)} of {values.size} values are not finite"
    hint = "training diverged or the file is damaged: train again or restore it"
    return [error("E301", text, loc, note, help=hint)]
