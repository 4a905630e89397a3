"""The networks, their data, and their training; weights are kept in a cache folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from examples.accuracy import data
from examples.accuracy.modules import ConvNet, DenseNet, RecurrentALIF, SteadyASN
from examples.families import datasets
from examples.families.adaptive_spiking import ASN, NormalizedASN
from examples.families.family import Split
from examples.families.spikformer import Spikformer
from examples.families.training import fit

CACHE = Path.home() / ".cache" / "snnc" / "accuracy"


@dataclass(frozen=True)
class Net:
    """One network.

    Attributes:
        source: The name of its data.
        make: Builds it.
        data: Loads its data.
        train: Options of ``fit``.
        tune: Options of ``snnc.finetune``.
        options: Of ``snnc.export``.
    """

    source: str
    make: Callable[[], nn.Module]
    data: Callable[[], Split]
    train: dict[str, Any]
    tune: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def file(self, name: str, seed: int, cache: Path = CACHE) -> Path:
        """Where the weights of one training are: other ones if it is another network or data."""
        net = self.make()
        what = f"{net}{getattr(net, 'num_steps', '')}{self.source}{self.train}"
        digest = hashlib.sha256(what.encode()).hexdigest()[:12]
        return cache / f"{name.replace(' ', '_')}-{seed}-{digest}.pt"

    def trained(self, name: str, seed: int, cache: Path = CACHE) -> tuple[nn.Module, Split]:
        """The network of one training, from the cache if it is there, and its data."""
        torch.set_num_threads(1)
        path, split = self.file(name, seed, cache), self.data()
        torch.manual_seed(seed)
        net = self.make()
        if path.exists():
            net.load_state_dict(torch.load(path, weights_only=True))
        else:
            fit(net, split, seed=seed, **self.train)
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(net.state_dict(), path.with_suffix(".part"))
            path.with_suffix(".part").replace(path)
        return net.eval(), split


def _transformer(sizes: list[int], steps: int) -> Callable[[], nn.Module]:
    return partial(Spikformer, sizes, 2, 1, 10, steps, False)


_STEPPED: dict[str, Any] = {"time_axis": 1}
#: For few samples.
_LONG: dict[str, Any] = {"epochs": 60, "batch": 25}

#: Those of the table, by name.
NETWORKS: dict[str, Net] = {
    "LIF MLP": Net(
        "digits",
        lambda: DenseNet((64, 128, 128, 10), 16),
        partial(data.digits, datasets.digits_flat),
        {"epochs": 20, "lr": 4e-3},
    ),
    "conv-BN": Net("MNIST-5k", ConvNet, data.mnist5k, {"epochs": 8, "lr": 1e-2}, {"epochs": 6}),
    "recurrent ALIF": Net(
        "JapaneseVowels",
        lambda: RecurrentALIF(12, 64, 9, 29),
        data.japanese_vowels,
        {"epochs": 80, "lr": 4e-3},
        _LONG,
        _STEPPED,
    ),
    "ASN": Net(
        "JapaneseVowels",
        lambda: SteadyASN(ASN, [12, 64, 64], 9, 29, mean=True),
        data.japanese_vowels,
        {"epochs": 40, "lr": 1e-2},
        _LONG,
        _STEPPED,
    ),
    "NASN": Net(
        "JapaneseVowels",
        lambda: SteadyASN(NormalizedASN, [12, 64, 64], 9, 29),
        data.japanese_vowels,
        {"epochs": 40, "lr": 1e-2},
        _LONG | {"epochs": 100},
        _STEPPED,
    ),
    "spiking transformer": Net(
        "digits",
        _transformer([8, 32], 4),
        partial(data.digits, datasets.digits_large),
        {"epochs": 20, "lr": 1e-2},
        {"epochs": 120},
    ),
}


def _large(source: str, file: str, epochs: float) -> dict[str, Net]:
    """The same six on 28 x 28 pixels, the recurrent ones row by row.

    Args:
        source: The name of the data.
        file: In the folder ``SNNC_DATA``.
        epochs: How many times more of them than for all of MNIST.
    """
    images, rows = partial(data.images, file), partial(data.rows, file)

    def options(count: int, lr: float, batch: int) -> dict[str, Any]:
        return {"epochs": round(epochs * count), "lr": lr, "batch": batch}

    def fine(count: float, batch: int = 100) -> dict[str, Any]:
        """About five minutes of one core, whatever that is worth: not chosen by any accuracy."""
        return {"epochs": round(epochs * count), "batch": batch, "rate": 0.03}

    nets = {
        "LIF MLP": Net(
            source, lambda: DenseNet((784, 128, 64, 10), 8), images, options(4, 4e-3, 100), fine(10)
        ),
        "conv-BN": Net(source, lambda: ConvNet(4), images, options(3, 1e-2, 100), fine(5)),
        "recurrent ALIF": Net(
            source,
            lambda: RecurrentALIF(28, 64, 10, 28),
            rows,
            options(6, 4e-3, 200),
            fine(12),
            _STEPPED,
        ),
        "ASN": Net(
            source,
            lambda: SteadyASN(ASN, [28, 64, 64], 10, 28, mean=True),
            rows,
            options(6, 1e-2, 200),
            fine(20),
            _STEPPED,
        ),
        "NASN": Net(
            source,
            lambda: SteadyASN(NormalizedASN, [28, 64, 64], 10, 28),
            rows,
            options(6, 1e-2, 200),
            fine(8, 200),
            _STEPPED,
        ),
        "spiking transformer": Net(
            source, _transformer([8, 16, 32], 2), images, options(4, 1e-2, 100), fine(5)
        ),
    }
    return {f"{source} {name}": net for name, net in nets.items()}


#: Those of ``--large``, MNIST first.
LARGE: dict[str, Net] = {
    **_large("MNIST", "mnist/mnist.npz", 1),
    **_large("Fashion-MNIST", data.FASHION, 2),
}
