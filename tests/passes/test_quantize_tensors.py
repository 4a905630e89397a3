"""Operators on tensors in integers: units move with elements, results are the float model's."""

from __future__ import annotations

import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.graph import Graph
from snnc.ops import (
    Concat,
    Conv2d,
    Expand,
    Input,
    Linear,
    Output,
    Reshape,
    Slice,
    Take,
    TimeMean,
    TimeSum,
    Transpose,
)
from snnc.params import Param
from snnc.passes import Context, run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.types import TensorType
from tests.intgraphs import simulator
from tests.realgraphs import lif, noise, param


def agreement(graph: Graph, samples: int = 100, steps: int = 12) -> tuple[float, float]:
    """Share of equal spikes, and the largest error of an output, next to the fake-quantized."""
    ctx = Context()
    program = run_passes(graph, integer_pipeline(), ctx)
    assert ctx.fake_quantized is not None
    reference, sim = FloatSimulator(ctx.fake_quantized), simulator(program)
    rng = np.random.default_rng(3)
    x = {
        name: rng.integers(lo, hi + 1, (samples, *((steps,) if clock == "step" else ()), *shape))
        for name, (shape, clock, lo, hi) in sim.inputs.items()
    }
    scaled = {k: v * program[k].op.scale for k, v in x.items()}  # type: ignore[attr-defined]
    outputs, words = sim.run(x, record=sim.words())
    real, expected = reference.run(scaled, record=reference.words())
    spikes = [w for w in words if w.rpartition(".")[2].startswith("s") and w in expected]
    equal = min([float(np.mean(words[w] == expected[w])) for w in spikes], default=1.0)
    errors = []
    for name, value in outputs.items():
        out = program[name].op
        found = value * out.scale.data / (steps if out.per_step else 1)  # type: ignore[attr-defined]
        size = np.abs(real[name]).max() or 1.0
        errors.append(float(np.abs(found - real[name]).max() / size))
    return equal, max(errors)


def patches(between: str) -> Graph:
    """A convolution whose channels have scales of their own, moved, and a population behind it."""
    rng = np.random.default_rng(0)
    g = Graph("moved", 12)
    g.add("x", Input(TensorType((2, 6, 6)), 0.0, 1.0, 1.0))
    w = noise(rng, 3, 2, 3, 3) * np.array([1, 0.1, 0.02])[:, None, None, None]
    g.add("conv", Conv2d(param(w), param([0.1, -0.01, 0.001])), "x")
    value = "conv"
    if between == "tokens":
        g.add("rows", Reshape((3, 16)), "conv")
        value = g.add("tokens", Transpose((1, 0)), "rows").name
    if between == "slice":
        value = g.add("slice", Slice(0, 0, 3, 2), "conv").name
    if between == "take":
        value = g.add("take", Take(0, Param(np.array([2, 0, 1, 2]))), "conv").name
    if between == "expand":
        g.add("corner", Slice(1, 1, 2), "conv")
        value = g.add("expand", Expand((3, 4, 4)), "corner").name
    if between == "join":
        g.add("last", Slice(0, 2, 3), "conv")
        value = g.add("join", Concat(0), "last", "conv").name
    g.add("sum", TimeSum(), lif(g, "lif", value, beta=0.8, theta=0.05))
    g.add("out", Output(), "sum")
    return g


@pytest.mark.parametrize("between", ["tokens", "slice", "take", "expand", "join"])
def test_spikes_behind_moved_weights(between: str) -> None:
    equal, _ = agreement(patches(between))
    assert equal >= 0.999


def test_spikes_joined_with_numbers_feed_a_layer() -> None:
    """A layer folds the unit of every part into the weights of that part."""
    rng = np.random.default_rng(1)
    g = Graph("join", 12)
    g.add("x", Input(TensorType((6,)), -1.0, 1.0, 1 / 128))
    g.add("fc", Linear(param(noise(rng, 5, 6))), "x")
    s = lif(g, "lif", "fc", theta=0.7)
    g.add("join", Concat(0), s, "x", "fc")
    g.add("head", Linear(param(noise(rng, 4, 16)), param(noise(rng, 4))), "join")
    g.add("sum", TimeSum(), "head")
    g.add("out", Output(), "sum")
    equal, error = agreement(g)
    assert equal >= 0.999
    assert error < 2e-3


def test_a_mean_joins_only_means() -> None:
    rng = np.random.default_rng(1)
    g = Graph("join", 12)
    g.add("x", Input(TensorType((6,)), 0.0, 1.0, 1.0))
    g.add("a", TimeMean(), "x")
    g.add("fc", Linear(param(noise(rng, 5, 6))), "x")
    g.add("b", TimeMean(), "fc")
    g.add("join", Concat(0), "a", "b")
    g.add("out", Output(), "join")
    assert agreement(g)[1] < 1e-3
