"""Networks of dense layers, recurrent or not, in the frameworks that are compared.

Every layer is ``v = 0.9 v + W s (+ R own spikes of the step before)``, ``s = v >= threshold``,
reset by subtraction.  Weights are integers of 8 bits, divided by 128.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import snntorch
import torch
from spikingjelly.activation_based import functional, neuron
from torch import Tensor, nn

from examples.benchmarks.c_speed.case import Case, torch_run
from examples.benchmarks.c_speed.onnx_dense import int8_run, onnx_run

DECAY = 0.9
UNIT = 128
Ints = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Layer:
    """Weights (out, in), those from its own spikes (out, out) or None, and a threshold."""

    weight: Ints
    recurrent: Ints | None
    threshold: int


def random_weights(rng: np.random.Generator, out: int, fan_in: int, mean: float, top: int) -> Ints:
    """Normal weights that use all of their bits: every row has one of the size ``top``."""
    w = np.clip(np.rint(rng.normal(mean, top / 3, (out, fan_in))), -top, top).astype(np.int8)
    w[np.arange(out), rng.integers(0, fan_in, out)] = top
    return w


def calibrated(
    weights: list[tuple[Ints, Ints | None]], x: npt.NDArray[np.uint8], density: float
) -> tuple[list[Layer], list[npt.NDArray[np.float32]]]:
    """Thresholds with which every layer but the last fires at about ``density``, the last at 20 %.

    Returns:
        The layers, and the spikes (N, T, in) that each of them reads, by float arithmetic.
    """
    layers, read = [], []
    spikes = x.astype(np.float32)
    for i, (w, r) in enumerate(weights):
        read.append(spikes)
        sums = spikes @ w.T.astype(np.float32)
        target = density if i < len(weights) - 1 else 0.2
        theta, spikes = calibrate(sums, target, r)
        layers.append(Layer(w, r, theta))
    return layers, read


def calibrate(
    sums: npt.NDArray[np.float32], target: float, recurrent: Ints | None = None
) -> tuple[int, npt.NDArray[np.float32]]:
    """The threshold with which neurons fire at a rate, and their spikes, for inputs (N, T, …)."""
    lo, hi = 1, 1 << 18
    while lo < hi:
        middle = (lo + hi) // 2
        if _spikes(sums, recurrent, middle).mean() > target:
            lo = middle + 1
        else:
            hi = middle
    return lo, _spikes(sums, recurrent, lo)


def _spikes(
    sums: npt.NDArray[np.float32], recurrent: Ints | None, threshold: int
) -> npt.NDArray[np.float32]:
    v = np.zeros_like(sums[:, 0])
    own = None if recurrent is None else recurrent.T.astype(np.float32)
    found = np.zeros_like(sums)
    for t in range(sums.shape[1]):
        v = np.float32(DECAY) * v + sums[:, t]
        if own is not None and t:
            v += found[:, t - 1] @ own
        found[:, t] = v >= threshold
        v -= found[:, t] * np.float32(threshold)
    return found


def _matrix(w: Ints) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(w.astype(np.float32) / UNIT), requires_grad=False)


class Steps(nn.Module):
    """Plain PyTorch, all layers step by step: what ``snnc`` compiles."""

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__()
        self.weights = nn.ParameterList([_matrix(x.weight) for x in layers])
        self.own = nn.ParameterList(
            [_matrix(x.recurrent) for x in layers if x.recurrent is not None]
        )
        self.recurrent = [x.recurrent is not None for x in layers]
        self.thresholds = [x.threshold / UNIT for x in layers]

    def fire(self, i: int, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Spikes and membranes of layer ``i`` after a step."""
        v = DECAY * v + current
        s = (v >= self.thresholds[i]).float()
        return s, v - s * self.thresholds[i]

    def forward(self, x: Tensor) -> Tensor:
        """Spike counts (N, out) of spikes (N, T, in)."""
        v = [torch.zeros(len(x), len(w)) for w in self.weights]
        s = [torch.zeros(len(x), len(w)) for w in self.weights]
        count = torch.zeros(len(x), len(self.weights[-1]))
        for t in range(x.shape[1]):
            a, k = x[:, t], 0
            for i, w in enumerate(self.weights):
                current = nn.functional.linear(a, w)
                if self.recurrent[i]:
                    current = current + nn.functional.linear(s[i], self.own[k])
                    k += 1
                s[i], v[i] = self.fire(i, current, v[i])
                a = s[i]
            count = count + a
        return count


