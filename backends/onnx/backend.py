"""Emits an ONNX model of integer operators, which runs in ONNX Runtime and elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from snnc.backends.base import Arrays, Artifacts, Backend
from snnc.backends.onnx.checks import check
from snnc.diagnostics import Diagnostic, fail
from snnc.graph import Graph
from snnc.intops import IntInput, IntOutput
from snnc.step_limits import step_limits

_HERE = Path(__file__).parent
_NUMPY = _HERE.parent / "numpy"


@dataclass(frozen=True)
class OnnxBackend(Backend):
    """Integer operators of ONNX alone, one Scan per loop over time."""

    name: ClassVar[str] = "onnx"

    @classmethod
    def for_machine(cls, machine: str) -> Backend:
        """``onnx:float``, the real-valued network; CompileError E002 for anything else."""
        if machine != "float":
            text = f"there is no target onnx:{machine}"
            raise fail("E002", text, help="onnx has the integers, onnx:float the real network")
        from snnc.backends.onnx.real_backend import RealOnnxBackend

        return RealOnnxBackend()

    def check(self, graph: Graph) -> list[Diagnostic]:
        return check(graph)

    def emit(self, graph: Graph) -> Artifacts:
        """Write the model.

        Raises:
            CompileError: E642 without the package onnx.
        """
        try:
            from snnc.backends.onnx.network import COUNT, Network
        except ImportError as e:
            hint = "pip install 'snnc[onnx]'"
            raise fail("E642", f"ONNX needs the package onnx: {e}", help=hint) from e
        network = Network(graph)
        model = network.model()
        given = {i.name for i in model.graph.input}
        interface = {
            "inputs": {
                n.name: {
                    "shape": n.type.shape,
                    "clock": str(n.op.clock),
                    "lo": n.op.lo,
                    "hi": n.op.hi,
                }
                for n in graph
                if isinstance(n.op, IntInput)
            },
            "outputs": [n.name for n in graph if isinstance(n.op, IntOutput)],
            "options": sorted({COUNT} & given),
            "states": {s.given: s.left for s in network.states},
            "steps": graph.steps,
            "max_steps": graph.max_steps,
            "fewest_steps": step_limits(graph)[0],
            "words": {
                word: place
                for node in graph
                for word, place in network.words.items()
                if word.rpartition(".")[0] == node.name
            },
        }
        return Artifacts(
            {
                "model.onnx": model.SerializeToString(deterministic=True),
                "interface.json": json.dumps(interface, indent=1) + "\n",
                "run.py": (_HERE / "run.py").read_text(encoding="utf-8"),
                "session.py": _standalone(_HERE / "session.py"),
                "records.py": _standalone(_HERE / "records.py"),
                "arrays.py": (_NUMPY / "arrays.py").read_text(encoding="utf-8"),
            }
        )

    def run(
        self, folder: Path, inputs: Arrays, steps: int | None = None, record: Iterable[str] = ()
    ) -> tuple[Arrays, Arrays]:
        """Run the emitted model in ONNX Runtime, in this process.

        Raises:
            CompileError: E421 if the inputs do not fit the network, E644 without ONNX Runtime.
        """
        from snnc.backends.onnx.session import Model

        try:
            return Model(folder).run(inputs, steps, record)
        except (TypeError, ValueError) as e:
            raise fail("E421", str(e)) from e
        except ImportError as e:
            hint = "pip install onnxruntime"
            raise fail("E644", f"the ONNX backend runs in ONNX Runtime: {e}", help=hint) from e


def _standalone(path: Path) -> str:
    """A file of this package that imports the others from its own folder."""
    return path.read_text(encoding="utf-8").replace("from snnc.backends.onnx.", "from ")
