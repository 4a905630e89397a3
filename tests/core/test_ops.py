"""Shapes, ranges and refusals of the real-valued operators, and their way through storage."""

import numpy as np
import pytest

from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.ops import (
    OPS,
    ArgMax,
    Concat,
    ConvTranspose2d,
    Embedding,
    Expand,
    Input,
    LayerNorm,
    Matmul,
    Op,
    Output,
    Reduce,
    Slice,
    Softmax,
    Take,
    TimeStack,
    Transpose,
    Upsample,
)
from snnc.params import Param
from snnc.storage import dump_graph, load_graph
from snnc.types import FLOAT32, SPIKE, DType, Int, TensorType
from tests.opcases import CASES, OpCase, graph_of


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operators_survive_storage(case: OpCase) -> None:
    graph = graph_of(case)
    again = load_graph(*dump_graph(graph))
    assert str(again) == str(graph)
    assert dump_graph(again) == dump_graph(graph)


def test_every_operator_without_state_or_clock_has_a_case() -> None:
    elsewhere = {"Input", "Output", "Constant", "Neuron"}
    modules = ("snnc.time_ops", "snnc.delay_ops", "snnc.code_ops")
    timed = {name for name, op in OPS.items() if op.__module__ in modules}
    assert {type(c.op).__name__ for c in CASES} == set(OPS) - elsewhere - timed


WRONG: list[tuple[Op, tuple[tuple[int, ...], ...], str]] = [
    (Transpose((0, 0)), ((2, 3),), "no order of the axes"),
    (Slice(1, 2, 2), ((2, 3),), "of axis 1"),
    (Slice(2, 0, 1), ((2, 3),), "axis 2"),
    (Concat(0), ((2, 3), (2, 4)), "cannot join"),
    (Expand((2, 4)), ((2, 3),), "do not broadcast"),
    (Expand((3,)), ((2, 3),), "cannot expand"),
    (Take(0, Param(np.array([0, 5]))), ((3,),), "indices 0 to 5"),
    (Take(0, Param(np.array([0.5]))), ((3,),), "list of integers"),
    (Reduce("median", (0,)), ((3,),), "none of sum, mean"),
    (Reduce("sum", (1, 0)), ((3, 2),), "ascending"),
    (ArgMax(1), ((3,),), "axis 1"),
    (Matmul(), ((2, 3), (2, 3)), "cannot multiply"),
    (Softmax(-1), ((3,),), "axis -1"),
    (LayerNorm(1, Param(np.ones(2, np.float32))), ((3,),), "for features"),
    (LayerNorm(2), ((3,),), "normalizes 2 axes"),
    (Upsample((2, 2)), ((3,),), "factor"),
    (ConvTranspose2d(Param(np.ones((2, 1, 3, 3)))), ((3, 4, 4),), "does not fit input"),
    (Embedding(Param(np.ones((4, 2), np.float32))), ((),), "needs token numbers"),
]


@pytest.mark.parametrize(("op", "shapes", "why"), WRONG, ids=lambda x: getattr(x, "fn", None))
def test_operators_refuse_operands_that_do_not_fit(
    op: Op, shapes: tuple[tuple[int, ...], ...], why: str
) -> None:
    graph = Graph("g")
    names = [graph.add(f"x{i}", Input(TensorType(s))).name for i, s in enumerate(shapes)]
    with pytest.raises(CompileError, match=rf"E202[\s\S]*{why}"):
        graph.add("y", op, *names)


@pytest.mark.parametrize(
    ("op", "dtype", "expected"),
    [
        (Take(0, Param(np.array([1, 1]))), SPIKE, SPIKE),
        (Concat(0), SPIKE, SPIKE),
        (Reduce("max", (0,)), SPIKE, SPIKE),
        (Reduce("sum", (0,)), SPIKE, Int(0, 3)),
        (Reduce("sum", (0,)), Int(-2, 5), Int(-6, 15)),
        (Reduce("prod", (0,)), SPIKE, SPIKE),
        (Reduce("mean", (0,)), SPIKE, FLOAT32),
        (ArgMax(0), FLOAT32, Int(0, 2)),
    ],
)
def test_ranges_follow_from_the_operator(op: Op, dtype: DType, expected: DType) -> None:
    assert op.infer((TensorType((3,), dtype),))[0].dtype == expected


def test_tokens_beyond_the_table_do_not_fit() -> None:
    with pytest.raises(ValueError, match="0 to 9 for a table of 4 rows"):
        Embedding(Param(np.ones((4, 2)))).infer((TensorType((), Int(0, 9)),))


def test_an_output_follows_tokens() -> None:
    g = Graph("g")
    g.add("token", Input(TensorType((), Int(0, 3)), 0.0, 3.0, 1.0))
    g.add("embed", Embedding(Param(np.arange(8, dtype=np.float32).reshape(4, 2))), "token")
    g.add("stack", TimeStack(), "embed")
    g.add("out", Output(), "stack")
    assert str(load_graph(*dump_graph(g))) == str(g)
