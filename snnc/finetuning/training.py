"""The training loop: Adam on latents, a warm-up and a cosine, and checkpoints."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from snnc.atomic import write_file
from snnc.backends.torch.neuron import Neuron
from snnc.diagnostics import CompileError, Diagnostic, error, fail
from snnc.finetuning.latent import Latent
from snnc.finetuning.network import TrainableNetwork

#: Of the moments of Adam (Kingma and Ba 2015).
MOMENTS = (0.9, 0.999)
#: Keeps Adam from dividing by zero; gradients have the size of 1 over that of a membrane.
TINY = 1e-30
#: Share of all steps in which the rate grows to its full size.
WARM = 0.05
#: How often the program is lowered again at most, and what is best is looked for.
RENEWALS = 10
#: Steps between, at least, in long epochs.
APART = 100
#: Updates of neurons, forward and backward, that take about as long as compiling them.
PAYS = 1 << 23
#: Samples by whose loss the best is known; evenly chosen of all.
JUDGED = 1024
#: Seeds of epochs follow from it, and have 64 bits.
LAST_SEED = 1 << 40

#: From outputs by name and the rows of the samples to a loss.
Loss = Callable[[dict[str, Tensor], Tensor], Tensor]


@dataclass(frozen=True)
class Epoch:
    """What training has brought since the last such report.

    Attributes:
        number: Epochs so far, also parts of one.
        of: How many there are.
        loss: Mean over the samples that were seen.
        seconds: It took.
    """

    number: float
    of: int
    loss: float
    seconds: float


@dataclass(frozen=True)
class Schedule:
    """How to train.

    Attributes:
        epochs: How often each sample is seen.
        batch: Samples per step.
        rate: Most that a step changes a weight by, relative to the weights of its layer; grows at
            first, and then falls to zero along a cosine.
        seed: Of the order of samples.
    """

    epochs: int = 20
    batch: int = 50
    rate: float = 0.02
    seed: int = 0

    def check(self) -> list[Diagnostic]:
        """What is wrong with the numbers."""
        wrong: list[tuple[str, float, str]] = [
            (name, value, "1 and more")
            for name, value in (("epochs", self.epochs), ("batch", self.batch))
            if value < 1 or value != int(value)
        ]
        if not (math.isfinite(self.rate) and self.rate > 0):
            wrong.append(("rate", self.rate, "numbers above 0; 0.02 is usual"))
        if not 0 <= self.seed <= LAST_SEED:
            wrong.append(("seed", self.seed, f"0 to {LAST_SEED}"))
        return [error("E003", f"{n} is {value}, possible are {could}") for n, value, could in wrong]

    def rate_at(self, share: float) -> float:
        """The rate after a share of all steps."""
        return self.rate * min(1.0, share / WARM) * (1 + math.cos(math.pi * share)) / 2


@dataclass
class Training:
    """Trains the latents of a network.

    Attributes:
        network: Whose latents.
        inputs: Integers (N, …) of all samples, by name.
        steps: T.
        loss: Of outputs.
        schedule: How.
        renew: Gives the network of the program with the present numbers, and its loss.
        checkpoint: File that is written after renewals, and read if it is there.
        key: What must be the same for a checkpoint to be continued.
        frozen: Whether constants of the model are no longer trained, since the model could not be
            lowered with what became of them.
    """

    network: TrainableNetwork
    inputs: dict[str, Tensor]
    steps: int
    loss: Loss
    schedule: Schedule
    renew: Callable[[TrainableNetwork], tuple[TrainableNetwork, Loss]]
    checkpoint: Path | None = None
    key: str = ""
    frozen: bool = False
    _steps: int = 0
    _moments: dict[str, Tensor] = field(default_factory=dict)
    _best: dict[str, Tensor] = field(default_factory=dict)
    _lowered: dict[str, Tensor] = field(default_factory=dict)
    _least: float = math.inf

    def run(self, report: Callable[[Epoch], None]) -> tuple[float, float]:
        """Train, from the checkpoint on if there is one.

        Returns:
            The mean loss of up to ``JUDGED`` samples before training, and with the latents of the
            renewal (or of before) that has the smallest: those the network has now.
        """
        latents = self.network.latents()
        self._moments = {
            f"{kind}.{n}": torch.zeros_like(x.value) for kind in "mv" for n, x in latents.items()
        }
        if self._pays():
            self.network.compile()
        self._best, self._lowered = self._kept(), self._kept()
        before = self._least = self._mean()
        if self._resume():
            self._renew()
        size, epochs = self._batches(), self.schedule.epochs
        total = size * epochs
        every = max(-(-total // RENEWALS), min(size, APART))
        while self._steps < total:
            start = time.perf_counter()
            loss = self._train(min(self._steps + every, total))
            self._renew()
            if (mean := self._mean()) < self._least:
                self._least, self._best = mean, self._kept()
            self._save()
            report(Epoch(self._steps / size, epochs, loss, time.perf_counter() - start))
        self._put(self._best)
        self._renew()
        return before, self._least

    def _renew(self) -> None:
        """Lower the model with the present numbers.

        If it cannot be lowered, constants go back to those of the last time and stay there.
        """
        old = self.network
        try:
            self.network, self.loss = self.renew(old)
        except CompileError as e:
            if self.frozen:
                raise _gone_wrong(e) from e
            self.frozen = True
            with torch.no_grad():
                for name, x in old.constants.latents.items():
                    x.copy_(self._lowered[name])
            try:
                self.network, self.loss = self.renew(old)
            except CompileError as again:
                raise _gone_wrong(again) from again
        if self._pays():
            self.network.compile()
        for name, ratio in self.network.carry(old).items():
            self._best[name] *= ratio
        self._lowered = self._kept()

    def _kept(self) -> dict[str, Tensor]:
        return {n: x.value.detach().clone() for n, x in self.network.latents().items()}

    @torch.no_grad()
    def _put(self, values: dict[str, Tensor]) -> None:
        for name, latent in self.network.latents().items():
            latent.value.copy_(values[name])

    def _pays(self) -> bool:
        """Whether a compiler of C saves more time than it takes."""
        sizes = [math.prod(n.shape) for n in self.network.layers if isinstance(n, Neuron)]
        return bool(self.schedule.epochs * self._count() * self.steps * sum(sizes) >= PAYS)

    def _count(self) -> int:
        return len(next(iter(self.inputs.values())))

    def _batches(self) -> int:
        """Steps of an epoch."""
        return math.ceil(self._count() / self.schedule.batch)

    def _order(self, epoch: int) -> list[Tensor]:
        """The rows of every batch of an epoch, counted from 0."""
        generator = torch.Generator().manual_seed(self.schedule.seed * 1_000_003 + epoch)
        order = torch.randperm(self._count(), generator=generator)
        return [
            order[i : i + self.schedule.batch] for i in range(0, len(order), self.schedule.batch)
        ]

    def _train(self, until: int) -> float:
        """Go on until so many steps are done; the mean loss on the way."""
        latents, size, seen, total = self.network.latents(), self._batches(), 0, 0.0
        epoch, order = -1, list[Tensor]()
        while self._steps < until:
            if self._steps // size != epoch:
                epoch = self._steps // size
                order = self._order(epoch)
            rows = order[self._steps % size]
            outputs, _ = self.network(self._given(rows), self.steps)
            loss = _scalar(self.loss(outputs, rows))
            if not torch.isfinite(loss):
                text = f"the loss is {loss.item()} in epoch {epoch + 1}"
                raise fail("E336", text, help="lower the rate; check the data and the loss")
            seen, total = seen + len(rows), total + float(loss.detach()) * len(rows)
            values = [x.value for x in latents.values()]
            gradients = torch.autograd.grad(loss, values, allow_unused=True)
            found = dict(zip(latents, gradients, strict=True))
            share = (self._steps + 1) / (self.schedule.epochs * size)
            self._step(latents, found, self.schedule.rate_at(share))
        return total / seen

    def _given(self, rows: Tensor) -> dict[str, Tensor]:
        return {name: x[rows].double() for name, x in self.inputs.items()}

    @torch.no_grad()
    def _mean(self) -> float:
        """The mean loss of the samples by which the best is known."""
        count = min(self._count(), JUDGED)
        chosen, total = torch.arange(count) * self._count() // count, 0.0
        for rows in chosen.tensor_split(-(-count // self.schedule.batch)):
            outputs, _ = self.network(self._given(rows), self.steps)
            total += float(_scalar(self.loss(outputs, rows))) * len(rows)
        return total / count

    @torch.no_grad()
    def _step(
        self, latents: dict[str, Latent], gradients: Mapping[str, Tensor | None], rate: float
    ) -> None:
        self._steps += 1
        a, b = MOMENTS
        correction = math.sqrt(1 - b**self._steps) / (1 - a**self._steps)
        for name, latent in latents.items():
            gradient, x = gradients[name], latent.value
            if gradient is None or (self.frozen and name in self.network.constants.latents):
                continue
            m, v = self._moments[f"m.{name}"], self._moments[f"v.{name}"]
            m.mul_(a).add_(gradient, alpha=1 - a)
            v.mul_(b).addcmul_(gradient, gradient, value=1 - b)
            x.addcdiv_(m, v.sqrt().add_(TINY), value=-rate * latent.size * correction)
            if latent.low is not None:
                x.copy_(x.clamp(latent.low, latent.high))

    def _arrays(self) -> dict[str, Tensor]:
        """What a checkpoint has, but for what follows from the model."""
        found = {f"p.{name}": x.value.detach() for name, x in self.network.latents().items()}
        found |= self._moments | {f"b.{name}": x for name, x in self._best.items()}
        bits = {n: layer.step_bits for n, layer in self.network.trained().items()}
        return found | {f"s.{name}": torch.tensor(x) for name, x in bits.items()}

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        numbers = {"steps": self._steps, "frozen": int(self.frozen)}
        arrays = self._arrays()
        told = numbers | {"key": self.key, "least": self._least}
        meta = {"snnc.finetuning": json.dumps(told | {"sum": _sum(told, arrays)})}
        write_file(self.checkpoint, safetensors.torch.save(arrays, meta))

    def _resume(self) -> bool:
        """Go on from the checkpoint, if there is one."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return False
        name = self.checkpoint.name
        told, arrays = _read(self.checkpoint)
        wanted = self._arrays()
        same = told.get("key") == self.key and arrays.keys() == wanted.keys()
        if not same or any(arrays[k].shape != wanted[k].shape for k in wanted):
            text = f"the checkpoint {name} is of another training"
            why = "it has another model, other data or other options"
            raise fail("E337", text, None, why, help="give the same, or another --checkpoint")
        for layer in self.network.trained():
            ratio = 2.0 ** float(arrays[f"s.{layer}"] - wanted[f"s.{layer}"])
            for key in (f"p.{layer}.bias", f"b.{layer}.bias"):
                if key in arrays:
                    arrays[key] *= ratio
        self._put({n: arrays[f"p.{n}"] for n in self._best})
        self._best = {n: arrays[f"b.{n}"] for n in self._best}
        self._moments = {n: arrays[n] for n in self._moments}
        self._steps, self._least = int(told["steps"]), float(told["least"])
        self.frozen = bool(told["frozen"])
        return True


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a checkpoint tells, and its numbers; raises E337 if they are not as written."""
    try:
        with safetensors.safe_open(file, "pt") as opened:
            told = dict(json.loads((opened.metadata() or {})["snnc.finetuning"]))
            arrays = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        same = told.pop("sum") == _sum(told, arrays)
        why = "its numbers have another hash"
    except (OSError, safetensors.SafetensorError, LookupError, ValueError, TypeError) as e:
        same, why = False, f"it has no {e}" if isinstance(e, LookupError) else str(e)
    if not same:
        text = f"{file.name} is damaged, or no checkpoint of snnc finetune"
        hint = "name another file; if it is a checkpoint, remove it to start anew"
        raise fail("E337", text, None, why, help=hint)
    return told, arrays


def _gone_wrong(e: CompileError) -> CompileError:
    first = e.diagnostics[0]
    text = "the model cannot be lowered with the numbers that training has made"
    return fail("E336", text, first.loc, first.message, help="lower the rate")


def _scalar(loss: Tensor) -> Tensor:
    """The loss, which may be the user's own, if it is one that can be made small."""
    what = ""
    if not isinstance(loss, Tensor):
        what = type(loss).__name__
    elif loss.numel() != 1:
        what = f"a tensor of the shape {tuple(loss.shape)}"
    elif torch.is_grad_enabled() and not loss.requires_grad:
        what = "a number that no weight changes"
    if what:
        hint = "return the mean over the samples of what should get small"
        raise fail("E336", f"the loss is {what}, and not one number with a gradient", help=hint)
    return loss


def _sum(told: Mapping[str, object], arrays: Mapping[str, Tensor]) -> str:
    """A hash of all numbers."""
    digest = hashlib.sha256(json.dumps(told).encode())
    for name, x in sorted(arrays.items()):
        digest.update(f"{name} {x.dtype} {tuple(x.shape)}\n".encode())
        digest.update(x.contiguous().numpy().tobytes())
    return digest.hexdigest()
