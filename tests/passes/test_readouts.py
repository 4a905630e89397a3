"""Readouts of one network, side by side: floats, integers, and C word for word."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from snnc.backends.float_sim import FloatSimulator
from snnc.graph import Graph
from snnc.ops import (
    Linear,
    Op,
    Output,
    Softmax,
    TimeLast,
    TimeMax,
    TimeMean,
    TimeStack,
    TimeSum,
)
from snnc.passes import run_passes
from snnc.passes.base import Context
from snnc.passes.pipeline import integer_pipeline
from tests.differential.test_sim_vs_c import assert_equal
from tests.intgraphs import simulator
from tests.realgraphs import lif, noise, param, projected

#: By name: what it reads (the last layer's spikes, its current, or softmax of that), and how.
READOUTS: dict[str, tuple[str, Op]] = {
    "sum": ("current", TimeSum()),
    "mean": ("current", TimeMean()),
    "last": ("current", TimeLast()),
    "max": ("current", TimeMax()),
    "count": ("spikes", TimeSum()),
    "rate": ("spikes", TimeMean()),
    "window": ("current", TimeSum(4)),
    "late_mean": ("current", TimeMean(4)),
    "late_count": ("spikes", TimeSum(4)),
    "softmax_sum": ("share", TimeSum()),
    "softmax_mean": ("share", TimeMean()),
    "sequence": ("current", TimeStack()),
    "late_sequence": ("current", TimeStack(4)),
}


def network() -> Graph:
    g, rng = projected("readouts", 3)
    hidden = lif(g, "hidden", "fc")
    g.add("current", Linear(param(noise(rng, 5, 8)), param(noise(rng, 5))), hidden)
    g.add("share", Softmax(0), "current")
    sources = {"current": "current", "share": "share", "spikes": lif(g, "last", "current")}
    for name, (source, op) in READOUTS.items():
        g.add(f"{name}.over_time", op, sources[source])
        g.add(name, Output(), f"{name}.over_time")
    return g


def test_readouts_are_those_of_the_quantized_network(tmp_path: Path) -> None:
    ctx = Context()
    program = run_passes(network(), integer_pipeline(), ctx)
    x = np.random.default_rng(0).integers(0, 2, (6, 16, 6))
    found, _ = simulator(program).run(x)
    assert ctx.fake_quantized is not None
    real = FloatSimulator(ctx.fake_quantized).run(x)[0]
    for name, value in real.items():
        op = program[name].op
        scale = op.scale.data  # type: ignore[attr-defined]
        got = found[name] * scale / (16 if op.per_step else 1)  # type: ignore[attr-defined]
        assert got.shape == value.shape
        np.testing.assert_allclose(got, value, atol=2e-3, err_msg=name)
    assert_equal(program, tmp_path, steps=16)


def test_the_definition_of_every_readout() -> None:
    """From the sequences that the same program gives."""
    program = run_passes(network(), integer_pipeline())
    x = np.random.default_rng(1).integers(0, 2, (3, 16, 6))
    found, _ = simulator(program).run(x)
    unit = {n: np.asarray(program[n].op.scale.data) for n in found}  # type: ignore[attr-defined]
    current = found["sequence"] * unit["sequence"]
    for name, expected in {
        "sum": current.sum(1),
        "mean": current.sum(1),
        "last": current[:, -1],
        "max": current.max(1),
        "window": current[:, 4:].sum(1),
        "late_sequence": current[:, 4:],
    }.items():
        np.testing.assert_allclose(found[name] * unit[name], expected, rtol=1e-4, atol=1e-4)
    assert (found["count"] >= found["late_count"]).all()
    np.testing.assert_array_equal(found["count"], found["rate"])
    share = found["softmax_sum"] * unit["softmax_sum"]
    np.testing.assert_allclose(share.sum(1), 16, atol=16 * 5 / 2**15)
