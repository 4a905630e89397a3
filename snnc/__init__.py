"""Compile trained spiking neural networks to integer-only code, proven and verified.

``snnc.export(module, example, "model.pt")`` writes a model file from PyTorch, ``snnc.compile``
makes an artifact of it, ``snnc.load`` opens one.  ``snnc.finetune`` trains the integers that are
compiled.  ``snnc.convert`` makes a spiking network of a ReLU network.  Each is imported when first
used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from snnc.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from snnc.artifact import Artifact
    from snnc.converting import convert
    from snnc.diagnostics import CompileError
    from snnc.driver import compile
    from snnc.exporting import export
    from snnc.finetuning.finetune import finetune

__all__ = [
    "Artifact",
    "CompileError",
    "__version__",
    "compile",
    "convert",
    "export",
    "finetune",
    "load",
]

_LAZY = {
    "Artifact": "snnc.artifact",
    "CompileError": "snnc.diagnostics",
    "compile": "snnc.driver",
    "convert": "snnc.converting",
    "export": "snnc.exporting",
    "finetune": "snnc.finetuning.finetune",
}


def load(folder: Path | str) -> Artifact:
    """Open an artifact after checking every file of it.

    Raises:
        CompileError: E401 to E407 if it is not as compiled.
    """
    from snnc.artifact import Artifact

    return Artifact.open(folder)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'snnc' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
