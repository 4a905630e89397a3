"""Networks on stock Lava processes: the plan computes the program, or says why it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.lava.stock.backend import StockBackend
from snnc.backends.lava.stock.legalise import legalise
from snnc.backends.lava.stock.maps import MAPS, is_linear
from snnc.backends.lava.stock.matrix import Matrix
from snnc.backends.lava.stock.neurons import NotStockError
from snnc.backends.lava.stock.plan import StockPlan
from snnc.backends.lava.stock.sums import Sums
from snnc.backends.lava.stock.weights import EXPONENTS, legal
from snnc.backends.numpy.execution import OPERATORS
from snnc.diagnostics import CompileError
from snnc.graph import Edge, Graph, Value
from snnc.intops import (
    IntInput,
    IntLinear,
    IntMaxPool,
    IntNeuron,
    IntOutput,
    IntReplay,
    IntReshape,
    IntSum,
    IntTimeSum,
)
from snnc.params import Param
from snnc.types import Clock
from tests.intgraphs import proven, random_inputs, simulator
from tests.lavagraphs import GRAPHS
from tests.netfiles import Layer, cuba, dense, program, read, write_net
from tests.randomgraphs import random_graph
from tests.stockgraphs import ONE, emulated, lif, random_network, weights

#: Feedback after fewer steps than its loop has connections, of which each takes Lava a step.
FAST_FEEDBACK = "E512"


def planned(graph: Graph) -> StockPlan | None:
    """The plan; None if chance made feedback that is too fast, or sums of more than 24 bits."""
    try:
        return legalise(graph)
    except CompileError as e:
        if {d.code for d in e.diagnostics} != {FAST_FEEDBACK} and "leaves 24 bits" not in str(e):
            raise
        return None


def agrees(seed: int) -> bool:
    """Whether there was a plan, which then gave the program's integers for several samples."""
    try:
        graph = random_network(seed)
    except CompileError as e:
        assert "cannot bound" in str(e)  # noqa: PT017
        return False
    if (plan := planned(graph)) is None:
        return False
    x = random_inputs(graph, np.random.default_rng(seed), 4, 1 + seed % 9)["x"]
    want, _ = simulator(graph).run(x)
    got = emulated(plan, x)
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], err_msg=f"{seed}: {name}")
    return True


def test_random_networks() -> None:
    assert sum(agrees(seed) for seed in range(10)) >= 6


@pytest.mark.slow
def test_many_random_networks() -> None:
    assert sum(agrees(seed) for seed in range(10, 1500)) >= 1000


