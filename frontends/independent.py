"""Whether an axis that was read as features is one of samples, which do not see each other."""

from __future__ import annotations

from typing import Any

import torch

from snnc.diagnostics import fail
from snnc.frontends.readings import FileInput, Reading
from snnc.frontends.recover_reading import examples


def refuse_joined_samples(module: Any, reading: Reading, name: str) -> None:
    """Refuse a reading without batch, if the axis beside time has independent samples.

    It happens where the batch has the same extent as something else, so that the two cannot be
    told apart: the samples would be features of one big sample.

    Args:
        module: With FileModule's members; runs at the extents of the file.
        reading: That was found to be true.
        name: Of the file.

    Raises:
        CompileError: E164.
    """
    inputs: tuple[FileInput, ...] = module.inputs
    places = _beside(inputs, reading)
    if places is None:
        return
    extent = inputs[0].shape[places[0]][0]
    given = examples(inputs)
    with torch.no_grad():
        before = module(*given)
        changed = False
        for j in {0, extent - 1}:
            other = tuple(
                x.index_copy(a, torch.tensor([j]), x.select(a, j).logical_not().to(x).unsqueeze(a))
                for x, a in zip(given, places, strict=True)
            )
            for y, z in zip(before, module(*other), strict=True):
                differs = y != z
                if not differs.any():
                    continue
                changed = True
                if not any(_only(differs, a, j) for a in range(y.dim()) if y.shape[a] == extent):
                    return
    if changed:
        text = f"{name}: axis {places[0]} has {extent} independent samples, as many as "
        raise fail(
            "E164",
            text + ("there are steps" if extent == reading.steps else "another axis has elements"),
            None,
            "steps, samples and features are recognised by their numbers",
            help="export it with another batch size, one that is no size of the network, or "
            "with a batch of 1; or use snnc.export on the module",
        )


def _beside(inputs: tuple[FileInput, ...], reading: Reading) -> list[int] | None:
    """Per input the axis that would be the batch, if it can be one."""
    if any(b is not None for b in reading.batches):
        return None
    if all(len(x.shape) < 2 + (t is not None) for x, t in zip(inputs, reading.times, strict=True)):
        return None  # the only axis is that of the features
    places = [0 if t is None else 1 - t if t < 2 else 0 for t in reading.times]
    if any(len(x.shape) <= a for x, a in zip(inputs, places, strict=True)):
        return None
    extents = {x.shape[a][0] for x, a in zip(inputs, places, strict=True)}
    return places if len(extents) == 1 and min(extents) > 1 else None


def _only(differs: torch.Tensor, axis: int, place: int) -> bool:
    """Whether nothing differs but at one place of an axis."""
    rest = differs.clone()
    rest.select(axis, place).zero_()
    return not bool(rest.any())
