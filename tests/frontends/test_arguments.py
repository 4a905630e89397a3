"""Arguments of export that cannot be meant; inputs that the module writes into."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import nn

from snnc import ops
from snnc.diagnostics import CompileError
from snnc.exporting import export


class Net(nn.Module):
    """(B, 5), eight steps."""

    def __init__(self, change: str = "") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.num_steps, self.fc, self.change = 8, nn.Linear(5, 6), change

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.change == "write":
            x.mul_(2)
        if self.change == "dropout":
            x = nn.functional.dropout(x, 0.2)
        v, total = torch.zeros(x.shape[0], 6), torch.zeros(x.shape[0], 6)
        for _ in range(self.num_steps):
            v = 0.8 * v + self.fc(x)
            s = (v > 0.3).float()
            if self.change == "branch":
                sys.stderr.write("of the user\n")
                if s.sum() > 0:
                    v = v * 0.5
            v, total = v - s * 0.3, total + s
        return total


def example() -> torch.Tensor:
    return torch.rand(6, 5, generator=torch.Generator().manual_seed(1))


def refused(code: str, net: Any, x: Any, **options: Any) -> str:
    with pytest.raises(CompileError) as caught:
        export(net, x, **options)
    (one,) = caught.value.diagnostics
    assert one.code == code
    assert one.help
    return str(one)


@pytest.mark.parametrize(
    "options",
    [
        *({"steps": n} for n in (0, -3, "8", 2.0, True)),
        *({"time_axis": a} for a in (7, -3, "T", 1.0)),
        *({"batch_axis": a} for a in (2, "N")),
        {"calibration": torch.zeros(3, 7)},
        {"calibration": torch.zeros(0, 5)},
        {"calibration": (torch.zeros(3, 5), torch.zeros(3, 5))},
        {"calibration": {"x": torch.zeros(3, 5)}},
        *({"outputs": names} for names in ("abc", 3, ["a", "a"], [""], [None])),
    ],
    ids=lambda options: repr(options).replace("\n", ""),
)
def test_arguments_that_do_not_fit(options: dict[str, Any]) -> None:
    refused("E116", Net(), example(), **options)


def test_example_without_samples() -> None:
    assert "no samples" in refused("E116", Net(), torch.rand(0, 5))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_is_no_module() -> None:
    assert "nn.Module" in refused("E116", lambda x: x, example())
    assert "instance" in refused("E116", Net, example())
    assert "before torch.jit" in refused("E116", torch.jit.script(nn.Linear(5, 6)), example())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(value: float) -> None:
    x = example()
    x[0, 0] = value
    refused("E117", Net(), x)
    refused("E117", Net(), example(), calibration=x)


def test_calibration_with_other_samples_counts() -> None:
    export(Net(), example(), calibration=torch.rand(9, 5))


def test_negative_batch_axis_is_counted_from_the_end() -> None:
    report = export(Net(), example(), batch_axis=-2)
    assert report.model.meta["inputs"][0]["batch_axis"] == 0
    assert "batch_axis" in refused("E139", Net(), example(), batch_axis=-1)


def test_module_that_writes_into_its_input() -> None:
    x = example()
    report = export(Net("write"), x)
    assert torch.equal(x, example())
    assert report.checks["numeric"]["exact"]
    assert report.checks["numeric"]["calls"] == "fresh"


def test_dropout_that_is_always_on() -> None:
    assert "training=self.training" in refused("E134", Net("dropout"), example())


def test_data_dependent_branch_prints_nothing_of_torch(capsys: pytest.CaptureFixture[str]) -> None:
    refused("E130", Net("branch"), example())
    assert set(capsys.readouterr().err.splitlines()) == {"of the user"}


class Shared(nn.Module):
    """(B, 5), with numbers of steps in the class; ``length`` is used."""

    num_steps = 5
    length = 5

    def __init__(self, used: str) -> None:
        super().__init__()
        self.fc, self.used = nn.Linear(5, 6), used

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v = torch.zeros(x.shape[0], 6)
        for _ in range(getattr(self, self.used)):
            v = 0.8 * v + self.fc(x)
        return v


@pytest.mark.parametrize(("used", "said"), [("num_steps", None), ("length", "length")])
def test_steps_that_are_an_attribute_of_the_class(used: str, said: str | None) -> None:
    net = Shared(used)
    assert export(net, example(), steps_attribute=said).graph.steps == 5
    assert used not in vars(net)


class Described(nn.Module):
    """Takes a dict: events at every step, and a context that is the same at all."""

    def __init__(self, steps: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.side, self.steps = nn.Linear(5, 6), nn.Linear(3, 6), steps
        self.v: Any = None

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if self.steps:
            self.v = 0.0 if self.v is None else self.v
            self.v = 0.8 * self.v + self.fc(batch["events"]) + self.side(batch["context"])
            return {"spikes": (self.v > 0.3).float()}
        v, out = torch.zeros(len(batch["events"]), 6), []
        for t in range(batch["events"].shape[1]):
            v = 0.8 * v + self.fc(batch["events"][:, t]) + self.side(batch["context"])
            s = (v > 0.3).float()
            v = v - s
            out.append(s)
        return {"spikes": torch.stack(out, 1)}

    def reset(self) -> None:
        self.v = None


def described(samples: int = 4) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(2)
    events = torch.rand(samples, 7, 5, generator=random)
    return {"context": torch.rand(samples, 3, generator=random), "events": events}


@pytest.mark.parametrize("steps", [False, True], ids=["whole", "step"])
def test_a_dict_of_tensors_is_one_argument(steps: bool) -> None:
    like = {"events": torch.rand(2, 7, 5) * 9, "context": torch.rand(2, 3)}
    options = {"time_axis": 1, "steps": 7}
    report = export(Described(steps), described(), calibration=like, **options)
    largest = {n.name: n.op.hi for n in report.graph.nodes if isinstance(n.op, ops.Input)}
    assert [x["name"] for x in report.model.meta["inputs"]] == ["context", "events"]
    assert largest["context"] < 1 < largest["events"]
    assert report.checks["numeric"]["exact"]
    assert min(report.checks["numeric"]["active"].values()) > 0


def test_dicts_that_do_not_fit() -> None:
    by_number = dict(enumerate(described().values()))
    assert "keys are names" in refused("E116", Described(False), by_number, time_axis=1)
    text = refused("E139", Described(False), {**described(), "tag": "a"}, time_axis=1)
    assert "str, not a tensor" in text
