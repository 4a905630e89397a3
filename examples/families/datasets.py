"""Real data of the tasks: what scikit-learn ships, and what lies in the folder ``SNNC_DATA``."""

from __future__ import annotations

import csv
import io
import os
import wave
import zipfile
from pathlib import Path

import numpy as np
import torch

from examples.families.family import Split
from examples.models import split

#: Folders with a README each; ``../shared/data`` beside the repository by default.
DATA = Path(os.environ.get("SNNC_DATA", Path(__file__).parents[3] / "shared" / "data"))


def digits_rows() -> Split:
    """1400 + 397 digits of scikit-learn, row by row: k/16 in shape (N, T=8, 8)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return split(digits.images / 16, digits.target, 1400)


def digits_flat() -> Split:
    """The same as one vector: (N, 64)."""
    x, y, x_test, y_test = digits_rows()
    return x.flatten(1), y, x_test.flatten(1), y_test


def digits_image() -> Split:
    """The same as an image: (N, 1, 8, 8)."""
    x, y, x_test, y_test = digits_rows()
    return x.unsqueeze(1), y, x_test.unsqueeze(1), y_test


def digits_large() -> Split:
    """The same, every pixel four times: (N, 1, 16, 16)."""
    x, y, x_test, y_test = digits_image()
    twice = torch.nn.Upsample(scale_factor=2)
    return twice(x), y, twice(x_test), y_test


def digits_tokens() -> Split:
    """The same as 16 patches of 2 x 2: (N, 16, 4)."""
    x, y, x_test, y_test = digits_image()
    cut = torch.nn.functional.unfold
    return cut(x, 2, stride=2).mT, y, cut(x_test, 2, stride=2).mT, y_test


def fashion(train: int = 5000, test: int = 5000) -> Split:
    """Fashion-MNIST: k/255 in shape (N, 1, 28, 28)."""
    with np.load(DATA / "fashion_mnist" / "fashion_mnist_20k_5k.npz") as d:
        x, x_test = (torch.tensor(d[k] / np.float32(255)) for k in ("x_train", "x_test"))
        y, y_test = (torch.tensor(d[k].astype(np.int64)) for k in ("y_train", "y_test"))
    return x[:train].unsqueeze(1), y[:train], x_test[:test].unsqueeze(1), y_test[:test]


def spoken_digits(steps: int = 40, bands: int = 20) -> Split:
    """Spoken digits of four speakers, takes 5-19 to learn and 0-4 to test: (N, T, bands).

    Energies of ``bands`` filters of equal width in mel, in windows of 32 ms every 20 ms, as
    logarithms in steps of 1/64 from 0 (quiet) to 1 (the loudest of the recording).
    """
    train: list[tuple[np.ndarray, int]] = []
    test: list[tuple[np.ndarray, int]] = []
    path = DATA / "fsdd_4speakers" / "fsdd_jackson_nicolas_theo_yweweler_0-19.zip"
    with zipfile.ZipFile(path) as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith(".wav")):
            label, _, take = Path(name).stem.split("_")
            with wave.open(io.BytesIO(archive.read(name))) as w:
                sound = np.frombuffer(w.readframes(w.getnframes()), np.int16)
            part = test if int(take) < 5 else train
            part.append((_energies(sound / 32768.0, steps, bands), int(label)))
    (x, y), (x_test, y_test) = (zip(*part, strict=True) for part in (train, test))
    tensors = [torch.tensor(np.stack(a), dtype=torch.float32) for a in (x, x_test)]
    return tensors[0], torch.tensor(y), tensors[1], torch.tensor(y_test)


def _energies(sound: np.ndarray, steps: int, bands: int) -> np.ndarray:
    window, hop, rate = 256, 160, 8000
    sound = np.pad(sound, (0, max(0, window + hop * (steps - 1) - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(sound, window)[::hop][:steps]
    power = np.abs(np.fft.rfft(frames * np.hanning(window))) ** 2
    mel = np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), bands + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    f = np.fft.rfftfreq(window, 1 / rate)[:, None]
    up = (f - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - f) / (edges[2:] - edges[1:-1])
    level = np.log10(power @ np.clip(np.minimum(up, down), 0, None) + 1e-8)
    return np.round(64 * np.clip((level - level.max()) / 4 + 1, 0, 1)) / 64


def electricity(past: int = 32, future: int = 8) -> Split:
    """ETTh1: 7 series of hours, ``past`` of them to foretell ``future``: (N, T, 7), (N, 7 future).

    Standardized by the months that are learned from; every sixth window of 12 months is used to
    learn, and every sixth of the following four to test.
    """
    with (DATA / "ett_h1" / "ETTh1.csv").open() as f:
        rows = np.array([r[1:] for r in csv.reader(f)][1:], np.float64)
    month = 30 * 24
    rows = (rows - rows[: 12 * month].mean(0)) / rows[: 12 * month].std(0)
    parts: list[torch.Tensor] = []
    for start, stop in ((0, 12 * month), (12 * month, 16 * month)):
        places = range(start, stop - past - future, 6)
        x = np.stack([rows[i : i + past] for i in places])
        y = np.stack([rows[i + past : i + past + future].ravel() for i in places])
        parts += [torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)]
    return parts[0], parts[1], parts[2], parts[3]


def shakespeare(steps: int = 32, train: int = 12000, test: int = 200) -> Split:
    """Characters of tiny-shakespeare and the ones that follow: (N, T) and (N, T), of 65 symbols."""
    text = (DATA / "text" / "tinyshakespeare.txt").read_text()
    symbols = {c: i for i, c in enumerate(sorted(set(text)))}
    codes = torch.tensor([symbols[c] for c in text])
    cut = len(codes) * 9 // 10
    places = np.random.default_rng(0)
    starts = places.integers(0, cut - steps - 1, train), cut + steps * np.arange(test)
    parts = [torch.stack([codes[i : i + steps + 1] for i in s]) for s in starts]
    return parts[0][:, :-1], parts[0][:, 1:], parts[1][:, :-1], parts[1][:, 1:]
