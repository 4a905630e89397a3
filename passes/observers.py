"""Observers that come with the compiler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from snnc.graph import Graph
from snnc.passes.base import Pass


@dataclass
class DumpIR:
    """Write ``000_input.snn``, ``001_fold-norm.snn``, … so that two files diff to one pass."""

    directory: Path
    _count: int = field(default=0, init=False)

    def before(self, pass_: Pass, graph: Graph, /) -> None:
        """Dump the input once."""
        if self._count == 0:
            self._write("input", graph)

    def after(self, pass_: Pass, before: Graph, graph: Graph, seconds: float, /) -> None:
        """Dump the result."""
        self._write(pass_.name, graph)

    def _write(self, name: str, graph: Graph) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"{self._count:03d}_{name}.snn"
        path.write_text(f"{graph}\n", encoding="utf-8")
        self._count += 1


@dataclass
class Progress:
    """Report every pass with its node count and seconds through a callback."""

    report: Callable[[str, int, float], None]

    def before(self, pass_: Pass, graph: Graph, /) -> None:
        """Nothing to say yet."""

    def after(self, pass_: Pass, before: Graph, graph: Graph, seconds: float, /) -> None:
        """Report the pass."""
        self.report(pass_.name, len(graph), seconds)
