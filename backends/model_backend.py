"""Targets that write the real-valued model for other tools, and compute nothing themselves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from snnc.backends.base import Arrays, Artifacts, Backend
from snnc.diagnostics import Diagnostic, fail
from snnc.graph import Graph


class ModelBackend(Backend):
    """Takes any program, for it is the model that is written.

    Attributes:
        no_run: Why what it emits cannot be run on the integers of the artifact.
        instead: What to do instead.
    """

    runs: ClassVar[bool] = False
    no_run: ClassVar[str]
    instead: ClassVar[str]

    def check(self, graph: Graph) -> list[Diagnostic]:
        return []

    def emit(self, graph: Graph) -> Artifacts:
        raise AssertionError("the model is written, not the program")

    def run(
        self, folder: Path, inputs: Arrays, steps: int | None = None, record: Iterable[str] = ()
    ) -> tuple[Arrays, Arrays]:
        raise fail("E545", self.no_run, help=self.instead)
