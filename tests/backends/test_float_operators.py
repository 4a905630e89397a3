"""Both executions of real-valued operators, by torch and by NumPy, compute the same numbers.

Operands are quarters up to 2, or what a function takes: sums, products and divisions by powers of
two of them are exact in double precision, in whatever order, and so are compared exactly.
"""

import numpy as np
import pytest

from snnc import ops
from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.kernel import REAL_FUNCTIONS
from snnc.types import Int
from tests.opcases import CASES, OpCase, graph_of

torch = pytest.importorskip("torch")

BATCH, STEPS = 3, 2

#: They divide by roots or sums of exponentials, which each library rounds in its own way.
ROUNDED_OPERATORS = (ops.LayerNorm, ops.RMSNorm, ops.Softmax)
#: Transcendental functions, of which no library gives the nearest number every time.
ROUNDED_FUNCTIONS = frozenset(
    ("exp", "log", "log1p", "expm1", "sigmoid", "tanh", "softplus", "sin", "cos", "erf", "pow")
)
#: Operands of functions that do not take, or are not exact for, all quarters.
OPERANDS = {
    "reciprocal": ([-4.0, -0.5, 0.25, 1.0, 2.0],),
    "sqrt": ([0.0, 0.0625, 0.25, 1.0, 2.25, 4.0],),
    "log": ([0.25, 0.5, 1.0, 1.5, 2.0],),
    "log1p": ([-0.75, -0.25, 0.0, 0.5, 2.0],),
    "div": (None, [-2.0, -0.5, 0.25, 1.0, 4.0]),
    "pow": ([0.25, 0.5, 1.0, 1.5, 2.0], None),
    "wrap": (None, [0.5, 1.0, 2.0]),
    **dict.fromkeys(("and", "or", "xor"), ([0.0, 1.0], [0.0, 1.0])),
    "not": ([0.0, 1.0],),
    "where": ([0.0, 1.0], None, None),
}


def quarters(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-8, 9, shape) / 4


def arrays(case: OpCase) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = {f"x{i}": (BATCH, STEPS, *s) for i, s in enumerate(case.shapes)}
    if isinstance(case.dtype, Int):
        lo, hi = case.dtype.bounds
        return {name: rng.integers(lo, hi + 1, size) for name, size in sizes.items()}
    return {name: quarters(rng, *size) for name, size in sizes.items()}


def both(case: OpCase, x: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What torch and NumPy compute."""
    from snnc.frontends.evaluate import Evaluator

    graph = graph_of(case)
    tensors = {k: torch.from_numpy(v) for k, v in x.items()}
    a = Evaluator(graph, tensors, dtype=torch.float64).outputs["out"].numpy()
    b = FloatSimulator(graph).run(x)[0]["out"]
    assert a.dtype == b.dtype == np.float64
    assert a.shape == b.shape == (*next(iter(x.values())).shape[:2], *graph["y"].type.shape)
    assert len(np.unique(a)) > 1
    return a, b


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operators_agree(case: OpCase) -> None:
    a, b = both(case, arrays(case))
    if isinstance(case.op, ROUNDED_OPERATORS):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    else:
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("fn", REAL_FUNCTIONS)
def test_functions_agree(fn: str) -> None:
    rng = np.random.default_rng(0)
    chosen = OPERANDS.get(fn, (None,) * REAL_FUNCTIONS[fn])
    x = {
        f"x{i}": quarters(rng, BATCH, STEPS, 20) if c is None else rng.choice(c, (BATCH, STEPS, 20))
        for i, c in enumerate(chosen)
    }
    a, b = both(OpCase(ops.Pointwise(fn), ((20,),) * len(chosen)), x)
    if fn in ROUNDED_FUNCTIONS:
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=0)
    else:
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bad", [5, -1, 0.5])
def test_tokens_outside_the_table_are_refused_when_the_network_runs(bad: float) -> None:
    from snnc.frontends.evaluate import Evaluator

    case = next(c for c in CASES if isinstance(c.dtype, Int))
    graph, x = graph_of(case), arrays(case)["x0"].astype(np.float64)
    x[1, 1, 0] = bad
    with pytest.raises(CompileError, match=r"E425[\s\S]*input 'x0'"):
        FloatSimulator(graph).run(x)
    with pytest.raises(CompileError, match=r"E425[\s\S]*input 'x0'"):
        Evaluator(graph, {"x0": torch.from_numpy(x)})
