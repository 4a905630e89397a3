"""Every integer operator with what writes it."""

from __future__ import annotations

from snnc.backends.onnx.attention import ATTENTION
from snnc.backends.onnx.emitter import Writer
from snnc.backends.onnx.layers import LAYERS
from snnc.backends.onnx.norms import NORMS
from snnc.backends.onnx.steps import STEPS
from snnc.backends.onnx.tensors import TENSORS
from snnc.backends.onnx.windows import WINDOWS

#: Operators without state, by name.
WRITERS: dict[str, Writer] = {**LAYERS, **WINDOWS, **TENSORS, **NORMS, **ATTENTION, **STEPS}
#: What collects over a loop, and what reads a sequence: the loops themselves write these.
COLLECTORS = ("IntTimeSum", "IntTimeMean", "IntTimeMax", "IntTimeLast", "IntTimeStack")
SEQUENCES = ("IntReplay", "IntTimeFlip", "IntTimeMix")
#: What has no operator: inputs, and populations with their states.
BOUNDARY = ("IntInput", "IntNeuron")
