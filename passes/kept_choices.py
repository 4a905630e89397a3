"""Choices that were made with calibration data, kept so that they can be followed without them.

Integers of weights are in the program; a file next to it has the scales, the corrected biases and
thresholds, and which layers were chosen together by which method.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from snnc.diagnostics import CompileError, fail
from snnc.graph import Graph
from snnc.passes.parts import Chosen, Codes, Part
from snnc.passes.row_scale import MOST_PERCENT, RowScales, largest, least_trained
from snnc.passes.weight_rows import IntWeighted

Array = npt.NDArray[Any]

#: Where an artifact has them.
FILE = "program/choices.safetensors"


@dataclass
class KeptChoices:
    """Choices by the names of the layers that were chosen together.

    Attributes:
        program: Holds the integers.
        groups: Method, bits of the scales, (name, bits, finer) of each layer, and what was tried.
        arrays: ``names/peak`` and so on.
    """

    program: Graph | None = None
    groups: dict[str, tuple[str, int, list[tuple[str, int, int]], str]] = field(
        default_factory=dict
    )
    arrays: dict[str, Array] = field(default_factory=dict)

    def keep(self, chosen: Chosen, parts: list[Part]) -> None:
        """Remember a choice."""
        key, scales = _key(parts), chosen.scales
        layers = [(p.name, p.bits, p.finer) for p in parts]
        self.groups[key] = (chosen.method, scales.bits, layers, chosen.tried)
        self.arrays |= {f"{key}/peak": scales.peak, f"{key}/percent": scales.percent}
        if scales.tops is not None:
            self.arrays[f"{key}/tops"] = scales.tops
        for part, own in zip(parts, chosen.parts, strict=True):
            self.arrays[f"{key}/{part.name}/factor"] = own.factor
            if own.bias is not None:
                self.arrays[f"{key}/{part.name}/bias"] = own.bias

    def dump(self) -> bytes:
        """The bytes of the file."""
        text = json.dumps(self.groups, sort_keys=True)
        arrays = {name: np.ascontiguousarray(a, np.float64) for name, a in self.arrays.items()}
        return safetensors.numpy.save(dict(sorted(arrays.items())), {"groups": text})

    def follow(self, parts: list[Part]) -> Chosen:
        """The same choice again.

        Raises:
            CompileError: E333 if it was made for other layers.
        """
        key, count = _key(parts), len(parts[0].root)
        layers = [(p.name, p.bits, p.finer) for p in parts]
        method, bits, known, tried = self.groups.get(key, ("", 0, [], ""))
        if known != layers or not 2 <= bits <= 16:
            raise _unfit(key)
        own = [self._codes(key, p, count) for p in parts]
        peak, percent = (self._rows(f"{key}/{name}", count) for name in ("peak", "percent"))
        if not ((peak > 0) & (percent > 0) & (percent <= MOST_PERCENT)).all():
            raise _unfit(key)
        tops = self._rows(f"{key}/tops", count) if f"{key}/tops" in self.arrays else None
        if tops is not None and not (tops >= 1).all():
            raise _unfit(key)
        return Chosen(method, RowScales(peak, percent, bits, tops), tuple(own), tried)

    def _codes(self, key: str, part: Part, count: int) -> Codes:
        assert self.program is not None, "read from an artifact"
        op = self.program[part.name].op if part.name in self.program else None
        if not isinstance(op, IntWeighted) or op.weight.shape != part.root.shape:
            raise _unfit(part.name)
        codes = op.weight.data.reshape(count, -1)
        ends = int(codes.min(initial=0)), int(codes.max(initial=0))
        if ends[0] < least_trained(part.bits) or ends[1] > largest(part.bits):
            raise _unfit(part.name)
        bias = None if part.root.op.bias is None else self._rows(f"{key}/{part.name}/bias", count)
        factor = self._rows(f"{key}/{part.name}/factor", count)
        if not (factor > 0).all():
            raise _unfit(part.name)
        return Codes(codes, bias, factor)

    def _rows(self, name: str, count: int) -> npt.NDArray[np.float64]:
        found = self.arrays.get(name)
        if found is None or found.shape != (count,) or not np.isfinite(found).all():
            raise _unfit(name.rsplit("/", 1)[0])
        return found.astype(np.float64)


def read_choices(raw: bytes, program: Graph) -> KeptChoices:
    """Read the file of an artifact.

    Raises:
        CompileError: E402 if it is damaged.
    """
    try:
        arrays: Mapping[str, Array] = safetensors.numpy.load(raw)
        size = int.from_bytes(raw[:8], "little")
        groups = json.loads(json.loads(raw[8 : 8 + size])["__metadata__"]["groups"])
        checked = {
            str(key): (str(m), int(bits), [(str(n), int(b), int(f)) for n, b, f in parts], str(t))
            for key, (m, bits, parts, t) in groups.items()
        }
    except (
        safetensors.SafetensorError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        RecursionError,
    ) as e:
        raise fail("E402", f"{FILE} is damaged: {e}", help="compile the model again") from e
    return KeptChoices(program, checked, dict(arrays))


def _key(parts: list[Part]) -> str:
    return " + ".join(p.name for p in parts)


def _unfit(layer: str) -> CompileError:
    text = f"the artifact of --reuse has no integers for layer {layer} as it is here"
    why = "it was compiled from another network, or with other choices by layer"
    return fail("E333", text, None, why, help="give the same model and the same --config")
