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
from snnc.data import Data, check_labels
from snnc.diagnostics import fail, stop_on_errors
from snnc.finetuning.training import Loss
from snnc.graph import Graph
from snnc.manifest import OutputEntry

Array = npt.NDArray[Any]
#: From real outputs by name and targets of the same samples to a loss.
UserLoss = Callable[[dict[str, Tensor], Tensor], Tensor]

#: Share of the cross entropy in what is minimised with labels; the rest is imitation, which
#: keeps what the network in real numbers has learned from more than these samples.
LABELS = 0.3
#: What scores are divided by before they are imitated (Hinton et al. 2015, arXiv:1503.02531): the
#: network in real numbers is mostly sure of these samples, and shows more of what it knows so.
TEMPERATURE = 2.0
#: Samples that run through the model in real numbers at once.
BATCH = 64


class Goals:
    """Makes the loss of integer outputs and the rows of their samples, for every form of a program.

    With labels that is the divergence of the scores from those in real numbers, and the cross
    entropy; without, the difference of all outputs from those in real numbers.

    Args:
        model: The network in real numbers.
        samples: With labels, if there are any.
        targets: In place of labels.
        loss: The user's own.
        steps: T.

    Raises:
        CompileError: E421 if there are not as many targets as samples, E423 if they are no numbers
            or, without a loss, no classes, E336 if there is a loss and no targets.
    """

    def __init__(
        self,
        model: Graph,
        samples: Data,
        targets: Array | None,
        loss: UserLoss | None,
        steps: int,
    ) -> None:
        given = samples.labels if targets is None else targets
        if given is None and loss is not None:
            hint = "give them as the second of data, or as y of its file"
            raise fail(
                "E336",
                "a loss of your own compares with targets, of which none are given",
                help=hint,
            )
        self._wanted = None if given is None else _tensor(given, loss is None, len(samples))
        self._own, self._steps = loss, steps
        self._model, self._samples = model, samples
        self._outputs: dict[str, Tensor] | None = None

    def of(self, entries: tuple[OutputEntry, ...]) -> Loss:
        """The loss of a program with these outputs.

        Raises:
            CompileError: E336 if labels do not fit the outputs, E423 if there are others.
        """
        wanted, own = self._wanted, self._own
        if wanted is None:
            return self._imitation(entries)
        if own is not None:
            return lambda outputs, rows: own(self._real(outputs, entries), wanted[rows])
        return self._classes(entries, wanted)

    def _real(
        self, outputs: dict[str, Tensor], entries: tuple[OutputEntry, ...]
    ) -> dict[str, Tensor]:
        """Outputs in real numbers, as ``decode_outputs`` gives them."""
        found = {}
        for e in entries:
            scale = torch.tensor(e.scale, dtype=torch.float64).reshape(e.scale_shape)
            found[e.name] = outputs[e.name] * (scale / (self._steps if e.per_step else 1))
        return found

    def _taught(self) -> dict[str, Tensor]:
        """Outputs of the model in real numbers, of all samples."""
        if self._outputs is None:
            simulator, samples = FloatSimulator(self._model), self._samples
            parts = [
                simulator.run(samples.part(start, stop).dense, self._steps)[0]
                for start, stop in batches(len(samples), BATCH)
            ]
            self._outputs = {
                name: torch.tensor(np.concatenate([p[name] for p in parts])).double()
                for name in parts[0]
            }
        return self._outputs

    def _classes(self, entries: tuple[OutputEntry, ...], labels: Tensor) -> Loss:
        """Of one output, summed over time if it is a sequence."""
        entry = entries[0]
        if len(entry.shape) != 1:
            what = f"output {entry.name!r} has the shape {entry.shape}"
            hint = "give a loss, or no labels: then it learns its own outputs"
            raise fail("E336", f"{what}, which are no scores of classes", help=hint)
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < entry.shape[0]:
            text = f"labels are {int(labels.min())} to {int(labels.max())}"
            raise fail("E423", f"{text}, output {entry.name!r} has {entry.shape[0]} classes")
        taught = self._taught()[entry.name]
        sure = _logits(taught.sum(1) if entry.sequence else taught)

        def loss(outputs: dict[str, Tensor], rows: Tensor) -> Tensor:
            scores = self._real({entry.name: outputs[entry.name]}, (entry,))[entry.name]
            scores = scores.sum(1) if entry.sequence else scores
            right = functional.cross_entropy(scores, labels[rows])
            apart = functional.kl_div(
                _logits(scores), sure[rows], reduction="batchmean", log_target=True
            )
            return TEMPERATURE**2 * apart + LABELS * right

        return loss

    def _imitation(self, entries: tuple[OutputEntry, ...]) -> Loss:
        """Squared difference from the outputs in real numbers, relative to their size."""
        wanted = {e.name: self._taught()[e.name] for e in entries}
        sizes = {name: float(x.square().mean()) or 1.0 for name, x in wanted.items()}

        def loss(outputs: dict[str, Tensor], rows: Tensor) -> Tensor:
            found = self._real(outputs, entries)
            errors = [(found[n] - x[rows]).square().mean() / sizes[n] for n, x in wanted.items()]
            return torch.stack(errors).sum()

        return loss


def _tensor(given: Array, classes: bool, samples: int) -> Tensor:
    """Targets, or labels of ``classes``, as a tensor."""
    if given.dtype.kind not in "biuf":
        text = f"targets must be numbers, got dtype {given.dtype}"
        raise fail("E423", text, help="labels are class numbers, counted from 0")
    if not given.ndim or len(given) != samples:
        count = len(given) if given.ndim else "no"
        text = f"there are {count} targets for {samples} samples"
        raise fail("E421", text, help="give one for each sample")
    if not classes:
        return torch.tensor(given)
    if given.ndim > 1:
        text = f"labels must have the shape ({samples},), got {given.shape}"
        raise fail("E423", text, help="give one class number per sample, or a loss of your own")
    stop_on_errors(check_labels(given, None))
    return torch.tensor(given.astype(np.int64))


def _logits(scores: Tensor) -> Tensor:
    return functional.log_softmax(scores / TEMPERATURE, 1)
