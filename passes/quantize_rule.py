"""What a rule of ``quantize`` is."""

from __future__ import annotations

from collections.abc import Callable

from snnc.graph import Node
from snnc.passes.quantized_value import Lowered, QValue

#: Puts the integer operators for a node of the real graph and notes its values in ``values``.
#: The operands are the node's operands that are not constant, in order.
Rule = Callable[[Lowered, Node, list[QValue]], None]