@pytest.mark.parametrize("seed", range(10))
def test_weights_are_kept(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = rng.integers(-(2 ** rng.integers(1, 15)), 2 ** rng.integers(1, 15), (5, 7))
    matrix = Matrix.from_dense(data << rng.integers(0, 3))
    parts = legal(matrix)
    total = np.zeros(matrix.shape)
    for part in parts:
        entries = part.matrix.values
        assert not (entries % 2).any()
        assert entries.min() >= -256
        assert entries.max() <= 254
        assert part.exponent in EXPONENTS
        total += part.matrix.dense() * 2.0**part.exponent
    assert np.array_equal(total, matrix.dense())


def test_too_large_weights_are_refused() -> None:
    with pytest.raises(NotStockError, match="more than 16 bits"):
        legal(Matrix.from_dense(np.array([[1 << 20, 12345]])))


def test_linear_operators_are_their_matrices() -> None:
    """Every linear operator of random programs, as the definition computes it."""
    seen: set[str] = set()
    for seed in range(40):
        graph = random_graph(seed)
        sim = simulator(graph)
        for record in sim.nodes:
            name, op = record["name"], record["op"]
            if op not in OPERATORS or type(graph[name].op) not in MAPS:
                continue
            if any(e.delay for e in graph.in_edges(name)) or not is_linear(graph[name].op):
                continue
            found = Sums(graph, lambda other, own=name: other != own).of(name)
            rng = np.random.default_rng(seed)
            x = {
                (r.node, r.out): rng.integers(-9, 9, graph[r.node].types[r.out].shape)
                for r in found.parts
            }
            if name in {node for node, _ in x}:
                continue  # after the steps: the host's
            got = found.const.copy()
            for root, matrix in found.parts.items():
                got += matrix.dense() @ x[root.node, root.out].reshape(-1)
            operands = [x[e["src"], e["out"]][None] for e in record["inputs"]]
            want = OPERATORS[op](sim, record, operands)
            np.testing.assert_array_equal(got, want.reshape(-1), err_msg=f"{seed} {name}")
            seen.add(op)
    assert seen >= {"IntLinear", "IntConv", "IntSumPool", "IntConcat", "IntSlice", "IntTranspose"}
    assert seen >= {"IntUpsample", "IntPad", "IntExpand", "IntReduce", "IntReshape", "IntSum"}


def net(*layers: Layer, options: str = "") -> Callable[[Path], Graph]:
    """A network of lava-dl, which says by itself what the chip shall compute."""
    return lambda folder: program(read(write_net(folder / "a.net", *layers), options).graph, 64)


WEIGHT = 2 * np.arange(-6, 6).reshape(3, 4)
REFUSED: dict[str, tuple[Callable[[Path], Graph], str, str]] = {
    "at the threshold": (
        net(dense(WEIGHT, cuba(4096, 100, 6)), options="compare=ge"),
        "fires at 384 already, LIF above multiples of 64 only",
        "a comparison with >",
    ),
    "refractory": (
        net(dense(WEIGHT, cuba(4096, 100, 6, refDelay=3))),
        "no stock Lava process computes layer0.neuron",
        "--lava-mode custom",
    ),
    "many kinds": (
        net(dense(np.ones((20, 4)), cuba(4096, np.arange(20) * 100, 6))),
        "its neurons have 20 kinds of decays and thresholds",
        "16 kinds",
    ),
    "weights of 17 bits": (
        net(dense(np.full((2, 4), 40001), cuba(4096, 100, 60000)), options="input_lo=0,input_hi=1"),
        "a weight of 40001 needs more than 16 bits",
        "smaller weights",
    ),
}


def test_a_long_delay_is_refused() -> None:
    rng = np.random.default_rng(0)
    g = Graph("late", 5)
    g.add("x", IntInput((4,), Clock.STEP, 0, 1, 1.0))
    g.add("fc", IntLinear(weights(rng, 4, 4)), Value("x", 0, 90))
    g.add("n", IntNeuron(lif(rng, 4, current=False), (4,)), "fc")
    g.add("y", IntOutput(ONE), g.add("count", IntTimeSum(), "n").name)
    (problem,) = StockBackend().check(proven(g))
    assert problem.code == "E511"
    assert "a delay of 89 steps" in problem.message
    assert "delays of up to 62 steps" in str(problem.help)


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_why_and_what_instead(name: str, tmp_path: Path) -> None:
    make, why, nearest = REFUSED[name]
    (problem,) = (d for d in StockBackend().check(make(tmp_path)) if d.code[0] == "E")
    assert problem.code == "E511"
    assert why in problem.message
    assert nearest in str(problem.help)


def test_a_loop_must_wait_a_step_per_connection(tmp_path: Path) -> None:
    """Spikes, their maximum over a window, and back after one step: two connections."""
    rng = np.random.default_rng(0)
    g = Graph("tight", 5)
    g.add("x", IntInput((4,), Clock.STEP, 0, 1, 1.0))
    g.add("fc", IntLinear(weights(rng, 4, 4)), "x")
    g.add("sum", IntSum(), "fc")
    g.add("n", IntNeuron(lif(rng, 4, current=False), (4,)), "sum")
    g.add("image", IntReshape((1, 2, 2)), Value("n", 0, 1))
    g.add("max", IntMaxPool((2, 2), (2, 2), (0, 0)), "image")
    g.add("one", IntReshape((1,)), "max")
    g.add("back", IntLinear(weights(rng, 4, 1)), "one")
    g.connect(Edge("back", "sum", 1))
    g.add("y", IntOutput(ONE), g.add("count", IntTimeSum(), "n").name)
    (problem,) = StockBackend().check(proven(g))
    assert problem.code == "E512"
    assert "a loop through 2 connection(s) waits fewer than 2 step(s)" in problem.message
    assert "max" in problem.notes[0]


def test_names_of_processes_differ_whatever_the_layers_are_called() -> None:
    rng = np.random.default_rng(5)
    g = Graph("names", 6)
    g.add("x", IntInput((8,), Clock.STEP, 0, 1, 1.0))
    last = "x"
    for name in ("n", "n group 0", "line 0 of n", "head (sum)", "x -> n (0)", "n'\nimport os"):
        fc = g.add(f"{name} fc", IntLinear(weights(rng, 8, 8)), Value(last, 0, 1)).name
        kernel = lif(rng, 8, current=False)
        theta = Param(64 * (1 + np.arange(8) // 3))
        consts = tuple(replace(c, values=theta) if c.name == "theta" else c for c in kernel.consts)
        last = g.add(name, IntNeuron(replace(kernel, consts=consts), (8,)), fc).name
    g.add("head", IntLinear(weights(rng, 2, 8)), last)
    g.add("y", IntOutput(ONE), g.add("sum", IntTimeSum(), "head").name)
    graph = proven(g)
    plan = legalise(graph)
    parts = (*plan.sources, *plan.populations, *plan.lines, *plan.connections)
    names = [part.name for part in parts]
    assert len(set(names)) == len(names) > 60
    x = rng.integers(0, 2, (3, 7, 8))
    want, _ = simulator(graph).run(x)
    assert np.array_equal(emulated(plan, x)["y"], want["y"])


def test_populations_of_another_loop_are_refused() -> None:
    """And a classifier of counts is the host's."""
    rng = np.random.default_rng(0)
    g = Graph("loops", 5)
    g.add("x", IntInput((4,), Clock.STEP, 0, 1, 1.0))
    g.add("fc", IntLinear(weights(rng, 4, 4)), "x")
    g.add("n", IntNeuron(lif(rng, 4, current=False), (4,)), "fc")
    g.add("head", IntLinear(weights(rng, 2, 4)), g.add("count", IntTimeSum(), "n").name)
    g.add("y", IntOutput(ONE), "head")
    (note,) = StockBackend().check(proven(g))
    assert note.code == "W510"
    assert "head is computed on the host: it is read after the steps" in note.message
    g.add("again", IntReplay(), "n")
    g.add("more", IntNeuron(lif(rng, 4, current=False), (4,)), "again")
    g.add("z", IntOutput(ONE), g.add("sum", IntTimeSum(), "more").name)
    (problem,) = (d for d in StockBackend().check(proven(g)) if d.code[0] == "E")
    assert problem.code == "E511"
    assert "more: it runs in another loop over time" in problem.message


@pytest.mark.parametrize("name", GRAPHS)
def test_what_is_not_stock_is_refused(name: str) -> None:
    """These neurons reset by subtraction."""
    found = StockBackend().check(proven(GRAPHS[name]()))
    assert {d.code for d in found} <= {"E511"}
    for d in found:
        assert "--lava-mode custom" in str(d.help)


def test_equal_programs_give_equal_bytes() -> None:
    graph = random_network(3)
    assert StockBackend().emit(graph) == StockBackend().emit(random_network(3))
