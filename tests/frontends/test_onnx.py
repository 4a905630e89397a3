"""ONNX files: unrolled over time by torch's exporters, as Scan and Loop, as a single step."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import snnc
from snnc.container import LoadedModel
from snnc.diagnostics import CompileError
from snnc.exporting import export
from snnc.frontends.evaluate import Evaluator
from snnc.frontends.from_onnx import read_bytes
from snnc.frontends.numeric_check import sequence_first
from snnc.frontends.onnx_names import OPERATORS
from snnc.frontends.onnx_operators import RULES
from snnc.frontends.onnx_options import OnnxOptions
from snnc.frontends.onnx_states import stem
from tests import onnxfiles

pytestmark = pytest.mark.filterwarnings("ignore")


class Net(nn.Module):
    """Two layers; time is axis 0."""

    def __init__(self, readout: str = "sum") -> None:
        super().__init__()
        torch.manual_seed(1)
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)
        self.tau = nn.Parameter(torch.tensor(0.3))
        self.readout = readout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, m, out = torch.zeros(x.shape[1], 8), torch.zeros(x.shape[1], 3), []
        for t in range(x.shape[0]):
            v = torch.sigmoid(self.tau) * v + 2 * self.a(x[t])
            s = (v >= 0.5).float()
            v = v - s * 0.5
            m = 0.8 * m + self.b(s)
            q = (m > 0.1).float()
            m = m * (1 - q)
            out.append(q)
        spikes = torch.stack(out)
        return spikes if self.readout == "stack" else spikes.sum(0)


class Conv(nn.Module):
    """Layer by layer over the whole sequence, with batch and time joined."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.c, self.bn, self.f = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, batch = x.shape[:2]
        y = self.bn(self.c(x.flatten(0, 1)))
        y = torch.max_pool2d(y, 3).view(steps, batch, 4)
        v, total = torch.zeros_like(y[0]), torch.zeros(batch, 3)
        for t in range(steps):
            v = v + (y[t] - v) / 2.0
            s = (v >= 0.2).to(x)
            v = (1 - s) * v
            total = total + self.f(s)
        return total / steps


def onnx_bytes(module: nn.Module, x: torch.Tensor, exporter: str = "older") -> bytes:
    """Exported by one of torch's two exporters."""
    buffer = io.BytesIO()
    quiet = contextlib.redirect_stdout(io.StringIO())
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with quiet, warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            if exporter == "older":
                torch.onnx.export(module.eval(), (x,), buffer, dynamo=False, opset_version=17)
                return buffer.getvalue()
            optimize = exporter == "dynamo"
            found = torch.onnx.export(module.eval(), (x,), dynamo=True, optimize=optimize,
                                      verbose=False)  # fmt: skip
            assert found is not None
            return bytes(found.model_proto.SerializeToString())
    finally:
        logging.disable(before)


@functools.cache
def plain(data: bytes) -> LoadedModel:
    return read_bytes(data, "net.onnx", {})


def read(data: bytes, **options: Any) -> LoadedModel:
    return read_bytes(data, "net.onnx", options) if options else plain(data)


def check(model: LoadedModel, states: int | None = None) -> LoadedModel:
    """Every check was made and passed."""
    checks = model.meta["checks"]
    assert set(checks["proof"].values()) <= {"identical", "up to zeros"}
    assert checks["admissible"]
    assert any(checks["numeric"]["active"].values())
    if checks["numeric"]["onnxruntime"] is not None:
        assert checks["numeric"]["onnxruntime"]["difference"] <= 1e-6
    else:
        assert any(d.code == "R160" for d in model.diagnostics)
    assert states is None or checks["states"] == states
    return model


def run(model: LoadedModel, x: torch.Tensor) -> torch.Tensor:
    """The only output of the graph on a sequence in the layout of the file."""
    (entry,) = model.meta["inputs"]
    steps = x.shape[entry["time_axis"]]
    given = sequence_first(x, entry["time_axis"], entry["batch_axis"])
    (y,) = Evaluator(model.graph, {entry["name"]: given}, steps).outputs.values()
    return y


