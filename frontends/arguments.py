"""Arguments of ``snnc.export`` that cannot be meant, refused before anything is traced."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from snnc.diagnostics import fail
from snnc.frontends.members import modules_of
from snnc.frontends.recipe import Recipe


def check_arguments(module: Any, example: Any, steps: Any, **axes: Any) -> None:
    """Check types and values of what the user passes.

    Args:
        module: What should be a module.
        example: A tensor or several.
        steps: A positive integer or None.
        axes: By name: an integer, None or ``auto``.

    Raises:
        CompileError: E116 an argument that does not fit, E117 an example with NaN or infinity.
    """
    _check_module(module)
    if steps is not None and (not _whole(steps) or steps < 1):
        text = f"steps is {steps!r}, not a positive integer"
        raise fail("E116", text, help="pass the number of time steps, e.g. steps=16, or nothing")
    _check_values("example", example)
    dims = [np.ndim(x) for x in _parts(example) if hasattr(x, "shape")]
    for name, axis in axes.items():
        if axis is None or (isinstance(axis, str) and axis == "auto"):
            continue
        if not _whole(axis):
            text = f"{name} is {axis!r}, not the number of an axis"
            raise fail("E116", text, help=f"pass an integer, e.g. {name}=0, or None for no axis")
        if dims and not any(-d <= axis < d for d in dims):
            text = f"the example has no axis {axis}, which {name} names"
            shapes = ", ".join(str(tuple(x.shape)) for x in _parts(example))
            hint = f"pass {name}=None if there is none"
            raise fail("E116", text, None, f"its shape is {shapes}", help=hint)


def check_calibration(calibration: Any, example: Any, recipe: Recipe) -> None:
    """Check that calibration data look like the example, but for the numbers of steps and samples.

    Raises:
        CompileError: E116 another shape, E117 NaN or infinity.
    """
    _check_values("calibration", calibration)
    data, like = _parts(calibration), _parts(example)
    if len(data) != len(like):
        text = f"the calibration holds {len(data)} tensors, the example {len(like)}"
        raise fail("E116", text, help="pass one for every input, in their order")
    for i, (x, y) in enumerate(zip(data, like, strict=True)):
        free = {0} if recipe.joined else {recipe.time_axes[i], recipe.batch_axes[i]}
        have, want = tuple(getattr(x, "shape", ())), tuple(y.shape)
        same = len(have) == len(want) and all(
            n == m for a, (n, m) in enumerate(zip(have, want, strict=True)) if a not in free
        )
        if not same:
            text = f"calibration of shape {have} does not fit an example of shape {want}"
            hint = "only the numbers of samples and of steps may differ"
            raise fail("E116", text, help=hint)


def _check_module(module: Any) -> None:
    if isinstance(module, type):
        text = f"{module.__name__} is a class, not a module"
        raise fail("E116", text, help=f"pass a trained instance: {module.__name__}(…)")
    if not isinstance(module, nn.Module):
        text = f"export takes a module, not an object of type {type(module).__name__}"
        raise fail("E116", text, help="put a function into forward of a torch.nn.Module")
    if any(isinstance(m, torch.jit.ScriptModule) for m in modules_of(module)):
        text = "TorchScript modules cannot be exported"
        raise fail("E116", text, help="pass the module before torch.jit.script or torch.jit.trace")


def _check_values(name: str, data: Any) -> None:
    for x in _parts(data):
        if not isinstance(x, torch.Tensor | np.ndarray):
            continue  # what is no tensor is refused where the inputs are read
        if 0 in x.shape:
            text = f"the {name} of shape {tuple(x.shape)} holds no samples"
            raise fail("E116", text, help="pass at least one sample and one step")
        values = x.detach() if isinstance(x, torch.Tensor) else torch.from_numpy(x)
        if not values.isfinite().all():
            text = f"the {name} holds NaN or infinity"
            hint = "remove such samples: ranges and the comparison are taken from it"
            raise fail("E117", text, help=hint)


def _parts(data: Any) -> tuple[Any, ...]:
    return tuple(data) if isinstance(data, tuple | list) else (data,)


def _whole(x: Any) -> bool:
    return isinstance(x, int | np.integer) and not isinstance(x, bool)
