"""Real networks in the chip's integers: close to the floats, and refused by code where not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import snnc
from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.kernel import Kernel
from snnc.ops import (
    AvgPool2d,
    Conv2d,
    Input,
    Linear,
    Neuron,
    Output,
    Reshape,
    Sum,
    TimeStack,
    TimeSum,
)
from snnc.passes import Context, run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.types import TensorType
from tests.intgraphs import simulator
from tests.kerneltext import kernel
from tests.models import model_file
from tests.realgraphs import mlp, param

LIF = """
v1 = beta * v + x
s = v1 > theta
v' = where(s, 0.0, v1)
"""
CUBA = """
i1 = alpha * i + 0.5 * x
v1 = beta * v + i1
s = v1 >= theta
v' = v1 * (1 - s)
i' = i1
"""
LI = """
v1 = beta * v + 0.25 * x
v' = v1
"""


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def chain(*kernels: Kernel, bias: bool = True, step: float = 1 / 255) -> Graph:
    """Layers of 24 neurons, each behind weights, and a readout by weights."""
    g = Graph("net", 20)
    last = g.add("x", Input(TensorType((30,)), 0.0, 1.0, step)).name
    for i, k in enumerate(kernels):
        fan = g[last].type.shape[0]
        weight = rng(i).normal(size=(24, fan)) * 2.2 / np.sqrt(fan) + 0.02
        offset = param(rng(i + 9).normal(size=24) * 0.05) if bias else None
        g.add(f"fc{i}", Linear(param(weight), offset), last)
        last = g.add(f"n{i}", Neuron(k, (24,)), f"fc{i}").name
    if kernels[-1].outputs == ("s",):
        g.add(
            "head", Linear(param(rng(5).normal(size=(4, 24))), param(rng(6).normal(size=4))), last
        )
        last = "head"
    g.add("sum", TimeSum(), last)
    g.add("out", Output(), "sum")
    return g


def lowered(graph: Graph, bits: int = 8) -> tuple[Graph, Graph]:
    """The integers, and the real network that they are."""
    ctx = Context()
    passes = integer_pipeline(bits=bits, profile="loihi", max_steps=64)
    program = run_passes(graph, passes, ctx)
    assert ctx.fake_quantized is not None
    return program, ctx.fake_quantized


NETS = {
    "lif": (kernel(LIF, beta=0.9, theta=1.0),) * 2,
    "if": (kernel(LIF.replace(">", ">="), beta=1.0, theta=1.0),) * 2,
    "a leak for each neuron": (kernel(LIF, beta=np.linspace(0, 1, 24), theta=1.0),),
    "cuba": (kernel(CUBA, alpha=0.7, beta=0.95, theta=0.8),) * 2,
    "small weights, large thresholds": (kernel(LIF, beta=0.5, theta=4.0),),
    "readout": (kernel(LIF, beta=0.9, theta=1.0), kernel(LI, outputs="v1", beta=0.9)),
}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("step", [1 / 255, 0.0])
def test_close_to_the_floats_and_equal_to_what_was_made_of_them(name: str, step: float) -> None:
    graph = chain(*NETS[name], bias=name != "cuba", step=step)
    program, real = lowered(graph)
    scale = program["x"].op.scale  # type: ignore[attr-defined]
    n = np.rint(rng(3).random((16, 20, 30)) / scale).astype(np.int64)
    words = [f"n{i}.s" for i, k in enumerate(NETS[name]) if k.outputs == ("s",)]
    ints, got = simulator(program).run(n, record=words)
    made, same = FloatSimulator(real).run(n * scale, record=words)
    floats, want = FloatSimulator(graph).run(n * scale, record=words)
    factor = program["out"].op.scale.data  # type: ignore[attr-defined]
    np.testing.assert_allclose(ints["out"] * factor, made["out"], rtol=1e-9, atol=1e-9)
    for word in words:
        assert np.array_equal(got[word], same[word])
        assert 0.01 < want[word].mean() < 0.98
        assert (got[word] == want[word]).mean() > 0.96, word
    spread = np.abs(ints["out"] * factor - floats["out"]).mean() / floats["out"].std()
    assert spread < 0.1


def test_weights_are_even_and_decays_are_of_4096() -> None:
    program, _ = lowered(chain(*NETS["lif"]))
    weight = program["fc0"].op.weight.data  # type: ignore[attr-defined]
    assert np.abs(weight).max() == 254
    assert not (weight % 2).any()
    k = program["n0"].op.kernel  # type: ignore[attr-defined]
    consts = {c.name: c.values.data for c in k.consts}
    assert consts["keep_v"] == 3686  # 0.9 * 4096
    assert consts["theta"] % 64 == 0
    assert ("m_v", "rsh") not in {(line.name, line.fn) for line in k.body}
    assert {line.rounding for line in k.body if line.fn == "rsh"} == {"trunc"}


def test_convolutions_pools_and_recurrence() -> None:
    g = Graph("net", 12)
    g.add("x", Input(TensorType((2, 6, 6)), 0.0, 1.0, 1.0))
    g.add("conv", Conv2d(param(rng().normal(size=(3, 2, 3, 3)) * 0.4), param([0.1, 0, -0.1])), "x")
    k = kernel(LIF, beta=0.8, theta=1.0)
    g.add("n", Neuron(k, (3, 4, 4)), "conv")
    g.add("pool", AvgPool2d((2, 2), (2, 2)), "n")
    g.add("flat", Reshape((12,)), "pool")
    g.add("fc", Linear(param(rng(1).normal(size=(5, 12)))), "flat")
    g.add("stack", TimeStack(), "fc")
    g.add("out", Output(), "stack")
    program, real = lowered(g)
    x = (rng(2).random((3, 12, 2, 6, 6)) < 0.5).astype(np.int64)
    got, words = simulator(program).run(x, record=["n.s"])
    want, _ = FloatSimulator(g).run(x.astype(float))
    made, _ = FloatSimulator(real).run(x.astype(float))
    scale = program["out"].op.scale.data  # type: ignore[attr-defined]
    np.testing.assert_allclose(got["out"] * scale, made["out"], rtol=1e-9, atol=1e-9)
    assert np.abs(got["out"] * scale - want["out"]).mean() < 0.1
    assert 0.1 < words["n.s"].mean() < 0.9


REFUSED = {
    "by subtraction": (LIF.replace("where(s, 0.0, v1)", "v1 - theta * s"), "a reset to zero"),
    "to a value": (LIF.replace("0.0", "0.25"), "a reset to zero"),
    "adapts": (
        LIF.replace("> theta", "- a > theta") + "a' = 0.9 * a + s",
        "a constant threshold",
    ),
    "old current": (CUBA.replace("v + i1", "v + i"), "reads the new current"),
    "current bias": (CUBA.replace("0.5 * x", "0.5 * x + 0.1"), "a bias of the voltage"),
    "grows": (LIF.replace("beta * v", "1.5 * v"), "0 to 1"),
    "hardly leaks": (LIF.replace("beta * v", "0.99999 * v"), "no leak at all"),
    "negative": (LIF.replace("> theta", "> -theta"), "a threshold above 0"),
    "squares": (LIF.replace("+ x", "+ x * v"), "a leaky integrator"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_neurons_that_loihi_does_not_have(name: str) -> None:
    text, nearest = REFUSED[name]
    k = kernel(text, alpha=0.5, beta=0.9, theta=1.0)
    with pytest.raises(CompileError) as caught:
        lowered(chain(k, bias=False))
    assert [d.code for d in caught.value.diagnostics] == ["E328"]
    assert nearest in str(caught.value.diagnostics[0].help)


def test_a_bias_into_a_current_is_refused() -> None:
    with pytest.raises(CompileError, match="a bias enters its current"):
        lowered(chain(*NETS["cuba"]))


def test_more_than_8_bits_are_refused() -> None:
    with pytest.raises(CompileError, match="at most 8"):
        lowered(chain(*NETS["lif"]), bits=12)


def test_two_layers_of_weights_share_a_scale() -> None:
    g = Graph("net", 8)
    g.add("x", Input(TensorType((6,)), 0.0, 1.0, 1.0))
    for i, size in enumerate((1.0, 0.25)):
        g.add(f"fc{i}", Linear(param(rng(i).normal(size=(4, 6)) * size)), "x")
    g.add("both", Sum(), "fc0", "fc1")
    g.add("n", Neuron(kernel(LIF, beta=0.9, theta=1.0), (4,)), "both")
    g.add("stack", TimeStack(), "n")
    g.add("out", Output(), "stack")
    program, _ = lowered(g)
    first, second = (np.abs(program[f"fc{i}"].op.weight.data).max() for i in (0, 1))  # type: ignore[attr-defined]
    assert first == 254
    assert 30 < second < 120


def test_a_static_image(tmp_path: Path) -> None:
    path = model_file(tmp_path, mlp(reset="zero", compare="gt", static=True))
    artifact = snnc.compile(path, tmp_path / "net", profile="loihi")
    report = artifact.verify(rng().integers(0, 256, (8, 12)) / 255)
    assert report.exact
    assert min(report.quantized_spikes.values()) == 1.0


def test_a_model_file_with_the_profile(tmp_path: Path) -> None:
    path = model_file(tmp_path, mlp(reset="zero", compare="gt"))
    artifact = snnc.compile(path, tmp_path / "net", target="c", profile="loihi")
    assert artifact.manifest.profile == "loihi"
    report = artifact.verify(rng().integers(0, 256, (8, 16, 12)) / 255)
    assert report.exact
    assert min(report.quantized_spikes.values()) == 1.0
    assert min(report.spikes.values()) > 0.95
    with pytest.raises(CompileError, match="a spike does not reset v to zero"):
        snnc.compile(model_file(tmp_path, mlp()), tmp_path / "other", profile="loihi")