def compare(module: nn.Module, example: torch.Tensor, exporter: str, tmp_path: Path) -> LoadedModel:
    """What the file gives is what torch gives, and what is recovered from torch."""
    model = check(read(onnx_bytes(module, example, exporter)))
    x = torch.rand(example.shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        want = module(x)
    have = run(model, x)
    have = have.transpose(0, 1) if have.shape != want.shape else have
    assert torch.equal(have, want)
    direct = export(module, example, tmp_path / "model.pt", time_axis=0).model
    assert torch.equal(run(direct, x), run(model, x))
    assert model.meta["checks"]["states"] == direct.meta["checks"]["states"]
    return model


def test_the_older_exporter(tmp_path: Path) -> None:
    model = compare(Net("stack"), torch.rand(5, 2, 6), "older", tmp_path)
    assert model.meta["fixed_steps"]
    assert model.meta["inputs"] == [{"name": "in", "time_axis": 0, "batch_axis": 1}]
    assert {"a", "b"} <= {n.name for n in model.graph}


def test_one_sample() -> None:
    model = check(read(onnx_bytes(Net(), torch.rand(5, 1, 6))))
    assert model.meta["inputs"] == [{"name": "in", "time_axis": 0, "batch_axis": 1}]


def test_convolutions_over_the_whole_sequence(tmp_path: Path) -> None:
    compare(Conv(), torch.rand(4, 3, 2, 5, 5), "older", tmp_path)


def test_the_exporter_of_programs(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    model = compare(Net(), torch.rand(5, 2, 6), "dynamo", tmp_path)
    assert model.graph["a"].loc.file == Path(__file__).name


@pytest.mark.slow
def test_the_exporter_of_programs_without_its_optimizer(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    compare(Net(), torch.rand(5, 2, 6), "dynamo raw", tmp_path)


SCANS = {
    "open": onnxfiles.scan(),
    "batch first": onnxfiles.scan(9, 3, 1, scan_output_axes=[1]),
}


@pytest.mark.parametrize("name", SCANS)
def test_scan(name: str) -> None:
    model = check(read(SCANS[name]), states=1)
    assert model.meta["fixed_steps"] is False
    axis = 1 if name == "batch first" else 0
    assert model.meta["inputs"] == [{"name": "x", "time_axis": axis, "batch_axis": 1 - axis}]


class Scanned(nn.Module):
    """The loop as torch's own operator."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(6, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def body(v: torch.Tensor, now: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            v = 0.8 * v + self.fc(now)
            s = (v >= 0.3).to(v.dtype)
            return v - s, s.clone()

        scan: Any = importlib.import_module("torch._higher_order_ops.scan").scan
        spikes: torch.Tensor = scan(body, torch.zeros(x.shape[1], 8), x, dim=0)[1]
        return spikes


@pytest.mark.slow
def test_the_scan_of_torch() -> None:
    model = check(read(onnx_bytes(Scanned(), torch.rand(7, 2, 6) * 2, "dynamo")), states=1)
    assert model.meta["fixed_steps"] is False


def test_loops() -> None:
    for data in (onnxfiles.loop(), onnxfiles.loop(7)):
        model = check(read(data), states=1)
        assert model.meta["fixed_steps"] is False


def test_all_forms_of_a_network_are_the_same() -> None:
    x = torch.rand(5, 2, 6, generator=torch.Generator().manual_seed(0)) * 2
    outputs = [
        run(check(read(data), 1), x)
        for data in (SCANS["open"], onnxfiles.step(), onnxfiles.unrolled(5, 2))
    ]
    assert outputs[0].any()
    assert all(torch.equal(y, outputs[0]) for y in outputs)
    rate = run(read(onnxfiles.loop()), x)
    assert torch.equal(rate, outputs[0].mean(1))


def test_a_single_step() -> None:
    for data in (onnxfiles.step(), onnxfiles.step("mem_prev", "mem_next", 1)):
        model = check(read(data), states=1)
        assert model.meta["inputs"] == [{"name": "x", "time_axis": 0, "batch_axis": 1}]
        assert "R161" in {d.code for d in model.diagnostics}
    named = OnnxOptions.parse("state=a:b,readout=sum,steps=6").document()
    model = check(read(onnxfiles.step("a", "b"), **named), states=1)
    assert model.graph.steps == 6


def codes(data: bytes, **options: Any) -> set[str]:
    with pytest.raises(CompileError) as caught:
        read(data, **options)
    return {d.code for d in caught.value.diagnostics}


def test_refusals() -> None:
    assert codes(onnxfiles.step("a", "b")) == {"E162"}
    assert codes(onnxfiles.step(), state=[("v", "w")]) == {"E162"}
    assert codes(onnxfiles.scan(5, 3, scan_input_directions=[1])) == {"E131"}


def test_options() -> None:
    wish = OnnxOptions.parse("state=v:v_out, steps=20,input_hi=2")
    assert OnnxOptions.of(wish.document()) == wish
    for text in ("states=a:b", "state=a", "steps=0", "steps=x", "readout=all", "time_axis=7"):
        with pytest.raises(CompileError) as caught:
            OnnxOptions.parse(text)
        assert caught.value.diagnostics[0].code == "E163"


def test_names_of_states() -> None:
    assert stem("state_in") == stem("state_out") == stem("new_state")
    assert stem("h0") == stem("hn") != stem("c0")
    assert stem("mem1") == stem("mem1_next") != stem("mem2")


def test_the_list_of_operators_is_that_of_the_rules() -> None:
    assert set(RULES) == OPERATORS


def test_integers_of_a_file_that_was_read(tmp_path: Path) -> None:
    """Compiled through the child process: the emitted C computes what NumPy computes."""
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_bytes(Net(), torch.rand(5, 2, 6)))
    artifact = snnc.compile(path, tmp_path / "net", target="numpy,c")
    x = np.random.default_rng(0).random((4, 5, 6), np.float32)
    report = artifact.verify(x)
    assert report.exact
