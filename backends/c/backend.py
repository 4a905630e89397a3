"""The C backend: check, emit a folder of C99, build and run such a folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from math import prod
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from snnc.backends.base import Arrays, Artifacts, Backend
from snnc.backends.c import checks, names
from snnc.backends.c.interface import info_source, interface_json
from snnc.backends.c.library import load_library
from snnc.backends.c.network import Network
from snnc.diagnostics import Diagnostic
from snnc.graph import Graph

#: Files that are the same for every network.
RUNTIME = (
    *("snn_math.h", "snn_lists.h", "info.h", "trace.h", "trace.c", "npy.h", "npy.c", "host.c"),
    "Makefile",
)
FLAGS = ("-std=c99", "-O2")


@dataclass(frozen=True)
class CBackend(Backend):
    """Event-driven integer C99.

    Attributes:
        compiler: Command of the C compiler for ``run``; empty: CC, cc, gcc or clang.
        flags: Its options.
    """

    name: ClassVar[str] = "c"
    compiler: str = ""
    flags: tuple[str, ...] = FLAGS

    def check(self, graph: Graph) -> list[Diagnostic]:
        return checks.check(graph)

    def emit(self, graph: Graph) -> Artifacts:
        net = Network(graph)
        files: dict[str, str | bytes] = {
            "snn.h": net.header(),
            "snn.c": net.source(),
            "tables.h": net.tables.header(),
            "weights.c": net.tables.definitions(),
            "info.c": info_source(net),
            "interface.json": interface_json(net),
            "README.txt": _readme(net),
        }
        folder = resources.files("snnc.backends.c") / "runtime"
        files |= {name: (folder / name).read_text(encoding="utf-8") for name in RUNTIME}
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


def _readme(net: Network) -> str:
    folder = resources.files("snnc.backends.c") / "runtime"
    text = (folder / "README.txt").read_text(encoding="utf-8")
    ports = []
    for kind, nodes in (("in ", net.inputs), ("out", net.outputs)):
        for n in nodes:
            shape = "x".join(map(str, n.type.shape)) or "1"
            ctype = net.plan.value(n.name).ctype
            what = f"{ctype}[{prod(n.type.shape)}]  {shape}  {n.type}"
            ports.append(f"  {kind} {net.plan.label(n)}: {what}  {names.escaped(n.name)}")
    return (
        text.replace("@NAME@", names.escaped(net.graph.name))
        .replace("@PORTS@", "\n".join(ports))
        .replace("@STATIC@", str(net.bytes))
        .replace("@CONSTANT@", str(net.tables.bytes))
    )
