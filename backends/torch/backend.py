"""Emits the program with the modules that run it: a folder that needs torch and NumPy alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from snnc.backends.base import Arrays, Artifacts, Backend
from snnc.backends.numpy.backend import program, unsupported
from snnc.diagnostics import Diagnostic, error, fail
from snnc.graph import Graph, Node
from snnc.intops import IntMaxPool
from snnc.types import Int

_HERE = Path(__file__).parent
#: The files that make the module.
SOURCES = (
    *("program", "operator", "arithmetic", "products", "network", "phases", "order", "whole"),
    *("layers", "convolution", "windows", "rescale", "tensors", "reductions", "norms"),
    *("attention", "steps", "collectors", "neuron", "machine", "events", "ckernel", "native"),
    *("cmatmul", "compiled", "inputs", "batches", "registry"),
)


@dataclass(frozen=True)
class TorchBackend(Backend):
    """The program as a ``torch.nn.Module``, for fast batches.

    Attributes:
        device: Where ``run`` runs it: ``cpu``, ``cuda`` or ``cuda:1``.
    """

    name: ClassVar[str] = "torch"
    device: str = "cpu"

    def check(self, graph: Graph) -> list[Diagnostic]:
        return unsupported(graph, self.name) or [d for node in graph for d in _problems(node)]

    def emit(self, graph: Graph) -> Artifacts:
        files = program(graph)
        files["run.py"] = (_HERE / "run.py").read_text(encoding="utf-8")
        files["snnc_torch/__init__.py"] = '"""The modules of the network\'s operators."""\n'
        for name in SOURCES:
            files[f"snnc_torch/{name}.py"] = _standalone(_HERE / f"{name}.py")
        return Artifacts(files)

    def run(
        self, folder: Path, inputs: Arrays, steps: int | None = None, record: Iterable[str] = ()
    ) -> tuple[Arrays, Arrays]:
        """Run the emitted program in this process.

        Raises:
            CompileError: E421 if the inputs do not fit the network, E643 without torch.
        """
        try:
            from snnc.backends.torch.batches import run
            from snnc.backends.torch.network import IntegerNetwork
        except ImportError as e:
            hint = "pip install 'snnc[torch]'"
            raise fail("E643", f"the torch backend needs torch: {e}", help=hint) from e
        network = IntegerNetwork.load(folder).to(self.device)
        try:
            return run(network, inputs, steps, record)
        except (TypeError, ValueError) as e:
            raise fail("E421", str(e)) from e


def _standalone(path: Path) -> str:
    """A file of this package that imports its neighbours, and the simulator beside their folder."""
    source = path.read_text(encoding="utf-8")
    source = source.replace("from snnc.backends.torch", "from snnc_torch")
    return source.replace("from snnc.backends.numpy.", "from ")


def _problems(node: Node) -> Iterator[Diagnostic]:
    for t in node.types:
        if not isinstance(t.dtype, Int) or t.dtype.lo is None:
            hint = "run the pass prove-ranges before the backend"
            why = f"its type is {t}"
            yield error("E502", f"the range of {node.name} is not proven", node.loc, why, help=hint)
    op = node.op
    if isinstance(op, IntMaxPool):
        outside = [p >= k for p, k in zip(op.padding, op.kernel, strict=True)]
        if any(outside):
            why = f"window {op.kernel}, padding {op.padding}"
            yield error("E505", f"a window of {node.name} lies in the padding", node.loc, why)
