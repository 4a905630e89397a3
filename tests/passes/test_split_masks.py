"""Masks before a softmax: told from the logits, and the same weights in floats and integers."""

from __future__ import annotations

import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.intops import IntSoftmax
from snnc.ops import Input, Matmul, Output, Softmax, TimeLast, Transpose
from snnc.passes import run_passes
from snnc.passes.pipeline import integer_pipeline, real_pipeline
from snnc.passes.split_masks import constant as known
from snnc.types import TensorType
from tests.passes.test_quantize_tensors import agreement
from tests.realgraphs import constant, pointwise

N = 4
KEEP = np.tril(np.ones((N, N)))
KINDS = ["add", "finite", "other side", "bias", "where", "filled", "twice", "computed", "both"]


def masked(kind: str, keep: np.ndarray = KEEP) -> Graph:
    """A softmax of products of small integers, masked in a way that models use."""
    g = Graph(kind, 4)
    g.add("x", Input(TensorType((N, 3)), -2.0, 2.0, 1.0))
    g.add("turned", Transpose((1, 0)), "x")
    logits = g.add("logits", Matmul(), "x", "turned").name

    def plus(x: str, c: object) -> str:
        return pointwise(g, "plus.0", "add", x, constant(g, c))

    def where(cond: str, a: str, b: str) -> str:
        return pointwise(g, "where.0", "where", cond, a, b)

    lost, kept = constant(g, -1e38), pointwise(g, "not.0", "not", constant(g, keep))
    zero = pointwise(g, "eq.0", "eq", logits, constant(g, 0.0))
    value = {
        "add": lambda: plus(logits, np.where(keep, 0, -1e38)),
        "finite": lambda: plus(logits, (1 - keep) * -1e9),
        "other side": lambda: pointwise(
            g, "plus.0", "add", constant(g, (1 - keep) * -65504), logits
        ),
        "bias": lambda: plus(logits, np.where(keep, np.arange(N) / 8, -1e38)),
        "where": lambda: where(kept, lost, logits),
        "filled": lambda: where(constant(g, keep), logits, constant(g, -1e9)),
        "twice": lambda: plus(where(kept, lost, logits), np.diag([0, 0, 0, -1e9]) + np.eye(N)),
        "computed": lambda: where(zero, lost, plus(logits, 0.5)),
        "both": lambda: plus(where(zero, lost, logits), np.where(keep, 0, -1e38)),
    }[kind]()
    g.add("p", Softmax(1), value)
    g.add("last", TimeLast(), "p")
    g.add("out", Output(), "last")
    return g


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_stay(kind: str) -> None:
    x = np.random.default_rng(0).integers(-2, 3, (50, 4, N, 3)).astype(np.float64)
    before, after = masked(kind), run_passes(masked(kind), real_pipeline())
    assert len(after.in_edges("p")) == 2
    expected, _ = FloatSimulator(before).run(x)
    found, _ = FloatSimulator(after).run(x)
    counts = after_counts(after, x)
    some = counts.any(-1)  # of rows without any, the model's weights mean nothing
    np.testing.assert_allclose(found["out"][some], expected["out"][some], atol=1e-12)
    assert (found["out"][~counts] == 0).all()


def after_counts(graph: Graph, x: np.ndarray) -> np.ndarray:
    """Which elements count at the last step."""
    g = graph.copy()
    keep = g.in_edges("p")[1]
    if (value := known(g, keep.src)) is not None:
        return np.broadcast_to(value != 0, (len(x), N, N))
    g.add("kept", TimeLast(), keep.src)
    g.add("counts", Output(), "kept")
    return np.asarray(FloatSimulator(g).run(x)[0]["counts"] != 0)


@pytest.mark.parametrize("kind", KINDS)
def test_integers(kind: str) -> None:
    assert agreement(masked(kind), steps=4)[1]["out"] < 5e-3
    program = run_passes(masked(kind), integer_pipeline())
    (op,) = (n.op for n in program if isinstance(n.op, IntSoftmax))
    assert (op.mask is None) == (kind in ("computed", "both"))


def test_small_numbers_are_no_mask() -> None:
    g = masked("add", np.ones((N, N)))
    after = run_passes(g, real_pipeline())
    assert len(after.in_edges("p")) == 1


@pytest.mark.parametrize("kind", ["add", "where", "twice"])
def test_a_row_of_which_nothing_counts(kind: str) -> None:
    keep = KEEP.copy()
    keep[2] = 0
    with pytest.raises(CompileError, match="E315"):
        run_passes(masked(kind, keep), real_pipeline())


def test_a_mask_with_more_axes_than_the_logits_stays() -> None:
    g = Graph("wider", 4)
    g.add("x", Input(TensorType((3,)), -2.0, 2.0, 1.0))
    wide = pointwise(g, "plus.0", "add", "x", constant(g, np.where(np.eye(3), 0, -1e38)))
    g.add("p", Softmax(1), wide)
    g.add("last", TimeLast(), "p")
    g.add("out", Output(), "last")
    after = run_passes(g, real_pipeline())
    assert len(after.in_edges("p")) == 1
