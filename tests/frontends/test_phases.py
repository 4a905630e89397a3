"""Several loops in a row, and layers that need the whole sequence: recovered and executed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snnc
from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.exporting import export
from snnc.graph import Graph
from snnc.storage import dump_graph, load_graph
from tests.frontends.test_refusals import Base, lif
from tests.marks import quick_first


def plain(net: Any, x: Tensor) -> Any:
    return lif(net, x, lambda t, i: i)


def again(net: Any, rate: Tensor, steps: int, decay: float = 0.9) -> Tensor:
    """A loop of its own, driven by a constant."""
    v, out = torch.zeros_like(rate), []
    for _ in range(steps):
        v = decay * v + net.inner(rate)
        s = (v >= 0.4).float()
        v = v * (1 - s)
        out.append(s)
    return torch.stack(out, 1)


def two_blocks(net: Any, x: Tensor) -> Tensor:
    y: Tensor = net.readout(again(net, plain(net, x).mean(1), x.shape[1]).mean(1))
    return y


def three_blocks(net: Any, x: Tensor) -> Any:
    """Residual: the first block's rates reach the third, and an output of their own."""
    first = plain(net, x).mean(1)
    second = again(net, first, x.shape[1]).mean(1)
    third = again(net, first + second, x.shape[1], 0.8)
    return third, first


def mean_removed(net: Any, x: Tensor) -> Tensor:
    s = plain(net, x)
    return (s - s.mean(1, keepdim=True) >= 0.5).float()


def membranes(net: Any, x: Tensor) -> Tensor:
    """What follows the loops reads the last step of the first one, too."""
    s = plain(net, x)
    y: Tensor = net.readout(again(net, s.sum(1), x.shape[1]).mean(1) + s[:, -1])
    return y


def totals(net: Any, x: Tensor) -> Tensor:
    """The count of the first loop's spikes drives the second."""
    v, count = torch.zeros(x.shape[0], 8), torch.zeros(x.shape[0], 8)
    for t in range(x.shape[1]):
        v = 0.8 * v + net.fc(x[:, t])
        s = (v >= 0.3).float()
        v = v - s * 0.3
        count = count + s
    return again(net, count / x.shape[1], x.shape[1])


def attended(net: Any, x: Tensor) -> Tensor:
    """The spikes of one loop, weighted by their rates, drive fewer neurons in the next."""
    spikes = plain(net, x)
    rates = spikes.mean(1)
    w, out = torch.zeros(x.shape[0], 3), []
    for t in range(x.shape[1]):
        w = 0.9 * w + net.readout(spikes[:, t] * rates)
        s = (w >= 0.1).float()
        w = w - 0.1 * s
        out.append(s)
    return torch.stack(out, 1)


def both_ways(net: Any, x: Tensor) -> Tensor:
    y: Tensor = net.readout((plain(net, x) + plain(net, x.flip(1)).flip(1)).mean(1))
    return y


def mixed(net: Any, x: Tensor) -> Tensor:
    return (net.mix @ net.fc(x) >= 0.3).float()


def along_time(net: Any, x: Tensor) -> Tensor:
    y: Tensor = net.over(net.fc(x).transpose(1, 2)).transpose(1, 2)
    return (y >= 0.3).float()


def running(net: Any, x: Tensor) -> Tensor:
    return (plain(net, x).cumsum(1) >= 2).float()


def recovered(forward: Callable[..., Any], **parts: Any) -> tuple[nn.Module, Graph, Tensor]:
    net = Base(forward, **parts)
    x = torch.rand(3, 6, 6)
    graph = export(net, x, time_axis=1).model.graph
    assert str(load_graph(*dump_graph(graph))) == str(graph)
    return net, graph, x


