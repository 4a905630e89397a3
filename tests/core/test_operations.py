"""Operations are counted as defined, and energies come with their sources."""

from __future__ import annotations

import numpy as np
import pytest

from snnc.backends.numpy.execution import OPERATORS
from snnc.energy import digital, figures, loihi, quantized_ann, verdict
from snnc.fan_out import FAN_OUT, fan_out
from snnc.graph import Graph
from snnc.intops import IntInput, IntLinear, IntNeuron, IntOutput, IntTimeSum
from snnc.kernel import Const, Kernel, Line, State
from snnc.operations import Counts, count
from snnc.params import Param
from snnc.types import Clock
from tests.intgraphs import has_steps, proven, random_inputs, simulator
from tests.randomgraphs import random_graph


def integers(*values: object) -> Param:
    return Param(np.array(values[0] if len(values) == 1 else values, np.int32))


def network() -> Graph:
    """Two weights of six are zero; a neuron fires when its sum passes 2, and starts anew."""
    kernel = Kernel(
        ("i",),
        (State("v", "rest", integers(0)),),
        (Const("theta", integers(2)), Const("zero", integers(0))),
        (
            Line("v1", "add", ("v", "i")),
            Line("s", "gt", ("v1", "theta")),
            Line("rest", "select", ("s", "zero", "v1")),
        ),
        ("s",),
    )
    g = Graph("net", 3)
    g.add("x", IntInput((3,), Clock.STEP, 0, 1, 1.0))
    g.add("fc", IntLinear(integers([[1, 0, 2], [0, 3, 1]])), "x")
    g.add("n", IntNeuron(kernel, (2,)), "fc")
    g.add("head", IntLinear(integers([[5, 7]])), "n")
    g.add("y", IntOutput(Param(np.array(1.0))), g.add("sum", IntTimeSum(), "head").name)
    return proven(g)


def counted(x: list[list[int]]) -> Counts:
    graph = network()
    data = {"x": np.array([x])}
    return count(graph, simulator(graph), data, len(x))


def test_by_hand() -> None:
    counts = counted([[1, 0, 0], [0, 0, 1], [0, 1, 1]])
    # sums (1, 0), (2, 1), (2, 4) make voltages (1, 0), (3, 1), (2, 5): none fires, one, the other
    first, head = counts.layers
    assert (first.events, first.effective, first.dense) == (4, 1 + 2 + 1 + 2, 18)
    assert (head.events, head.effective, head.dense) == (2, 2, 6)
    (neurons,) = counts.populations
    assert (neurons.events, neurons.elements) == (2, 6)
    # kept: (1, 0), (0, 1), (2, 0) from (0, 0)
    assert (neurons.updates, neurons.states) == (1 + 2 + 2, 6)
    assert counts.metrics == {
        "Footprint": 6 + 2 + 1 + 1 + 2,
        "ConnectionSparsity": 2 / 8,
        "ActivationSparsity": 4 / 6,
        "Effective_MACs": 0,
        "Effective_ACs": 8,
        "Dense": 24,
        "MembraneUpdates": 5,
    }
    assert counts.bit_budget == 3 * 4 * 1  # 7 has three bits and a sign
    assert counts.dense_once == 8


@pytest.mark.parametrize("seed", range(0, 40, 2))
def test_fan_out_is_what_the_layers_of_random_programs_do(seed: int) -> None:
    """Marks of events and weights, multiplied by the definition, add up to the same number."""
    graph = random_graph(seed)
    sim = simulator(graph)
    rng = np.random.default_rng(seed)
    for record in sim.nodes:
        op = graph[record["name"]].op
        if type(op) not in FAN_OUT or record["op"] == "IntDelayLinear":
            continue
        (edge,) = record["inputs"]
        shape = graph[edge["src"]].types[edge["out"]].shape
        events = (rng.random((1, *shape)) < 0.5).astype(np.int64)
        sim.exact[record["name"]] = (sim.exact[record["name"]] != 0).astype(np.int64)
        plain = {**record, "attributes": {**record["attributes"], "bias": None, "shift": 0}}
        met = OPERATORS[record["op"]](sim, plain, [events])
        nonzero, every = fan_out(op, shape, graph[record["name"]].type.shape)
        assert int(met.sum()) == int(events.reshape(-1) @ nonzero)
        assert (every >= nonzero).all()


@pytest.mark.parametrize("seed", [3, 6, 10])
def test_random_programs_are_counted(seed: int) -> None:
    graph = random_graph(seed)
    assert has_steps(graph)
    counts = count(graph, simulator(graph), random_inputs(graph, np.random.default_rng(0), 3, 5), 5)
    assert all(x.effective <= x.dense for x in counts.layers)
    assert all(p.updates <= p.states for p in counts.populations)
    assert counts.metrics["Footprint"] > 0


def test_estimates_have_sources_and_a_verdict() -> None:
    counts = counted([[1, 0, 0], [0, 0, 1], [0, 1, 1]])
    spiking, plain, chip = digital(counts), quantized_ann(counts), loihi(counts)
    for estimate in (spiking, plain, chip):
        assert estimate.nanojoules * 1000 == pytest.approx(sum(estimate.parts.values()))
        assert all(len(figures()[name].source) > 20 for name in estimate.used)
    assert plain.parts["multiplications"] == pytest.approx(8 * (0.2 + 0.1 + 1.25))
    assert spiking.parts["accumulations"] == pytest.approx(8 * (0.1 + 1.25 * 9))
    assert chip.parts["synapses"] == pytest.approx(8 * 23.6)
    assert "use fewer steps" in verdict(counts)
    silent = counted([[0, 0, 0]])
    assert digital(silent).parts["accumulations"] == 0