class LayerMajor(Steps):
    """Plain PyTorch, layer by layer: one product for all steps."""

    def forward(self, x: Tensor) -> Tensor:
        """Spike counts (N, out) of spikes (N, T, in)."""
        k = 0
        for i, w in enumerate(self.weights):
            sums = nn.functional.linear(x, w)
            v = torch.zeros(len(x), len(w))
            s, found = torch.zeros(len(x), len(w)), []
            for t in range(x.shape[1]):
                current = sums[:, t]
                if self.recurrent[i]:
                    current = torch.addmm(current, s, self.own[k].T)
                s, v = self.fire(i, current, v)
                found.append(s)
            k += self.recurrent[i]
            x = torch.stack(found, 1)
        return x.sum(1)


class SnnTorch(Steps):
    """snnTorch's Leaky neurons; their reset comes one step late."""

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__(layers)
        self.lif = [snntorch.Leaky(beta=DECAY, threshold=theta) for theta in self.thresholds]

    def fire(self, i: int, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        s, v = self.lif[i](current, v)
        return s, v


class SpikingJelly(Steps):
    """SpikingJelly's LIF neurons, over all steps at once where nothing is fed back."""

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__(layers)
        self.lif = nn.ModuleList(
            neuron.LIFNode(
                tau=1 / (1 - DECAY),
                decay_input=False,
                v_threshold=theta,
                v_reset=None,
                step_mode="s" if own else "m",
            )
            for theta, own in zip(self.thresholds, self.recurrent, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Spike counts (N, out) of spikes (N, T, in)."""
        functional.reset_net(self)
        a, k = x.transpose(0, 1), 0
        for i, w in enumerate(self.weights):
            sums = nn.functional.linear(a, w)
            if not self.recurrent[i]:
                a = self.lif[i](sums)
                continue
            s, found = torch.zeros(len(x), len(w)), []
            for current in sums:
                s = self.lif[i](torch.addmm(current, s, self.own[k].T))
                found.append(s)
            a = torch.stack(found)
            k += 1
        return a.sum(0)


def dense_case(
    name: str,
    weights: list[tuple[Ints, Ints | None]],
    steps: int,
    density: float,
    samples: int,
) -> Case:
    """Calibrate the thresholds and make every peer."""
    rng = np.random.default_rng(1)
    x = (rng.random((samples, steps, weights[0][0].shape[1])) < density).astype(np.uint8)
    layers, read = calibrated(weights, x, density)
    made = {
        "torch eager": Steps(layers),
        "torch layer-major": LayerMajor(layers),
        "snnTorch": SnnTorch(layers),
        "SpikingJelly": SpikingJelly(layers),
    }
    peers = {title: torch_run(module.eval(), x) for title, module in made.items()}
    peers["ONNX Runtime float"] = onnx_run(layers, x)
    peers["ONNX Runtime int8"] = int8_run(layers, x)
    return Case(name, density, Steps(layers), x, peers, _rows(layers, read))


def _rows(
    layers: list[Layer], read: list[npt.NDArray[np.float32]]
) -> list[tuple[int, list[npt.NDArray[np.int64]]]]:
    """For every matrix, its fan-out and which columns each step of each sample needs."""
    rows = []
    for i, layer in enumerate(layers):
        lists = [np.flatnonzero(step) for sample in read[i] for step in sample]
        rows.append((len(layer.weight), lists))
        if layer.recurrent is not None:
            own = read[i + 1]  # what the next layer reads are this layer's spikes
            late = [np.flatnonzero(s[t - 1]) if t else np.zeros(0, np.int64)
                    for s in own for t in range(s.shape[0])]  # fmt: skip
            rows.append((len(layer.weight), late))
    return rows
