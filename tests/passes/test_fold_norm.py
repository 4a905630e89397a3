import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.op import Op
from snnc.ops import (
    BatchNorm,
    Conv2d,
    Input,
    Linear,
    Output,
    Pointwise,
    Reshape,
    TimeSum,
    Transpose,
)
from snnc.passes import Context, FoldNorm, run_passes
from snnc.types import TensorType
from tests.realgraphs import param, residual_conv


def test_folds_into_the_weights_and_across_the_residual() -> None:
    before = residual_conv()
    ctx = Context()
    after = run_passes(before, [FoldNorm()], ctx)
    assert not any(isinstance(n.op, BatchNorm) for n in after)
    assert str(after["conv1"].loc) == "conv1+bn1"
    x = np.random.default_rng(0).integers(0, 2, (3, 8, 2, 8, 8))
    a, b = FloatSimulator(before).run(x)[0], FloatSimulator(after).run(x)[0]
    np.testing.assert_allclose(a["out"], b["out"], rtol=1e-9)


def norm_of_shared_conv() -> Graph:
    g = Graph("g")
    g.add("x", Input(TensorType((2, 4, 4))))
    g.add("conv", Conv2d(param(np.ones((3, 2, 3, 3)))), "x")
    g.add("bn", BatchNorm(param([0, 1, 2]), param([1, 1, 4]), None, None, 0.0), "conv")
    for name in ("conv", "bn"):
        g.add(f"sum.{name}", TimeSum(), name)
        g.add(f"out.{name}", Output(), f"sum.{name}")
    return g


def test_says_why_it_did_not_fold() -> None:
    ctx = Context()
    after = run_passes(norm_of_shared_conv(), [FoldNorm()], ctx)
    assert "its input has other users" in str(ctx.diagnostics[0])
    x = np.random.default_rng(0).random((2, 3, 2, 4, 4))
    a = FloatSimulator(norm_of_shared_conv()).run(x)[0]
    b = FloatSimulator(after).run(x)[0]
    for name in a:
        np.testing.assert_allclose(a[name], b[name])


def test_negative_variance_is_refused() -> None:
    g = Graph("g")
    g.add("x", Input(TensorType((1, 2, 2))))
    g.add("bn", BatchNorm(param([0]), param([-1])), "x")
    g.add("sum", TimeSum(), "bn")
    g.add("out", Output(), "sum")
    with pytest.raises(CompileError, match="E302"):
        run_passes(g, [FoldNorm()])


def behind(*moves: Op, channels: int) -> Graph:
    """Tokens (5, 4) -> linear to 6 features -> moves -> a BatchNorm over axis 0."""
    rng = np.random.default_rng(1)
    g = Graph("moved")
    g.add("x", Input(TensorType((5, 4))))
    g.add("fc", Linear(param(rng.random((6, 4))), param(rng.random(6))), "x")
    value = "fc"
    for i, op in enumerate(moves):
        value = g.add(f"move{i}", op, value).name
    mean, var = (param(rng.random(channels) + 0.5) for _ in range(2))
    g.add("bn", BatchNorm(mean, var, param(rng.random(channels)), mean, 0.0), value)
    g.add("sum", TimeSum(), "bn")
    g.add("out", Output(), "sum")
    return g


@pytest.mark.parametrize(
    ("moves", "channels", "folds"),
    [
        ((Transpose((1, 0)),), 6, True),
        ((Transpose((1, 0)), Reshape((6, 5, 1))), 6, True),
        ((Reshape((5, 1, 6)), Transpose((2, 0, 1))), 6, True),
        ((), 5, False),  # its channels are tokens
        ((Reshape((6, 5)),), 6, False),  # neither features nor tokens
        ((Reshape((30,)),), 30, False),
    ],
)
def test_folds_through_what_only_moves_elements(
    moves: tuple[Op, ...], channels: int, folds: bool
) -> None:
    before = behind(*moves, channels=channels)
    after = run_passes(before, [FoldNorm()])
    assert any(isinstance(n.op, Pointwise) for n in after) != folds
    x = np.random.default_rng(0).random((2, 3, 5, 4))
    a, b = FloatSimulator(before).run(x)[0], FloatSimulator(after).run(x)[0]
    np.testing.assert_allclose(a["out"], b["out"], rtol=1e-6)
