"""Layers whose integers are trained: each weight is the nearest integer of a latent number."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from snnc.backends.torch.layers import DelayLinear, Embedding, Linear, Weighted
from snnc.backends.torch.program import Program, Record
from snnc.backends.torch.windows import Convolution, TransposedConvolution
from snnc.finetuning.gradients import codes
from snnc.passes.placed import Placed
from snnc.passes.row_scale import largest

#: How far a latent of an integer may be from it at the start: another method may have chosen it.
NEAR = 0.49
#: The convolution over so many axes.
CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@dataclass(frozen=True)
class Rate:
    """By how much an optimizer may change a latent at once, relative to the layer's numbers."""

    weight: float
    bias: float


class Trained(Weighted):
    """Latent weights and biases of a layer of the program.

    Attributes:
        latent: (rows, …) in steps of the integers.
        offset: (rows,) in steps of the biases, if there are any.
        top: The largest integer.
        spare: Bits of biases that stay 0.
    """

    def __init__(self, program: Program, node: Record, placed: Placed) -> None:
        super().__init__(program, node)
        self.top, self.spare = largest(placed.bits), placed.spare
        wanted = torch.tensor(placed.targets).reshape(self.weight.shape)
        chosen = self.weight.double()
        near = wanted.clamp(chosen - NEAR, chosen + NEAR)
        self.latent = nn.Parameter(near)
        self.offset = None
        if self.bias is not None:
            self.offset = nn.Parameter(self.bias.double() / (1 << self.spare))

    def integers(self) -> tuple[Tensor, Tensor | None]:
        """Weights and biases as they are now, with gradients to their latents."""
        bias = None
        if self.offset is not None:
            bias = codes(self.offset, float("inf")) * (1 << self.spare)
        return codes(self.latent, self.top), bias

    def finish(self, sums: Tensor, behind: int) -> Tensor:
        """Scale the sums and add the bias; ``behind`` axes follow that of the rows."""
        y = sums * (1 << self.shift) if self.shift else sums
        if self.offset is None:
            return y
        bias = self.integers()[1]
        assert bias is not None, "it has one"
        return y + bias.reshape(-1, *[1] * behind)

    @property
    def step_bits(self) -> int:
        """The power of two of one step of an offset, relative to the row's scale."""
        return self.spare - self.shift

    def rates(self) -> Rate:
        """One for each kind of latent."""
        size = float(self.latent.detach().square().mean().sqrt()) or 1.0
        return Rate(size, size * (1 << self.shift) / (1 << self.spare))


class TrainedLinear(Trained, Linear):
    """``((weight @ x) << shift) + bias`` over the last axis."""

    def forward(self, *operands: Tensor) -> Tensor:
        return self.finish(operands[0].double() @ self.integers()[0].T, 0)


class TrainedDelayLinear(Trained, DelayLinear):
    """The same of columns that have read their input some steps ago, in their order."""

    def __init__(self, program: Program, node: Record, placed: Placed) -> None:
        super().__init__(program, node, placed)
        self.keep("order", torch.argsort(program.tensor(node["attributes"]["delay"]), stable=True))

    def forward(self, *operands: Tensor) -> Tensor:
        weight = self.integers()[0][:, self.get_buffer("order")]
        return self.finish(operands[0].double() @ weight.T, 0)


class TrainedConvolution(Trained, Convolution):
    """``(conv(x, weight) << shift) + bias``; sums of float64 are exact on a CPU, in any order."""

    def kernel(self) -> Tensor:
        return self.integers()[0] if hasattr(self, "latent") else self.weight

    def correlated(self, x: Tensor) -> Tensor:
        weight, rank = self.kernel(), len(self.size)
        conv = CONVOLUTIONS[rank]
        return conv(
            x.double(), weight, None, self.stride, 0, self.dilation, self.groups
        )  # padding is done


class TrainedTransposedConvolution(TrainedConvolution, TransposedConvolution):
    """The same over inputs with zeros between them, with mirrored weights."""

    def kernel(self) -> Tensor:
        weight = super().kernel()
        return weight.flip(tuple(range(2, weight.ndim)))


class FixedEmbedding(Embedding):
    """Rows of a table that is not trained."""

    def forward(self, *operands: Tensor) -> Tensor:
        return self.weight[operands[0].long()].double()


#: Layers with latents, by name.
TRAINED: dict[str, type[Trained]] = {
    "IntLinear": TrainedLinear,
    "IntDelayLinear": TrainedDelayLinear,
    "IntConv": TrainedConvolution,
    "IntConvTranspose": TrainedTransposedConvolution,
}
