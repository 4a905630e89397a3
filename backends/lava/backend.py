"""Emits one Lava process per layer, in a folder that runs with lava-nc and NumPy alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from snnc import lava_env
from snnc.backends.base import Arrays, Artifacts, Backend
from snnc.backends.lava.execute import execute
from snnc.backends.lava.plan import plan
from snnc.backends.lava.printer import layers_json, processes_py
from snnc.backends.numpy.backend import program, unsupported
from snnc.diagnostics import Diagnostic, warning
from snnc.graph import Graph

_EMITTED = Path(__file__).parent / "emitted"

#: From here on Lava's step time suffers: every process is a process of the operating system.
MANY_PROCESSES = 30


@dataclass(frozen=True)
class LavaBackend(Backend):
    """Lava's ``custom`` mode: our own processes with the simulator's arithmetic, CPU only.

    Attributes:
        timeout: Seconds without a finished step after which a run is given up.
        limit: Seconds after which a run is ended in any case.
    """

    name: ClassVar[str] = "lava"

    timeout: float = 60.0
    limit: float = 24 * 3600.0

    def check(self, graph: Graph) -> list[Diagnostic]:
        found = unsupported(graph, self.name)
        if found:
            return found
        if (count := len(plan(graph))) > MANY_PROCESSES:
            text = f"the network becomes {count} Lava processes, each an operating system process"
            found.append(warning("W510", text))
        return found

    def emit(self, graph: Graph) -> Artifacts:
        processes = plan(graph)
        files = program(graph)
        for path in sorted(_EMITTED.glob("*.py")):
            files[path.name] = path.read_text(encoding="utf-8")
        files["layers.json"] = layers_json(graph, processes)
        # Lava executes every file beside the processes: they get a folder of their own
        files["snnc_layers/__init__.py"] = '"""The processes of this network."""\n'
        files["snnc_layers/processes.py"] = processes_py(graph, processes)
        return Artifacts(files)

    def run(
        self, folder: Path, inputs: Arrays, steps: int | None = None, record: Iterable[str] = ()
    ) -> tuple[Arrays, Arrays]:
        """Run the emitted folder in a process of its own, in the Lava environment.

        Raises:
            CompileError: E601 without a Lava environment, E421 if the inputs do not fit, E611 if
                Lava fails, E612 if it does not end.
        """
        env = lava_env.require()
        return execute(env.python, folder, inputs, steps, record, self.timeout, self.limit)
