"""Layers that share row scales, and the integers that were chosen for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnc.passes.quantized_value import Root
from snnc.passes.row_blocks import MadeRows
from snnc.passes.row_scale import RowScales
from snnc.passes.weight_rows import scaled_rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Part:
    """One layer of those that share row scales.

    Attributes:
        root: The layer.
        ratio: (rows,) factors of its rows in the shared unit.
        finer: By how many powers of two its scale is smaller than the shared one.
        bits: Of a weight.
    """

    root: Root
    ratio: Floats
    finer: int
    bits: int

    @property
    def rows(self) -> MadeRows:
        """(rows, columns) in the shared unit."""
        return scaled_rows(self.root.rows, self.ratio)

    @property
    def name(self) -> str:
        """Of the layer."""
        return self.root.node.name


@dataclass(frozen=True, eq=False)
class Codes:
    """The integers of one layer.

    Attributes:
        codes: (rows, columns).
        bias: (rows,) in real numbers, if the layer has one.
        factor: (rows,) that thresholds grow by: the scales are smaller by it than the codes say.
    """

    codes: Ints
    bias: Floats | None
    factor: Floats


@dataclass(frozen=True, eq=False)
class Chosen:
    """Shared scales, and the integers of each part; what was ``tried`` to find them."""

    method: str
    scales: RowScales
    parts: tuple[Codes, ...]
    tried: str = ""


def of_codes(method: str, scales: RowScales, parts: list[Part], codes: list[Ints]) -> Chosen:
    """A choice that leaves biases and thresholds as they are."""
    ones = np.ones(len(scales.peak))
    biases = [None if p.root.op.bias is None else p.root.op.bias.data for p in parts]
    found = [
        Codes(c, None if b is None else np.broadcast_to(b, len(ones)).astype(np.float64), ones)
        for c, b in zip(codes, biases, strict=True)
    ]
    return Chosen(method, scales, tuple(found))
