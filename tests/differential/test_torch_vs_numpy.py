"""Both executions of real-valued operators, by torch and by NumPy, agree."""

import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.types import Int
from tests.opcases import CASES, OpCase, graph_of

torch = pytest.importorskip("torch")

BATCH, STEPS = 3, 2


def arrays(case: OpCase) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    if isinstance(case.dtype, Int):
        lo, hi = case.dtype.bounds
        return {
            f"x{i}": rng.integers(lo, hi + 1, (BATCH, STEPS, *s)) for i, s in enumerate(case.shapes)
        }
    return {f"x{i}": rng.normal(size=(BATCH, STEPS, *s)) for i, s in enumerate(case.shapes)}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operators_agree(case: OpCase) -> None:
    from snnc.frontends.evaluate import Evaluator

    graph, x = graph_of(case), arrays(case)
    tensors = {k: torch.from_numpy(v) for k, v in x.items()}
    a = Evaluator(graph, tensors, dtype=torch.float64).outputs["out"].numpy()
    b = FloatSimulator(graph).run(x)[0]["out"]
    assert a.shape == b.shape == (BATCH, STEPS, *graph["y"].type.shape)
    assert len(np.unique(a)) > 1
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


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
