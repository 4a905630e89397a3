"""Neurons in words of 16 bits equal the simulator, and are used where they can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnc.backends.c.backend import CBackend
from snnc.graph import Graph, Value
from snnc.intops import IntInput, IntLinear, IntNeuron, IntOutput, IntTimeStack
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param
from snnc.types import Clock
from tests.agreement import reference
from tests.intgraphs import ONE, proven

CHECKED = (
    *("-std=c99", "-O0", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"),
    *("-fsanitize=undefined", "-fno-sanitize-recover=all"),
)
SIZE = 48
ROUNDINGS = ("half_away", "half_away", "trunc", "floor", "half_up")
SHIFTS = (16, 12, 16, 15, 4)


def decays(rng: np.random.Generator, shift: int) -> list[np.ndarray]:
    """Factors of every kind below ``2**shift``: odd, even, one per neuron, 0."""
    one = 1 << shift
    spread = rng.integers(0, one, SIZE)
    spread[:3] = 0, 1, one - 1
    numbers = (one - 1, one - one // 10, max(1, one // 10) | 1)
    return [*map(np.array, numbers), spread]


def decay_graph(top: int) -> Graph:
    """Leaky integrators, one for every rounding and decay; ``top`` bounds their input."""
    rng = np.random.default_rng(top)
    graph = Graph("decays", 5)
    graph.add("x", IntInput((SIZE,), Clock.STEP, -top, top, 1.0))
    kinds = [(r, n, a) for r, n in zip(ROUNDINGS, SHIFTS, strict=True) for a in decays(rng, n)]
    for i, (rounding, shift, a) in enumerate(kinds):
        body = (
            Line("m", "mul", ("a", "v") if i % 2 else ("v", "a")),
            Line("d", "rsh", ("m",), shift, rounding),
            Line("h", "rsh", ("v",), 3, rounding),
            Line("w", "add", ("d", "x")),
            Line("low", "maximum", ("w", "bottom")),
            Line("u", "minimum", ("low", "most")),
            Line("s", "ge", ("u", "h")),
            Line("r", "lt", ("u", "d")),
            Line("b", "and", ("s", "r")),
            Line("o", "not", ("b",)),
            Line("e", "neg", ("u",)),
            Line("n", "select", ("b", "e", "u")),
        )
        limit = 9 * top
        consts = (
            Const("a", Param(a)),
            Const("most", Param(np.array(limit))),
            Const("bottom", Param(np.array(-limit))),
        )
        states = (State("v", "n", Param(np.array(min(top, 7)))),)
        kernel = Kernel(("x",), states, consts, body, ("s", "r", "o"))
        graph.add(f"n{i}", IntNeuron(kernel, (SIZE,)), "x")
        for out in range(3):
            graph.add(f"stack{i}.{out}", IntTimeStack(), Value(f"n{i}", out))
            graph.add(f"out{i}.{out}", IntOutput(ONE), f"stack{i}.{out}")
    return proven(graph)


def assert_same(graph: Graph, folder: Path, x: np.ndarray) -> None:
    """Compare the simulator, words of 16 bits and words of 32 bits."""
    CBackend().compile(graph).write(folder)
    want = reference(graph, {"x": x})
    for lanes in (0, 1):
        backend = CBackend(compiler="gcc", flags=(*CHECKED, f"-DSNN_LANES={lanes}"))
        found = want.difference(backend.run(folder, want.inputs, None, want.words))
        assert not found, f"{found}, {lanes}"


@pytest.mark.parametrize("top", [9, 1 << 15, (1 << 31) // 40])
def test_every_decay(tmp_path: Path, top: int) -> None:
    rng = np.random.default_rng(top)
    graph = decay_graph(top)
    x = rng.integers(-top, top + 1, (4, 12, SIZE))
    x[0] = rng.choice([-top, top, 0, 1, -1], x[0].shape)
    assert_same(graph, tmp_path, x)
    assert (tmp_path / "snn.c").read_text().count("#if SNN_LANES\nstatic void") == 20


@pytest.mark.parametrize("top", [3, 60])
@pytest.mark.parametrize(("shift", "with_bias"), [(0, True), (1, False), (6, True)])
def test_raw_sums(tmp_path: Path, top: int, shift: int, with_bias: bool) -> None:
    """A linear layer leaves its shift and its bias to the neurons."""
    rng = np.random.default_rng(shift)
    graph = Graph("raw", 5)
    graph.add("x", IntInput((40,), Clock.STEP, 0, 1, 1.0))
    values = []
    for i in range(2):
        w = rng.integers(-top, top + 1, (SIZE, 40)).astype(np.int8)
        bias = Param(rng.integers(-(1 << 17), 1 << 17, SIZE)) if with_bias and i else None
        values.append(graph.add(f"fc{i}", IntLinear(Param(w), bias, shift), "x").name)
    theta = rng.integers(1, 40 * top << shift, SIZE)
    body = (
        Line("m", "mul", ("a", "v")),
        Line("d", "rsh", ("m",), 16, "half_away"),
        Line("t", "add", ("d", "i")),
        Line("u", "add", ("t", "j")),
        Line("s", "ge", ("u", "theta")),
        Line("r", "add", ("u", "k")),
        Line("w", "select", ("s", "r", "u")),
    )
    consts = (
        Const("a", Param(np.array(58982))),
        Const("theta", Param(theta)),
        Const("k", Param(-theta)),
    )
    kernel = Kernel(("i", "j"), (State("v", "w", Param(np.array(0))),), consts, body, ("s",))
    graph.add("n", IntNeuron(kernel, (SIZE,)), *values)
    graph.add("stack", IntTimeStack(), "n")
    graph.add("out", IntOutput(ONE), "stack")
    graph = proven(graph)
    assert_same(graph, tmp_path, (rng.random((4, 20, 40)) < 0.4).astype(np.int64))
    assert "#if SNN_LANES\nstatic void" in (tmp_path / "snn.c").read_text()


@pytest.mark.parametrize(
    ("tops", "shifts", "theta", "kind"),
    [
        ((20, 30), (5, 3), 9_000, "_z "),  # four times one sum and the other fit a word
        ((90, 60), (4, 3), 31_728, "_zh "),  # half of twice one sum and the other does
        ((60, 90), (3, 4), 65_536, "_zh "),
        ((30, 127), (8, 6), 200_001, "_zh "),
        ((120, 60), (3, 3), 70_000, "_t_h "),  # no such sum
        ((120, 120), (6, 3), 1, "_t_h "),
    ],
)
def test_sums_of_two_layers(
    tmp_path: Path, tops: tuple[int, int], shifts: tuple[int, int], theta: int, kind: str
) -> None:
    """Shifted sums meet before the membrane where words allow; resets of one number for all."""
    rng = np.random.default_rng(theta)
    graph, fan_in = Graph("two", 5), 256
    graph.add("x", IntInput((fan_in,), Clock.STEP, 0, 1, 1.0))
    for i, (top, shift) in enumerate(zip(tops, shifts, strict=True)):
        w = rng.integers(-top, top + 1, (SIZE, fan_in))
        w[:4] = np.array([top, -top, top * (-1) ** i, -top * (-1) ** i])[:, None]
        graph.add(f"fc{i}", IntLinear(Param(w.astype(np.int8)), None, shift), "x")
    body = (
        Line("m", "mul", ("a", "v")),
        Line("d", "rsh", ("m",), 16, "half_away"),
        Line("t", "add", ("d", "i")),
        Line("u", "add", ("j", "t")),
        Line("s", "ge", ("u", "theta")),
        Line("r", "add", ("u", "k")),
        Line("w", "select", ("s", "r", "u")),
    )
    consts = (
        Const("a", Param(np.array(58982))),
        Const("theta", Param(np.array(theta))),
        Const("k", Param(np.array(-theta))),
    )
    kernel = Kernel(("i", "j"), (State("v", "w", Param(np.array(0))),), consts, body, ("s",))
    graph.add("n", IntNeuron(kernel, (SIZE,)), "fc0", "fc1")
    graph.add("stack", IntTimeStack(), "n")
    graph.add("out", IntOutput(ONE), "stack")
    x = (rng.random((4, 20, fan_in)) < 0.3).astype(np.int64)
    x[0], x[1, ::2] = 1, 1
    assert_same(proven(graph), tmp_path, x)
    assert kind in (tmp_path / "snn.c").read_text()


def thresholds(most: int, *shape: int) -> tuple[Graph, np.ndarray]:
    """Neurons with a threshold per element of the last axis, and their input."""
    rng = np.random.default_rng(most)
    features = shape[-1]
    theta = rng.integers(most // 3, most + 1, features)
    theta[0] = most
    body = (
        Line("m", "mul", ("a", "v")),
        Line("d", "rsh", ("m",), 16, "half_away"),
        Line("t", "add", ("d", "x")),
        Line("s", "ge", ("t", "theta")),
        Line("r", "add", ("t", "k")),
        Line("w", "select", ("s", "r", "t")),
        Line("q", "lt", ("k", "t")),
        Line("z", "select", ("q", "k", "t")),
        Line("o", "gt", ("z", "v")),
    )
    consts = (
        Const("a", Param(np.array(58982))),
        Const("theta", Param(theta)),
        Const("k", Param(-theta)),
    )
    graph = Graph("rows", 5)
    graph.add("x", IntInput(shape, Clock.STEP, -most, most, 1.0))
    state = State("v", "w", Param(np.array(-most)))
    kernel = Kernel(("x",), (state,), consts, body, ("s", "o"))
    graph.add("n", IntNeuron(kernel, shape), "x")
    for out in range(2):
        graph.add(f"stack{out}", IntTimeStack(), Value("n", out))
        graph.add(f"out{out}", IntOutput(ONE), f"stack{out}")
    x = rng.integers(-most, most + 1, (4, 20, *shape))
    x[0] = rng.choice([most, -most, 0, 1], x[0].shape)
    return proven(graph), x


@pytest.mark.parametrize("most", [900, 40_000, 65_535, 200_000])
def test_thresholds_per_channel(tmp_path: Path, most: int) -> None:
    """Constants of short rows repeat; what is subtracted is a word of 16 bits if it can be."""
    graph, x = thresholds(most, 15, 16)
    assert_same(graph, tmp_path, x)
    assert f"i0 < {15 * 16}u" in (tmp_path / "snn.c").read_text()


@pytest.mark.parametrize(("size", "whole"), [(10, 8), (20, 16), (31, 24)])
def test_neurons_behind_whole_vectors(tmp_path: Path, size: int, whole: int) -> None:
    graph, x = thresholds(70_000, size)
    assert_same(graph, tmp_path, x)
    text = (tmp_path / "snn.c").read_text()
    assert f"i0 < {whole}u" in text
    assert f"i0 < {size - whole}u" in text
