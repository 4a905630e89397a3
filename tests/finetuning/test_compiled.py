"""Compiled populations give the words and the derivatives of their lines as tensors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from snnc.backends.torch import machine
from snnc.diagnostics import CompileError
from snnc.finetuning.network import TrainableNetwork
from snnc.finetuning.neuron import TrainedNeuron
from snnc.graph import Graph
from tests.intgraphs import fitting, has_steps, mlp, proven, random_inputs, simulator
from tests.lavagraphs import GRAPHS
from tests.randomgraphs import random_graph
from tests.trainable import trainable

Arrays = dict[str, npt.NDArray[np.float64]]

pytestmark = pytest.mark.skipif(not machine.available(), reason="needs a C compiler")


def neurons(network: TrainableNetwork) -> list[TrainedNeuron]:
    return [m for m in network.layers if isinstance(m, TrainedNeuron)]


def outputs_and_derivatives(network: TrainableNetwork, graph: Graph) -> tuple[Arrays, Arrays]:
    x = random_inputs(graph, np.random.default_rng(0), 3, 7)
    steps = simulator(graph).check(x, None if has_steps(graph) else fitting(graph, 7))[1]
    given = {k: torch.tensor(v).double() for k, v in x.items()}
    leaves = {name: latent.value for name, latent in network.latents().items()}
    for i, neuron in enumerate(neurons(network)):
        for key, value in list(neuron.named_buffers()):
            if key.startswith("const_"):
                leaves[f"{i} {key}"] = value.clone().requires_grad_()
                setattr(neuron, key, leaves[f"{i} {key}"])
    found = network(given, steps)[0]
    noise = torch.Generator().manual_seed(0)
    loss = torch.zeros((), dtype=torch.float64)
    for y in found.values():
        loss = loss + (y * torch.randn(y.shape, generator=noise, dtype=torch.float64)).sum()
    if not loss.requires_grad:
        return {k: y.numpy() for k, y in found.items()}, {}
    values = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    derivatives = {k: g.numpy() for k, g in zip(leaves, values, strict=True) if g is not None}
    return {k: y.detach().numpy() for k, y in found.items()}, derivatives


def compare(graph: Graph, least: int = 1) -> int:
    """Of a network as tensors and compiled; how many populations are compiled."""
    plain, native = (
        trainable(graph, proven(graph.copy(), 7)),
        trainable(graph, proven(graph.copy(), 7)),
    )
    for neuron in neurons(native):
        neuron.compile(least)
    (words, slopes), (own_words, own_slopes) = (
        outputs_and_derivatives(n, graph) for n in (plain, native)
    )
    for name, y in words.items():
        np.testing.assert_array_equal(own_words[name], y, name)
    for name, g in slopes.items():
        own = own_slopes.get(name, np.zeros_like(g))
        np.testing.assert_allclose(own, g, rtol=1e-9, atol=1e-9 * max(1e-300, np.abs(g).max()))
    return sum(neuron.compiled for neuron in neurons(native))


@pytest.mark.parametrize("name", sorted(GRAPHS.keys() - {"wide"}))
def test_delicate_graphs(name: str) -> None:
    assert compare(GRAPHS[name]()) > 0


def test_random_graphs() -> None:
    compiled = 0
    for seed in range(12):
        try:
            compiled += compare(random_graph(seed))
        except CompileError as e:
            assert e.diagnostics[0].code == "E335"  # noqa: PT017 - words of more than 53 bits
    assert compiled >= 4


def test_short_kernels_stay_tensors() -> None:
    assert compare(mlp(), least=99) == 0


def test_without_a_compiler_all_stays_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(source: str) -> None:
        raise OSError("cc failed")

    network = trainable(mlp())
    with monkeypatch.context() as patch:
        patch.setattr(machine, "build", fails)
        network.compile()
    assert not any(neuron.compiled for neuron in neurons(network))
    network.compile()
    assert all(neuron.compiled for neuron in neurons(network))
