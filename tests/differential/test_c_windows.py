"""Chains of convolutions, pools and products of spikes: their values lie in orders of their own.

The emitted C equals the simulator on every word, for random sizes.  The campaign:
``pytest -m slow tests/differential/test_c_windows.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnc.backends.c.plan import Plan
from snnc.graph import Graph, Value
from snnc.intops import (
    IntConv,
    IntInput,
    IntLinear,
    IntMatmul,
    IntMaxPool,
    IntNeuron,
    IntOutput,
    IntReshape,
    IntSum,
    IntSumPool,
    IntTimeSum,
    IntTranspose,
)
from snnc.types import Clock
from tests.differential.test_random_graphs import difference
from tests.differential.test_sim_vs_c import assert_equal
from tests.intgraphs import ONE, proven
from tests.randomkernels import Builder, lif


def test_one_of_each(tmp_path: Path) -> None:
    """Compiled with checked arithmetic; the plan shows that all these forms are used."""
    graph = chain(3)
    assert_equal(graph, tmp_path, 3, samples=3)
    plans = [Plan(chain(seed)) for seed in range(12)]
    nodes = [(plan, node) for plan in plans for node in plan.nodes]
    assert any(plan.windows(n) and plan.raw_sums(n) for plan, n in nodes)
    assert any(plan.scatters(n) and plan.raw_sums(n) for plan, n in nodes)
    assert any(plan.pools_rows(n) for plan, n in nodes)
    assert {plan.value(n.name).channels for plan, n in nodes if isinstance(n.op, IntNeuron)} > {0}


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_chains(first: int) -> None:
    for seed in range(first, first + 20):
        assert not difference(chain(seed), seed), f"seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 4000, 100))
def test_the_campaign_of_chains(first: int) -> None:
    for seed in range(first, first + 100):
        assert not difference(chain(seed), seed), f"seed {seed}"


@pytest.mark.parametrize("shape", [(2, 9, 4), (3, 4, 9), (1, 17, 3)])
@pytest.mark.parametrize("shift", [0, 1])
def test_attention_without_softmax(tmp_path: Path, shape: tuple[int, int, int], shift: int) -> None:
    """``(q k') v`` of shape (heads, tokens, features): in this order, and in the other."""
    heads, tokens, features = shape
    graph = Graph("attention", 4)
    b = Builder(np.random.default_rng(tokens), graph)
    graph.add("x", IntInput((tokens, 3), Clock.STEP, 0, 1, 1.0))
    parts: list[Value] = []
    for name in "qkv":
        weight = b.param((heads * features, 3), -127, 127)
        value = graph.add(f"{name}.fc", IntLinear(weight), "x").name
        value = graph.add(
            name, IntNeuron(lif(b, graph[value].type.shape), (tokens, heads * features)), value
        ).name
        value = graph.add(f"{name}.split", IntReshape((tokens, heads, features)), value).name
        perm = (1, 2, 0) if name == "k" else (1, 0, 2)
        parts.append(graph.add(f"{name}.heads", IntTranspose(perm), value).name)
    scores = graph.add("scores", IntMatmul(), parts[0], parts[1]).name
    value = graph.add("mixed", IntMatmul(shift, "half_away"), scores, parts[2]).name
    value = graph.add("moved", IntTranspose((1, 0, 2)), value).name
    graph.add("sum", IntTimeSum(), value)
    graph.add("out", IntOutput(ONE), "sum")
    graph = proven(graph)
    plan = Plan(graph)
    chained = plan.chained(graph["mixed"]) is not None
    assert chained == (tokens > features)
    # matrices are read and written where they lie, but for k' if its columns would be added
    skipped = [plan.is_skipped(graph[name]) for name in ("q.heads", "k.heads", "v.heads", "moved")]
    assert skipped == [True, chained, chained, chained and shift == 0]
    assert_equal(graph, tmp_path, samples=4)


def chain(seed: int) -> Graph:
    """Spikes through convolutions, pools and neurons to a linear layer; sizes at random."""
    rng = np.random.default_rng(seed)
    axes = int(rng.choice([1, 2, 2, 2, 3]))
    graph = Graph("chain", 5)
    b = Builder(rng, graph)
    shape = (int(rng.integers(1, 6)), *rng.integers(4, 12 - 2 * axes, axes).tolist())
    value = graph.add("x", IntInput(shape, Clock.STEP, 0, int(rng.choice([1, 1, 3])), 1.0)).name
    for i in range(int(rng.integers(2, 5))):
        value = _convolution(b, f"conv{i}", value)
        shape = graph[value].type.shape
        if rng.random() < 0.3:  # a second branch
            other = _convolution(b, f"other{i}", graph.in_edges(value)[0].src, like=value)
            value = graph.add(f"sum{i}", IntSum(), value, other).name
        value = graph.add(f"lif{i}", IntNeuron(lif(b, shape), shape), value).name
        if rng.random() < 0.5:
            value = _pool(b, f"pool{i}", value)
    size = graph[value].type.size
    value = graph.add("flat", IntReshape((size,)), value).name
    top = int(rng.choice([7, 127]))
    value = graph.add("fc", IntLinear(b.param((9, size), -top, top)), value).name
    value = graph.add("last", IntNeuron(lif(b, (9,)), (9,)), value).name
    graph.add("count", IntTimeSum(), value)
    graph.add("out", IntOutput(ONE), "count")
    return proven(graph)


def _convolution(b: Builder, name: str, value: str, like: str = "") -> str:
    rng, shape = b.rng, b.graph[value].type.shape
    if like:
        old = b.graph[like].op
        assert isinstance(old, IntConv)
        weight = b.param(old.weight.shape, -60, 60)
        op = IntConv(weight, None, 0, old.stride, old.padding, old.dilation, old.groups)
        return b.graph.add(name, op, value).name
    out = int(rng.choice([3, 4, 8, 16, 17]))
    kernel = [int(rng.integers(1, min(n, 5) + 1)) for n in shape[1:]]
    stride, dilation, padding = [], [], []
    for k, n in zip(kernel, shape[1:], strict=True):
        stride.append(int(rng.integers(1, 4)))
        dilation.append(int(rng.choice([1, 1, 2])) if 2 * k <= n else 1)
        padding.append(int(rng.integers(0, k + 1)))
    top = int(rng.choice([1, 20, 127]))
    bias = b.param((out,), -30, 30) if rng.random() < 0.5 else None
    weight = b.param((out, shape[0], *kernel), -top, top)
    shift = int(rng.integers(0, 4))
    geometry = tuple(stride), tuple(padding), tuple(dilation)
    return b.graph.add(name, IntConv(weight, bias, shift, *geometry), value).name


def _pool(b: Builder, name: str, value: str) -> str:
    shape = b.graph[value].type.shape
    kernel = tuple(int(b.rng.integers(1, min(n, 3) + 1)) for n in shape[1:])
    stride = tuple(int(b.rng.integers(1, 4)) for _ in kernel)
    padding = tuple(int(b.rng.integers(0, k)) for k in kernel)
    kind = [IntSumPool, IntMaxPool][int(b.rng.integers(2))]
    return b.graph.add(name, kind(kernel, stride, padding), value).name
