"""Measure every choice of integers on every network and training; results are kept as they come."""

from __future__ import annotations

import ast
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

import snnc
from examples.accuracy.networks import CACHE, LARGE, NETWORKS, Net
from examples.families.family import Split
from snnc.artifact import Artifact
from snnc.data import Data
from snnc.measure import FloatRunner, IntegerRunner, measure
from snnc.verify import float_graph
from snnc.version import __version__

#: Bits and methods; every layer has these bits, the first and the last, too.
PLANS = [(b, m) for b in (8, 4, 3, 2) for m in ("mse", "gptq", "auto")] + [(2, "finetune")]
#: Training samples that methods look at.
CALIBRATION = 1024
#: Test samples whose spikes are compared; all of them are classified.
COMPARED = 1000
#: Test samples that are classified together.
BATCH = 1000
#: Folders that decide which integers come out: if their code changes, what was measured with it is
#: measured again.
CHOOSING, TUNING = "passes", "finetuning"

Plan = tuple[int, str]


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


def results(
    names: list[str],
    seeds: int,
    plans: Iterable[Plan] | None = None,
    cache: Path = CACHE,
    known: bool = False,
) -> Iterator[Result]:
    """All results, from the cache where they are known.

    Args:
        names: Of networks.
        seeds: Trainings of each.
        plans: Bits and methods; all if None.
        cache: Folder of weights and results.
        known: Take only what is in the cache.
    """
    plans = PLANS if plans is None else list(plans)
    for seed in range(seeds):
        for name in names:
            yield from _training(name, seed, plans, cache, known)


def _training(
    name: str, seed: int, plans: list[Plan], cache: Path, known: bool
) -> Iterator[Result]:
    entry = {**NETWORKS, **LARGE}[name]
    weights = entry.file(name, seed, cache)
    if known and not weights.exists():
        return
    net, split = None, None
    if not weights.exists():
        net, split = entry.trained(name, seed, cache)
    files = {p: cache / f"{weights.stem}-{p[0]}-{p[1]}.json" for p in plans}
    keys = {p: _key(p, entry, weights) for p in plans}
    found = {p: _kept(files[p], keys[p]) for p in plans}
    yield from (r for r in found.values() if r is not None)
    missing = [] if known else [p for p, r in found.items() if r is None]
    if not missing:
        return
    if net is None or split is None:
        net, split = entry.trained(name, seed, cache)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write(net, split, entry, folder)
        quick = [p for p in missing if p[1] != "finetune"]
        for group in ([quick] if quick else []) + [[p] for p in missing if p[1] == "finetune"]:
            for plan, r in _measured(name, seed, group, entry, net, split, folder).items():
                files[plan].write_text(json.dumps({"key": keys[plan], **asdict(r)}))
                yield r


def _key(plan: Plan, entry: Net, weights: Path) -> str:
    """What a result depends on, in short."""
    found = hashlib.sha256(weights.read_bytes())
    bits, method = plan
    found.update(f"{__version__} {bits} {method} {COMPARED}".encode())
    found.update(_code(CHOOSING).encode())
    if method != "finetune":  # which looks at all training samples
        found.update(f"{CALIBRATION}".encode())
    else:
        found.update(repr(sorted(entry.tune.items())).encode())
        found.update(_code(TUNING).encode())
    return found.hexdigest()


@lru_cache
def _code(folder: str) -> str:
    """The files of a folder of snnc without what does not run: comments and docstrings."""
    trees = []
    for source in sorted((Path(snnc.__file__).parent / folder).glob("*.py")):
        tree = ast.parse(source.read_bytes())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                first = node.body[0] if node.body else None
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    del node.body[0]
        trees.append(ast.dump(tree))
    return "\n".join(trees)


def _kept(file: Path, key: str) -> Result | None:
    if not file.exists():
        return None
    found = json.loads(file.read_text())
    return Result(**found) if found.pop("key", "") == key else None


def _write(net: nn.Module, split: Split, entry: Net, folder: Path) -> None:
    """The model and its training samples, of which the first are calibration data."""
    x, y = split[:2]
    snnc.export(net, x[:4], folder / "model.pt", **entry.options)
    some = np.random.default_rng(0).permutation(len(x))[:CALIBRATION]
    np.savez(folder / "some.npz", x=x.numpy()[some], y=y.numpy()[some])
    np.savez(folder / "train.npz", x=x.numpy(), y=y.numpy())


def _measured(
    name: str,
    seed: int,
    plans: list[Plan],
    entry: Net,
    net: nn.Module,
    split: Split,
    folder: Path,
) -> dict[Plan, Result]:
    """The results of some plans, which share the runs of the network in real numbers."""
    artifacts: dict[Plan, Artifact] = {}
    seconds: dict[Plan, float] = {}
    backend = "c" if shutil.which("cc") or shutil.which("gcc") else "torch"  # give the same words
    for plan in plans:
        start = time.perf_counter()
        artifacts[plan] = _compiled(plan, entry, folder, backend)
        seconds[plan] = round(time.perf_counter() - start, 1)
    f1, real = _spikes(artifacts, split), accuracy(net, split)
    return {
        plan: Result(
            name,
            seed,
            *plan,
            real,
            _classified(artifacts[plan], backend, split),
            f1[plan],
            seconds[plan],
        )
        for plan in plans
    }


def _compiled(plan: Plan, entry: Net, folder: Path, backend: str) -> Artifact:
    bits, method = plan
    model, out = folder / "model.pt", folder / f"{bits}-{method}"
    if method == "finetune":
        options = {"target": backend, **entry.tune}
        return snnc.finetune(model, out, folder / "train.npz", bits=bits, **options)
    some = folder / "some.npz"
    return snnc.compile(model, out, bits=bits, method=method, calibration=some, target=backend)


def _spikes(artifacts: dict[Plan, Artifact], split: Split) -> dict[Plan, float | None]:
    """F1 of the spikes against the network in real numbers, in percent."""
    runners = {}
    for plan, artifact in artifacts.items():
        order = tuple(output.name for output in artifact.manifest.outputs)  # the scores come first
        runners[str(plan)] = IntegerRunner(artifact.graph(), artifact.manifest.inputs, order)
    runner, artifact = next(iter(runners.values())), next(iter(artifacts.values()))
    reference = FloatRunner(float_graph(artifact.model()), runner.spikes)
    x, y = (part[:COMPARED].numpy() for part in split[2:])
    samples = Data({runner.inputs[0].name: x}, y)
    steps = x.shape[1] if runner.inputs[0].clock == "step" else runner.program.steps
    found = measure(reference, runner.outputs[0], runners, samples, steps)
    f1 = {plan: found[str(plan)].f1 for plan in artifacts}
    return {plan: None if value is None else 100 * value for plan, value in f1.items()}


def _classified(artifact: Artifact, backend: str, split: Split) -> float:
    """Accuracy of the integers, in percent."""
    scores = artifact.manifest.outputs[0].name
    right = 0
    for x, y in zip(split[2].split(BATCH), split[3].split(BATCH), strict=True):
        outputs = artifact.run(x.numpy(), backend).outputs[scores]
        right += int((outputs.argmax(1) == y.numpy()).sum())
    return 100 * right / len(split[3])


def accuracy(net: nn.Module, split: Split) -> float:
    """Of the network in torch, in percent."""
    with torch.no_grad():
        outs = [net(part) for part in split[2].split(BATCH // 4)]
    scores = torch.cat([out[0] if isinstance(out, tuple) else out for out in outs])
    return 100 * float((scores.argmax(1) == split[3]).double().mean())
