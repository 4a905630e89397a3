"""The fake-quantized model: no rounding, no difference; and a wrong lowering is noticed."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.graph import Graph, Value
from snnc.kernel import Kernel
from snnc.ops import Input, Linear, Neuron, Output, TimeStack
from snnc.params import Param
from snnc.passes import kernel_form, quantize_neuron
from snnc.passes.base import Context, run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.types import TensorType
from tests.intgraphs import simulator
from tests.kerneltext import kernel

STEPS = 8
#: Integrate and fire, and decays by powers of two, with every reset: nothing is ever rounded.
EXACT = {
    "if": kernel("u = v + x\ns = u >= th\nv' = u - s * th", th=0.83),
    "if from half": kernel("u = v + x\ns = u > th\nv' = u - s * th", th=0.83, init_v=0.415),
    "tau 2": kernel("u = v + (x - v) / 2.0\ns = u >= th\nv' = (1.0 - s) * u", th=0.371),
    "tau 2, soft": kernel("u = v * 0.5 + x\ns = u >= th\nv' = u - s * th", th=1.013),
    "tau 4, to a value": kernel(
        "u = v * 0.75 + x\ns = u >= th\nv' = u - s * (u - r)", th=1.1, r=0.3
    ),
    "per neuron": kernel(
        "u = v * 0.5 + x\ns = u >= th\nv' = u - s * th", th=np.linspace(0.5, 1.5, 12)
    ),
    "amplitude": kernel("u = v + x\ns = u >= th\na = s * th\nv' = u - a", "a", th=0.83),
    "two states": kernel(
        "i1 = i * 0.5 + x\nu = v * 0.5 + i1\ns = u >= th\nv' = u - s * th\ni' = i1", th=1.013
    ),
}  # fmt: skip


def network(body: Kernel, seed: int = 0) -> Graph:
    rng = np.random.default_rng(seed)
    g = Graph("net", STEPS)
    g.add("x", Input(TensorType((20,)), 0.0, 1.0, 1.0))
    weight = Param(rng.integers(-40, 60, (12, 20)) / 113)
    g.add("fc", Linear(weight, Param(rng.integers(-20, 20, 12) / 117)), "x")
    g.add("n", Neuron(body, (12,)), "fc")
    g.add("stack", TimeStack(), Value("n"))
    g.add("y", Output(), "stack")
    return g


def both(graph: Graph) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """What the integers mean, and what the fake-quantized model computes."""
    ctx = Context()
    program = run_passes(graph, integer_pipeline(), ctx)
    x = (np.random.default_rng(1).random((200, STEPS, 20)) < 0.4).astype(np.int64)
    (integers,) = simulator(program).run(x)[0].values()
    assert ctx.fake_quantized is not None
    (real,) = FloatSimulator(ctx.fake_quantized).run(x)[0].values()
    return integers * program["y"].op.params["scale"].data, real


@pytest.mark.parametrize("name", EXACT)
def test_without_rounding_there_is_no_difference(name: str) -> None:
    integers, real = both(network(EXACT[name]))
    assert 0.05 < (real != 0).mean() < 0.95
    np.testing.assert_allclose(integers, real, atol=1e-12)


def test_decays_that_are_rounded_agree_in_999_of_1000_spikes() -> None:
    body = kernel("u = v * 0.9 + x\ns = u >= th\nv' = u - s * th", th=1.013)
    integers, real = both(network(body))
    assert (integers != real).mean() <= 1e-3


def test_an_analysis_that_is_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = kernel_form.analyse

    def wrong(k: Kernel) -> kernel_form.Analysis:
        found = right(k)
        steps = []
        for step in found.steps:
            value = step.value
            if isinstance(value, kernel_form.Compare):
                value = kernel_form.Compare(value.fn, kernel_form.mapped(value.form, shifted))
            steps.append(replace(step, value=value))
        return replace(found, steps=tuple(steps))

    def shifted(x: kernel_form.Linear) -> kernel_form.Linear:
        return replace(x, const=x.const + x.const)

    monkeypatch.setattr(quantize_neuron, "analyse", wrong)
    with pytest.raises(CompileError, match=re.escape("SNNC-E901")):
        both(network(EXACT["tau 2, soft"]))
