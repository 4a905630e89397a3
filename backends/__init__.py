"""Backends: each checks an integer graph against its target, prints it and runs the print."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from snnc.diagnostics import fail

if TYPE_CHECKING:
    from snnc.backends.base import Backend

#: Every backend by its command-line name: module and class, imported when asked for.
BACKENDS: dict[str, tuple[str, str]] = {
    "numpy": ("snnc.backends.numpy.backend", "NumpyBackend"),
    "c": ("snnc.backends.c.backend", "CBackend"),
    "lava": ("snnc.backends.lava.backend", "LavaBackend"),
    "torch": ("snnc.backends.torch.backend", "TorchBackend"),
    "lava-stock": ("snnc.backends.lava.stock.backend", "StockBackend"),
}

#: What each backend emits, in one line.
SUMMARIES: dict[str, str] = {
    "numpy": "stand-alone Python package that needs NumPy alone; defines every integer",
    "c": "event-driven integer-only C99, static memory, no library beyond the C standard",
    "lava": "Lava processes for lava-nc 0.10.0, run under a supervisor",
    "torch": "the program as a torch.nn.Module, for large batches on CPU or GPU",
    "lava-stock": "only processes that lava-nc provides: --target lava --lava-mode stock",
}

__all__ = ["BACKENDS", "SUMMARIES", "check_names", "load_backend"]


def check_names(names: tuple[str, ...]) -> None:
    """Raise CompileError E002 if a name is not that of a backend."""
    if unknown := [name for name in names if name not in BACKENDS]:
        text = f"there is no target {unknown[0]!r}"
        raise fail("E002", text, help=f"targets are {', '.join(BACKENDS)}: see snnc targets")


def load_backend(name: str) -> Backend:
    """Import a backend and make one; raises CompileError E002 if there is none of that name."""
    check_names((name,))
    module, kind = BACKENDS[name]
    backend: Backend = getattr(importlib.import_module(module), kind)()
    return backend
