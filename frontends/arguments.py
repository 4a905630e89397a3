"""Arguments of ``snnc.export`` that cannot be meant, refused before anything is traced."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from snnc.diagnostics import fail
from snnc.frontends.example import keys_of, parts
from snnc.frontends.members import modules_of
from snnc.frontends.recipe import Recipe


def check_arguments(module: Any, example: Any, steps: Any, outputs: Any, **axes: Any) -> None:
    """Check types and values of what the user passes.

    Args:
        module: What should be a module.
        example: A tensor, several, or a dict of them.
        steps: A positive integer or None.
        outputs: A list of different names.
        axes: By name: an integer, None or ``auto``.

    Raises:
        CompileError: E116 an argument that does not fit, E117 an example with NaN or infinity.
    """
    _check_module(module)
    if steps is not None and (not _whole(steps) or steps < 1):
        text = f"steps is {steps!r}, not a positive integer"
        raise fail("E116", text, help="pass the number of time steps, e.g. steps=16, or nothing")
    _check_names(outputs)
    if any(type(k) is not str or not k for k in keys_of(example)):
        text = f"the example has the keys {list(keys_of(example))}, which name inputs"
        raise fail("E116", text, help="pass a dict whose keys are names, as forward takes it")
    _check_values("example", example)
    dims = [np.ndim(x) for x in parts(example) if hasattr(x, "shape")]
    for name, axis in axes.items():
        if axis is None or (isinstance(axis, str) and axis == "auto"):
            continue
        if not _whole(axis):
            text = f"{name} is {axis!r}, not the number of an axis"
            raise fail("E116", text, help=f"pass an integer, e.g. {name}=0, or None for no axis")
        if dims and not any(-d <= axis < d for d in dims):
            text = f"the example has no axis {axis}, which {name} names"
            shapes = ", ".join(str(tuple(x.shape)) for x in parts(example))
            hint = f"pass {name}=None if there is none"
            raise fail("E116", text, None, f"its shape is {shapes}", help=hint)


def check_calibration(calibration: Any, example: Any, recipe: Recipe) -> None:
    """Check that calibration data look like the example, but for the numbers of steps and samples.

    Raises:
        CompileError: E116 another shape, E117 NaN or infinity.
    """
    _check_values("calibration", calibration)
    keys = keys_of(example)
    if set(keys_of(calibration)) != set(keys):
        text = (
            f"the calibration has the keys {list(keys_of(calibration))}, the example {list(keys)}"
        )
        raise fail("E116", text, help="pass inputs in the same form as the example")
    data, like = parts(calibration, keys), parts(example)
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


def _check_names(outputs: Any) -> None:
    if not isinstance(outputs, tuple | list):
        text = f"outputs is {outputs!r}, not a list of names"
        one = outputs if isinstance(outputs, str) else "out"
        raise fail("E116", text, help=f"pass one name for every output, e.g. outputs=[{one!r}]")
    wrong = [x for x in outputs if not isinstance(x, str) or not x]
    if wrong or len(set(outputs)) < len(outputs):
        text = f"outputs is {list(outputs)!r}, not a list of different names"
        raise fail("E116", text, help="pass one name for every tensor that forward returns")


def _check_values(name: str, data: Any) -> None:
    for x in parts(data):
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


def _whole(x: Any) -> bool:
    return isinstance(x, int | np.integer) and not isinstance(x, bool)
