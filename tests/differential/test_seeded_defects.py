"""The comparison of random graphs notices one wrong element of any operator, in either backend."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from snnc.backends.c import kernel as c_kernel
from snnc.backends.c.layer import Layer
from snnc.backends.c.layers import EMITTERS
from snnc.backends.c.shifts import Var
from snnc.backends.c.words import Bounds
from snnc.backends.numpy import arithmetic, execution, steps
from snnc.graph import Graph
from snnc.intops import INTOPS, IntNeuron
from snnc.kernel import INT_FUNCTIONS, Line
from tests.differential.test_random_graphs import difference
from tests.randomgraphs import random_graph

#: Graphs among which a defect must show.
SEEDS = range(400)
#: Graphs that hold the operator and are compared before the defect counts as missed.
TRIES = 25
COLLECTED = [name for name in INTOPS if name in {**steps.COLLECTORS, **steps.SEQUENCES}]
#: Names of their operand in C: without code there is no defect.
WITHOUT_CODE = {"IntOutput", "IntReshape", "IntRepeat", "IntHold"}
Array = np.ndarray[Any, Any]


@cache
def graph_of(seed: int) -> Graph:
    return random_graph(seed)


def holding(wanted: Callable[[Graph], bool]) -> list[int]:
    found = []
    for seed in SEEDS:
        if wanted(graph_of(seed)):
            found.append(seed)
        if len(found) == TRIES:
            break
    return found


def with_operator(name: str) -> list[int]:
    return holding(lambda g: any(type(n.op).__name__ == name for n in g))


def with_function(fn: str) -> list[int]:
    def wanted(g: Graph) -> bool:
        kernels = [n.op.kernel for n in g if isinstance(n.op, IntNeuron)]
        return any(line.fn == fn for k in kernels for line in c_kernel.live_lines(k))

    return holding(wanted)


def assert_caught(seeds: list[int]) -> None:
    assert seeds, "no random graph holds it"
    assert any(_shows(seed) for seed in seeds)


def _shows(seed: int) -> bool:
    try:
        return bool(difference(graph_of(seed), seed))
    except IndexError:  # a wrong position lies outside the table that it is looked up in
        return True


def off_by_one(value: Array) -> Array:
    """The same but for the last element; of flags, the other one."""
    wrong = np.array(value)
    last = wrong.reshape(-1)[-1:]
    last[:] = ~last if wrong.dtype == np.bool_ else last + 1
    return wrong


@pytest.mark.parametrize("name", sorted(set(execution.OPERATORS) - {"IntOutput"}))
def test_an_operator_of_the_simulator(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, right = with_operator(name), execution.OPERATORS[name]
    assert_equal_before(seeds)
    monkeypatch.setitem(execution.OPERATORS, name, lambda *a: off_by_one(right(*a)))
    assert_caught(seeds)


@pytest.mark.parametrize("name", sorted(steps.AT_STEP))
def test_an_operator_that_knows_the_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, right = with_operator(name), steps.AT_STEP[name]
    assert_equal_before(seeds)
    monkeypatch.setitem(steps.AT_STEP, name, lambda *a: off_by_one(right(*a)))
    assert_caught(seeds)


@pytest.mark.parametrize("name", COLLECTED)
def test_what_the_simulator_collects(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, right = with_operator(name), execution.Run._collected  # noqa: SLF001

    def wrong(self: Any, node: Any, now: int) -> Array:
        value = right(self, node, now)
        return off_by_one(value) if node["op"] == name else value

    monkeypatch.setattr(execution.Run, "_collected", wrong)
    assert_caught(seeds)


@pytest.mark.parametrize("fn", sorted(INT_FUNCTIONS))
def test_a_function_of_the_simulator(fn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = with_function(fn)
    assert_equal_before(seeds)
    tables = arithmetic.PREDICATES, arithmetic.CHOICES, arithmetic.FUNCTIONS, arithmetic.SHIFTS
    for functions in tables:
        if fn in functions:
            right: Callable[..., Any] = functions[fn]
            monkeypatch.setitem(
                functions, fn, lambda *a, right=right: off_by_one(np.asarray(right(*a)))
            )
    assert_caught(seeds)


@pytest.mark.parametrize("name", sorted(set(INTOPS) - WITHOUT_CODE))
def test_an_operator_of_c(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, right = with_operator(name), EMITTERS[INTOPS[name]]

    class Text:
        """The layer's code, in which ``tick`` ends by changing the last element."""

        def __init__(self, layer: Layer) -> None:
            y = layer.plan.value(layer.node.name)
            end = layer.code.text.rstrip().rfind("}")
            defect = f"{y.name}[{y.size - 1}] = ({y.ctype})({y.name}[{y.size - 1}] ^ 1); }}\n"
            self.text = layer.code.text[:end] + defect

    def wrong(layer: Layer) -> None:
        right(layer)
        if layer.code.text:
            layer.code = Text(layer)  # type: ignore[assignment]

    monkeypatch.setitem(EMITTERS, INTOPS[name], wrong)
    assert_caught(seeds)


@pytest.mark.parametrize("fn", sorted(INT_FUNCTIONS))
def test_a_function_of_c(fn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, right = with_function(fn), c_kernel.expression

    def wrong(line: Line, args: list[Var], bounds: Bounds) -> tuple[str, str]:
        text, word = right(line, args, bounds)
        return (f"({text}) ^ 1" if line.fn == fn else text), word

    monkeypatch.setattr(c_kernel, "expression", wrong)
    assert_caught(seeds)


def assert_equal_before(seeds: list[int]) -> None:
    """Without a defect nothing differs; one graph of each kind is enough here."""
    assert seeds, "no random graph holds it"
    assert not difference(graph_of(seeds[0]), seeds[0])
