"""Gains, offsets and thresholds of their own at every step: exact in C, as in the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snnc
from snnc.diagnostics import CompileError
from snnc.exporting import export
from snnc.graph import Graph
from snnc.intops import IntStepRescale, IntStepTable
from snnc.ops import Input, Output, Pointwise, StepAffine, StepTable, TimeMean, TimeStack, TimeSum
from snnc.params import Param
from snnc.passes.base import Context, run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.passes.step_gains import StepGains
from snnc.step_limits import step_limits
from snnc.types import TensorType
from tests.marks import quick_first

STEPS, SIZE = 6, 8
Step = Callable[["Net", int, Tensor, Tensor], tuple[Tensor, Tensor]]


class Net(nn.Module):
    """A population whose update differs from step to step."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.fc, self.step = nn.Linear(5, SIZE), step
        self.norms = nn.ModuleList(nn.BatchNorm1d(SIZE) for _ in range(STEPS))
        self.gain = nn.Parameter(torch.rand(STEPS) + 0.5)
        self.theta = nn.Parameter(torch.rand(STEPS, SIZE) * 0.5 + 0.5)
        self.beta = nn.Parameter(torch.rand(STEPS) * 0.5 + 0.4)
        for norm in self.norms:
            assert isinstance(norm, nn.BatchNorm1d), "made above"
            norm.running_mean = torch.randn(SIZE) * 0.1
            norm.running_var = torch.rand(SIZE) * 0.2 + 0.1

    def forward(self, x: Tensor) -> Tensor:
        v, out = torch.zeros(x.shape[0], SIZE), []
        for t in range(x.shape[1]):
            s, v = self.step(self, t, v, x[:, t])
            out.append(s)
        return torch.stack(out, 1)


def fired(v: Tensor, theta: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    s = (v >= theta).float()
    return s, v * (1 - s)


def bntt(net: Net, t: int, v: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    return fired(0.9 * v + net.norms[t](net.fc(x)))


def tebn(net: Net, t: int, v: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    return fired(0.9 * v + net.norms[0](net.fc(x)) * net.gain[t])


def thresholds(net: Net, t: int, v: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    return fired(0.9 * v + net.fc(x), net.theta[t])


def decays(net: Net, t: int, v: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    return fired(net.beta[t] * v + net.fc(x))


STEPPING: dict[str, Step] = {f.__name__: f for f in (bntt, tebn, thresholds, decays)}


@pytest.mark.parametrize("name", quick_first(STEPPING, "bntt", "thresholds"))
def test_populations_that_change_with_the_step(name: str, tmp_path: Path) -> None:
    step = STEPPING[name]
    x = torch.randn(40, STEPS, 5, generator=torch.Generator().manual_seed(1)) * 2
    export(Net(step).eval(), x[:3], tmp_path / "model.pt", time_axis=1)
    artifact = snnc.compile(tmp_path / "model.pt", tmp_path / "out", target="numpy,c")
    kinds = {type(n.op) for n in artifact.graph()}
    assert kinds & ({IntStepRescale} if step in (bntt, tebn) else {IntStepTable})
    assert artifact.manifest.max_steps == STEPS
    report = artifact.verify(x.numpy()).document()
    assert report["backends"]["c"]["equal"] is True
    assert min(report["agreement"]["quantized_spikes"].values()) >= 0.999
    for backend in ("numpy", "c"):
        with pytest.raises(CompileError, match="E421"):
            artifact.run(np.zeros((1, STEPS + 1, 5), np.float32), backend)


def graph(*, start: int = 0, rows: int = 4) -> Graph:
    g = Graph("gains", 4)
    g.add("x", Input(TensorType((3,)), 0.0, 1.0, 1.0))
    g.add("k", StepTable(Param(np.arange(1.0, rows + 1).reshape(rows, 1))))
    g.add("b", StepTable(Param(np.linspace(-1, 1, 3 * rows).reshape(rows, 3))))
    g.add("scaled", Pointwise("mul"), "k", "x")
    g.add("shifted", Pointwise("sub"), "scaled", "b")
    g.add("mean", TimeMean(start), "shifted")
    g.add("out", Output(), "mean")
    return g


def test_a_gain_and_an_offset_are_one_operator() -> None:
    found = StepGains().run(graph(), Context())
    assert [type(n.op).__name__ for n in found] == ["Input", "StepAffine", "TimeMean", "Output"]
    (op,) = (n.op for n in found if isinstance(n.op, StepAffine))
    assert op.offset is not None
    assert op.offset.data[0, 0] == 1.0  # what is taken away is added with the other sign


def test_steps_that_no_number_fits_are_refused() -> None:
    assert step_limits(graph(start=2)) == (3, 4)
    with pytest.raises(CompileError, match="E215"):
        run_passes(graph(start=4), integer_pipeline())
    g = graph()
    g.add("later", TimeStack(), "shifted")
    g.add("sum", TimeSum(3), "x")
    assert step_limits(g) == (4, 4)
