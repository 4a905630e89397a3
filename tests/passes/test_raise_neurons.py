import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import Loc
from snnc.graph import Edge, Graph
from snnc.ops import Input, Linear, Neuron, Output, Pointwise, Sum, TimeLast, TimeSum
from snnc.passes import RaiseNeurons, run_passes
from snnc.passes.pipeline import real_pipeline
from snnc.types import TensorType
from tests.realgraphs import constant, lif, mlp, param, pointwise, residual_conv


def neurons(graph: Graph) -> list[str]:
    return [n.name for n in graph if isinstance(n.op, Neuron)]


def same_outputs(before: Graph, after: Graph, x: np.ndarray) -> None:
    a, _ = FloatSimulator(before).run(x)
    b, _ = FloatSimulator(after).run(x)
    np.testing.assert_allclose(a["out"], b["out"], rtol=1e-12)
    assert a["out"].any()


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_one_neuron_per_state_loop(reset: str) -> None:
    before = mlp(reset=reset)
    after = run_passes(before, [RaiseNeurons()])
    assert neurons(after) == ["lif0", "lif1"]
    assert not any(isinstance(n.op, Pointwise) for n in after)
    same_outputs(before, after, np.random.default_rng(0).random((6, 16, 12)))


def test_kernel_shows_the_users_program() -> None:
    kernel = run_passes(mlp(), [RaiseNeurons()])["lif0"].op.kernel
    assert kernel.text == (
        "t0 = c * v",
        "t1 = t0 + x",
        "s0 = t1 >= c_2",
        "t2 = s0 * c_2",
        "t3 = t1 - t2",
        "v' = t3",
    )


def test_residual_stays_between_the_neurons_it_joins() -> None:
    before = residual_conv()
    after = run_passes(before, real_pipeline())
    assert neurons(after) == ["lif1", "lif2"]
    assert len(after["lif2"].op.kernel.inputs) == 2
    same_outputs(before, after, np.random.default_rng(0).integers(0, 2, (4, 8, 2, 8, 8)))


def test_adding_spikes_of_two_layers_is_a_sum() -> None:
    g = Graph("sew")
    g.add("x", Input(TensorType((4,))))
    s1 = lif(g, "lif1", "x")
    g.add("fc", Linear(param(np.eye(4))), s1)
    s2 = lif(g, "lif2", "fc")
    added = pointwise(g, "sew.add", "add", s1, s2)
    g.add("sum", TimeSum(), added)
    g.add("out", Output(), "sum")
    after = run_passes(g, [RaiseNeurons()])
    assert neurons(after) == ["lif1", "lif2"]
    assert isinstance(after["sew.add"].op, Sum)


def test_synaptic_current_and_membrane_are_one_neuron() -> None:
    g = Graph("synaptic")
    g.add("x", Input(TensorType((4,))))
    shape = TensorType((4,))
    alpha, one = constant(g, 0.8), constant(g, 1.0)
    g.declare("syn.leak", Pointwise("mul"), (shape,), Loc("syn"))
    current = pointwise(g, "syn.add", "add", "syn.leak", "x")
    g.connect(Edge(alpha, "syn.leak", 0))
    g.connect(Edge(current, "syn.leak", 1, delay=1))
    s = lif(g, "syn", current)
    g.add("sum", TimeSum(), s)
    g.add("out", Output(), "sum")
    after = run_passes(g, [RaiseNeurons()])
    assert len(neurons(after)) == 1
    assert len(after[neurons(after)[0]].op.kernel.states) == 2
    assert one in g
    same_outputs(g, after, np.random.default_rng(0).random((5, 9, 4)))


def test_running_sum_becomes_a_time_sum() -> None:
    g = Graph("count")
    g.add("x", Input(TensorType((3,))))
    g.declare("acc", Pointwise("add"), (TensorType((3,)),), Loc("acc"))
    g.connect(Edge("acc", "acc", 0, delay=1, init=param(0.0)))
    g.connect(Edge("x", "acc", 1))
    g.add("last", TimeLast(), "acc")
    g.add("out", Output(), "last")
    after = run_passes(g, [RaiseNeurons()])
    assert isinstance(after["last"].op, TimeSum)
    assert not neurons(after)
