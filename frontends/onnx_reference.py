"""Run an ONNX file in onnxruntime, if that is installed, to compare the recovered network with it.

What recovers the network executes the file with rules of its own; a wrong rule would be wrong on
both sides of the comparison.  onnxruntime is independent of them.  It computes in float32, with
sums in another order: where that moves a spike, nothing is known, and the record says so.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from snnc.diagnostics import Diagnostic, error, remark
from snnc.frontends.layout import Axes
from snnc.frontends.numeric_check import agrees
from snnc.frontends.readings import FileInput
from snnc.frontends.recipe import Recipe
from snnc.frontends.recover_reading import Reference
from snnc.graph import Graph

Run = Callable[[Sequence[torch.Tensor]], list[torch.Tensor]]


def session(data: bytes, inputs: Sequence[FileInput]) -> tuple[Run | None, str]:
    """What runs the file on all of its inputs, and the version of onnxruntime or why it is not."""
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        return None, "not installed"
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # rewritten graphs round differently
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        loaded = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as e:  # an operator or type that it does not have
        return None, _first(e)
    half = {i.name for i in loaded.get_inputs() if "float16" in i.type}

    def run(values: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        feed = {
            x.name: v.numpy().astype(np.float16) if x.name in half else v.numpy()
            for x, v in zip(inputs, values, strict=True)
        }
        return [torch.from_numpy(np.array(y)) for y in loaded.run(None, feed)]

    return run, str(runtime.__version__)


def _first(e: Exception) -> str:
    return (str(e).splitlines() or [type(e).__name__])[0][:300]


def reference(run: Run | None, version: str, prepare: Callable[[Run, Recipe], Any]) -> Reference:
    """A comparison with onnxruntime; ``prepare`` runs it on the example of the recipe."""

    def compared(
        graph: Graph, recipe: Recipe, names: list[str], layouts: list[Axes], steps: int
    ) -> tuple[dict[str, Any], list[Diagnostic]]:
        expected = None
        why = version
        if run is not None:
            try:
                expected = prepare(run, recipe)
            except Exception as e:  # whatever onnxruntime raises while it runs
                why = _first(e)
        if expected is None:
            text = f"the network was not compared with onnxruntime: {why}"
            note = "it was compared with snnc's own evaluation of the file"
            return {"onnxruntime": None}, [remark("R160", text, None, note)]
        exact, worst, found = agrees(graph, recipe, names, layouts, steps, expected)
        record = {"version": version, "exact": exact, "difference": worst}
        return {"onnxruntime": record}, [_unlike(d) for d in found]

    return compared


def _unlike(d: Diagnostic) -> Diagnostic:
    text = d.message.replace("differs from the module", "differs from onnxruntime")
    hint = "if a membrane comes within rounding of a threshold, export the model in float64"
    return error(d.code, text, d.loc, *d.notes, help=hint)
