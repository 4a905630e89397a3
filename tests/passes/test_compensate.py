"""Integers of several layers of one neuron that make up for each other's rounding."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from snnc.graph import Graph
from snnc.ops import Input, Linear
from snnc.passes import compensate
from snnc.passes.calibration import InputStatistics, JointStatistics
from snnc.passes.compensate import compensated
from snnc.passes.correct_codes import bias_shift
from snnc.passes.parts import Chosen, Part
from snnc.passes.quantized_value import Root
from snnc.passes.row_blocks import beside
from snnc.passes.row_scale import MOST_PERCENT
from snnc.types import TensorType
from tests.realgraphs import param

Floats = npt.NDArray[np.float64]
ROWS, COLUMNS = 16, 20


def part(rng: np.random.Generator, name: str, bias: bool, columns: int = COLUMNS) -> Part:
    op = Linear(param(rng.normal(size=(ROWS, columns))), param(rng.normal(size=ROWS)))
    op = op if bias else replace(op, bias=None)
    g = Graph("one", 1)
    g.add("x", Input(TensorType((columns,)), 0.0, 1.0, 1.0))
    return Part(Root(g.add(name, op, "x"), op, np.ones(columns)), np.ones(ROWS), 0, 4)


def spikes(rng: np.random.Generator, columns: int, count: int = 2000) -> Floats:
    """Of a few causes, and so of many neurons at once."""
    causes = rng.normal(size=(count, 4)) @ rng.normal(size=(4, columns))
    return (causes + 0.3 * rng.normal(size=(count, columns)) > 0.5).astype(np.float64)


def seen(parts: list[Part], inputs: list[Floats]) -> tuple[list[InputStatistics], JointStatistics]:
    pairs = list(zip(parts, inputs, strict=True))
    own = [InputStatistics(p.root.op, np.ones((1, x.shape[1]))) for p, x in pairs]
    joint = JointStatistics(own)
    for i, (s, x) in enumerate(zip(own, inputs, strict=True)):
        s.add(x)
        joint.adder(i)(x)
    return own, joint


def error(parts: list[Part], inputs: list[Floats], chosen: Chosen) -> float:
    """Mean square of what the sum of all layers is wrong by."""
    total = np.zeros((len(inputs[0]), ROWS))
    for p, x, own in zip(parts, inputs, chosen.parts, strict=True):
        total += x @ (p.rows[:] - own.codes * chosen.scales.floats[:, None]).T
        if own.bias is not None:
            assert p.root.op.bias is not None
            total += p.root.op.bias.data - own.bias
    return float(np.square(total).mean())


def test_layers_that_see_the_same_answer_for_each_other() -> None:
    rng = np.random.default_rng(0)
    parts = [part(rng, "w", True), part(rng, "r", False)]
    both = spikes(rng, 2 * COLUMNS)
    inputs = [both[:, :COLUMNS], both[:, COLUMNS:]]
    own, joint = seen(parts, inputs)
    assert joint.complete
    stacked = beside([p.rows for p in parts])
    apart, together = (compensated(parts, stacked, own, j) for j in (None, joint))
    assert error(parts, inputs, together) < 0.8 * error(parts, inputs, apart)


def test_a_bias_takes_the_mean_of_all_layers() -> None:
    rng = np.random.default_rng(1)
    parts = [part(rng, "w", True), part(rng, "r", False)]
    both = spikes(rng, 2 * COLUMNS) + 2.0  # far from zero
    inputs = [both[:, :COLUMNS], both[:, COLUMNS:]]
    own, joint = seen(parts, inputs)
    stacked = beside([p.rows for p in parts])
    plain, centred = (compensated(parts, stacked, own, joint, c) for c in (False, True))
    assert error(parts, inputs, centred) < 0.9 * error(parts, inputs, plain)
    scale = centred.scales.floats[:, None]
    lost = [
        bias_shift(p.rows[:], s.mean, c.codes * scale, s.mean)
        for p, s, c in zip(parts, own, centred.parts, strict=True)
    ]
    assert parts[0].root.op.bias is not None
    assert centred.parts[0].bias is not None
    moved = centred.parts[0].bias - parts[0].root.op.bias.data
    assert np.allclose(moved, sum(lost), rtol=0, atol=1e-9)
    assert centred.parts[1].bias is None


@pytest.mark.parametrize("bits", [3, 8])
def test_scales_are_searched_row_by_row(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    parts = [replace(part(rng, "w", False, 9), bits=bits)]
    inputs = [spikes(rng, 9)]
    own, _ = seen(parts, inputs)
    many = compensated(parts, parts[0].rows, own, None)
    assert (many.scales.percent <= MOST_PERCENT).all()
    monkeypatch.setattr(compensate, "TRIED", (0,))
    one = compensated(parts, parts[0].rows, own, None)
    assert error(parts, inputs, many) < 0.8 * error(parts, inputs, one)


def test_inputs_that_do_not_arrive_together_have_no_joint_moments() -> None:
    rng = np.random.default_rng(3)
    parts = [part(rng, "w", True), part(rng, "r", False)]
    _, joint = seen(parts, [spikes(rng, COLUMNS), spikes(rng, COLUMNS)])
    joint.adder(0)(spikes(rng, COLUMNS))  # once more than the other
    assert not joint.complete
    _, uneven = seen(parts, [spikes(rng, COLUMNS), spikes(rng, COLUMNS, 7)])
    assert not uneven.complete
    _, wide = seen(parts, [spikes(rng, COLUMNS), spikes(rng, COLUMNS) * 2.0**30])
    assert not wide.complete
