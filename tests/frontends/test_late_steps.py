"""Code that does something else at late steps is refused; it is never left out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from snnc import export
from snnc.diagnostics import CompileError
from snnc.frontends import recover_loop

Late = Callable[[torch.Tensor, int], torch.Tensor]


class Net(nn.Module):
    """``late`` changes the membrane, and ``threshold`` the threshold, of a LIF population."""

    def __init__(self, steps: int, late: Late, threshold: Late, gain: float = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.num_steps, self.late, self.threshold = steps, late, threshold
        self.fc = nn.Linear(5, 7)
        with torch.no_grad():
            self.fc.weight.mul_(2 * gain)
            self.fc.bias.mul_(gain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, one, spikes = torch.zeros(x.shape[0], 7), torch.ones(7), []
        for t in range(self.num_steps):
            v = self.late(0.8 * v + self.fc(x[:, t]), t)
            s = (v >= self.threshold(one, t)).float()
            v = v - 0.5 * s
            spikes.append(s)
        return torch.stack(spikes, 1)


def same(v: torch.Tensor, _: int) -> torch.Tensor:
    return v


def clamped_from(first: int) -> Late:
    return lambda v, t: v.clamp(max=4.0) if t >= first else v


@pytest.mark.parametrize(
    ("late", "threshold", "gain", "steps", "unlike"),
    [
        (clamped_from(6), same, 1, 12, 6),
        # a silent example: the numeric comparison sees nothing
        (same, lambda one, t: one * 0.5 if t > 7 else one, 0.01, 12, 8),
        (lambda v, t: v.clamp(max=40.0) if t % 10 == 9 else v, same, 1, 12, 9),
    ],
    ids=["clamp", "threshold", "tenth"],
)
def test_a_late_change_is_refused_with_its_step(
    late: Late, threshold: Late, gain: float, steps: int, unlike: int
) -> None:
    net = Net(steps, late, threshold, gain)
    with pytest.raises(CompileError) as caught:
        export(net, torch.rand(4, steps, 5), time_axis=1)
    (one,) = caught.value.diagnostics
    assert one.code == "E133"
    assert f"step {unlike} " in one.message
    assert one.loc is not None
    assert one.loc.line


def test_the_proof_is_made_at_the_number_of_steps_of_the_network() -> None:
    report = export(Net(20, same, same), torch.rand(4, 20, 5), time_axis=1)
    assert report.checks["proof"] == {"4": "identical", "5": "identical", "20": "identical"}
    assert report.checks["proven_steps"] == 20


def test_a_number_of_steps_that_is_a_size_does_not_hide_late_steps() -> None:
    steps = 7  # like the number of neurons
    report = export(Net(steps, same, same), torch.rand(4, steps, 5), time_axis=1)
    assert report.checks["proven_steps"] == steps
    with pytest.raises(CompileError, match="E133"):
        export(Net(steps, clamped_from(6), same), torch.rand(4, steps, 5), time_axis=1)


def test_steps_that_are_not_compared_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recover_loop, "LONGEST", 9)
    report = export(Net(12, same, same), torch.rand(4, 12, 5), time_axis=1)
    assert list(report.checks["proof"]) == ["4", "5", "9"]
    assert report.checks["proven_steps"] == 9
    assert "R133" in {d.code for d in report.diagnostics}
    assert "the proof covers 9 of 12 steps" in str(report)
