"""The bound of the rounding error holds, and is not far from what happens."""

from __future__ import annotations

import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.graph import Graph
from snnc.kernel import Kernel
from snnc.ops import Input, Linear, Neuron, Output, TimeLast
from snnc.params import Param
from snnc.passes.base import Context, run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.types import TensorType
from tests.intgraphs import simulator
from tests.kerneltext import kernel

STEPS = 200
#: Neurons that never reach their threshold on these inputs; bounds of the states.
LEAKS = {
    "slow": kernel("u = v * 0.99 + x\ns = u >= 60.0\nv' = u - s * 60.0", "u"),
    "fast": kernel("u = v * 0.3 + x\ns = u >= 60.0\nv' = u - s * 60.0", "u"),
    "current": kernel(
        "i1 = i * 0.8 + x\nu = v * 0.9 + i1\ns = u >= 60.0\nv' = u - s * 60.0\ni' = i1", "u"
    ),
}


def network(body: Kernel, steps: int = STEPS) -> Graph:
    rng = np.random.default_rng(0)
    g = Graph("net", steps)
    g.add("x", Input(TensorType((16,)), 0.0, 1.0, 1.0))
    g.add("fc", Linear(Param(rng.integers(-40, 45, (64, 16)) / 977)), "x")
    g.add("n", Neuron(body, (64,)), "fc")
    g.add("last", TimeLast(), "n")
    g.add("y", Output(), "last")
    return g


@pytest.mark.parametrize("name", LEAKS)
def test_the_bound_holds_and_is_not_slack(name: str) -> None:
    ctx = Context()
    program = run_passes(network(LEAKS[name]), integer_pipeline(), ctx)
    facts = ctx.layers["n"]
    bound = facts["error.v"]
    assert isinstance(bound, float)
    x = (np.random.default_rng(1).random((40, STEPS, 16)) < 0.5).astype(np.int64)
    (integers,) = simulator(program).run(x, None, ["n.u"])[1].values()
    assert ctx.fake_quantized is not None
    (real,) = FloatSimulator(ctx.fake_quantized).run(x, None, ["n.u"])[1].values()
    steps = np.abs(integers - real / _unit(program))
    assert steps.max() <= bound + 1e-6
    assert steps.max() >= bound / 60
    share = facts["rounding"]
    assert isinstance(share, float)
    assert 0 < share < 0.2


def _unit(program: Graph) -> np.ndarray:
    """Real value of one integer step of every neuron, from its threshold."""
    kernel = program["n"].op.kernel
    theta = next(c for c in kernel.consts if c.name.startswith("theta"))
    values = theta.values.data if theta.index is None else theta.values.data[theta.index.data]
    return np.asarray(60.0 / (values.astype(np.float64) - 0.5), np.float64)


#: States that are multiplied, divided, looked up or counted; they never meet their threshold.
CURVED = {
    "sigmoid": "u = v * 0.75 + sigmoid(x)\ns = u >= 60.0\nv' = u - s * 60.0",
    "tanh and exp": "u = tanh(v) * 0.5 + exp(x - 3.0)\ns = u >= 60.0\nv' = u - s * 60.0",
    "product": "w = v * x\nu = w * 0.25 + x\ns = u >= 60.0\nv' = u - s * 60.0",
    "quotient": "u = v * 0.5 + x / (abs(v) + 1.0)\ns = u >= 60.0\nv' = u - s * 60.0",
}


@pytest.mark.parametrize("name", CURVED)
def test_the_bound_holds_for_products_quotients_and_tables(name: str) -> None:
    ctx = Context()
    program = run_passes(network(kernel(CURVED[name], "u"), 12), integer_pipeline(), ctx)
    bound, bits = ctx.layers["n"]["error.v"], ctx.layers["n"]["fraction_bits"]
    assert isinstance(bound, float)
    assert isinstance(bits, int)
    x = (np.random.default_rng(1).random((40, 12, 16)) < 0.5).astype(np.int64)
    (integers,) = simulator(program).run(x, None, ["n.u"])[1].values()
    assert ctx.fake_quantized is not None
    (real,) = FloatSimulator(ctx.fake_quantized).run(x, None, ["n.u"])[1].values()
    steps = np.abs(integers - real * 2.0**bits)
    assert 0 < steps.max() <= bound + 1
    assert bound < 2**bits, "a sixtieth of the threshold"


def test_a_sign_is_no_threshold() -> None:
    body = kernel("u = v * 0.9 + x\ns = u > 0.0\nv' = u", "u")
    ctx = Context()
    run_passes(network(body), integer_pipeline(), ctx)
    assert "rounding" not in ctx.layers["n"]


def test_no_rounding_no_error() -> None:
    body = kernel("u = v + x\ns = u >= 60.0\nv' = (1.0 - s) * u", "u")
    ctx = Context()
    run_passes(network(body), integer_pipeline(), ctx)
    assert ctx.layers["n"]["error.v"] == 0.0
