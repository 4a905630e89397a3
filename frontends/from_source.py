"""Trace the user's own code, which the user names: ``file.py:factory``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from snnc.container import LoadedModel
from snnc.diagnostics import fail
from snnc.exporting import export
from snnc.frontends.weights_file import read_weights
from snnc.own_code import call

_CONTRACT = (
    "factory() returns (module, example), or a dict of arguments of snnc.export such as "
    "{'module': net, 'example': x, 'time_axis': 1}"
)


def load_from_source(source: str, weights: str | Path | None = None) -> LoadedModel:
    """Import the file, call the factory, load the weights and export in memory.

    Args:
        source: ``file.py:factory``.
        weights: File written by ``torch.save(module.state_dict(), …)``, or by safetensors; it is
            read as data, in a child process.

    Raises:
        CompileError: E112 for a source or factory that does not work, E113 for weights that do
            not fit, and whatever the export finds.
    """
    arguments = _call_factory(source)
    if weights is not None:
        _load_weights(arguments["module"], Path(weights))
    return export(path=None, **arguments).model


def _call_factory(source: str) -> dict[str, Any]:
    made = call(source, "--module", _CONTRACT)
    if isinstance(made, tuple) and len(made) == 2:
        made = {"module": made[0], "example": made[1]}
    if not isinstance(made, dict) or not isinstance(made.get("module"), nn.Module):
        text = f"{source.rpartition(':')[2]}() returned {type(made).__name__}"
        raise fail("E112", text, help=_CONTRACT)
    return made


def _load_weights(module: nn.Module, path: Path) -> None:
    """Copy the weights of the file into the module; E113 names what does not fit."""
    own = module.state_dict()
    names = [k for k, v in own.items() if isinstance(v, torch.Tensor)]
    found = read_weights(path, names)
    wrong = [
        f"{kind}: {', '.join(ascii(k)[1:-1] for k in keys[:8])}"
        + (f" and {len(keys) - 8} more" if len(keys) > 8 else "")
        for kind, keys in (
            ("missing in the file", [k for k in names if k not in found]),
            ("not in the module", [k for k in found if k not in own]),
        )
        if keys
    ]
    for key in names:
        if key in found and found[key].shape != own[key].shape:
            shapes = f"{list(found[key].shape)} in the file, {list(own[key].shape)} in the module"
            wrong.append(f"{key}: {shapes}")
    if wrong:
        text = f"the weights in {path.name} do not fit the module"
        hint = "check that both belong to the same network"
        raise fail("E113", text, None, *wrong[:12], help=hint)
    state = {k: torch.from_numpy(v.data.copy()) for k, v in found.items()}
    try:
        module.load_state_dict({**own, **state})
    except (RuntimeError, TypeError, AttributeError) as e:
        text = f"the weights in {path.name} do not fit the module"
        notes = [line.strip() for line in str(e).splitlines()[1:6]] or [str(e)]
        raise fail("E113", text, None, *notes) from e
