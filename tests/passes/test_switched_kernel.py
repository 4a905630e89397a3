"""Integer kernels in real arithmetic: integers again if nothing is switched, and each switch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.graph import Graph
from snnc.ops import Neuron
from snnc.passes.base import Context, run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.passes.switched_kernel import DECAYS, PARTS, ROUNDING, THRESHOLDS
from tests.intgraphs import simulator
from tests.kerneltext import kernel
from tests.passes.test_fake_kernel import EXACT, STEPS, network

Array = np.ndarray[Any, Any]

#: Decays and thresholds that no integer is: every step rounds.
ROUNDED = {
    "soft": kernel("u = v * 0.9137 + x\ns = u >= th\nv' = u - s * th", th=0.313),
    "hard": kernel("u = v + (x - v) / 3.0\ns = u > th\nv' = (1.0 - s) * u", th=0.1371),
    "cuba": kernel(
        "i1 = i * 0.71 + x\nu = v * 0.83 + i1\ns = u >= th\nv' = u - s * th\ni' = i1", th=0.913
    ),
    "adaptive": kernel(
        "u = v * 0.9 + x\nb = th + a\ns = u >= b\nv' = u - s * th\na' = a * 0.8 + s * 0.3", th=0.41
    ),
    "graded": kernel("u = v * 0.77 + x\ns = u >= th\no = s * u\nv' = u - s * th", "o", th=0.5),
}  # fmt: skip


def switched(graph: Graph, real: tuple[str, ...]) -> tuple[Array, Array]:
    """What integers mean, and the network with parts in real numbers, on the same inputs."""
    ctx = Context()
    program = run_passes(graph, integer_pipeline(bits=4), ctx)
    assert ctx.fake_quantized is not None
    twin = ctx.fake_quantized.copy()
    node = twin["n"]
    body = ctx.neurons["n"].kernel(real)
    assert body is not None
    assert isinstance(node.op, Neuron)
    assert body.outputs == ctx.neurons["n"].lowered.kernel.outputs
    twin.replace(replace(node, op=Neuron(body, node.op.shape)))
    x = np.random.default_rng(5).integers(0, 2, (30, STEPS, 20)).astype(np.int64)
    have = simulator(program).run({"x": x}, STEPS)[0]["y"]
    found = FloatSimulator(twin).run(x.astype(float))[0]["y"]
    return have, found


@pytest.mark.parametrize("name", [*EXACT, *ROUNDED])
def test_with_nothing_switched_it_is_the_integers(name: str) -> None:
    have, found = switched(network((EXACT | ROUNDED)[name]), ())
    nonzero = have != 0
    assert nonzero.any()
    assert (nonzero == (found != 0)).all()
    ratio = (found / np.where(nonzero, have, 1)).reshape(-1, 12).T
    for row, seen in zip(ratio, nonzero.reshape(-1, 12).T, strict=True):
        if seen.any():  # one unit per row
            assert np.ptp(row[seen]) <= 1e-12 * abs(row[seen]).max()


@pytest.mark.parametrize("name", ["soft", "hard", "cuba", "adaptive"])
def test_with_all_switched_it_is_the_model_with_these_weights(name: str) -> None:
    graph = network(ROUNDED[name])
    ctx = Context()
    run_passes(graph, integer_pipeline(bits=4), ctx)
    assert ctx.fake_quantized is not None
    both = [ctx.fake_quantized.copy() for _ in range(2)]
    body = ctx.neurons["n"].kernel(PARTS)
    assert body is not None
    for model, own in zip(both, (body, ROUNDED[name]), strict=True):
        model.replace(replace(model["n"], op=Neuron(own, (12,))))
    x = np.random.default_rng(5).integers(0, 2, (30, STEPS, 20)).astype(float)
    found, want = (FloatSimulator(m).run(x)[0]["y"] for m in both)
    assert np.array_equal(found != 0, want != 0)


def test_each_switch_changes_what_it_names() -> None:
    graph = network(ROUNDED["soft"])
    ctx = Context()
    run_passes(graph, integer_pipeline(bits=4), ctx)
    plain = ctx.neurons["n"].kernel(())
    assert plain is not None
    consts = {c.name: c.values.data for c in plain.consts}
    decay = ctx.neurons["n"].kernel((DECAYS,))
    assert decay is not None
    assert any(np.all(c.values.data == 0.9137 * 2**16) for c in decay.consts)
    assert not any(np.all(c.values.data == 0.9137 * 2**16) for c in plain.consts)
    assert consts["a"] == round(0.9137 * 2**16)
    threshold = ctx.neurons["n"].kernel((THRESHOLDS,))
    assert threshold is not None
    theta = {c.name: c.values.data for c in threshold.consts}["theta"]
    assert (np.ceil(theta) == consts["theta"]).all()
    assert (theta != consts["theta"]).any()
    assert "floor" in {line.fn for line in plain.body}
    real = ctx.neurons["n"].kernel((ROUNDING,))
    assert real is not None
    assert "floor" not in {line.fn for line in real.body}
