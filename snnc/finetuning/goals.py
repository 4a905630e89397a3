"""What training minimises: a loss of the outputs in real numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from snnc.backends.float_sim import FloatSimulator
from snnc.compare import batches
from snnc.data import Data
from snnc.diagnostics import fail
from snnc.finetuning.training import Loss
from snnc.graph import Graph
from snnc.manifest import OutputEntry

Array = npt.NDArray[Any]
#: From real outputs by name and targets of the same samples to a loss.
UserLoss = Callable[[dict[str, Tensor], Tensor], Tensor]

#: Share of the cross entropy in what is minimised with labels; the rest is imitation, which
#: keeps what the network in real numbers has learned from more than these samples.
LABELS = 0.3
#: Samples that run through the model in real numbers at once.
BATCH = 64


def goal_of(
    model: Graph,
    entries: tuple[OutputEntry, ...],
    samples: Data,
    targets: Array | None,
    loss: UserLoss | None,
    steps: int,
) -> Loss:
    """The loss of integer outputs and the rows of their samples.

    Args:
        model: The network in real numbers.
        entries: Its outputs.
        samples: With labels, if there are any.
        targets: In place of labels.
        loss: The user's own.
        steps: T.

    Raises:
        CompileError: E336 if labels do not fit the outputs, E421 and E423 if there are others.
    """
    given = samples.labels if targets is None else targets
    if given is not None and len(given) != len(samples):
        raise fail("E421", f"there are {len(given)} targets for {len(samples)} samples")
    if given is None:
        return _imitation(model, entries, samples, steps)
    wanted = torch.as_tensor(given)
    if loss is not None:
        own = loss
        return lambda outputs, rows: own(_real(outputs, entries, steps), wanted[rows])
    labels = _classes(entries[0], wanted)
    imitation = _imitation(model, entries, samples, steps)

    def goal(outputs: dict[str, Tensor], rows: Tensor) -> Tensor:
        right = labels(_real(outputs, entries, steps), wanted[rows])
        return imitation(outputs, rows) + LABELS * right

    return goal


def _real(
    outputs: dict[str, Tensor], entries: tuple[OutputEntry, ...], steps: int
) -> dict[str, Tensor]:
    """Outputs in real numbers, as ``decode_outputs`` gives them."""
    found = {}
    for e in entries:
        scale = torch.tensor(e.scale, dtype=torch.float64).reshape(e.scale_shape)
        found[e.name] = outputs[e.name] * (scale / (steps if e.per_step else 1))
    return found


def _classes(entry: OutputEntry, labels: Tensor) -> UserLoss:
    """Cross entropy of one output, summed over time if it is a sequence."""
    if len(entry.shape) != 1 or labels.ndim != 1 or labels.is_floating_point():
        text = f"output {entry.name!r} has the shape {entry.shape}, which are no scores of classes"
        raise fail("E336", text, help="give a loss, or no labels: then it learns its own outputs")
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < entry.shape[0]:
        text = f"labels are {int(labels.min())} to {int(labels.max())}"
        raise fail("E423", f"{text}, output {entry.name!r} has {entry.shape[0]} classes")
    labels = labels.long()

    def loss(outputs: dict[str, Tensor], wanted: Tensor) -> Tensor:
        scores = outputs[entry.name]
        return functional.cross_entropy(scores.sum(1) if entry.sequence else scores, wanted.long())

    return loss


def _imitation(model: Graph, entries: tuple[OutputEntry, ...], samples: Data, steps: int) -> Loss:
    """Squared difference from the outputs of the model in real numbers, relative to their size."""
    simulator = FloatSimulator(model)
    parts = []
    for start, stop in batches(len(samples), BATCH):
        parts.append(simulator.run(samples.part(start, stop).dense, steps)[0])
    wanted = {e.name: torch.tensor(np.concatenate([p[e.name] for p in parts])) for e in entries}
    sizes = {name: float(x.double().square().mean()) or 1.0 for name, x in wanted.items()}

    def goal(outputs: dict[str, Tensor], rows: Tensor) -> Tensor:
        found = _real(outputs, entries, steps)
        errors = [(found[n] - x[rows]).square().mean() / sizes[n] for n, x in wanted.items()]
        return torch.stack(errors).sum()

    return goal
