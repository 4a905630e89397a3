"""The target ``onnx:float``: the network in real numbers, for other tools and as an oracle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from snnc.backends.base import Artifacts
from snnc.backends.model_backend import ModelBackend
from snnc.diagnostics import Diagnostic, fail, stop_on_errors
from snnc.graph import Graph
from snnc.passes.base import run_passes
from snnc.passes.pipeline import real_pipeline


@dataclass(frozen=True)
class RealOnnxBackend(ModelBackend):
    """ONNX of the float model in double precision, one Scan over time."""

    name: ClassVar[str] = "onnx:float"
    no_run: ClassVar[str] = "the real-valued ONNX does not take the integers of the artifact"
    instead: ClassVar[str] = "use --backend onnx, or give model.onnx real inputs"

    def check_model(self, model: Graph, program: Graph) -> list[Diagnostic]:
        return _written(model)[1]

    def emit_model(self, model: Graph, program: Graph, quantized: Graph | None) -> Artifacts:
        """Write the model.

        Raises:
            CompileError: E501 for operators that are not written, E642 without the package onnx.
        """
        graph, found = _written(model)
        stop_on_errors(found)
        from snnc.backends.onnx.real import real_model

        data = real_model(graph).SerializeToString(deterministic=True)
        return Artifacts({"model.onnx": data})


def _written(model: Graph) -> tuple[Graph, list[Diagnostic]]:
    """The graph that can be written, the raised one if it must be, and what cannot."""
    try:
        from snnc.backends.onnx.real import problems
    except ImportError as e:
        hint = "pip install 'snnc[onnx]'"
        raise fail("E642", f"ONNX needs the package onnx: {e}", help=hint) from e
    if not problems(model):
        return model, []
    raised = run_passes(model, real_pipeline(exact=True))
    return raised, problems(raised)
