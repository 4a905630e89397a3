"""Kernels that are not scale-free: absolute formats, followed word for word by the float model."""

import json

import numpy as np
import pytest
import safetensors.numpy

from snnc.backends.float_sim import FloatSimulator
from snnc.backends.numpy.simulator import Simulator
from snnc.diagnostics import CompileError
from snnc.intops import IntNeuron, IntOutput
from snnc.kernel import Kernel
from snnc.passes import Context, run_passes
from snnc.passes.absolute_kernel import SATURATION
from snnc.passes.pipeline import integer_pipeline
from snnc.storage import dump_graph
from tests.absolutekernels import KERNELS, STEPS, network
from tests.kerneltext import kernel


def spikes(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (30, STEPS, 10))


def lowered(k: Kernel, ctx: Context | None = None) -> IntNeuron:
    op = run_passes(network(k), integer_pipeline(16), ctx)["n0"].op
    assert isinstance(op, IntNeuron)
    return op


@pytest.mark.parametrize("name", KERNELS)
def test_integers_follow_the_float_model_and_their_ranges(name: str) -> None:
    ctx = Context()
    program = run_passes(network(KERNELS[name]), integer_pipeline(16), ctx)
    text, blob = dump_graph(program)
    sim = Simulator(json.loads(text), safetensors.numpy.load(blob))
    found, words = sim.run(spikes(), record=sim.words())
    assert ctx.fake_quantized is not None
    expected = FloatSimulator(ctx.fake_quantized).run(spikes())[0]
    for out in found:
        assert expected[out].any(), "nothing fires"
        op = program[out].op
        assert isinstance(op, IntOutput)
        assert np.mean(found[out] * op.scale.data != expected[out]) < 1e-3
    op = program["n0"].op
    assert isinstance(op, IntNeuron)
    for s in (*op.kernel.states, *op.kernel.body):
        if (word := f"n0.{s.name}") in words:
            assert s.lo is not None
            assert s.hi is not None
            assert s.lo <= words[word].min(), word
            assert words[word].max() <= s.hi, word


def test_timers_and_counts_are_whole_numbers() -> None:
    timer = {s.name: (s.lo, s.hi) for s in lowered(KERNELS["refractory timer"]).kernel.states}
    assert timer["r"] == (0, 5)
    count = {s.name: (s.lo, s.hi) for s in lowered(KERNELS["one spike in three"]).kernel.states}
    assert count["n"] == (0, 2)
    graded = lowered(KERNELS["counts, half even"]).kernel.line("c")
    assert graded is not None
    assert (graded.lo, graded.hi) == (0, 4)


def test_a_state_without_a_bound_saturates_and_is_reported() -> None:
    ctx = Context()
    op = lowered(kernel("v1 = v * v + x\ns = v1 >= 1.0\nv' = v1", init_v=3.0), ctx)
    (state,) = op.kernel.states
    assert state.hi == SATURATION
    assert [d.code for d in ctx.diagnostics] == ["W312"]
    bits = ctx.layers["n0"]["fraction_bits"]
    assert isinstance(bits, int)
    real = f"{SATURATION * 2.0**-bits:+g}"
    assert f"saturates at {real}, which are +67,108,864 integer steps" in str(ctx.diagnostics[0])
    ctx = Context()
    lowered(kernel("s = x >= 1.0\nn' = maximum(n - 1.0, 0.0) + 2.0 * s"), ctx)
    assert "it counts in whole numbers and saturates at +67,108,864" in str(ctx.diagnostics[0])
    ctx = Context()
    lowered(KERNELS["refractory timer"], ctx)
    assert not ctx.diagnostics, "its membrane is bounded"


def test_clamps_that_never_act_are_gone() -> None:
    kernel = lowered(KERNELS["one spike in three"]).kernel
    assert not {line.fn for line in kernel.body} & {"maximum", "minimum"}


def test_a_divisor_that_may_be_zero_is_refused() -> None:
    k = kernel("v1 = 0.9 * v + x / u\ns = v1 >= 0.8\nv' = where(s, 0.0, v1)\nu' = 0.5 * u + s")
    with pytest.raises(CompileError, match="E313"):
        lowered(k)


def test_an_exponential_without_a_bound_is_reported() -> None:
    ctx = Context()
    lowered(kernel("v1 = 0.9 * v + exp(x + w)\ns = v1 >= 1.0\nv' = v1\nw' = w + s"), ctx)
    assert any("the exponential" in d.message for d in ctx.diagnostics)


def test_a_tiny_lower_limit_keeps_a_divisor_positive() -> None:
    ctx = Context()
    body = "n = maximum(abs(x), 1e-12)\nu = v * 0.5 + x / n\ns = u >= 1.0\nv' = u - s"
    lowered(kernel(body), ctx)
    assert {d.code for d in ctx.diagnostics} == {"W312", "W314"}, "but no E313"
