"""The C backend: check, emit a folder of C99, build and run such a folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from snnc.backends.base import Arrays, Artifacts, Backend
from snnc.backends.c import checks
from snnc.backends.c.layout import flat_files, library_files
from snnc.backends.c.library import load_library
from snnc.backends.c.machines import HOST, Machine, find_machine
from snnc.backends.c.network import Network
from snnc.backends.c.sums import signed_sums
from snnc.diagnostics import Diagnostic
from snnc.graph import Graph

FLAGS = ("-std=c99", "-O2")


@dataclass(frozen=True)
class CBackend(Backend):
    """Event-driven integer C99.

    Attributes:
        compiler: Command of the C compiler for ``run``; empty: CC, cc, gcc or clang.
        flags: Its options.
        machine: What the code is written for; ``run`` builds it for this computer all the same.
    """

    name: ClassVar[str] = "c"
    compiler: str = ""
    flags: tuple[str, ...] = FLAGS
    machine: Machine = HOST

    @classmethod
    def for_machine(cls, machine: str) -> CBackend:
        return cls(machine=find_machine(machine))

    def check(self, graph: Graph) -> list[Diagnostic]:
        return checks.check(graph)

    def emit(self, graph: Graph) -> Artifacts:
        net = Network(graph, self.machine)
        files = flat_files(net) if self.machine.is_host else library_files(net)
        signed_sums.cache_clear()  # or the last network's weights stay in memory
        return Artifacts(dict(sorted(files.items())))

    def run(
        self, folder: Path, inputs: Arrays, steps: int | None = None, record: Iterable[str] = ()
    ) -> tuple[Arrays, Arrays]:
        library = load_library(folder, self.compiler, self.flags)
        return library.run(inputs, steps, record)

    def run_until(
        self, folder: Path, inputs: Arrays, steps: int, output: str, limits: npt.NDArray[np.int64]
    ) -> tuple[Arrays, npt.NDArray[np.int64]]:
        library = load_library(folder, self.compiler, self.flags)
        return library.run_until(inputs, steps, output, limits)
