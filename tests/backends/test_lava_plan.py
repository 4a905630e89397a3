"""How a graph is cut into Lava processes, and what is printed for them; needs no Lava."""

from __future__ import annotations

import ast

import pytest

from snnc.backends.lava.backend import LavaBackend
from snnc.backends.lava.plan import plan
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.ops import Input, Output
from snnc.types import TensorType
from tests.intgraphs import mlp
from tests.lavagraphs import GRAPHS, feedback, hostile_names, recurrent, residual
from tests.randomgraphs import random_graph


def test_one_process_per_layer() -> None:
    cut = [(p.name, p.nodes) for p in plan(mlp())]
    assert cut == [
        ("Source0", ("image",)),
        ("Layer0", ("fc0", "lif0")),
        ("Layer1", ("fc1", "lif1")),
        ("Sink0", ("count", "out")),
    ]


def test_a_recurrent_layer_is_one_process() -> None:
    assert [p.nodes for p in plan(recurrent())][1] == ("in", "loop", "both", "lif")


def test_equal_delayed_values_share_a_port_and_others_do_not() -> None:
    lif = next(p for p in plan(residual()) if p.root == "lif")
    inits = [None if p.edge.init is None else p.edge.init.data.tolist() for p in lif.outputs]
    assert [p.edge.delay for p in lif.outputs] == [0, 2, 2]
    assert inits == [None, [2, 3, 4], [5, 6, 7]]


@pytest.mark.parametrize("seed", range(40))
def test_no_process_waits_for_itself(seed: int) -> None:
    """Within a step, undelayed values flow along a line of processes."""
    graph = random_graph(seed)
    place = {p.name: i for i, p in enumerate(plan(graph))}
    done: set[str] = set()
    waiting = {p.name: {i.process for i in p.inputs if not i.edge.delay} for p in plan(graph)}
    while waiting:
        ready = {name for name, needs in waiting.items() if needs <= done}
        assert ready, f"{sorted(waiting, key=place.__getitem__)} wait for each other"
        done |= ready
        waiting = {name: needs for name, needs in waiting.items() if name not in ready}


@pytest.mark.parametrize("name", GRAPHS)
def test_every_node_is_in_one_process(name: str) -> None:
    graph = GRAPHS[name]()
    nodes = [n for p in plan(graph) for n in p.nodes]
    assert sorted(nodes) == sorted(n.name for n in graph)


def test_a_loop_of_two_layers_sends_the_delayed_value() -> None:
    second = next(p for p in plan(feedback()) if p.root == "b")
    assert [(p.edge.src, p.edge.delay) for p in second.outputs] == [("b", 3), ("b", 1)]


def test_names_of_the_model_do_not_become_code() -> None:
    text = LavaBackend().emit(hostile_names()).files["snnc_layers/processes.py"]
    assert isinstance(text, str)
    assert text.isascii()
    body = ast.parse(text).body
    names = [n.name for n in body if isinstance(n, ast.ClassDef)]
    assert names[:4] == ["Source0", "Source0Model", "Layer0", "Layer0Model"]
    imports = [ast.unparse(n) for n in body if isinstance(n, ast.Import | ast.ImportFrom)]
    assert "import os" not in imports


def test_lava_finds_nothing_else_beside_the_processes() -> None:
    files = LavaBackend().emit(mlp()).files
    beside = [f for f in files if f.startswith("snnc_layers/")]
    assert sorted(beside) == ["snnc_layers/__init__.py", "snnc_layers/processes.py"]


def test_ports_have_32_bits_where_that_is_proven() -> None:
    text = LavaBackend().emit(mlp()).files["snnc_layers/processes.py"]
    assert isinstance(text, str)
    assert "np.int32" in text
    assert "np.int64" not in text
    wide = LavaBackend().emit(GRAPHS["wide"]()).files["snnc_layers/processes.py"]
    assert isinstance(wide, str)
    assert "np.int64" in wide


def test_emission_is_deterministic() -> None:
    assert LavaBackend().emit(mlp()) == LavaBackend().emit(mlp())


def test_real_operators_are_refused() -> None:
    graph = Graph("real")
    graph.add("x", Input(TensorType((2,))))
    graph.add("y", Output(), "x")
    with pytest.raises(CompileError) as e:
        LavaBackend().compile(graph)
    assert [d.code for d in e.value.diagnostics] == ["E501", "E501"]
    assert "the lava backend does not take Input" in str(e.value)


def test_many_processes_are_worth_a_warning() -> None:
    few, many = LavaBackend().check(mlp()), LavaBackend().check(mlp(sizes=(2,) * 31))
    assert few == []
    assert [d.code for d in many] == ["W510"]
    assert "becomes 32 Lava processes" in many[0].message
