"""Every operator of ONNX that is executed, by its name; ``onnx_names`` has the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from snnc.frontends.onnx_call import Call
from snnc.frontends.onnx_control import CONTROL_RULES
from snnc.frontends.onnx_layers import LAYERS
from snnc.frontends.onnx_pointwise import POINTWISE
from snnc.frontends.onnx_shapes import SHAPES

RULES: dict[str, Callable[[Call], Any]] = {**POINTWISE, **LAYERS, **SHAPES, **CONTROL_RULES}
