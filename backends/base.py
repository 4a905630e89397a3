"""The backend interface: check the graph against the target, then print it."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from snnc.content import Content, parts_of
from snnc.diagnostics import Diagnostic, fail, stop_on_errors
from snnc.graph import Graph

Arrays = dict[str, npt.NDArray[Any]]


@dataclass
class Artifacts:
    """Generated files by relative path. Only ``write`` touches the disk."""

    files: Mapping[str, Content] = field(default_factory=dict)

    def write(self, directory: Path) -> None:
        """Write all files below ``directory``."""
        for name, content in self.files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as f:
                f.writelines(parts_of(content))


class Backend(abc.ABC):
    """Turns a verified integer graph into artifacts, and runs what it emitted."""

    name: ClassVar[str]
    #: Whether what it emits computes; formats for exchange do not.
    runs: ClassVar[bool] = True

    @classmethod
    def for_machine(cls, machine: str) -> Backend:
        """The backend for one of several machines; CompileError E002 if it is unknown."""
        text = f"the target {cls.name} has no machines, so that {cls.name}:{machine} is none"
        raise fail("E002", text, help="machines are those of the C backend: see snnc targets")

    @abc.abstractmethod
    def check(self, graph: Graph) -> list[Diagnostic]:
        """Every reason why this backend cannot take the graph (design rule check)."""

    @abc.abstractmethod
    def emit(self, graph: Graph) -> Artifacts:
        """Generate code. Pure: equal graphs give byte-equal artifacts."""

    @abc.abstractmethod
    def run(
        self, folder: Path, inputs: Arrays, steps: int | None = None, record: Iterable[str] = ()
    ) -> tuple[Arrays, Arrays]:
        """Run an emitted folder on integers; arguments and results as ``Simulator.run``.

        Raises:
            CompileError: E6xx if a needed tool is missing or fails.
        """

    def run_until(
        self, folder: Path, inputs: Arrays, steps: int, output: str, limits: npt.NDArray[np.int64]
    ) -> tuple[Arrays, npt.NDArray[np.int64]]:
        """Run every sample until an output of one number reaches the limit of its step.

        Args:
            folder: An emitted folder.
            inputs: As ``run``.
            steps: T, after which every sample stops.
            output: Which output.
            limits: One per step.

        Returns:
            Outputs as after the step at which each sample stopped, and the steps (N,) it took.

        Raises:
            CompileError: E427 if the backend runs whole samples only.
        """
        text = f"the {self.name} backend runs samples to their end"
        raise fail("E427", text, help="use --backend numpy or c")

    def check_model(self, model: Graph, program: Graph) -> list[Diagnostic]:
        """Every reason why this backend cannot take a network; most look at the program alone."""
        return self.check(program)

    def emit_model(self, model: Graph, program: Graph, quantized: Graph | None) -> Artifacts:
        """Generate code; most do it from the program alone.

        Args:
            model: The real network as it was read.
            program: Its integer program.
            quantized: The real network with quantized weights, if it is known.
        """
        return self.emit(program)

    def compile(self, graph: Graph) -> Artifacts:
        """Check, then emit."""
        found = self.check(graph)
        stop_on_errors(found)
        return self.emit(graph)
