from dataclasses import replace

import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.ops import Conv2d, Input, Linear
from snnc.passes import RaiseNeurons, run_passes
from snnc.passes.calibration import Calibration, InputStatistics, ancestors, statistics
from snnc.passes.weight_rows import rows_first
from snnc.types import TensorType
from tests.realgraphs import counted, lif, mlp, param, recurrent, residual_conv


def test_sums_are_those_of_all_inputs() -> None:
    rng = np.random.default_rng(0)
    counts = InputStatistics(Linear(param(np.zeros((3, 5)))), np.full((1, 5), 0.25))
    steps = [rng.integers(0, 4, (7, 5)) for _ in range(6)]
    for n in steps:
        counts.add(n * 0.25)
    rows = np.concatenate(steps)
    assert counts.count == 42
    assert np.array_equal(counts.hessian[0], rows.T @ rows / 42)
    assert np.array_equal(counts.mean[0], rows.sum(0) / 42)


@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_see_their_windows(groups: int) -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(size=(4, 4 // groups, 3, 3))
    op = Conv2d(param(w), None, (2, 1), (1, 0), (1, 2), groups)
    counts = statistics(op, np.ones((4, 1, 1, 1)), rows_first(op).shape)
    assert counts is not None
    x = rng.integers(0, 2, (3, 4, 7, 9))
    counts.add(x)
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (0, 0)])
    windows = [
        padded[i, :, r : r + 3, c : c + 5 : 2].reshape(groups, -1)
        for i in range(3)
        for r in range(0, 7, 2)
        for c in range(5)
    ]
    for g in range(groups):
        rows = np.array([w[g] for w in windows])
        assert np.array_equal(counts.hessian[g], rows.T @ rows / len(rows))


def test_large_numbers_are_added_exactly_in_any_order() -> None:
    rng = np.random.default_rng(0)
    op = Linear(param(np.zeros((2, 9))))
    x = rng.integers(-(1 << 33), 1 << 33, (512, 9)).astype(np.float64)
    both = []
    for rows in (x, x[::-1]):
        counts = InputStatistics(op, np.ones((1, 9)))
        counts.add(rows)
        both.append(counts.hessian)
    assert np.array_equal(*both)
    assert np.allclose(both[0][0], x.T @ x / 512, rtol=1e-4, atol=1e14)


def test_only_what_a_layer_depends_on_runs() -> None:
    part = ancestors(mlp(), {"fc1": None})
    assert "fc1" in part
    assert "lif0.spike" in part
    assert "lif1.spike" not in part
    assert "out" not in part
    assert "lif.spike" in ancestors(recurrent(), {"fc": None, "loop": None})


def test_a_layer_is_watched_at_every_step() -> None:
    g = Graph("delayed", 4)
    g.add("x", Input(TensorType((2,)), 0.0, 1.0, 1.0))
    g.add("fc", Linear(param(np.eye(2) * 2)), lif(g, "lif", "x"))
    counted(g, "fc")
    data = Calibration({"x": np.ones((300, 4, 2))})
    seen: list[float] = []
    data.watched(g, {"fc": lambda x: seen.append(float(x.sum()))})
    assert sum(seen) == 256 * 4 * 2
    assert data.used


def test_samples_are_taken_at_equal_distances() -> None:
    data = Calibration({"x": np.arange(1024.0)[:, None]})
    assert not data.used
    batches = [batch["x"][:, 0] for batch in data.batches(mlp())]
    assert np.array_equal(np.concatenate(batches), np.arange(256) * 4)


def test_a_wrong_number_of_steps_is_refused() -> None:
    from snnc.ops import StepTable

    g = Graph("table", 3)
    g.add("x", Input(TensorType((2,)), 0.0, 1.0, 1.0))
    g.add("gain", StepTable(param(np.ones((3, 2)))))
    data = Calibration({"x": np.ones((1, 4, 2))})
    with pytest.raises(CompileError, match="calibration data do not fit") as e:
        data.outputs(g)
    assert e.value.diagnostics[0].code == "E421"


def raised(graph: Graph) -> Graph:
    """The same with neurons, whose words can be recorded."""
    return run_passes(graph, [RaiseNeurons()])


@pytest.mark.parametrize(
    ("graph", "layer"),
    [
        (mlp(), "fc1"),  # state in delayed edges
        (raised(mlp()), "fc0"),
        (raised(residual_conv()), "conv2"),  # what it is added to is recorded before it
        (raised(recurrent()), "loop"),  # reads what depends on it
    ],
)
def test_variants_of_a_layer_give_what_each_network_gives(graph: Graph, layer: str) -> None:
    node, graphs = graph[layer], [graph]
    assert isinstance(node.op, Linear | Conv2d)
    for scale in (0.5, 1.5):
        other = graph.copy()
        other.replace(replace(node, op=replace(node.op, weight=param(node.op.weight.data * scale))))
        graphs.append(other)
    source = next(n for n in graph.nodes if isinstance(n.op, Input))
    x = np.random.default_rng(0).random((70, graph.steps, *source.type.shape)) * 2
    data = Calibration({source.name: x})
    # words of what comes before the layer are not there: only what depends on it runs again
    words = tuple(w for w in FloatSimulator(graph).words() if w.endswith(".spike"))[-1:]
    alone = [data.outputs(g, words) for g in graphs]
    together = list(data.variants(graphs, [layer], words))
    assert len(together) == len(alone[0]) > 1
    for i, found in enumerate(alone):
        for want, have in zip(found, together, strict=True):
            assert have[i].keys() == want.keys()
            assert all(np.array_equal(want[k], have[i][k]) for k in want)
    assert any(not np.array_equal(a[k], b[k]) for a, b in zip(*alone[:2], strict=True) for k in a)
