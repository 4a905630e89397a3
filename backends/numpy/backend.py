"""Emits the defining simulator with its program: a folder that runs with NumPy alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from snnc.backends.base import Arrays, Artifacts, Backend
from snnc.backends.numpy.execution import OPERATORS
from snnc.backends.numpy.simulator import Simulator
from snnc.backends.numpy.steps import AT_STEP, COLLECTORS, SEQUENCES
from snnc.content import Content
from snnc.diagnostics import Diagnostic, error, fail
from snnc.graph import Graph
from snnc.storage import stored_graph

_HERE = Path(__file__).parent

#: The files that make the simulator.
SOURCES = (
    *("simulator", "execution", "schedule", "program", "arithmetic", "steps", "arrays"),
    *("neuron", "fusion", "packing"),
    *("layers", "windows", "tensors", "reductions", "norms", "attention", "coding"),
)
#: What the simulator computes; anything else is not an integer program.
SUPPORTED = frozenset({*OPERATORS, *AT_STEP, *COLLECTORS, *SEQUENCES, "IntInput", "IntNeuron"})


def unsupported(graph: Graph, target: str) -> list[Diagnostic]:
    """An E501 for every node that is no integer operator of the simulator."""
    return [
        error(
            "E501",
            f"the {target} backend does not take {type(node.op).__name__}",
            node.loc,
            help="quantize the network first; `snnc ops` lists the integer operators",
        )
        for node in graph.nodes
        if type(node.op).__name__ not in SUPPORTED
    ]


def program(graph: Graph) -> dict[str, Content]:
    """The files that every NumPy-based artifact holds: the program and the simulator."""
    document, tensors = stored_graph(graph)
    return {
        "graph.json": document,
        "tensors.safetensors": tensors,
        **{f"{name}.py": _standalone(f"{name}.py") for name in SOURCES},
    }


def _standalone(name: str) -> str:
    """A file of this package that imports the others from its own folder."""
    source = (_HERE / name).read_text(encoding="utf-8")
    return source.replace("from snnc.backends.numpy.", "from ")


@dataclass(frozen=True)
class NumpyBackend(Backend):
    """The reference: its artifact contains the simulator that defines the integers."""

    name: ClassVar[str] = "numpy"

    def check(self, graph: Graph) -> list[Diagnostic]:
        return unsupported(graph, self.name)

    def emit(self, graph: Graph) -> Artifacts:
        run = (_HERE / "run.py").read_text(encoding="utf-8")
        return Artifacts({**program(graph), "run.py": run})

    def run(
        self, folder: Path, inputs: Arrays, steps: int | None = None, record: Iterable[str] = ()
    ) -> tuple[Arrays, Arrays]:
        """Run the emitted program in this process.

        Raises:
            CompileError: E421 if the inputs do not fit the network.
        """
        try:
            return Simulator.load(folder).run(inputs, steps, record)
        except (TypeError, ValueError) as e:
            raise fail("E421", str(e)) from e

    def run_until(
        self, folder: Path, inputs: Arrays, steps: int, output: str, limits: npt.NDArray[np.int64]
    ) -> tuple[Arrays, npt.NDArray[np.int64]]:
        try:
            return Simulator.load(folder).run_until(inputs, steps, output, limits)
        except (TypeError, ValueError) as e:
            raise fail("E427", str(e)) from e
