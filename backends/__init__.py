"""Backends: each checks an integer graph against its target, prints it and runs the print."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from snnc.diagnostics import fail

if TYPE_CHECKING:
    from snnc.backends.base import Backend

#: Every backend by its command-line name: module and class, imported when asked for.
BACKENDS: dict[str, tuple[str, str]] = {
    "numpy": ("snnc.backends.numpy.backend", "NumpyBackend"),
    "c": ("snnc.backends.c.backend", "CBackend"),
    "lava": ("snnc.backends.lava.backend", "LavaBackend"),
    "onnx": ("snnc.backends.onnx.backend", "OnnxBackend"),
    "nir": ("snnc.backends.nir.backend", "NirBackend"),
    "torch": ("snnc.backends.torch.backend", "TorchBackend"),
    "lava-stock": ("snnc.backends.lava.stock.backend", "StockBackend"),
}

#: What each backend emits, in one line.
SUMMARIES: dict[str, str] = {
    "numpy": "stand-alone Python package that needs NumPy alone; defines every integer",
    "c": "event-driven integer-only C99, static memory, no library beyond the C standard",
    **{
        f"c:{name}": f"the same for {what}"
        for name, what in (
            ("cortex-m0", "Arm Cortex-M0 and M0+: no library, memory known to the byte"),
            ("cortex-m4", "Arm Cortex-M3, M4, M7, M33"),
            ("riscv32", "RISC-V RV32IMAC"),
        )
    },
    "lava": "Lava processes for lava-nc 0.10.0, run under a supervisor",
    "onnx": "integer operators of ONNX, one Scan over time with states as inputs and outputs",
    "onnx:float": "the network in real numbers as ONNX, in double precision, for other tools",
    "nir": "the network in real numbers, for other tools; scales of the integers as metadata",
    "torch": "the program as a torch.nn.Module, for large batches on CPU or GPU",
    "lava-stock": "only processes that lava-nc provides: --target lava --lava-mode stock",
    "lava:loihi1": "these within the limits of a Loihi 1 chip, placed on its cores",
    "lava:loihi2": "the same for Loihi 2",
}

__all__ = ["BACKENDS", "SUMMARIES", "check_names", "folder_of", "in_order", "load_backend"]


def check_names(names: tuple[str, ...]) -> None:
    """Raise CompileError E002 if a name is not that of a backend, or its machine unknown."""
    if unknown := [name for name in names if name.partition(":")[0] not in BACKENDS]:
        text = f"there is no target {unknown[0]!r}"
        plain = [name for name in BACKENDS if "-" not in name]
        raise fail("E002", text, help=f"targets are {', '.join(plain)}: see snnc targets")
    for name in names:
        if ":" in name:
            load_backend(name)


def load_backend(name: str) -> Backend:
    """Import a backend and make one; raises CompileError E002 if there is none of that name.

    ``c:cortex-m4`` is the C backend for that machine.
    """
    family, _, machine = name.partition(":")
    if family not in BACKENDS:
        check_names((name,))
    module, kind = BACKENDS[family]
    found: type[Backend] = getattr(importlib.import_module(module), kind)
    return found.for_machine(machine) if ":" in name else found()


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Targets without repetition, in the order of ``BACKENDS``; ``c:host`` is ``c``."""
    known = list(BACKENDS)
    wanted = {"c" if name == "c:host" else name for name in names}
    return tuple(sorted(wanted, key=lambda name: (known.index(name.partition(":")[0]), name)))


def folder_of(name: str) -> str:
    """Folder of a target in an artifact.

    >>> folder_of("c"), folder_of("c:cortex-m4")
    ('c', 'c-cortex-m4')
    """
    return name.replace(":", "-")
