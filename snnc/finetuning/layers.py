"""Layers whose integers are trained: each weight is the nearest integer of a latent number."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from snnc.backends.torch.layers import DelayLinear, Embedding, Linear, Weighted
from snnc.backends.torch.products import EXACT
from snnc.backends.torch.program import Program, Record
from snnc.backends.torch.windows import Convolution, TransposedConvolution
from snnc.finetuning.gradients import codes
from snnc.passes.placed import Placed
from snnc.passes.row_scale import largest, least_trained

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

    Args:
        program: The stored program.
        node: The layer.
        placed: How it became integers.
        most: No value that arrives may be larger.

    Attributes:
        latent: (rows, …) in steps of the integers.
        offset: (rows,) in steps of the biases, if there are any.
        ends: The smallest and the largest integer.
        spare: Bits of biases that stay 0.
        most: The largest sum of products.
    """

    def __init__(self, program: Program, node: Record, placed: Placed, most: int) -> None:
        super().__init__(program, node)
        self.ends, self.spare = (least_trained(placed.bits), largest(placed.bits)), placed.spare
        self.most = most * max(map(abs, self.ends)) * prod(self.weight.shape[1:])
        self._now: tuple[Tensor, Tensor | None] | None = None
        wanted = torch.tensor(placed.targets).reshape(self.weight.shape)
        chosen = self.weight.double()
        near = wanted.clamp(chosen - NEAR, chosen + NEAR)
        self.latent = nn.Parameter(near)
        self.offset = None
        if self.bias is not None:
            self.offset = nn.Parameter(self.bias.double() / (1 << self.spare))

    def refresh(self) -> None:
        """Take the integers of now for all steps to come."""
        self._now = self.integers()

    @property
    def now(self) -> tuple[Tensor, Tensor | None]:
        """The integers of the last ``refresh``."""
        return self.integers() if self._now is None else self._now

    def integers(self) -> tuple[Tensor, Tensor | None]:
        """Weights and biases as they are now, with gradients to their latents."""
        bias = None
        if self.offset is not None:
            bias = codes(self.offset) * (1 << self.spare)
        return codes(self.latent, *self.ends), bias

    def finish(self, sums: Tensor, behind: int) -> Tensor:
        """Scale the sums and add the bias; ``behind`` axes follow that of the rows."""
        y = sums * (1 << self.shift) if self.shift else sums
        if self.offset is None:
            return y
        bias = self.now[1]
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
        return self.finish(operands[0].double() @ self.now[0].T, 0)


class TrainedDelayLinear(Trained, DelayLinear):
    """The same of columns that have read their input some steps ago, in their order."""

    def __init__(self, program: Program, node: Record, placed: Placed, most: int) -> None:
        super().__init__(program, node, placed, most)
        self.keep("order", torch.argsort(program.tensor(node["attributes"]["delay"]), stable=True))

    def forward(self, *operands: Tensor) -> Tensor:
        weight = self.now[0][:, self.get_buffer("order")]
        return self.finish(operands[0].double() @ weight.T, 0)


class TrainedConvolution(Trained, Convolution):
    """``(conv(x, weight) << shift) + bias``.

    Sums of float64 are exact on a CPU in any order; those of float32 are where no sum is too large
    and torch adds products of integers (``plain_sums``), which is many times faster.
    """

    def kernel(self) -> Tensor:
        return self.now[0] if hasattr(self, "latent") else self.weight

    def correlated(self, x: Tensor) -> Tensor:
        weight, conv = self.kernel(), CONVOLUTIONS[len(self.size)]
        single = self.most < EXACT[torch.float32] and plain_sums()
        kind = torch.float32 if single else torch.float64
        options = None, self.stride, 0, self.dilation, self.groups  # padding is done
        return conv(x.to(kind), weight.to(kind), *options).double()


@functools.cache
def plain_sums() -> bool:
    """Whether torch's convolutions of float32 are exact sums here, as those of oneDNN are.

    Others may multiply in a transformed domain (Winograd), where integers become fractions.
    """
    random = torch.Generator().manual_seed(0)
    for size, batch in ((3, 16), (3, 1), (5, 16)):
        x = torch.randint(-300, 301, (batch, 16, 12, 12), generator=random).float()
        weight = torch.randint(-127, 128, (32, 16, size, size), generator=random).float()
        exact = functional.conv2d(x.double(), weight.double())
        if not torch.equal(functional.conv2d(x, weight).double(), exact):
            return False
    return True


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
