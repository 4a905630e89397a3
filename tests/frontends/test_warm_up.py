"""Results of the first steps that are thrown away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from snnc import ops
from snnc.backends.float_sim import FloatSimulator
from snnc.container import read_model
from snnc.diagnostics import CompileError
from snnc.exporting import export

Readout = Callable[[Any, list[torch.Tensor]], torch.Tensor]


class Net(nn.Module):
    def __init__(self, readout: Readout) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.fc, self.out, self.readout = nn.Linear(5, 7), nn.Linear(7, 3), readout
        with torch.no_grad():
            self.fc.weight.mul_(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, spikes = torch.zeros(x.shape[0], 7), []
        for t in range(x.shape[1]):
            v = 0.8 * v + self.fc(x[:, t])
            s = (v >= 1).float()
            v = v - s
            spikes.append(s)
        return self.readout(self, spikes)


READOUTS: dict[str, tuple[Readout, type[ops.Collect]]] = {
    "sum": (lambda n, s: torch.stack(s, 1)[:, 2:].sum(1), ops.TimeSum),
    "mean of a list": (lambda n, s: torch.stack(s[3:]).mean(0), ops.TimeMean),
    "maximum behind a layer": (
        lambda n, s: n.out(torch.stack(s, 1)[:, 2:]).amax(1),
        ops.TimeMax,
    ),
    "sequence": (lambda n, s: n.out(torch.stack(s, 1)[:, 4:]), ops.TimeStack),
    "sequence first": (lambda n, s: torch.stack(s[1:]), ops.TimeStack),
    "longer than short traces": (lambda n, s: torch.stack(s[12:], 1).sum(1), ops.TimeSum),
}


@pytest.mark.parametrize("name", READOUTS)
def test_the_first_steps_are_discarded(name: str, tmp_path: Path) -> None:
    readout, kind = READOUTS[name]
    net = Net(readout)
    x = torch.randn(3, 16, 5, generator=torch.Generator().manual_seed(0))
    report = export(net, x, tmp_path / "model.pt", time_axis=1)
    assert set(report.checks["proof"].values()) == {"identical"}
    assert report.checks["numeric"]["exact"]
    assert min(report.checks["numeric"]["active"].values()) > 0
    (collect,) = (n.op for n in report.graph if isinstance(n.op, ops.Collect))
    assert isinstance(collect, kind)
    assert collect.start > 0
    assert f"start={collect.start}" in str(report.graph)
    simulator = FloatSimulator(read_model(tmp_path / "model.pt").graph)
    have = simulator.run(x.numpy())[0]["out"]
    with torch.no_grad():
        want = net(x).numpy()
    first = name == "sequence first"
    np.testing.assert_allclose(have.swapaxes(0, 1) if first else have, want, atol=1e-6)
    with pytest.raises(ValueError, match="are discarded"):
        simulator.run(x[:, : collect.start].numpy())


@pytest.mark.parametrize(
    "readout",
    [
        lambda n, s: torch.stack(s, 1)[:, :-2].sum(1),
        lambda n, s: torch.stack(s, 1)[:, ::2].sum(1),
    ],
)
def test_other_parts_of_the_sequence_are_refused(readout: Readout) -> None:
    with pytest.raises(CompileError) as caught:
        export(Net(readout), torch.randn(3, 9, 5), time_axis=1)
    assert {d.code for d in caught.value.diagnostics} <= {"E133", "E210"}


def test_the_last_steps_of_a_known_number() -> None:
    """With 9 steps, the last three are those from step 6 on: for other numbers they are not."""
    net = Net(lambda n, s: torch.stack(s[-3:], 1).sum(1))
    x = torch.randn(3, 9, 5, generator=torch.Generator().manual_seed(0))
    report = export(net, x, time_axis=1)
    (total,) = (n.op for n in report.graph if isinstance(n.op, ops.Collect))
    assert total == ops.TimeSum(6)
    assert report.model.meta["fixed_steps"] is True
