"""The network to train computes the program's words, and its gradients follow them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from snnc.diagnostics import CompileError
from snnc.finetuning.gradients import codes, compared, looked_up, shifted
from snnc.graph import Graph
from snnc.intops import IntNeuron
from snnc.kernel import ROUNDINGS
from snnc.rounding import rsh
from tests.covering import COVERING
from tests.intgraphs import fitting, has_steps, mlp, random_inputs, simulator
from tests.lavagraphs import GRAPHS
from tests.randomgraphs import random_graph
from tests.trainable import trainable


def assert_equal(graph: Graph, seed: int = 0) -> None:
    sim, network = simulator(graph), trainable(graph)
    x = random_inputs(graph, np.random.default_rng(seed), 3, 7)
    count = None if has_steps(graph) else fitting(graph, 7)
    want = sim.run(x, count, sim.words())
    tensors = {k: torch.tensor(v).double() for k, v in x.items()}
    for stepwise in (False, True):
        got = network(tensors, sim.check(x, count)[1], sim.words(), stepwise)
        for a, b in zip(want, got, strict=True):
            assert a.keys() == b.keys()
            for name in a:
                np.testing.assert_array_equal(b[name].detach().numpy(), a[name], name)


@pytest.mark.parametrize("seed", [*COVERING, *range(15)])
def test_random_graphs(seed: int) -> None:
    try:
        assert_equal(random_graph(seed), seed)
    except CompileError as e:
        assert e.diagnostics[0].code == "E335"  # noqa: PT017 - others are words of 53 bits and less


@pytest.mark.parametrize("name", GRAPHS)
def test_delicate_graphs(name: str) -> None:
    assert_equal(GRAPHS[name]())


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("shift", [1, 7, 16])
def test_shifts_round_at_ties_as_the_definition_says(rounding: str, shift: int) -> None:
    one = 1 << shift
    x = np.concatenate([np.arange(-99, 99) * (one >> 1), np.arange(-99, 99) * one + 1])
    for factor in (1, 3, -3):
        want = [rsh(int(n) * factor, shift, rounding) for n in x]
        for small in (False, True):
            found = shifted(torch.tensor(x).double(), float(factor), shift, rounding, small)
            np.testing.assert_array_equal(found.numpy(), want)


def test_gradients_pass_through_rounding_and_see_thresholds() -> None:
    x = torch.tensor([-300.0, 90.0, 110.0], dtype=torch.float64, requires_grad=True)
    shifted(x, 3.0, 2, "trunc").sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.75] * 3
    x.grad = None
    spikes = compared(x, torch.tensor(100.0).double(), strict=False)
    assert spikes.tolist() == [0, 0, 1]
    spikes.sum().backward()
    assert x.grad[1] == x.grad[2] > 30 * x.grad[0] > 0  # as far from the threshold; far below
    latent = torch.tensor([1.4, 1.6, -3.0], dtype=torch.float64, requires_grad=True)
    found = codes(latent, -1, 1)
    assert found.tolist() == [1, 1, -1]
    (found * torch.tensor([1.0, -1.0, 1.0])).sum().backward()
    assert latent.grad is not None
    # one that is outside moves back only
    assert latent.grad.tolist() == [1, 0, 0]
    at = torch.tensor([1.0, 3.0], dtype=torch.float64, requires_grad=True)
    looked_up(at, torch.tensor([0.0, 1.0, 4.0, 9.0]).double()).sum().backward()
    assert at.grad is not None
    assert at.grad.tolist() == [2.0, 2.5]


@pytest.mark.parametrize("graph", [mlp, lambda: random_graph(27), lambda: random_graph(129)])
def test_weights_that_reach_an_output_have_a_gradient(graph: Callable[[], Graph]) -> None:
    network = trainable(graph())
    x = random_inputs(graph(), np.random.default_rng(1), 4, 7)
    given = {k: torch.tensor(v).double() for k, v in x.items()}
    count = None if has_steps(graph()) else fitting(graph(), 7)
    steps = simulator(graph()).check(x, count)[1]
    outputs, _ = network(given, steps)
    total = sum(
        (y * torch.arange(y[0].numel()).reshape(y.shape[1:])).sum() for y in outputs.values()
    )
    assert isinstance(total, torch.Tensor)
    total.backward()
    seen = [t.latent.grad for t in network.trained().values()]
    assert any(g is not None and bool((g != 0).any()) for g in seen)
    assert all(g is None or bool(torch.isfinite(g).all()) for g in seen)


def test_numbers_beyond_float64_are_refused() -> None:
    graph = mlp()
    name = next(n.name for n in graph if isinstance(n.op, IntNeuron))
    node = graph[name]
    assert isinstance(node.op, IntNeuron)
    body = tuple(replace(y, lo=-(1 << 52), hi=1 << 52) for y in node.op.kernel.body)
    graph.replace(replace(node, op=replace(node.op, kernel=replace(node.op.kernel, body=body))))
    with pytest.raises(CompileError, match="more than 53 bits") as e:
        trainable(graph)
    assert e.value.diagnostics[0].code == "E335"
