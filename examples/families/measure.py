"""What a row of the table says: compiled or blocked, proven, faithful, and exact where."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import snnc
from examples.families.activity import Activity
from examples.families.budget import Operations
from examples.families.family import Family, Split
from snnc.artifact import Artifact
from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.intops import IntNeuron
from snnc.types import Int

#: Samples of a task that are compared; Lava gets fewer.
SAMPLES, LAVA_SAMPLES = 1000, 2

#: Largest error of outputs next to the quantized model's, as a part of their deviation.
OUTPUTS = 0.05

#: Samples of the example for tracing.
EXAMPLE = 4


@dataclass
class Row:
    """Measured facts of one family.

    Attributes:
        family: Which.
        parameters: Of the network.
        steps: T.
        blocked: The first coded error, if it does not compile.
        metric: Name of the metric, its value in float and in integers.
        labels: Share of samples with the same class as the float model.
        spikes: Smallest share of spikes in common with the model with quantized weights.
        float_spikes: The same with the float model.
        outputs: Error of the first output next to that model's, as a part of its deviation.
        rates: Smallest and largest firing rate of a population.
        silent: Populations that hardly fire, or hardly pause, and how often they fire.
        proven: Widest accumulator or state, in bits, and how many words were checked.
        outside: Words that left their proven interval; has to be empty.
        exact: By backend, whether every word was that of the definition; None: did not run.
        trained: Whether the weights come from data.
        operations: Synaptic operations per sample.
        budget: Steps times bits of a weight times bits of the widest event.
    """

    family: Family
    parameters: int = 0
    steps: int = 0
    blocked: str = ""
    metric: tuple[str, float, float] | None = None
    labels: float | None = None
    spikes: float | None = None
    float_spikes: float | None = None
    outputs: float | None = None
    rates: tuple[float, float] | None = None
    silent: dict[str, float] = field(default_factory=dict)
    proven: tuple[int, int] = (0, 0)
    outside: list[str] = field(default_factory=list)
    exact: dict[str, bool | None] = field(default_factory=dict)
    trained: bool = False
    operations: float = 0.0
    budget: int = 0

    @property
    def problems(self) -> list[str]:
        """What must not be, of a row that compiled."""
        found = [f"{word} leaves its proven interval" for word in self.outside]
        found += [f"{name} fires {rate:.2%} of the time" for name, rate in self.silent.items()]
        found += [f"{name} differs" for name, same in self.exact.items() if same is False]
        least = 1.0 if self.family.exact else self.family.least
        if self.spikes is not None and self.spikes < least:
            found.append(f"only {self.spikes:.3%} of the spikes of the quantized model")
        if self.outputs is not None and self.outputs > OUTPUTS:
            found.append(f"outputs are off by {self.outputs:.0%} of their deviation")
        if self.metric and self.family.task and self.trained:
            name, real, integer = self.metric
            worse = self.family.task.worse
            limit = real - worse if name == "%" else real * (1 + worse)
            if (integer < limit) if name == "%" else (integer > limit):
                found.append("loses more than claimed")
        return found

    def score(self) -> str:
        """What it is measured by, in float and in integers; ``-`` if nothing."""
        if self.metric is None:
            return "-"
        name, real, integer = self.metric
        assert self.family.task, "a metric belongs to a task"
        digits = ".1f" if name == "%" else ".4f"
        return f"{self.family.task.name}: {real:{digits}} -> {integer:{digits}} {name}"

    def __str__(self) -> str:
        head = f"{self.family.name:34} T={self.steps:<3} {self.parameters:>9,}"
        if self.blocked:
            return f"{head}  blocked: {self.blocked}"
        share = {True: "=", False: "DIFFERS", None: "(not run)"}
        backends = " ".join(f"{n}{share[same]}" for n, same in self.exact.items())
        parts = [
            head,
            f"{self.score():38}",
            f"labels {_percent(self.labels)}",
            f"outputs {_part(self.outputs)}",
            f"spikes {_percent(self.spikes)} (float {_percent(self.float_spikes)})",
            f"<= {self.proven[0]:2} bits",
            f"budget {self.budget:4}, {_thousands(self.operations)} ops",
            backends,
            *self.problems,
        ]
        return "  ".join(parts)


def _thousands(count: float) -> str:
    return f"{count:6.0f}" if count < 1e5 else f"{count / 1000:5.0f}k"


def _part(error: float | None) -> str:
    return "     -" if error is None else f"{error:6.4f}"


def _percent(share: float | None) -> str:
    if share is None:
        return "      -"
    return f"{math.floor(share * 1e4) / 1e2:6.2f}%"


def measure(
    family: Family, net: nn.Module, split: Split | None, lava: bool = False, samples: int = SAMPLES
) -> Row:
    """Export, compile, verify, and check the ranges of one network.

    Args:
        family: Its row.
        net: The network, awake or trained.
        split: Its task's data if it was trained; else the example is used.
        lava: Whether to run it on Lava too.
        samples: Most samples of the test part.
    """
    row = Row(family, sum(p.numel() for p in net.parameters()), trained=split is not None)
    _, calibration, test = family.build()
    labels = None
    if split is not None:
        calibration, test, labels = split[0][:200], split[2][:samples], split[3][:samples]
    example = calibration[:EXAMPLE]
    targets = ("numpy", "c", "lava") if lava and family.lava else ("numpy", "c")
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as name:
        warnings.simplefilter("ignore")
        folder = Path(name)
        try:
            exported = snnc.export(
                net, example, folder / "m.pt", calibration=calibration, **family.options
            )
            row.steps = exported.graph.steps
            artifact = snnc.compile(folder / "m.pt", folder / "out", target=targets)
        except CompileError as e:
            row.blocked = blocked(e)
            return row
        data = test.numpy()
        _verify(row, artifact, data, labels)
        _ranges(row, artifact, data)
        row.outputs = _outputs(artifact, data[:64])
        if split is not None and family.task and not family.task.score:
            _whole(row, artifact, net, split)
        if split is not None and family.task and family.task.score and labels is not None:
            _score(row, artifact, net, test, labels, data)
    return row


def blocked(e: CompileError) -> str:
    """The first error in one line."""
    first = e.diagnostics[0]
    more = f" (and {len(e.diagnostics) - 1} more)" if len(e.diagnostics) > 1 else ""
    return f"{first.code} {first.message.splitlines()[0]}{more}"


def _verify(row: Row, artifact: Artifact, data: np.ndarray, labels: Tensor | None) -> None:
    task = row.family.task
    classes = labels.numpy() if labels is not None and task and task.score is None else None
    names = [n for n in artifact.manifest.targets if n != "lava"]
    report = artifact.verify(data, classes, backends=names)
    row.labels = report.labels
    found = [s for s in report.quantized_spikes.values() if s is not None]
    row.spikes = min(found, default=None)
    own = [s for s in report.spikes.values() if s is not None]
    row.float_spikes = min(own, default=None)
    row.exact = {name: c.equal for name, c in report.backends.items()}
    if classes is not None:
        real, whole = report.accuracy["float"], report.accuracy["integer"]
        assert real is not None, "there are labels"
        assert whole is not None, "there are labels"
        row.metric = ("%", 100 * real, 100 * whole)
    if "lava" in artifact.manifest.targets:
        report = artifact.verify(data[:LAVA_SAMPLES], backends=["lava"])
        row.exact |= {name: c.equal for name, c in report.backends.items()}


def _ranges(row: Row, artifact: Artifact, data: np.ndarray) -> None:
    """Run the definition; every value and state at every step has to be where it was proven."""
    proven = dict(_proven(artifact.graph()))
    sim, encoded = artifact.simulator, artifact.encode(data[:64])
    steps = artifact.steps_of(encoded, None)
    run = sim.begin(len(data[:64]), steps)
    static = {k: a for k, a in encoded.items() if sim.inputs[k][1] == "once"}
    phases = [("once", static)]
    phases += [
        ("step", {k: a[:, t] for k, a in encoded.items() if k not in static}) for t in range(steps)
    ]
    phases.append(("end", {}))
    for loop in range(2, sim.loops.count + 1):
        phases += [(f"step{loop}", {})] * sim.loops.steps(loop, steps) + [(f"end{loop}", {})]
    outside: dict[str, None] = {}
    cost, activity = Operations(sim), Activity(artifact.graph(), sim)
    for clock, inputs in phases:
        run.phase(clock, inputs)
        cost.count(clock, run.values)
        activity.count(clock, run.values)
        for place, values in [*run.values.items(), *run.state.items()]:
            lo, hi = proven[place]
            if values.size and (values.min() < lo or values.max() > hi):
                outside[str(place)] = None
    row.outside, row.silent = list(outside), activity.silent(row.family.rate)
    rates = activity.rates.values()
    row.rates = (min(rates), max(rates)) if rates else None
    row.operations = cost.total / len(data[:64])
    row.budget = steps * artifact.manifest.bits * cost.widest
    row.proven = (max(Int(*b).width for b in proven.values()), len(proven))


def _proven(program: Graph) -> Iterator[tuple[str | tuple[str, int], tuple[int, int]]]:
    """The interval of every value, by node and output, and of every state, by name."""
    for node in program:
        for i, kind in enumerate(node.types):
            assert isinstance(kind.dtype, Int), "programs are integers"
            yield (node.name, i), kind.dtype.bounds
            yield f"{node.name}.acc", kind.dtype.bounds  # what a sum over time has so far
        if isinstance(node.op, IntNeuron):
            for s in node.op.kernel.states:
                yield f"{node.name}.{s.name}", Int(s.lo, s.hi).bounds


def _outputs(artifact: Artifact, data: np.ndarray) -> float | None:
    """Root mean square error of the first output, as a part of its deviation."""
    model = artifact.fakequant()
    if model is None:
        return None
    encoded = artifact.encode(data)
    grid = {e.name: encoded[e.name] * e.scale for e in artifact.manifest.inputs}
    real, _ = FloatSimulator(model).run(grid, artifact.steps_of(encoded, None), ())
    name = artifact.manifest.outputs[0].name
    found = np.asarray(artifact.run(data).outputs[name], np.float64)
    wanted = np.asarray(real[name], np.float64).reshape(found.shape)
    spread = float(wanted.std())
    return float(np.sqrt(np.mean((found - wanted) ** 2))) / spread if spread else None


def _whole(row: Row, artifact: Artifact, net: nn.Module, split: Split, batch: int = 250) -> None:
    """Accuracies on all of a test part of which only some samples were compared word for word."""
    x, y = split[2:]
    if len(x) <= SAMPLES:
        return
    right = np.zeros(2)
    for part, labels in zip(x.split(batch), y.split(batch), strict=True):
        with torch.no_grad():
            real = net(part)
        whole = next(iter(artifact.run(part.numpy(), "c").outputs.values()))
        for i, scores in enumerate((real.numpy(), np.asarray(whole))):
            right[i] += (scores.reshape(len(part), -1).argmax(1) == labels.numpy()).sum()
    row.metric = ("%", *(100 * right / len(x)).tolist())


def _score(
    row: Row, artifact: Artifact, net: nn.Module, x: Tensor, y: Tensor, data: np.ndarray
) -> None:
    task = row.family.task
    assert task is not None, "called for tasks with a score"
    assert task.score is not None, "called for tasks with a score"
    with torch.no_grad():
        real = net(x)
    first = real[0] if isinstance(real, tuple) else real
    found = next(iter(artifact.run(data).outputs.values()))
    integer = torch.as_tensor(found, dtype=torch.float32).reshape(first.shape)
    row.metric = (task.metric, task.score(first, y), task.score(integer, y))
