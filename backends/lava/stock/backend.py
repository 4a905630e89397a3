"""Emits a network on stock Lava processes, in a folder that runs with lava-nc and NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from snnc.backends.base import Artifacts
from snnc.backends.lava.backend import MANY_PROCESSES, LavaBackend
from snnc.backends.lava.stock.chips import Chip, find_chip
from snnc.backends.lava.stock.fitting import fit, report_files
from snnc.backends.lava.stock.legalise import legalise
from snnc.backends.lava.stock.printer import network_files
from snnc.backends.numpy.backend import program, unsupported
from snnc.diagnostics import CompileError, Diagnostic, warning
from snnc.graph import Graph
from snnc.storage import dump_graph

_EMITTED = Path(__file__).parent.parent / "emitted"
_SHARED = ("command.py", "python311.py", "supervise.py")
_OWN = ("run.py", "stock.py", "snnc_memory.py", "snnc_io/__init__.py", "snnc_io/processes.py")


@dataclass(frozen=True)
class StockBackend(LavaBackend):
    """Lava's ``stock`` mode: only processes that lava-nc provides.

    Attributes:
        chip: Whose limits it must keep; None: no chip's.
    """

    name: ClassVar[str] = "lava-stock"

    chip: Chip | None = None

    @classmethod
    def for_machine(cls, machine: str) -> StockBackend:
        """The mode with the limits of a chip: ``loihi1``, ``loihi2``."""
        return cls(chip=find_chip(machine))

    def check(self, graph: Graph) -> list[Diagnostic]:
        found = unsupported(graph, self.name)
        if found:
            return found
        try:
            plan = legalise(graph)
        except CompileError as e:
            return list(e.diagnostics)
        found = [warning("W510", note) for note in plan.notes]
        if (count := plan.processes) > MANY_PROCESSES:
            text = f"the network becomes {count} Lava processes, each an operating system process"
            found.append(warning("W510", text))
        return found if self.chip is None else [*found, *fit(plan, self.chip)[1]]

    def emit(self, graph: Graph) -> Artifacts:
        plan = legalise(graph)
        files = program(graph)
        for folder, part in (("front", plan.front), ("back", plan.back)):
            document, tensors = dump_graph(part)
            files[f"{folder}/graph.json"] = document
            files[f"{folder}/tensors.safetensors"] = tensors
        for name in _SHARED:
            files[name] = (_EMITTED / name).read_text(encoding="utf-8")
        for name in _OWN:
            files[name] = (_EMITTED / "stock" / name).read_text(encoding="utf-8")
        files |= network_files(plan)
        if self.chip is not None:
            placement, _ = fit(plan, self.chip)
            assert placement is not None, "checked"
            files |= report_files(plan, placement)
        return Artifacts(files)