def compare(net: nn.Module, graph: Graph, x: Tensor) -> None:
    """The graph in NumPy against the module."""
    with torch.no_grad():
        expected = net(x)
    found, _ = FloatSimulator(graph, np.float32).run(x.numpy())
    outputs = expected if isinstance(expected, tuple) else (expected,)
    for have, want in zip(found.values(), outputs, strict=True):
        np.testing.assert_allclose(have, want.numpy(), atol=1e-5)


LOOPS: dict[str, tuple[Callable[..., Any], int]] = {
    "two blocks": (two_blocks, 2),
    "three blocks": (three_blocks, 3),
    "mean removed": (mean_removed, 2),
    "last step and mean": (membranes, 2),
    "count of spikes": (totals, 2),
    "spikes times rates": (attended, 2),
    "both ways": (both_ways, 3),
    "running sum": (running, 1),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_in_a_row_hold_for_other_lengths(name: str) -> None:
    forward, phases = LOOPS[name]
    net, graph, x = recovered(forward, inner=nn.Linear(8, 8))
    assert graph.phases == phases
    compare(net, graph, torch.cat([x, x], 1))


class Rates(nn.Module):
    """Rates over steps of its own."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.fc, self.T = nn.Linear(6, 6), steps

    def forward(self, x: Tensor) -> Tensor:
        current, v, spikes = self.fc(x), torch.zeros_like(x), []
        for _ in range(self.T):
            v = 0.9 * v + current
            s = (v >= 0.3).float()
            v = v * (1 - s)
            spikes.append(s)
        return torch.stack(spikes).sum(0) / self.T


def test_every_block_may_have_its_own_steps() -> None:
    torch.manual_seed(0)
    net, x = nn.Sequential(Rates(5), Rates(8)), torch.rand(3, 6) * 2
    graph = export(net, x).model.graph
    assert (graph.steps, graph.later_steps) == (5, (8,))
    assert load_graph(*dump_graph(graph)).later_steps == (8,)
    compare(net, graph, x)


class SideBySide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = Rates(5), Rates(8)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.one(x) + self.other(x)
        return y


def test_side_by_side_the_steps_are_the_same() -> None:
    with pytest.raises(CompileError, match="E133"):
        export(SideBySide(), torch.rand(3, 6))


def _over_steps() -> list[tuple[Callable[..., Any], dict[str, Any]]]:
    torch.manual_seed(1)
    return [
        (mixed, {"mix": nn.Parameter(torch.rand(6, 6) - 0.3)}),
        (along_time, {"over": nn.Linear(6, 6)}),
    ]


@pytest.mark.parametrize("case", _over_steps(), ids=["product", "layer"])
def test_matrix_over_the_steps(case: tuple[Callable[..., Any], dict[str, Any]]) -> None:
    forward, parts = case
    net, graph, x = recovered(forward, **parts)
    assert "TimeMix" in str(graph)
    compare(net, graph, x)
    with pytest.raises(CompileError, match="E421"):
        FloatSimulator(graph).run(x[:, :5].numpy())


def test_band_matrix_is_a_filter() -> None:
    band = torch.zeros(6, 6) + torch.diag(torch.full((6,), 0.5))
    band += torch.diag(torch.full((5,), 0.25), -1)
    net, graph, x = recovered(mixed, mix=nn.Parameter(band))
    assert graph.phases == 1
    assert "@-1" in str(graph)
    compare(net, graph, x)


@pytest.mark.parametrize("name", quick_first(LOOPS, "three blocks", "both ways"))
def test_integers_of_several_loops(name: str, tmp_path: Path) -> None:
    """C gives every word of every loop, and spikes are those of the quantized model."""
    net = Base(LOOPS[name][0], inner=nn.Linear(8, 8))
    x = torch.rand(3, 6, 6)
    export(net, x, tmp_path / "model.pt", time_axis=1)
    artifact = snnc.compile(tmp_path / "model.pt", tmp_path / "out", target="numpy,c")
    report = artifact.verify(x.numpy()).document()
    assert report["backends"]["c"]["equal"] is True
    assert min(report["agreement"]["quantized_spikes"].values()) >= 0.999
