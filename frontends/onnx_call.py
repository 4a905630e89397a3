"""One call of an operator of ONNX, as its rule sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from snnc.diagnostics import fail
from snnc.frontends.onnx_file import OnnxNode
from snnc.frontends.onnx_fold import Const

if TYPE_CHECKING:
    from snnc.frontends.onnx_module import OnnxModule


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        module: That executes it.
        node: Operator, attributes and names.
        values: Operands; None for one that is left out.
        env: All values by name, for bodies of loops.
    """

    module: OnnxModule
    node: OnnxNode
    values: list[Any]
    env: dict[str, Any]

    @property
    def op(self) -> str:
        """Name of the operator."""
        return self.node.op

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.node.attrs.get(name, default)

    def has(self, index: int) -> bool:
        """Whether the operand is given."""
        return index < len(self.values) and self.values[index] is not None

    def x(self, index: int = 0) -> torch.Tensor:
        """An operand as a tensor."""
        return self.module.tensor(self.values[index])

    def data(self, index: int = 0) -> torch.Tensor:
        """What a layer is applied to: a constant is there for every sample."""
        return self.module.whole(self.values[index])

    def operand(self, index: int) -> torch.Tensor | float | bool | int:
        """An operand that is broadcast: a tensor, or the number that is known."""
        return self.module.operand(self.values[index])

    def pair(self) -> tuple[Any, Any]:
        """Two operands that are broadcast, at least one of them a tensor."""
        a, b = self.operand(0), self.operand(1)
        if not isinstance(a, torch.Tensor) and not isinstance(b, torch.Tensor):
            a = self.x(0)
        return a, b

    def optional(self, index: int) -> torch.Tensor | None:
        """An operand as a tensor, if it is given."""
        return self.x(index) if self.has(index) else None

    def const(self, index: int) -> Const:
        """An operand that has to be known.

        Raises:
            CompileError: E130 if it depends on the inputs.
        """
        value = self.values[index]
        if not isinstance(value, Const):
            text = f"operand {index} of {self.op} depends on the data"
            raise fail("E130", text, self.node.loc, help="sizes and positions have to be constants")
        return value

    def ints(self, index: int) -> list[int] | None:
        """An operand of sizes or positions, if it is given."""
        return self.const(index).ints() if self.has(index) else None

    def axes(self, index: int = 1) -> list[int] | None:
        """Axes, from an operand or, as before opset 18, from an attribute."""
        found = self.ints(index)
        return self.attr("axes") if found is None else found

    def unsupported(self, what: str) -> Exception:
        """E210 for a form of the operator."""
        return fail("E210", f"{self.op} with {what} is not supported", self.node.loc)
