"""Files with a batch of fixed size: samples are not steps, and not features either."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from snnc.container import LoadedModel, read_model
from snnc.diagnostics import CompileError
from snnc.frontends import from_onnx, from_pt2
from snnc.frontends.evaluate import Evaluator
from snnc.frontends.numeric_check import sequence_first
from snnc.frontends.onnx_options import OnnxOptions

pytestmark = pytest.mark.filterwarnings("ignore")


class Static(nn.Module):
    """Eight steps inside; the input is the same at every step."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def start(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(self.layer(x))

    def steps(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        return itertools.repeat(x, 8)

    def forward(self, x: torch.Tensor) -> Any:
        v, total = self.start(x), torch.tensor(0.0)
        for now in self.steps(x):
            v = 0.8 * v + self.layer(now)
            s = (v > 0.3).float()
            v = v - 0.3 * s
            total = total + s
        return total


class Written(Static):
    """The number of samples is written into the program."""

    def start(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(x.shape[0], 6)


class Sequence(Written):
    """Time is axis 1."""

    def steps(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        return (x[:, t] for t in range(x.shape[1]))


def linear(kind: type[Static] = Static) -> Static:
    torch.manual_seed(0)
    return kind(nn.Linear(5, 6)).eval()


def pt2(module: nn.Module, x: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(module, (x,)), buffer)
    return buffer.getvalue()


def read(form: str, module: nn.Module, x: torch.Tensor, path: Path, **options: Any) -> LoadedModel:
    if form == "pt2":
        return from_pt2.read_bytes(pt2(module, x), "net.pt2", options)
    return from_onnx.read_bytes(onnx(form, module, x, path), "net.onnx", options)


def onnx(form: str, module: nn.Module, x: torch.Tensor, path: Path) -> bytes:
    pytest.importorskip("onnx")
    if form == "dynamo":
        pytest.importorskip("onnxscript")
    file = str(path / "net.onnx")
    more = {"external_data": False, "verbose": False} if form == "dynamo" else {}
    opset = 18 if form == "dynamo" else 17
    torch.onnx.export(module, (x,), file, dynamo=form == "dynamo", opset_version=opset, **more)
    return Path(file).read_bytes()


def check(model: LoadedModel, module: nn.Module, x: torch.Tensor) -> None:
    """Eight steps with a state, and what the module computes on other data."""
    (entry,) = model.meta["inputs"]
    assert (entry["time_axis"], entry["batch_axis"]) == (None, 0)
    assert model.graph.steps == 8
    assert model.meta["checks"]["states"] > 0
    given = torch.rand(x.shape, generator=torch.Generator().manual_seed(7))
    run = Evaluator(model.graph, {entry["name"]: sequence_first(given, None, 0)}, 8)
    (y,) = run.outputs.values()
    with torch.no_grad():
        want = module(given)
    assert torch.equal(y.reshape(want.shape), want)
    assert want.any()


@pytest.mark.parametrize("batch", [4, 20])
@pytest.mark.parametrize("form", ["pt2", "older", "dynamo"])
def test_a_batch_is_not_time(form: str, batch: int, tmp_path: Path) -> None:
    module, x = linear(), torch.rand(batch, 5)
    check(read(form, module, x, tmp_path), module, x)


def test_a_batch_of_images(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, x = Static(nn.Conv2d(1, 3, 3)).eval(), torch.rand(16, 1, 8, 8)
    for form in ("pt2", "older"):
        check(read(form, module, x, tmp_path), module, x)


def test_as_many_samples_as_steps(tmp_path: Path) -> None:
    module, x = linear(), torch.rand(8, 5)
    check(read("pt2", module, x, tmp_path), module, x)


SQUARE = [(Sequence, (12, 12, 5), 1), (Written, (5, 5), None)]


@pytest.mark.parametrize(("kind", "shape", "time"), SQUARE)
def test_samples_are_not_features(
    kind: type[Static], shape: tuple[int, ...], time: int | None, tmp_path: Path
) -> None:
    module, x = linear(kind), torch.rand(shape)
    with pytest.raises(CompileError) as caught:
        read("pt2", module, x, tmp_path)
    assert [d.code for d in caught.value.diagnostics] == ["E164"]
    (entry,) = read("older", module, x, tmp_path).meta["inputs"]
    assert (entry["time_axis"], entry["batch_axis"]) == (time, 0)


def test_a_square_input_without_a_written_batch(tmp_path: Path) -> None:
    module, x = linear(), torch.rand(5, 5)
    for form in ("pt2", "older"):
        check(read(form, module, x, tmp_path), module, x)


def test_the_user_names_the_steps(tmp_path: Path) -> None:
    module, x = linear(), torch.rand(20, 5)
    data = pt2(module, x)
    check(from_pt2.read_bytes(data, "net.pt2", {"steps": 8}), module, x)
    path = tmp_path / "net.pt2"
    path.write_bytes(data)
    assert read_model(path, steps=8).graph.steps == 8
    data = onnx("older", module, x, tmp_path)
    for text in ("time_axis=none", "time_axis=none,steps=8", "steps=8"):
        options = OnnxOptions.parse(text).document()
        check(from_onnx.read_bytes(data, "net.onnx", options), module, x)
    with pytest.raises(CompileError) as caught:
        read("pt2", linear(Sequence), torch.rand(3, 12, 5), tmp_path, steps=8)
    assert caught.value.diagnostics[0].code == "E137"


class Once(nn.Module):
    """One call computes one step; ``threshold`` makes spikes of what comes out."""

    def __init__(self, threshold: float | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.threshold = threshold
        self.first, self.second = nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(self.first(x).relu())
        return y if self.threshold is None else (y > self.threshold).float()


def check_step(model: LoadedModel, module: nn.Module, x: torch.Tensor) -> None:
    """No time, and what the module computes for more samples."""
    (entry,) = model.meta["inputs"]
    assert (entry["time_axis"], entry["batch_axis"], model.graph.steps) == (None, 0, 1)
    assert "one step" in str(model.diagnostics[0])
    given = torch.cat([x - 0.5, x])
    run = Evaluator(model.graph, {entry["name"]: given})
    with torch.no_grad():
        assert torch.allclose(next(iter(run.outputs.values())), module(given), atol=1e-6)


@pytest.mark.parametrize("shape", [(20, 5), (1, 5), (5, 5), (4, 9, 5)])
def test_without_loop_and_state_the_first_axis_is_the_batch(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    module, x = Once().eval(), torch.rand(shape)
    for form in ("pt2", "older"):
        check_step(read(form, module, x, tmp_path), module, x)


def test_a_step_that_may_have_lost_its_state(tmp_path: Path) -> None:
    module, x = Once(0.1).eval(), torch.rand(20, 5)
    asked = {
        "pt2": ({"steps": 1}, {"steps": 20}),
        "older": (
            OnnxOptions.parse("time_axis=none,steps=1").document(),
            OnnxOptions.parse("time_axis=0").document(),
        ),
    }
    for form, (samples, steps) in asked.items():
        with pytest.raises(CompileError) as caught:
            read(form, module, x, tmp_path)
        (found,) = caught.value.diagnostics
        assert found.code == "E137"
        assert "steps" in str(found.help)
        check_step(read(form, module, x, tmp_path, **samples), module, x)
        (entry,) = read(form, module, x, tmp_path, **steps).meta["inputs"]
        assert (entry["time_axis"], entry["batch_axis"]) == (0, None)


def test_a_step_with_its_state_outside_is_not_a_network(tmp_path: Path) -> None:
    class Step(nn.Module):
        def forward(self, x: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            v = 0.5 * v + x
            return 2 * v, v

    buffer = io.BytesIO()
    torch.export.save(torch.export.export(Step(), (torch.rand(3, 5), torch.rand(3, 5))), buffer)
    with pytest.raises(CompileError) as caught:
        from_pt2.read_bytes(buffer.getvalue(), "net.pt2", {})
    assert [d.code for d in caught.value.diagnostics] == ["E137"]
