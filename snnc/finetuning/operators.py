"""The other operators on integers in float64, with gradients to their operands."""

from __future__ import annotations

import torch
from torch import Tensor

from snnc.backends.torch.attention import Matmul, Softmax
from snnc.backends.torch.collectors import Collector, Sequence, Stack
from snnc.backends.torch.norms import Norm
from snnc.backends.torch.operator import Operator
from snnc.backends.torch.program import Program, Record, aligned
from snnc.backends.torch.reductions import ArgMax, Reduce, TopK
from snnc.backends.torch.registry import OPERATORS
from snnc.backends.torch.rescale import Rescale, StepRescale
from snnc.backends.torch.steps import RateCode, StepTable
from snnc.backends.torch.tensors import Same, Sum
from snnc.backends.torch.windows import MaxPool, SumPool
from snnc.finetuning.gradients import exactly, shifted
from snnc.finetuning.layers import FixedEmbedding

#: Below every value: what padding is for a maximum.
LEAST = -(1 << 52)


class RealRescale(Rescale):
    """``rsh(x * multiplier, shift) + bias``.

    Attributes:
        small: Whether float64 rounds the products exactly.
    """

    small = False

    def forward(self, *operands: Tensor) -> Tensor:
        by, how = self.multiplier.double(), (self.shift, self.rounding, self.small)
        y = shifted(operands[0].double(), by, *how)
        return y if self.bias is None else y + self.bias


class RealStepRescale(StepRescale):
    """The same with numbers of their own for every step."""

    def forward(self, now: int, *operands: Tensor) -> Tensor:
        factor = self.multiplier[now].double()
        y = shifted(operands[0].double(), factor, self.shift, self.rounding)
        return y if self.bias is None else y + self.bias[now]


class RealStepTable(StepTable):
    """A constant for every step."""

    def forward(self, now: int, *operands: Tensor) -> Tensor:
        return self.values[now].double()


class RealRateCode(RateCode):
    """Random spikes; no gradient."""

    def forward(self, now: int, *operands: Tensor) -> Tensor:
        return super().forward(now, *operands).double()


class RealSum(Sum):
    """Sum of the operands."""

    def forward(self, *operands: Tensor) -> Tensor:
        total = operands[0].double()
        for x in operands[1:]:
            total = total + x
        return total


class RealSame(Same):
    """The operand."""

    def forward(self, *operands: Tensor) -> Tensor:
        return operands[0].double()


class RealReduce(Reduce):
    """Sum, maximum, minimum or product over the axes."""

    def forward(self, *operands: Tensor) -> Tensor:
        x = operands[0].double()
        for axis in sorted(self.axes, reverse=True):
            if self.fn in ("sum", "prod"):
                x = getattr(x, self.fn)(axis, keepdim=self.keepdims)
            else:
                x = getattr(x, f"a{self.fn}")(axis, keepdim=self.keepdims)
        return x


class RealArgMax(ArgMax):
    """A position; no gradient."""

    def forward(self, *operands: Tensor) -> Tensor:
        return super().forward(operands[0].detach()).double()


class RealTopK(TopK):
    """The largest elements, with gradients, or their positions."""

    def forward(self, *operands: Tensor) -> Tensor:
        x = operands[0].double()
        order = torch.sort(-x.detach(), dim=self.axis, stable=True).indices
        order = order.narrow(self.axis, 0, self.k)
        return order.double() if self.positions else x.gather(self.axis, order)


class RealMatmul(Matmul):
    """``rsh(a @ b, shift)``."""

    def forward(self, *operands: Tensor) -> Tensor:
        most = max(x.ndim for x in operands) - 1
        a, b = (aligned(x.double(), most) for x in operands)
        return shifted(a @ b, 1.0, self.shift, self.rounding)


class RealSoftmax(Softmax):
    """The gradient is that of the softmax in real numbers."""

    def forward(self, *operands: Tensor) -> Tensor:
        x = operands[0].double()
        rest = [y.detach().long() for y in operands[1:]]
        exact = super().forward(x.detach().long(), *rest)
        counts = torch.ones_like(x, dtype=torch.bool)
        for mask in [y for y in (self.mask, *rest) if y is not None]:
            counts = counts & (mask != 0)
        halvings = x * (self.multiplier * 2.0**-self.shift / len(self.table))
        filled = (halvings * 0.6931471805599453).masked_fill(~counts, LEAST)
        return exactly(torch.softmax(filled, self.axis) * 2.0**self.bits, exact)


