"""Measure every choice of integers on every network and training; results are kept as they come."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

import snnc
from examples.accuracy.networks import CACHE, NETWORKS, Net
from examples.families.family import Split
from snnc.data import Data
from snnc.measure import FloatRunner, IntegerRunner, measure
from snnc.verify import float_graph
from snnc.version import __version__

#: Bits and methods; every layer has these bits, the first and the last, too.
PLANS = [(b, m) for b in (8, 4, 3, 2) for m in ("mse", "gptq", "auto")] + [(2, "finetune")]
#: Training samples that methods look at.
CALIBRATION = 256


@dataclass(frozen=True)
class Result:
    """One choice of integers for one training of one network.

    Attributes:
        network: Its name.
        seed: Of the training.
        bits: Of every weight.
        method: Which chose the integers, or ``finetune``.
        real: Accuracy in real numbers, in percent.
        accuracy: In integers, in percent.
        f1: Of the spikes, the mean over layers, in percent; None without spikes.
        seconds: To choose the integers.
    """

    network: str
    seed: int
    bits: int
    method: str
    real: float
    accuracy: float
    f1: float | None
    seconds: float


def results(names: list[str], seeds: int, cache: Path = CACHE) -> Iterator[Result]:
    """All results, from the cache where they are known."""
    for seed in range(seeds):
        for name in names:
            yield from _training(name, seed, cache)


def _training(name: str, seed: int, cache: Path) -> Iterator[Result]:
    entry = NETWORKS[name]
    files = {p: cache / f"{name.replace(' ', '_')}-{seed}-{p[0]}-{p[1]}.json" for p in PLANS}
    known = {p: _known(file) for p, file in files.items()}
    if all(known.values()):
        yield from (r for r in known.values() if r is not None)
        return
    net, split = entry.trained(name, seed, cache)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write(net, split, entry, folder)
        for plan, file in files.items():
            found = known[plan]
            if found is None:
                found = _measured(name, seed, plan, entry, split, folder)
                file.write_text(json.dumps({"snnc": __version__, **asdict(found)}))
            yield found


def _known(file: Path) -> Result | None:
    if not file.exists():
        return None
    found = json.loads(file.read_text())
    return Result(**found) if found.pop("snnc") == __version__ else None


def _write(net: nn.Module, split: Split, entry: Net, folder: Path) -> None:
    """The model and its training samples, of which the first are calibration data."""
    x, y = split[:2]
    snnc.export(net, x[:4], folder / "model.pt", **entry.options)
    some = np.random.default_rng(0).permutation(len(x))[:CALIBRATION]
    np.savez(folder / "some.npz", x=x.numpy()[some], y=y.numpy()[some])
    np.savez(folder / "train.npz", x=x.numpy(), y=y.numpy())


def _measured(
    name: str, seed: int, plan: tuple[int, str], entry: Net, split: Split, folder: Path
) -> Result:
    bits, method = plan
    model, out = folder / "model.pt", folder / f"{bits}-{method}"
    start = time.perf_counter()
    if method == "finetune":
        artifact = snnc.finetune(model, out, folder / "train.npz", bits=bits, **entry.tune)
    else:
        some = folder / "some.npz"
        artifact = snnc.compile(model, out, bits=bits, method=method, calibration=some)
    seconds = time.perf_counter() - start
    program = artifact.graph()
    order = tuple(output.name for output in artifact.manifest.outputs)  # the scores come first
    runner = IntegerRunner(program, artifact.manifest.inputs, order)
    reference = FloatRunner(float_graph(artifact.model()), runner.spikes)
    samples = Data({runner.inputs[0].name: split[2].numpy()}, split[3].numpy())
    steps = split[2].shape[1] if runner.inputs[0].clock == "step" else program.steps
    found = measure(reference, runner.outputs[0], {"it": runner}, samples, steps)
    real, it = found["float"], found["it"]
    assert real.accuracy is not None, "there are labels"
    assert it.accuracy is not None, "there are labels"
    f1 = None if it.f1 is None else 100 * it.f1
    return Result(
        name, seed, bits, method, 100 * real.accuracy, 100 * it.accuracy, f1, round(seconds, 1)
    )


def accuracy(net: nn.Module, split: Split) -> float:
    """Of the network in torch, in percent."""
    with torch.no_grad():
        outs = [net(part) for part in split[2].split(250)]
    scores = torch.cat([out[0] if isinstance(out, tuple) else out for out in outs])
    return 100 * float((scores.argmax(1) == split[3]).double().mean())
