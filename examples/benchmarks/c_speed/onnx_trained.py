"""A module as torch exports it to ONNX: the loop over time unrolled."""

from __future__ import annotations

import io
import warnings

import onnx
import torch
from torch import nn

from examples.benchmarks.c_speed.case import Array


def unrolled(module: nn.Module, example: Array) -> onnx.ModelProto:
    """The graph of one sample, for the steps of the example (1, …)."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is the old one, but needs no other package
        x = torch.from_numpy(example)
        torch.onnx.export(module, (x,), file, dynamo=False, opset_version=17)
    return onnx.load_model_from_string(file.getvalue())
