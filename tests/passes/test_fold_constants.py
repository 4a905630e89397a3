"""Rearranged parameters become parameters."""

import numpy as np

from snnc.graph import Graph
from snnc.intops import IntSoftmax
from snnc.ops import (
    Constant,
    Input,
    Linear,
    Output,
    Pointwise,
    Reshape,
    Slice,
    Softmax,
    TimeSum,
    Transpose,
)
from snnc.params import Param
from snnc.passes import run_passes
from snnc.passes.fold_constants import FoldConstants
from snnc.passes.pipeline import integer_pipeline
from snnc.types import TensorType
from tests.passes.test_hard_cases import results

TABLE = np.arange(12.0).reshape(3, 4) / 4


def scaled(*moves: object) -> Graph:
    g = Graph("g", 8)
    g.add("x", Input(TensorType((6,)), 0.0, 1.0, 1.0))
    g.add("p", Constant(Param(TABLE)))
    last = "p"
    for i, op in enumerate(moves):
        last = g.add(f"move{i}", op, last).name  # type: ignore[arg-type]
    g.add("y", Pointwise("mul"), "x", last)
    g.add("y.sum", TimeSum(), "y")
    g.add("out", Output(), "y.sum")
    return g


MOVES = (Transpose((1, 0)), Slice(0, 1, 3, 1), Reshape((6,)))


def test_moves_of_a_parameter_are_computed() -> None:
    g = run_passes(scaled(*MOVES), [FoldConstants()])
    op = g["move2"].op
    assert isinstance(op, Constant)
    np.testing.assert_array_equal(op.value.data, TABLE.T[1:3].reshape(6))
    x = np.random.default_rng(0).integers(0, 2, (5, 8, 6))
    for integers, _, real in results(scaled(*MOVES), x).values():
        np.testing.assert_allclose(integers, real, atol=8 * 2.5 / 512)  # outputs share one unit


def test_what_rounds_is_not_computed_in_floats() -> None:
    program = run_passes(scaled(Softmax(1), *MOVES), integer_pipeline())
    assert any(isinstance(n.op, IntSoftmax) for n in program)


def test_a_layer_of_zeros_is_its_bias() -> None:
    g = Graph("g", 8)
    g.add("x", Input(TensorType((3,)), 0.0, 1.0, 1.0))
    g.add("start", Constant(Param(np.zeros(4))))
    layer = Linear(Param(np.ones((3, 4))), Param(np.array([0.5, 0.25, -1.0])))
    g.add("recurrent", layer, "start")
    g.add("y", Pointwise("add"), "x", "recurrent")
    g.add("y.sum", TimeSum(), "y")
    g.add("out", Output(), "y.sum")
    op = run_passes(g, [FoldConstants()])["recurrent"].op
    assert isinstance(op, Constant)
    assert op.value.data.tolist() == [0.5, 0.25, -1.0]
    run_passes(g, integer_pipeline())
