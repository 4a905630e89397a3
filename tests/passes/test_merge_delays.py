"""Histories and convolutions along time become layers with delays; exact in NumPy and C."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snnc
from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.exporting import export
from snnc.graph import Graph, Value
from snnc.ops import DelayLinear, Input, Linear, Output, Pointwise, TimeStack
from snnc.params import Param
from snnc.passes.base import Context
from snnc.passes.merge_delays import MergeDelays
from snnc.types import TensorType
from tests.marks import quick_first

DEPTH, INPUTS, HIDDEN, OUT = 5, 5, 7, 4


def spiking(x: Tensor) -> Tensor:
    """(B, T, N) currents to spikes."""
    v, out = torch.zeros_like(x[:, 0]), []
    for t in range(x.shape[1]):
        v = 0.8 * v + x[:, t]
        s = (v >= 1).float()
        v = v - s
        out.append(s)
    return torch.stack(out, 1)


class Net(nn.Module):
    """Spikes that reach a second population late; ``late`` says how."""

    def __init__(self, late: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.w = nn.Linear(INPUTS, HIDDEN), nn.Parameter(torch.randn(OUT, HIDDEN))
        self.norm = nn.BatchNorm1d(OUT)
        self.late = late
        with torch.no_grad():
            self.fc.weight.mul_(4)
            self.norm.running_mean.fill_(0.1)  # type: ignore[union-attr]
            self.norm.running_var.fill_(0.7)  # type: ignore[union-attr]
        delays = torch.randint(0, DEPTH, (OUT, HIDDEN))
        one_hot = nn.functional.one_hot
        self.register_buffer("synaptic", one_hot(delays, DEPTH).float())
        self.register_buffer("axonal", delays[0])

    def forward(self, x: Tensor) -> Tensor:
        return spiking(self.late(self, spiking(self.fc(x))))


def dcls(net: Net, s: Tensor) -> Tensor:
    """A convolution along time of which every synapse has one tap."""
    kernel = net.w.unsqueeze(-1) * net.synaptic
    y = nn.functional.conv1d(nn.functional.pad(s.transpose(1, 2), (DEPTH - 1, 0)), kernel)
    return net.norm(y).transpose(1, 2)


def synaptic(net: Net, s: Tensor) -> Tensor:
    """A history, flattened, behind a sparse matrix."""
    history, out = torch.zeros(len(s), HIDDEN, DEPTH), []
    weight = (net.w.unsqueeze(-1) * net.synaptic).flatten(1)
    for t in range(s.shape[1]):
        history = torch.cat([s[:, t].unsqueeze(-1), history[..., :-1]], -1)
        out.append(nn.functional.linear(history.flatten(1), weight))
    return torch.stack(out, 1)


def axonal(net: Net, s: Tensor) -> Tensor:
    """A history from which every neuron's own delay is taken."""
    history, out = torch.zeros(len(s), HIDDEN, DEPTH), []
    index = net.axonal.view(1, -1, 1).expand(len(s), -1, 1)
    for t in range(s.shape[1]):
        history = torch.cat([s[:, t].unsqueeze(-1), history[..., :-1]], -1)
        out.append(nn.functional.linear(history.gather(-1, index).squeeze(-1), net.w))
    return torch.stack(out, 1)


def queues(net: Net, s: Tensor) -> Tensor:
    """Two queues, each behind a layer of its own."""
    old = [torch.zeros(len(s), HIDDEN)] * 3
    out = []
    for t in range(s.shape[1]):
        old = [*old[1:], s[:, t]]
        late = nn.functional.linear(old[0], net.w.flip(1))
        out.append(nn.functional.linear(s[:, t], net.w) + late)
    return torch.stack(out, 1)


NETS = {"convolution": dcls, "history": synaptic, "gather": axonal, "queues": queues}


@pytest.mark.parametrize("name", quick_first(NETS, "convolution", "gather"))
def test_late_spikes_are_exact(name: str, tmp_path: Path) -> None:
    x = torch.randn(16, 24, INPUTS, generator=torch.Generator().manual_seed(1))
    export(Net(NETS[name]).eval(), x[:2, :12], tmp_path / "model.pt", time_axis=1)
    artifact = snnc.compile(tmp_path / "model.pt", tmp_path / "out", target="numpy,c")
    kinds = [type(n.op).__name__ for n in artifact.graph()]
    assert kinds.count("IntDelayLinear") == 1
    assert not {"IntConcat", "IntTake", "IntSlice"}.intersection(kinds)
    report = artifact.verify(x.numpy()).document()
    assert report["backends"]["c"]["equal"] is True
    assert min(report["agreement"]["quantized_spikes"].values()) >= 0.999


def taps(*lags: int) -> Graph:
    """``y[t] = sum_k W_k x[t - lag_k]`` as traced: a layer for every tap."""
    g = Graph("taps", 8)
    g.add("x", Input(TensorType((3,)), 0.0, 1.0, 1.0))
    rng, total = np.random.default_rng(0), ""
    for k, lag in enumerate(lags):
        bias = Param(np.array([0.5, 1.0])) if k == 1 else None
        g.add(f"fc{k}", Linear(Param(rng.normal(size=(2, 3))), bias), Value("x", delay=lag))
        total = g.add(f"sum{k}", Pointwise("add"), total, f"fc{k}").name if k else "fc0"
    g.add("stack", TimeStack(), total)
    g.add("y", Output(), "stack")
    return g


@pytest.mark.parametrize("lags", [(0, 1), (3, 0, 7), (2, 2, 5)])
def test_the_meaning_stays(lags: tuple[int, ...]) -> None:
    g = taps(*lags)
    merged = MergeDelays().run(g.copy(), Context())
    assert [type(n.op).__name__ for n in merged] == ["Input", "DelayLinear", "TimeStack", "Output"]
    (layer,) = (n.op for n in merged if isinstance(n.op, DelayLinear))
    assert sorted(set(layer.delay.data.tolist())) == sorted(set(lags))
    x = np.random.default_rng(1).integers(0, 2, (4, 12, 3)).astype(float)
    (a,), (b,) = (FloatSimulator(h).run(x)[0].values() for h in (g, merged))
    np.testing.assert_allclose(a, b, atol=1e-12)


def test_one_delay_for_all_is_an_edge() -> None:
    assert len(MergeDelays().run(taps(4), Context())) == len(taps(4))


def test_delays_beyond_the_wheel_are_refused() -> None:
    late = Param(np.array([0, 4097]))
    g = Graph("late", 8)
    g.add("x", Input(TensorType((3,)), 0.0, 1.0, 1.0))
    with pytest.raises(CompileError, match="delays of 0 to 4097 steps"):
        g.add("fc", DelayLinear(Param(np.ones((2, 2))), Param(np.array([0, 1])), late), "x")
