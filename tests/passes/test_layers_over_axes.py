"""Networks with convolutions, pools and upsampling over one to three axes, in integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snnc import ops
from snnc.backends.float_sim import FloatSimulator
from snnc.graph import Graph
from snnc.intops import IntPad, IntRescale
from snnc.passes import Context, run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.types import TensorType
from tests.intgraphs import simulator
from tests.realgraphs import constant, counted, lif, noise, param, pointwise

CONV = (ops.Conv1d, ops.Conv2d, ops.Conv3d)
SPREAD = (ops.ConvTranspose1d, ops.ConvTranspose2d, ops.ConvTranspose3d)
SUM = (ops.SumPool1d, ops.SumPool2d, ops.SumPool3d)
MEAN = (ops.AvgPool1d, ops.AvgPool2d, ops.AvgPool3d)
PEAK = (ops.MaxPool1d, ops.MaxPool2d, ops.MaxPool3d)


def image(rank: int, side: int = 5, seed: int = 0) -> tuple[Graph, np.random.Generator]:
    g = Graph("image", 8)
    g.add("x", ops.Input(TensorType((2, *[side] * rank)), 0.0, 1.0, 1.0))
    return g, np.random.default_rng(seed)


def convolution(
    g: Graph, x: str, out: int, rng: np.random.Generator, kernel: int = 3, groups: int = 1
) -> str:
    fan_in, *places = g[x].type.shape
    rank = len(places)
    scale = 2 / np.sqrt(fan_in / groups * kernel**rank)
    w = noise(rng, out, fan_in // groups, *[kernel] * rank) * scale
    ones, pad = (1,) * rank, (kernel // 2,) * rank
    op = CONV[rank - 1](param(w), param(noise(rng, out) * 0.1), ones, pad, ones, groups)  # type: ignore[arg-type]
    return g.add(g.fresh("conv"), op, x).name


def spread(g: Graph, x: str, out: int, rng: np.random.Generator, groups: int = 1) -> str:
    fan_in, *places = g[x].type.shape
    rank = len(places)
    w = noise(rng, fan_in, out // groups, *[3] * rank) * 3 / np.sqrt(fan_in / groups * 3**rank)
    one, two = (1,) * rank, (2,) * rank
    bias = param(noise(rng, out) * 0.1)
    op = SPREAD[rank - 1](param(w), bias, two, one, one, one, groups)  # type: ignore[arg-type]
    return g.add(g.fresh("up"), op, x).name


def words(g: Graph, names: list[str], count: int = 12, seed: int = 3) -> tuple[Any, Any, Graph]:
    """Spikes of the integers and of the model with quantized weights."""
    ctx = Context()
    graph = run_passes(g, integer_pipeline(), ctx)
    assert ctx.fake_quantized is not None
    x = np.random.default_rng(seed).integers(0, 2, (count, 8, *g["x"].type.shape))
    got = simulator(graph).run(x, record=names)[1]
    return got, FloatSimulator(ctx.fake_quantized).run(x, record=names)[1], graph


def assert_spikes_agree(g: Graph, *populations: str) -> Graph:
    names = [f"{p}.s0" for p in populations]
    got, expected, graph = words(g, names)
    for name in names:
        assert np.mean(got[name] == expected[name]) >= 0.999, name
        assert 0.02 < got[name].mean() < 0.98, name
    return graph


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_an_encoder_and_a_decoder(rank: int, groups: int) -> None:
    g, rng = image(rank, 4)
    norm = ops.BatchNorm(*(param(v) for v in (noise(rng, 4) * 0.1, [0.5, 1, 2, 1], [1, -1, 2, 1])))
    low = lif(g, "a", convolution(g, "x", 4, rng, groups=groups), 0.8)
    pool = g.add("pool", PEAK[rank - 1]((2,) * rank, (2,) * rank), low).name  # type: ignore[arg-type]
    up = g.add("bn", norm, spread(g, pool, 4, rng, groups)).name
    b = lif(g, "b", up, 0.7)
    near = g.add("near", ops.Upsample((2,) * rank), pool).name
    joined = g.add("join", ops.Concat(0), b, near).name
    mean = g.add("mean", MEAN[rank - 1]((2,) * rank, (2,) * rank), convolution(g, joined, 3, rng))  # type: ignore[arg-type]
    counted(g, lif(g, "d", mean.name, 0.9, 0.3))
    graph = assert_spikes_agree(g, "a", "b", "d")
    assert not any(n.name.startswith("bn") for n in graph)  # folded, also behind a transposed one


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_averages_that_count_fewer_elements_at_the_border_lose_nothing(rank: int) -> None:
    g, rng = image(rank, 3)
    spikes = lif(g, "a", convolution(g, "x", 4, rng), 0.8)
    three, one = (3,) * rank, (1,) * rank
    total = g.add("pool", SUM[rank - 1](three, one, one), spikes).name  # type: ignore[arg-type]
    counts = np.array(1)
    for axis in range(rank):
        counts = counts * np.array([2, 3, 2]).reshape(-1, *[1] * axis)
    share = constant(g, (1 / counts).astype(np.float32))
    mean = pointwise(g, "mean", "mul", total, share)
    counted(g, lif(g, "b", convolution(g, mean, 3, rng), 0.9, 0.4))
    graph = assert_spikes_agree(g, "a", "b")
    (scale,) = (n.op for n in graph if isinstance(n.op, IntRescale))
    assert scale.shift == 0
    least = 6**rank // 3**rank
    assert scale.multiplier.data.min() == least
    assert set(scale.multiplier.data.ravel()) == {least * 3**rank // n for n in set(counts.ravel())}


def test_units_that_change_within_a_channel_come_to_one() -> None:
    """The rows of a linear layer have scales of their own, and become one channel."""
    g, rng = image(1, 8)
    flat = g.add("flat", ops.Reshape((16,)), "x").name
    fc = g.add("fc", ops.Linear(param(noise(rng, 32, 16) * rng.integers(1, 9, (32, 1)))), flat).name
    square = g.add("square", ops.Reshape((2, 4, 4)), fc).name
    pool = g.add("pool", ops.AvgPool2d((2, 2), (2, 2)), square).name
    peak = g.add("peak", ops.MaxPool2d((2, 1), (1, 1)), square).name
    a = lif(g, "a", pool, 0.8, 2.0)
    b = lif(g, "b", convolution(g, peak, 3, rng), 0.8, 2.0)
    counted(g, lif(g, "d", convolution(g, a, 2, rng), 0.9, 0.5))
    g.add("sum2", ops.TimeSum(), b)
    g.add("out2", ops.Output(), "sum2")
    assert_spikes_agree(g, "a", "b", "d")


def test_a_pool_in_front_of_a_neuron_keeps_waiting_for_it() -> None:
    """The scale of a convolution is chosen by the neuron behind its pool, without a rescale."""
    g, rng = image(3, 4)
    conv = convolution(g, "x", 3, rng)
    pool = g.add("pool", ops.MaxPool3d((2, 2, 2), (2, 2, 2)), conv).name
    up = g.add("up", ops.Upsample((2, 1, 2)), pool).name
    counted(g, lif(g, "a", up, 0.9, 0.8))
    graph = assert_spikes_agree(g, "a")
    assert not any(isinstance(n.op, IntRescale) for n in graph)


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_constants_are_joined_as_zeros_or_added(value: float) -> None:
    g, rng = image(1, 4)
    spikes = lif(g, "a", convolution(g, "x", 4, rng), 0.8)
    edge = constant(g, np.full((4, 2), value))
    last = constant(g, np.full((4, 1), -value))
    wide = g.add("wide", ops.Concat(1), edge, spikes, last, convolution(g, spikes, 4, rng), edge)
    counted(g, lif(g, "b", convolution(g, wide.name, 3, rng), 0.9, 0.4))
    graph = assert_spikes_agree(g, "a", "b")
    assert [n.name for n in graph if isinstance(n.op, IntPad)] == ["wide.pad", "wide.pad#2"]
    bias = [n for n in graph if isinstance(n.op, IntRescale) and n.op.bias is not None]
    assert len(bias) == (value != 0)


def test_a_sum_of_layers_with_a_constant() -> None:
    g, rng = image(1, 4)
    share = constant(g, np.ones((4, 4)))
    total = g.add("total", ops.Sum(), convolution(g, "x", 4, rng), share).name
    counted(g, lif(g, "a", total))
    assert_spikes_agree(g, "a")
