"""What cannot be compiled is refused with its own code, at the user's line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from snnc.diagnostics import CompileError, Diagnostic
from snnc.exporting import export


class Base(nn.Module):
    """A loop whose step is a parameter."""

    def __init__(self, forward: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.readout = nn.Linear(6, 8), nn.Linear(8, 3)
        for name, part in parts.items():
            setattr(self, name, part)
        self.body = forward

    def forward(self, x: torch.Tensor) -> Any:
        return self.body(self, x)


def lif(net: Any, x: torch.Tensor, change: Callable[[int, torch.Tensor], torch.Tensor]) -> Any:
    """The loop of most tests, with ``change(t, current)`` inserted."""
    v, out = torch.zeros(x.shape[0], 8), []
    for t in range(x.shape[1]):
        v = 0.8 * v + change(t, net.fc(x[:, t]))
        s = (v >= 0.3).float()
        v = v - s * 0.3
        out.append(s)
    return torch.stack(out, 1)


def refused(net: nn.Module, example: Any = None, **options: Any) -> tuple[Diagnostic, ...]:
    example = torch.rand(3, 11, 6) if example is None else example
    options = options or {"time_axis": 1}
    with pytest.raises(CompileError) as caught:
        export(net, example, **options)
    return caught.value.diagnostics


def located(found: tuple[Diagnostic, ...], code: str) -> Diagnostic:
    """The only diagnostic, which points into this file."""
    (one,) = found
    assert one.code == code
    assert one.loc is not None
    assert one.loc.file is not None
    assert one.loc.file.endswith("test_refusals.py")
    assert one.loc.line
    return one


def early_exit(net: Any, x: torch.Tensor) -> torch.Tensor:
    v, total = torch.zeros(x.shape[0], 8), torch.zeros(x.shape[0], 8)
    for t in range(x.shape[1]):
        v = 0.8 * v + net.fc(x[:, t])
        s = (v >= 0.3).float()
        total = total + s
        if s.sum() > 5:
            break
    return total


def test_data_dependent_control_flow() -> None:
    assert "torch.where" in str(located(refused(Base(early_exit)), "E130").help)


def backward_loop(net: Any, x: torch.Tensor) -> torch.Tensor:
    v = torch.zeros(x.shape[0], 8)
    for t in reversed(range(x.shape[1])):
        v = 0.8 * v + net.fc(x[:, t])
        v = v - (v >= 0.3).float()
    return net.readout(v)


def test_reading_the_input_backward_is_not_causal() -> None:
    located(refused(Base(backward_loop)), "E131")


def test_parameter_that_changes_with_the_step() -> None:
    table = nn.ModuleList(nn.Linear(8, 8) for _ in range(20))
    net = Base(lambda net, x: lif(net, x, lambda t, i: net.table[t](i)), table=table)
    assert located(refused(net), "E132").message.count("table.") == 2


def test_every_other_step_differs() -> None:
    net = Base(lambda net, x: lif(net, x, lambda t, i: torch.relu(i) if t % 2 else i))
    assert "step t is like step t-2" in located(refused(net), "E133").message


def test_every_third_step_differs() -> None:
    net = Base(lambda net, x: lif(net, x, lambda t, i: i if t % 3 else torch.relu(i)).sum(1))
    assert "step t is like step t-3" in located(refused(net), "E133").message


@pytest.mark.parametrize(
    "mix",
    [
        lambda x: torch.softmax(x, 1),
        lambda x: x.sort(1).values,
        lambda x: x[:, :-3].sum(1),
        lambda x: x.flatten(1).sum(1),
    ],
)
def test_mixing_time_is_inadmissible(mix: Callable[[torch.Tensor], torch.Tensor]) -> None:
    def forward(net: Any, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = lif(net, x, lambda t, i: i)
        return (mix(y) >= 0.5).float()

    assert {d.code for d in refused(Base(forward))} <= {"E133", "E210"}


def test_second_loop_that_goes_on_with_the_state_of_the_first() -> None:
    def forward(net: Any, x: torch.Tensor) -> torch.Tensor:
        v, out = torch.zeros(x.shape[0], 8), []
        for t in range(x.shape[1]):
            v = 0.8 * v + net.fc(x[:, t])
        for _ in range(x.shape[1]):
            v = 0.7 * v + 0.1
            out.append((v >= 0.3).float())
        return torch.stack(out, 1)

    found = located(refused(Base(forward)), "E131")
    assert found.message == "the second loop starts from the state that the first one ends with"


def test_random_encoder() -> None:
    net = Base(lambda net, x: lif(net, (torch.rand_like(x) < x).float(), lambda t, i: i))
    assert "random" in located(refused(net), "E134").message


def test_batch_norm_without_running_statistics() -> None:
    norm = nn.BatchNorm1d(8, track_running_stats=False)
    net = Base(lambda net, x: lif(net, x, lambda t, i: net.bn(i)), bn=norm)
    located(refused(net), "E135")


def test_batch_norm_switched_to_training_by_forward() -> None:
    def forward(net: Any, x: torch.Tensor) -> torch.Tensor:
        net.bn.train()
        y: torch.Tensor = lif(net, x, lambda t, i: net.bn(i))
        return y

    assert {d.code for d in refused(Base(forward, bn=nn.BatchNorm1d(8)))} == {"E135"}


def test_layer_over_the_whole_sequence() -> None:
    def forward(net: Any, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = net.wide(lif(net, x, lambda t, i: i).flatten(1))
        return y

    found = refused(Base(forward, wide=nn.Linear(88, 3)))
    assert "depends on the number of steps" in located(found, "E136").message


def test_state_but_no_loop() -> None:
    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.v: Any = 0.0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.v = 0.5 * self.v + x
            return (self.v > 1.0).float()

    (one,) = refused(Step(), torch.rand(3, 4), static=True)
    assert one.code == "E137"
    assert "steps=" in str(one.help)


def test_unsupported_operators_are_reported_together() -> None:
    class Three(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.fc = nn.LayerNorm(6), nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            v, out = torch.zeros(x.shape[0], 6), []
            for t in range(x.shape[1]):
                i = torch.special.bessel_j1(self.norm(self.fc(x[:, t])))
                i = i + torch.special.i1(x[:, t])
                v = torch.special.bessel_j0(i) + torch.special.i0(x[:, t])
                out.append(v)
            return torch.stack(out, 1)

    found = refused(Three())
    assert {d.code for d in found} == {"E210"}
    text = "\n".join(map(str, found))
    for part in ("bessel_j1", "i1", "bessel_j0", "i0"):
        assert part in text
    assert "--> forward (tests/frontends/test_refusals.py:" in text
    assert len(found) == 4


def test_operators_behind_unsupported_ones_are_reported_with_them() -> None:
    def forward(net: Any, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.special.bessel_j0(lif(net, x, lambda t, i: i))
        return torch.bernoulli(y.cumprod(1).sigmoid())

    found = refused(Base(forward))
    assert {d.code for d in found} == {"E133", "E134", "E210"}
    assert "cumprod along time" in "".join(d.message for d in found)


def test_ambiguous_time_axis() -> None:
    (one,) = refused(Base(lambda net, x: x), torch.rand(5, 5, 6), steps=5)
    assert one.code == "E139"
    assert "time_axis" in str(one.help)


def test_module_that_does_not_run() -> None:
    (one,) = refused(Base(lambda net, x: net.fc(x[:, 0, :3])))
    assert one.code == "E139"


def test_fixed_batch_size() -> None:
    def forward(net: Any, x: torch.Tensor) -> torch.Tensor:
        v = torch.zeros(3, 8)
        for t in range(x.shape[1]):
            v = 0.8 * v + net.fc(x[:, t])
        return v

    assert "batch" in located(refused(Base(forward)), "E139").message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_parameter_that_is_not_finite(value: float) -> None:
    net = Base(lambda net, x: lif(net, x, lambda t, i: i))
    with torch.no_grad():
        net.fc.weight[2, 5] = value
    (one,) = refused(net)
    assert one.code == "E301"
    assert f"fc: weight[2, 5] is {value}" in one.message


def test_nothing_is_written_when_refused(tmp_path: Any) -> None:
    with pytest.raises(CompileError):
        export(Base(early_exit), torch.rand(3, 11, 6), tmp_path / "model.pt", time_axis=1)
    assert not list(tmp_path.iterdir())
