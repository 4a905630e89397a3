"""The training loop: Adam on latents, a cosine schedule, and a checkpoint after every epoch."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from snnc.diagnostics import fail
from snnc.finetuning.network import TrainableNetwork

#: Of the moments of Adam (Kingma and Ba 2015).
MOMENTS = (0.9, 0.999)
#: Keeps Adam from dividing by zero; gradients have the size of 1 over that of a membrane.
TINY = 1e-30

#: A latent with its size, by name.
Latent = tuple[str, tuple[nn.Parameter, float]]
#: From outputs by name and the rows of the samples to a loss.
Loss = Callable[[dict[str, Tensor], Tensor], Tensor]


@dataclass(frozen=True)
class Epoch:
    """What an epoch has brought.

    Attributes:
        number: Counted from 1.
        of: How many there are.
        loss: Mean over all samples after it.
        seconds: It took.
    """

    number: int
    of: int
    loss: float
    seconds: float


@dataclass(frozen=True)
class Schedule:
    """How to train.

    Attributes:
        epochs: How often each sample is seen.
        batch: Samples per step.
        rate: Most that a step changes a weight by, relative to the weights of its layer; falls to
            zero along a cosine.
        seed: Of the order of samples.
    """

    epochs: int = 20
    batch: int = 50
    rate: float = 0.02
    seed: int = 0


@dataclass
class Training:
    """Trains the latents of a network.

    Attributes:
        network: Whose latents.
        inputs: Integers (N, …) of all samples, by name.
        steps: T.
        loss: Of outputs.
        schedule: How.
        renew: Gives the network that the program with the present integers is, and its loss, or
            None if that is the same but for those.
        checkpoint: File that is written after every epoch, and read if it is there.
        key: What must be the same for a checkpoint to be continued.
    """

    network: TrainableNetwork
    inputs: dict[str, Tensor]
    steps: int
    loss: Loss
    schedule: Schedule
    renew: Callable[[TrainableNetwork], tuple[TrainableNetwork, Loss] | None]
    checkpoint: Path | None = None
    key: str = ""
    _done: int = 0
    _steps: int = 0
    _moments: dict[str, Tensor] = field(default_factory=dict)
    _best: dict[str, Tensor] = field(default_factory=dict)
    _least: float = math.inf

    def run(self, report: Callable[[Epoch], None]) -> tuple[float, float]:
        """Train, from the checkpoint on if there is one.

        Returns:
            The mean loss of all samples before training, and with the latents of the epoch (or of
            before) that has the smallest: those the network has now.
        """
        latents = self._latents()
        self._moments = {
            f"{kind}.{name}": torch.zeros_like(p) for kind in "mv" for name, (p, _) in latents
        }
        self._best = {f"b.{name}": p.detach().clone() for name, (p, _) in latents}
        before = self._least = self._mean()
        self._resume()
        for epoch in range(self._done, self.schedule.epochs):
            start = time.perf_counter()
            latents = self._renewed()
            self._epoch(epoch, latents)
            loss = self._mean()
            if loss < self._least:
                self._least = loss
                self._best = {f"b.{name}": p.detach().clone() for name, (p, _) in latents}
            self._done = epoch + 1
            self._save()
            seconds = time.perf_counter() - start
            report(Epoch(self._done, self.schedule.epochs, loss, seconds))
        with torch.no_grad():
            for name, (latent, _) in self._renewed():
                latent.copy_(self._best[f"b.{name}"])
        self._renewed()
        return before, self._mean()

    @torch.no_grad()
    def _renewed(self) -> list[Latent]:
        """The latents of the network as it is compiled with the present integers.

        Formats of some values follow from proven ranges, and those from weights.
        """
        if (found := self.renew(self.network)) is not None:
            old, (self.network, self.loss) = self.network, found
            for name, layer in self.network.trained().items():
                before = old.trained()[name]
                layer.latent.copy_(before.latent)
                if layer.offset is None or before.offset is None:
                    continue
                ratio = before.bias_step / layer.bias_step
                layer.offset.copy_(before.offset * ratio)
                self._best[f"b.{name}.bias"] *= ratio
        return self._latents()

    def _epoch(self, epoch: int, latents: list[Latent]) -> None:
        """See every sample once."""
        plan = self.schedule
        count = len(next(iter(self.inputs.values())))
        batches = math.ceil(count / plan.batch)
        generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + epoch)
        order = torch.randperm(count, generator=generator)
        for first in range(0, count, plan.batch):
            rows = order[first : first + plan.batch]
            given = {name: x[rows].double() for name, x in self.inputs.items()}
            outputs, _ = self.network(given, self.steps)
            loss = self.loss(outputs, rows)
            if not torch.isfinite(loss):
                text = f"the loss is {loss.item()} in epoch {epoch + 1}"
                raise fail("E336", text, help="lower the rate; check the data and the loss")
            gradients = torch.autograd.grad(loss, [p for _, (p, _) in latents], allow_unused=True)
            share = self._steps / (plan.epochs * batches)
            self._step(latents, gradients, plan.rate * (1 + math.cos(math.pi * share)) / 2)

    @torch.no_grad()
    def _mean(self) -> float:
        """The mean loss of all samples."""
        count, total = len(next(iter(self.inputs.values()))), 0.0
        for rows in torch.arange(count).tensor_split(-(-count // self.schedule.batch)):
            given = {name: x[rows].double() for name, x in self.inputs.items()}
            outputs, _ = self.network(given, self.steps)
            total += float(self.loss(outputs, rows)) * len(rows)
        return total / count

    def _latents(self) -> list[Latent]:
        """Every latent with its size, by name."""
        found: list[Latent] = []
        for name, layer in self.network.trained().items():
            rates = layer.rates()
            found.append((f"{name}.weight", (layer.latent, rates.weight)))
            if layer.offset is not None:
                found.append((f"{name}.bias", (layer.offset, rates.bias)))
        return found

    @torch.no_grad()
    def _step(
        self,
        latents: list[Latent],
        gradients: tuple[Tensor | None, ...],
        rate: float,
    ) -> None:
        self._steps += 1
        a, b = MOMENTS
        correction = math.sqrt(1 - b**self._steps) / (1 - a**self._steps)
        for (name, (latent, size)), gradient in zip(latents, gradients, strict=True):
            if gradient is None:
                continue
            m, v = self._moments[f"m.{name}"], self._moments[f"v.{name}"]
            m.mul_(a).add_(gradient, alpha=1 - a)
            v.mul_(b).addcmul_(gradient, gradient, value=1 - b)
            latent.addcdiv_(m, v.sqrt().add_(TINY), value=-rate * size * correction)

    def _bias_steps(self) -> dict[str, Tensor]:
        """Real values of the steps in which biases are counted."""
        layers = self.network.trained().items()
        return {f"s.{n}.bias": x.bias_step for n, x in layers if x.offset is not None}

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        arrays = {f"p.{name}": p.detach() for name, (p, _) in self._latents()}
        arrays |= self._moments | self._best | self._bias_steps()
        told = {"key": self.key, "done": self._done, "steps": self._steps, "least": self._least}
        meta = {"snnc.finetuning": json.dumps(told)}
        part = self.checkpoint.with_name(f"{self.checkpoint.name}.part")
        safetensors.torch.save_file(arrays, part, meta)
        os.replace(part, self.checkpoint)  # noqa: PTH105

    def _resume(self) -> None:
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        name = self.checkpoint.name
        try:
            with safetensors.safe_open(self.checkpoint, "pt") as file:
                told = json.loads(file.metadata()["snnc.finetuning"])
                arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            done, steps, least = int(told["done"]), int(told["steps"]), float(told["least"])
        except (OSError, safetensors.SafetensorError, LookupError, ValueError, TypeError) as e:
            hint = "remove it to start anew"
            raise fail("E337", f"the checkpoint {name} is damaged: {e}", help=hint) from e
        latents = self._latents()
        steps_now = self._bias_steps()
        wanted = {f"p.{n}": p for n, (p, _) in latents} | self._moments | self._best | steps_now
        same = told.get("key") == self.key and arrays.keys() == wanted.keys()
        if not same or any(arrays[k].shape != wanted[k].shape for k in wanted):
            text = f"the checkpoint {name} is of another training"
            why = "it has another model, other data or other options"
            raise fail("E337", text, None, why, help="give the same, or another --checkpoint")
        with torch.no_grad():
            for key, step in steps_now.items():
                for kind in ("p", "b"):
                    arrays[kind + key[1:]] *= arrays[key] / step
            for key, value in wanted.items():
                if key not in steps_now:
                    value.copy_(arrays[key])
        self._done, self._steps, self._least = done, steps, least
