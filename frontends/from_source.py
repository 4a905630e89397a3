"""Trace the user's own code, which the user names: ``file.py:factory``."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snnc.container import LoadedModel
from snnc.diagnostics import CompileError, Loc, fail
from snnc.exporting import export
from snnc.frontends.weights_file import read_weights

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
    file, _, name = source.rpartition(":")
    path = Path(file)
    if not file or not name or not path.is_file():
        text = f"--module {source}: there is no such file or factory"
        raise fail("E112", text, help="the form is file.py:factory")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None, "a .py file has a loader"
    assert spec.loader is not None, "a .py file has a loader"
    code = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, code)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(code)
        factory = getattr(code, name, None)
        made = factory() if callable(factory) else None
    except (Exception, SystemExit) as e:
        if isinstance(e, CompileError):
            raise
        raise _failed(path, e) from e
    finally:
        sys.path.remove(str(path.resolve().parent))
    if not callable(factory):
        raise fail("E112", f"{path.name} defines no function {name!r}", help=_CONTRACT)
    if isinstance(made, tuple) and len(made) == 2:
        made = {"module": made[0], "example": made[1]}
    if not isinstance(made, dict) or not isinstance(made.get("module"), nn.Module):
        text = f"{name}() returned {type(made).__name__}"
        raise fail("E112", text, help=_CONTRACT)
    return made


def _failed(path: Path, e: BaseException) -> CompileError:
    """The user's own code failed: where, in the last line of theirs, and how."""
    frames = [
        f
        for f in traceback.extract_tb(e.__traceback__)
        if Path(f.filename).resolve() == path.resolve()
    ]
    line = frames[-1].lineno if frames else getattr(e, "lineno", None)
    loc = Loc(path.name, path.name, line) if line else Loc(path.name)
    return fail("E112", f"the code in {path.name} failed: {type(e).__name__}: {e}", loc)


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
