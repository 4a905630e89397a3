"""The networks, their data, and their training; weights are kept in a cache folder."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from examples.families import datasets
from examples.families.adaptive_spiking import ASN, ASNSNN, NormalizedASN
from examples.families.family import Split
from examples.families.lif_family import Spoken
from examples.families.spikformer import Spikformer
from examples.families.training import fit
from examples.models import LIF

CACHE = Path.home() / ".cache" / "snnc" / "accuracy"


class DenseNet(nn.Module):
    """Layers of LIF neurons with a learned leak; the score is the mean over time."""

    def __init__(self, sizes: tuple[int, ...], steps: int) -> None:
        super().__init__()
        self.num_steps = steps
        pairs = list(itertools.pairwise(sizes))
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        self.neurons = nn.ModuleList(LIF(b) for _, b in pairs[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, classes) of (N, features)."""
        current = self.layers[0](x.flatten(1))
        states: list[Tensor | None] = [None] * len(self.neurons)
        scores = []
        for _ in range(self.num_steps):
            arriving = current
            for i, neuron in enumerate(self.neurons):
                spikes, states[i] = neuron(arriving, states[i])
                arriving = self.layers[i + 1](spikes)
            scores.append(arriving)
        return torch.stack(scores).mean(0)


class ConvNet(nn.Module):
    """Two convolutions with BatchNorm and pools, and a readout."""

    def __init__(self, steps: int = 8) -> None:
        super().__init__()
        self.num_steps = steps
        self.conv1 = nn.Conv2d(1, 8, 5, stride=2, padding=2, bias=False)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(8), nn.BatchNorm2d(16)
        self.lif1, self.lif2 = LIF(8), LIF(16)
        self.pool, self.readout = nn.AvgPool2d(2), nn.Linear(16 * 7 * 7, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Scores (N, 10) of images (N, 1, 28, 28)."""
        current = self.bn1(self.conv1(image))
        v1 = v2 = None
        scores = []
        for _ in range(self.num_steps):
            s1, v1 = self.lif1(current, v1)
            s2, v2 = self.lif2(self.bn2(self.conv2(s1)), v2)
            scores.append(self.readout(self.pool(s2).flatten(1)))
        return torch.stack(scores).mean(0)


def half(make: Callable[[], Split]) -> Split:
    """900 of scikit-learn's digits to learn, 897 to test: a point of accuracy is nine of them."""
    x, y, x_test, y_test = make()
    xs, ys = torch.cat([x, x_test]), torch.cat([y, y_test])
    return xs[:900], ys[:900], xs[900:], ys[900:]


def mnist(train: int, test: int, folder: str = "mnist/mnist.npz") -> Split:
    """Images (N, 1, 28, 28) of k/255, the first of both parts."""
    with np.load(datasets.DATA / folder) as d:
        x, x_test = (torch.tensor(d[k]) for k in ("x_train", "x_test"))
        y, y_test = (torch.tensor(d[k].astype(np.int64)) for k in ("y_train", "y_test"))
    real = [(a[:n].unsqueeze(1) / 255.0) for a, n in ((x, train), (x_test, test))]
    return real[0], y[:train], real[1], y_test[:test]


@dataclass(frozen=True)
class Net:
    """One network.

    Attributes:
        make: Builds it.
        data: Loads its data.
        train: Options of ``fit``.
        tune: Options of ``snnc.finetune``.
        options: Of ``snnc.export``.
    """

    make: Callable[[], nn.Module]
    data: Callable[[], Split]
    train: dict[str, Any]
    tune: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def trained(self, name: str, seed: int, cache: Path = CACHE) -> tuple[nn.Module, Split]:
        """The network of one training, from the cache if it is there, and its data."""
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        net, data = self.make(), self.data()
        digest = hashlib.sha256(f"{net}{self.train}".encode()).hexdigest()[:12]
        path = cache / f"{name.replace(' ', '_')}-{seed}-{digest}.pt"
        if path.exists():
            net.load_state_dict(torch.load(path, weights_only=True))
        else:
            fit(net, data, seed=seed, **self.train)
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(net.state_dict(), path.with_suffix(".part"))
            path.with_suffix(".part").replace(path)
        return net.eval(), data


_ROWS: dict[str, Any] = {"options": {"time_axis": 1}}
_ASN = {"epochs": 40, "lr": 2e-2}

#: By name; the first six are those of the tables.
NETWORKS: dict[str, Net] = {
    "LIF MLP": Net(
        lambda: DenseNet((64, 128, 128, 10), 16),
        partial(half, datasets.digits_flat),
        {"epochs": 20, "lr": 4e-3},
    ),
    "conv-BN": Net(ConvNet, lambda: mnist(6000, 2000), {"epochs": 6, "lr": 1e-2}, {"epochs": 6}),
    "recurrent ALIF": Net(Spoken, datasets.spoken_digits, {"epochs": 25, "lr": 1e-2}),
    "ASN": Net(
        partial(ASNSNN, ASN, [8, 64, 64], 10, 8), partial(half, datasets.digits_rows), _ASN, **_ROWS
    ),
    "NASN": Net(
        partial(ASNSNN, NormalizedASN, [8, 64, 64], 10, 8),
        partial(half, datasets.digits_rows),
        _ASN,
        **_ROWS,
    ),
    "spiking transformer": Net(
        partial(Spikformer, [8, 32], 2, 1, 10, 4, False),
        partial(half, datasets.digits_large),
        {"epochs": 20, "lr": 1e-2},
    ),
    "MNIST MLP": Net(
        lambda: DenseNet((784, 256, 128, 10), 16),
        lambda: mnist(60000, 10000),
        {"epochs": 4, "lr": 2e-3, "batch": 100},
        {"epochs": 2},
    ),
    "Fashion-MNIST MLP": Net(
        lambda: DenseNet((784, 256, 128, 10), 16),
        lambda: mnist(20000, 5000, "fashion_mnist/fashion_mnist_20k_5k.npz"),
        {"epochs": 8, "lr": 2e-3, "batch": 100},
        {"epochs": 4},
    ),
}
