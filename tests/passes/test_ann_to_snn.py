"""ReLU networks as integrate-and-fire networks: rates, thresholds, and what has no such form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnc import ops
from snnc.backends.c.backend import CBackend
from snnc.backends.float_sim import FloatSimulator
from snnc.cli import run
from snnc.container import LoadedModel, read_model, write_model
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.params import Param
from snnc.passes.ann_to_snn import BINS, to_spiking
from snnc.passes.base import run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.types import Clock, TensorType
from tests.intgraphs import random_inputs, simulator

RNG = np.random.default_rng(3)


def ann(pool: ops.Op | None = None, last: ops.Op | None = None) -> Graph:
    """Conv - clipped ReLU - pool - linear - ReLU (written as a maximum) - linear."""
    rng = np.random.default_rng(5)

    def p(*shape: int) -> Param:
        return Param(rng.normal(size=shape) / np.sqrt(np.prod(shape[1:])))

    g = Graph("ann")
    g.add("x", ops.Input(TensorType((2, 6, 6), clock=Clock.ONCE), -1.0, 1.0, 1 / 16))
    g.add("conv", ops.Conv2d(p(4, 2, 3, 3), p(4), (1, 1), (1, 1)), "x")
    g.add("relu", ops.Pointwise("relu"), "conv")
    g.add("six", ops.Constant(Param(np.array(1.5))))
    g.add("clip", ops.Pointwise("minimum"), "relu", "six")
    g.add("pool", pool or ops.AvgPool2d((2, 2), (2, 2)), "clip")
    g.add("flat", ops.Reshape((36,)), "pool")
    g.add("fc", ops.Linear(p(8, 36), p(8)), "flat")
    g.add("zero", ops.Constant(Param(np.array(0.0))))
    g.add("max", ops.Pointwise("maximum"), "zero", "fc")
    g.add("head", ops.Linear(p(3, 8), p(3)), "max")
    if last is not None:
        g.add("last", last, "head")
    g.add("y", ops.Output(), "last" if last is not None else "head")
    return g


def data(samples: int = 40) -> dict[str, np.ndarray]:
    return {"x": RNG.integers(-16, 17, (samples, 2, 6, 6)) / 16}


def test_rates_approach_the_activations() -> None:
    x = data()
    expected = FloatSimulator(ann()).run(x)[0]["y"]
    errors = []
    for steps in (8, 64, 512):
        snn = to_spiking(ann(), x, steps, 100).graph
        assert snn.steps == steps
        errors.append(np.abs(FloatSimulator(snn).run(x)[0]["y"] - expected).mean())
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 0.01 * np.abs(expected).mean()


def test_delayed_evaluation_leaves_the_first_steps_out() -> None:
    x = data()
    plain, late = (FloatSimulator(to_spiking(ann(), x, 16, 100, d).graph) for d in (0, 4))
    whole, start = plain.run(x, 16)[0]["y"], plain.run(x, 4)[0]["y"]
    np.testing.assert_allclose(late.run(x, 16)[0]["y"], (16 * whole - 4 * start) / 12)


def test_thresholds_are_percentiles_of_a_channel() -> None:
    x = data()
    probe = ann()
    probe.add("conv.out", ops.Output(), "clip")
    values = FloatSimulator(probe).run(x)[0]["conv.out"]
    for percentile in (100.0, 99.0, 90.0):
        (first, _) = to_spiking(ann(), x, 8, percentile).layers
        for channel, theta in enumerate(first.thresholds):
            active = values[:, channel][values[:, channel] > 0]
            wanted = np.quantile(active, percentile / 100, method="inverted_cdf")
            bin_and_rounding = active.max() / BINS + wanted / 2000
            assert wanted <= theta <= min(1.5, wanted + bin_and_rounding)


def test_a_channel_that_is_never_active_gets_the_largest_threshold() -> None:
    g = ann()
    conv = g["conv"].op
    assert isinstance(conv, ops.Conv2d)
    assert conv.bias is not None
    silent = ops.Conv2d(conv.weight, Param(conv.bias.data - [0, 99, 0, 0]), (1, 1), (1, 1))
    g.replace(replace(g["conv"], op=silent))
    first = to_spiking(g, data(), 8).layers[0]
    assert first.silent == 1
    assert first.thresholds[1] == first.thresholds.max()


def test_the_integer_program_equals_c_and_follows_the_float_model(tmp_path: Path) -> None:
    x = data()
    snn = to_spiking(ann(), x, 16, 100).graph
    program = run_passes(snn, integer_pipeline())
    CBackend().compile(program).write(tmp_path)
    sim, inputs = simulator(program), random_inputs(program, RNG, 6, 16)
    expected, found = sim.run(inputs, 16), CBackend().run(tmp_path, inputs, 16)
    np.testing.assert_array_equal(expected[0]["y"], found[0]["y"])
    real = FloatSimulator(snn).run(x)[0]["y"]
    scale = program["y"].op.params["scale"].data
    integer = sim.run({"x": np.rint(x["x"] * 16).astype(np.int64)}, 16)[0]["y"] * scale / 16
    assert np.abs(integer - real).mean() < 0.05 * np.abs(real).mean()


def test_what_is_not_linear_follows_the_mean() -> None:
    snn = to_spiking(ann(last=ops.Softmax(0)), data(), 64, 100).graph
    assert snn["last"].type.clock is Clock.END
    np.testing.assert_allclose(FloatSimulator(snn).run(data())[0]["y"].sum(1), 1)


def refused(graph: Graph, **options: int) -> str:
    with pytest.raises(CompileError) as e:
        to_spiking(graph, data(), options.pop("steps", 8), **options)
    return str(e.value)


def test_what_has_no_spiking_form() -> None:
    assert "SNNC-E180" in refused(ann(pool=ops.MaxPool2d((2, 2), (2, 2))))
    g = ann(last=ops.Softmax(0))
    g.add("again", ops.Pointwise("relu"), "last")
    g.add("z", ops.Output(), "again")
    assert "comes after an operator that is not linear" in refused(g)
    plain = Graph("plain")
    plain.add("x", ops.Input(TensorType((2, 6, 6), clock=Clock.ONCE)))
    plain.add("y", ops.Output(), "x")
    assert "SNNC-E181" in refused(plain)
    looped = ann()
    looped.add("t", ops.StepTable(Param(np.ones(4))))
    assert "SNNC-E181" in refused(looped)


@pytest.mark.parametrize(
    "options", [{"steps": 0}, {"delay": 8}, {"percentile": 101}, {"percentile": 3}]
)
def test_options_that_make_no_sense(options: dict[str, int]) -> None:
    assert "SNNC-E182" in refused(ann(), **options)


def test_data_on_which_a_layer_is_silent() -> None:
    g = ann()
    dark = ops.Linear(Param(np.ones((8, 36))), Param(np.full(8, -99.0)))
    g.replace(replace(g["fc"], op=dark))
    with pytest.raises(CompileError, match="never active"):
        to_spiking(g, data(), 8)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_model("ann.pt", LoadedModel(ann(), {}))
    np.save("cal.npy", data()["x"])
    line = ["convert", "ann.pt", "--steps", "32", "-o", "snn.pt", "--calibration"]
    assert run([*line, "cal.npy"]) == 0
    assert any(isinstance(n.op, ops.Neuron) for n in read_model(Path("snn.pt")).graph)
    before = Path("snn.pt").read_bytes()
    assert run([*line, "gone.npy"]) != 0
    assert Path("snn.pt").read_bytes() == before
