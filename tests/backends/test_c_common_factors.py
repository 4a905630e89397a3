"""Layers whose weights have a factor in common sum up smaller ones, and certify what is stored."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from examples.benchmarks.c_events import leaky
from snnc.backends.c.backend import CBackend
from snnc.backends.c.machines import find_machine
from snnc.backends.c.network import Network
from snnc.backends.c.proof_run import check_certificate, prove, write_proof
from snnc.diagnostics import Loc
from snnc.graph import Edge, Graph, Value
from snnc.intops import (
    IntInput,
    IntLinear,
    IntNeuron,
    IntOutput,
    IntRescale,
    IntTimeStack,
    IntTimeSum,
)
from snnc.kernel import Kernel, Line
from snnc.params import Param
from snnc.types import Clock
from tests.certified import certified
from tests.intgraphs import ONE, proven, simulator

CHECKED = ("-std=c99", "-O2", "-fsanitize=undefined", "-fno-sanitize-recover=all")
NATIVE = ("-std=c99", "-O3", "-march=native")


def two_inputs(theta: int) -> Kernel:
    """``leaky`` of the sum of two inputs."""
    one = leaky(theta)
    lines = [replace(x, args=("d", "both")) if x.name == "u" else x for x in one.body]
    both = Line("both", "add", ("i", "own"))
    return replace(one, inputs=("i", "own"), body=(both, *lines))


def recurrent(factor: int, shift: int = 3, size: int = 64, inputs: int = 30) -> Graph:
    """A population that reads an input and its own spikes, whose weights have this factor."""
    rng, g = np.random.default_rng(factor), Graph("recurrent", 9)

    def weight(fan_in: int, top: int, times: int) -> Param:
        values = rng.integers(-top, top + 1, (size, fan_in)) * times
        values[0, 0] = top * times
        return Param(values.astype(np.int8))

    top = 127 if inputs < 200 else 40
    g.add("x", IntInput((inputs,), Clock.STEP, 0, 1, 1.0))
    g.add("fc", IntLinear(weight(inputs, top, 1), None, shift + 1), "x")
    op = IntNeuron(two_inputs(1500), (size,))
    g.declare("lif", op, op.infer((g["fc"].type, g["fc"].type)), Loc("lif"))
    own = IntLinear(weight(size, 126 // factor, factor), None, shift)
    g.add("own", own, Value("lif", 0, 1))
    g.connect(Edge("fc", "lif"))
    g.connect(Edge("own", "lif", port=1))
    g.add("stack", IntTimeStack(), "lif")
    g.add("spikes", IntOutput(ONE), "stack")
    g.add("count", IntTimeSum(), "lif")
    g.add("out", IntOutput(ONE), "count")
    return proven(g)


@pytest.mark.parametrize(("factor", "together", "shift"), [(1, 1, 3), (2, 2, 4), (6, 2, 4)])
def test_weights_lose_powers_of_two(factor: int, together: int, shift: int) -> None:
    graph = recurrent(factor)
    net = Network(graph)
    pairs = net.plan.pairs(net.graph["own"])
    assert pairs is not None
    assert (pairs.together, net.graph["own"].op.params["weight"].data.max()) == (
        together,
        126 // factor * factor // (2 if factor > 1 else 1),
    )
    assert net.graph["own"].op.shift == shift
    assert Network(graph, find_machine("cortex-m4")).graph is graph


@pytest.mark.parametrize("flags", [CHECKED, NATIVE], ids=["checked", "native"])
@pytest.mark.parametrize(("factor", "shift"), [(2, 3), (4, 0)])
def test_words_are_those_of_the_definition(
    tmp_path: Path, factor: int, shift: int, flags: tuple[str, ...]
) -> None:
    assert_words(recurrent(factor, shift), tmp_path, flags, 30)


def assert_words(graph: Graph, folder: Path, flags: tuple[str, ...], inputs: int) -> None:
    """Compare spikes, counts and membranes with the definition's."""
    x = (np.random.default_rng(0).random((3, 9, inputs)) < [[[0.1]], [[0.4]], [[1]]]).astype(
        np.int64
    )
    CBackend().compile(graph).write(folder)
    words = ("lif.s", "lif.v")
    expected, seen = simulator(graph).run({"x": x}, record=words)
    assert expected["spikes"].any()
    actual, found = CBackend(flags=flags).run(folder, {"x": x}, record=words)
    for name, value in (*expected.items(), *seen.items()):
        np.testing.assert_array_equal((actual | found)[name], value, err_msg=name)


def scaled(factor: int, most: int = 1, size: int = 70) -> Graph:
    """A population that reads numbers up to ``most`` in another unit."""
    g = Graph("scaled", 9)
    g.add("x", IntInput((size,), Clock.STEP, 0, most, 1.0))
    g.add("unit", IntRescale(Param(np.array(factor))), "x")
    g.declare(
        "lif", (op := IntNeuron(leaky(1500), (size,))), op.infer((g["unit"].type,)), Loc("lif")
    )
    g.connect(Edge("unit", "lif"))
    g.add("stack", IntTimeStack(), "lif")
    g.add("spikes", IntOutput(ONE), "stack")
    return proven(g)


@pytest.mark.parametrize(("factor", "most"), [(1024, 1), (1, 1), (1000, 1), (-512, 1), (16, 40000)])
def test_neurons_change_units_by_powers_of_two(factor: int, most: int) -> None:
    net = Network(graph := scaled(factor, most))
    assert ("unit" in net.graph) == ((factor, most) != (1024, 1))
    assert "unit" in graph
    assert "unit" in Network(graph, find_machine("cortex-m4")).graph


@pytest.mark.parametrize("flags", [CHECKED, NATIVE], ids=["checked", "native"])
def test_words_in_another_unit(tmp_path: Path, flags: tuple[str, ...]) -> None:
    assert_words(scaled(1024), tmp_path, flags, 70)


def test_the_certificate_is_about_the_stored_weights(tmp_path: Path) -> None:
    graph = recurrent(2)
    assert "2 layers certified" in check_certificate(
        certified(graph, tmp_path), tmp_path / "program"
    )


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("frama-c"), reason="frama-c is not installed")
def test_both_layers_and_the_neurons_are_proven(tmp_path: Path) -> None:
    found = write_proof(recurrent(2, size=16), tmp_path)
    verdicts = [prove(tmp_path / "proof", h, tmp_path / "c") for h in found]
    assert len(verdicts) == 4
    assert all(v.proven for v in verdicts)
