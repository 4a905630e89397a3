"""Filters of second order: coefficients above one, and poles inside the unit circle."""

from __future__ import annotations

import re

import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.ops import Input, Linear, Neuron, Output, TimeStack
from snnc.params import Param
from snnc.passes import run_passes
from snnc.passes.base import Context
from snnc.passes.pipeline import integer_pipeline
from snnc.types import TensorType
from tests.intgraphs import simulator
from tests.kerneltext import kernel

#: Direct form II of ``H(z) = (b0 + b1/z + b2/z²) / (1 + a1/z + a2/z²)``.
DIRECT = "w = x - v * {a1} - u * {a2}\ny = w * 0.25 + v * 0.5 + u * 0.25\nv' = w\nu' = v"


def network(a1: float, a2: float) -> Graph:
    g = Graph("net", 32)
    g.add("x", Input(TensorType((4,)), 0.0, 1.0, 1.0))
    g.add("fc", Linear(Param(np.eye(4) * 0.7)), "x")
    g.add("n", Neuron(kernel(DIRECT.format(a1=a1, a2=a2), "y"), (4,)), "fc")
    g.add("stack", TimeStack(), "n")
    g.add("y", Output(), "stack")
    return g


def test_a_stable_biquad_is_bounded_and_filters() -> None:
    ctx = Context()
    program = run_passes(network(-1.143, 0.4128), integer_pipeline(), ctx)
    x = (np.random.default_rng(0).random((3, 32, 4)) < 0.5).astype(np.int64)
    whole = simulator(program).run(x)[0]["y"] * np.asarray(program["y"].op.scale.data)
    assert ctx.fake_quantized is not None
    real = FloatSimulator(ctx.fake_quantized).run(x, None, ())[0]["y"]
    assert np.abs(whole - real).max() < 1e-3 * np.abs(real).max()


@pytest.mark.parametrize(("a1", "a2"), [(-2.1, 1.05), (-1.9, 1.0), (-2.0, 1.1)])
def test_a_filter_that_rings_for_ever_is_refused(a1: float, a2: float) -> None:
    with pytest.raises(CompileError, match="E310") as e:
        run_passes(network(a1, a2), integer_pipeline())
    assert re.search(r"its state [vu] grows: 63 bits hold it for \d+ steps", str(e.value))
    assert "make its update stable" in str(e.value)
    assert "fewer weight bits" not in str(e.value)
