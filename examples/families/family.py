"""A row of the table: a network, its example, and where accuracy is claimed its task."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from examples.families.activity import LEAST

#: Samples of random data, and steps where a family leaves them open.
BATCH, STEPS = 32, 9

#: Options of inputs (B, T, …) and (B, …).
STEPPED: dict[str, Any] = {"time_axis": 1}
STATIC: dict[str, Any] = {"static": True}

Split = tuple[Tensor, Tensor, Tensor, Tensor]  # x, y, x_test, y_test


@dataclass(frozen=True)
class Task:
    """Real data, how to learn them, and how well they were learned.

    Attributes:
        data: Loads x, y, x_test and y_test.
        fit: Trains a network on them; leaves the test part alone.
        metric: ``%``, or the name of what ``score`` returns.
        score: Of outputs and targets; None for accuracy in percent.
        worse: How much worse the integers may be: points of accuracy, or a part of the score.
        name: Of the data.
    """

    name: str
    data: Callable[[], Split]
    fit: Callable[[nn.Module, Split], None]
    metric: str = "%"
    score: Callable[[Tensor, Tensor], float] | None = None
    worse: float = 0.5


@dataclass(frozen=True)
class Family:
    """One row.

    Attributes:
        name: With its letter in front, such as ``A NASN``.
        make: Builds the network.
        example: Makes the input of a network that is not trained: (BATCH, T, …), or (BATCH, …).
        options: Arguments of ``snnc.export``.
        task: What it is trained for, if accuracy is claimed.
        gain: Standard deviation that random weights give to currents, in units of the input's.
        exact: Whether nothing is rounded, so that all spikes are those of the float model.
        least: Smallest share of spikes in common with the model with quantized weights.
        rate: How often the rarest population fires at least, and pauses; less than ``LEAST``
            only where the file says why.
        lava: Whether it is small enough for processes of Lava.
        source: The file with its equations.
    """

    name: str
    make: Callable[[], nn.Module]
    example: Callable[[], Tensor]
    options: dict[str, Any] = field(default_factory=dict)
    task: Task | None = None
    gain: float = 1.5
    exact: bool = False
    least: float = 0.999
    rate: float = LEAST
    lava: bool = True
    source: Path | None = None

    def build(self) -> tuple[nn.Module, Tensor, Tensor]:
        """The network with random weights, data to calibrate and to test; always the same."""
        torch.manual_seed(zlib.crc32(self.name.encode()))
        return self.make().eval(), self.example(), self.example()

    def awake(self) -> tuple[nn.Module, Tensor]:
        """The same with weights scaled so that currents reach the thresholds; the first data."""
        net, example, _ = self.build()
        if not self.options.get("step_module"):
            return wake(net, (example,), self.gain), example
        state = _batched(self.options["state"], len(example))
        return wake(net, (example[:, 0], *state), self.gain), example


def _batched(state: Any, batch: int) -> Any:
    if isinstance(state, tuple):
        return tuple(_batched(s, batch) for s in state)
    return state.expand(batch, *state.shape)


def wake(net: nn.Module, example: tuple[Any, ...], gain: float) -> nn.Module:
    """Give every layer currents of deviation ``gain``, one after the other as the data meet them.

    A layer without normalization is scaled; BatchNorm takes its statistics from what arrives, with
    all before it as they will stay.
    """
    with torch.no_grad():
        for layer in _in_order(net, example):
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001
                layer.reset_running_stats()
                layer.momentum = None  # the mean of all calls
                layer.weight.fill_(gain)
                layer.train()
                net(*example)
                layer.eval()
                continue
            spread = max(_spreads(net, layer, example))
            if spread > 1e-6:
                layer.weight.mul_(gain / spread)
    return net


_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)


def _in_order(net: nn.Module, example: tuple[Any, ...]) -> list[Any]:
    """Layers and their normalizations, by when they are called first."""
    found: dict[nn.Module, None] = {}
    hooks = [
        m.register_forward_hook(lambda m, _x, _y: found.setdefault(m))
        for m in net.modules()
        if isinstance(m, (*_LAYERS, nn.modules.batchnorm._BatchNorm))  # noqa: SLF001
    ]
    net(*example)
    for hook in hooks:
        hook.remove()
    return list(found)


def _spreads(net: nn.Module, layer: nn.Module, example: tuple[Any, ...]) -> list[float]:
    """Deviation of what a layer returns, call by call."""
    seen: list[float] = []
    hook = layer.register_forward_hook(lambda _m, _x, y: seen.append(y.std().item()))
    net(*example)
    hook.remove()
    return seen