class RealNorm(Norm):
    """The gradient is that of the normalization in real numbers."""

    def forward(self, *operands: Tensor) -> Tensor:
        a, x = self.attributes, operands[0].double()
        with torch.no_grad():
            exact = self.normalized(x.long(), self.gain.long(), _whole(self.offset))
        rows = x.flatten(x.ndim - a["axes"])
        n = rows.shape[-1]
        d = n * rows - rows.sum(-1, keepdim=True) if self.centered else rows
        size = (d * d).mean(-1, keepdim=True) + a["eps"] * 4.0 ** -(a["lift"] + a["guard"])
        relaxed = d / size.clamp(min=1e-300).sqrt() * self.gain.reshape(-1)
        if self.offset is not None:
            relaxed = relaxed + self.offset.reshape(-1)
        return exactly(relaxed.reshape(x.shape), exact)


def _whole(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.long()


class RealSumPool(SumPool):
    """Sum over windows."""

    def forward(self, *operands: Tensor) -> Tensor:
        return self.reduced(operands[0].double(), 0, torch.add)


class RealMaxPool(MaxPool):
    """Maximum over windows."""

    def forward(self, *operands: Tensor) -> Tensor:
        return self.reduced(operands[0].double(), LEAST, torch.maximum)


class RealCollector(Collector):
    """Keeps a sum, maximum or the last value."""

    def forward(self, kept: Tensor | None, x: Tensor) -> Tensor:
        return x.double() if kept is None else self.merge(kept, x.double())

    def result(self, kept: Tensor, steps: int) -> Tensor:
        if not self.mean:
            return kept.double()
        relaxed = kept.double() * 2.0**self.shift / max(1, steps - self.start)
        return exactly(relaxed, super().result(kept.detach().long(), steps))


class RealSequence(Sequence):
    """An element of a sequence, or a sum of all with constant weights."""

    def forward(self, sequence: list[Tensor], now: int) -> Tensor:
        if self.kind != "IntTimeMix":
            return super().forward(sequence, now).double()
        weights = self.weight[now].double()
        total = torch.zeros_like(sequence[0], dtype=torch.float64)
        for weight, x in zip(weights, sequence, strict=True):
            total = total + weight * x
        return total


class RealStack(Stack):
    """A sequence."""

    def forward(self, sequence: list[Tensor], like: Tensor) -> Tensor:
        return super().forward(sequence, like).double()


#: What is computed otherwise than by the modules of integers, by name.
OWN: dict[str, type[Operator]] = {
    "IntRescale": RealRescale,
    "IntStepRescale": RealStepRescale,
    "IntStepTable": RealStepTable,
    "IntRateCode": RealRateCode,
    "IntSum": RealSum,
    "IntReduce": RealReduce,
    "IntArgMax": RealArgMax,
    "IntTopK": RealTopK,
    "IntMatmul": RealMatmul,
    "IntSoftmax": RealSoftmax,
    "IntLayerNorm": RealNorm,
    "IntRMSNorm": RealNorm,
    "IntSumPool": RealSumPool,
    "IntMaxPool": RealMaxPool,
    "IntEmbedding": FixedEmbedding,
    **dict.fromkeys(("IntRepeat", "IntHold", "IntOutput"), RealSame),
    **dict.fromkeys(("IntTimeSum", "IntTimeMean", "IntTimeMax", "IntTimeLast"), RealCollector),
    **dict.fromkeys(("IntReplay", "IntTimeFlip", "IntTimeMix"), RealSequence),
    "IntTimeStack": RealStack,
}
#: What only moves elements, and does that to float64 as it does to integers.
MOVES = (
    *("IntReshape", "IntTranspose", "IntSlice", "IntTake", "IntConcat", "IntExpand", "IntPad"),
    "IntUpsample",
)


def real_operator(program: Program, node: Record) -> Operator:
    """The module of an operator without latents."""
    name = node["op"]
    if name in OWN:
        return OWN[name](program, node)
    assert name in MOVES, f"{name} has no gradient"
    module = OPERATORS[name](program, node)
    module.word = torch.float64
    return module
