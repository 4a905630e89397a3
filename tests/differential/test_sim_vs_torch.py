"""The torch module equals the defining simulator on every output, spike and state word."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from snnc.backends.torch.backend import TorchBackend
from snnc.backends.torch.batches import run
from snnc.backends.torch.network import IntegerNetwork
from snnc.backends.torch.neuron import Neuron
from snnc.backends.torch.program import Program
from snnc.backends.torch.registry import BOUNDARY, OPERATORS
from snnc.graph import Graph, Value
from snnc.intops import INTOPS, IntInput, IntLinear, IntNeuron, IntOutput, IntTimeStack
from snnc.kernel import ROUNDINGS, Const, Kernel, Line
from snnc.params import Param
from snnc.passes import run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.storage import dump_graph
from snnc.types import Clock
from tests.absolutekernels import KERNELS, network
from tests.agreement import random_reference
from tests.covering import COVERING
from tests.intgraphs import (
    ONE,
    mlp,
    proven,
    random_inputs,
    simulator,
)
from tests.lavagraphs import GRAPHS
from tests.randomgraphs import random_graph


def module(graph: Graph) -> IntegerNetwork:
    text, blob = dump_graph(graph)
    return IntegerNetwork(Program(json.loads(text), safetensors.numpy.load(blob)))


def assert_equal(graph: Graph, seed: int = 0, samples: int = 5, steps: int = 7) -> None:
    assert_module_equal(module(graph), graph, seed, samples, steps)


def assert_module_equal(
    found: IntegerNetwork, graph: Graph, seed: int = 0, samples: int = 5, steps: int = 7
) -> None:
    """The module gives every word of the definition, layer by layer and step by step."""
    want = random_reference(graph, seed, samples, steps)
    tensors = {k: torch.tensor(v) for k, v in want.inputs.items()}
    _, count = simulator(graph).check(want.inputs, want.steps)
    for stepwise in (False, True):
        outputs, words = (
            {name: x.numpy() for name, x in kind.items()}
            for kind in found(tensors, count, want.words, stepwise)
        )
        assert not want.difference((outputs, words))


def test_every_operator_has_a_module() -> None:
    assert {*OPERATORS, *BOUNDARY} == set(INTOPS)


@pytest.mark.parametrize("seed", [*COVERING, *range(40)])
def test_random_graphs(seed: int) -> None:
    assert_equal(random_graph(seed), seed)


@pytest.mark.parametrize("name", GRAPHS)
def test_delicate_graphs(name: str) -> None:
    assert_equal(GRAPHS[name]())


def test_kernels_in_absolute_formats() -> None:
    assert_equal(run_passes(network(*KERNELS.values()), integer_pipeline()), steps=30)


def test_mlp_at_2_to_16_bits() -> None:
    for bits in (2, 4, 8, 16):
        assert_equal(mlp(bits, (40, 30, 20, 5)), bits, 30, 20)


@pytest.mark.parametrize("top", [127, 128, 255, 256])
def test_bytes_without_a_sign(top: int) -> None:
    """Sums of the largest inputs and weights, of batches that products of bytes take and not."""
    g, rng = Graph("bytes", 2), np.random.default_rng(top)
    g.add("x", IntInput((300,), Clock.STEP, 0, top, 1.0))
    weight = rng.choice(np.array([-128, 127, 1], np.int8), (5, 300))
    weight[:2] = [[127], [-128]]
    g.add("fc", IntLinear(Param(weight)), "x")
    g.add("all", IntTimeStack(), "fc")
    g.add("out", IntOutput(ONE), "all")
    graph = proven(g)
    found = module(graph)
    assert (found.layer("fc").get_buffer("taken_off") is not None) == (top in (128, 255))
    for samples in (1, 9):
        x = {"x": rng.choice([0, top, top // 2], (samples, 2, 300))}
        x["x"][0] = top
        want, got = simulator(graph).run(x)[0], run(found, x)[0]
        np.testing.assert_array_equal(got["out"], want["out"])


def test_no_samples_and_no_steps() -> None:
    for shape in ((0, 5, 12), (2, 0, 12)):
        x = {"image": np.zeros(shape, np.int64)}
        want, _ = simulator(mlp()).run(x)
        got, _ = run(module(mlp()), x)
        np.testing.assert_array_equal(got["out"], want["out"], strict=True)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("shift", [1, 8, 16, 20])
def test_ties_of_shifted_products(rounding: str, shift: int) -> None:
    """Products at a tie and beside it, in every type that a kernel may compute in."""
    n, one = 400, 1 << shift
    rng = np.random.default_rng(shift)
    tops = [1 << 14, 1 << 26, min((1 << 40) - 1, 1 << (47 - shift)), 1 << 58]
    g = Graph("ties", 3)
    inputs, used = {}, []
    for i, top in enumerate(tops):
        # times 3 or 2**shift - 1, some are (k + 1/2) 2**shift
        x = rng.integers(-top, top, (2, 3, n))
        x[:, :, ::2] = (x[:, :, ::2] >> shift << shift) + (one >> 1)
        x = x.clip(-top, top)
        factors = [3, one - 1, -one - 1] if i < 3 else [1, 1, -1]
        body = [Line("zero", "sub", ("i", "i"))]
        for k in range(3):
            body.append(Line(f"m{k}", "mul", (f"a{k}", "i")))
            body.append(Line(f"d{k}", "rsh", (f"m{k}",), shift, rounding))
        consts = tuple(Const(f"a{k}", Param(np.array(f))) for k, f in enumerate(factors))
        op = IntNeuron(Kernel(("i",), (), consts, tuple(body), ("d0", "d1", "d2")), (n,))
        g.add(f"x{i}", IntInput((n,), Clock.STEP, -top, top, 1.0))
        g.add(f"n{i}", op, f"x{i}")
        inputs[f"x{i}"] = x
    graph = proven(_read(g))
    found = module(graph)
    used = [m.base for m in found.layers if isinstance(m, Neuron)]
    assert set(used) == {torch.int32, torch.float64, torch.int64} or shift > 8
    want, _ = simulator(graph).run(inputs)
    got, _ = run(found, inputs)
    for name, a in want.items():
        np.testing.assert_array_equal(got[name], a, name)


@pytest.mark.parametrize(
    ("room", "base"),
    [(1 << 30, torch.int32), (1 << 51, torch.float64), ((1 << 51) + 1, torch.int64)],
)
def test_comparisons_at_the_ends_of_every_type(room: int, base: torch.dtype) -> None:
    top = room - 1
    ends = np.array([-top, -top + 1, -1, 0, 1, top - 1, top])
    compared = ("ge", "gt", "le", "lt", "eq", "ne")
    body = [Line(fn, fn, ("i", "c")) for fn in compared]
    body += [Line(f"{fn}_", fn, ("c", "i")) for fn in compared]
    body += [Line("one", "select", ("ge", "i", "c")), Line("other", "select", ("lt", "c", "i"))]
    body += [Line("low", "minimum", ("i", "c")), Line("high", "maximum", ("i", "c"))]
    outputs = tuple(line.name for line in body)
    grid = Const("c", Param(np.tile(ends, (len(ends), 1))))
    g = Graph("ends", 3)
    g.add("x", IntInput((len(ends), 1), Clock.STEP, -top, top, 1.0))
    shape = (len(ends), len(ends))
    g.add("n", IntNeuron(Kernel(("i",), (), (grid,), tuple(body), outputs), shape), "x")
    graph = proven(_read(g))
    found = module(graph)
    assert [m.base for m in found.layers if isinstance(m, Neuron)] == [base]
    x = {"x": np.tile(ends[:, None], (1, 2, 1, 1))}
    want, got = simulator(graph).run(x)[0], run(found, x)[0]
    for name, a in want.items():
        np.testing.assert_array_equal(got[name], a, name)


def _read(g: Graph) -> Graph:
    for node in list(g.nodes):
        for out in range(len(node.types) if isinstance(node.op, IntNeuron) else 0):
            g.add(f"{node.name}.{out}", IntTimeStack(), Value(node.name, out))
            g.add(f"{node.name}.{out}.out", IntOutput(ONE), f"{node.name}.{out}")
    return g


def test_gradients_do_not_meet_overwritten_values() -> None:
    """With gradients enabled nothing is computed in place, and the words are the same."""
    net = module(mlp())
    (neuron,) = [m for m in net.layers if isinstance(m, Neuron)][:1]
    x = torch.randint(-50, 50, (4, 9))
    with torch.inference_mode():
        over, _ = neuron([x], neuron.start(4))
    plain, _ = neuron([x], neuron.start(4))
    assert torch.equal(over[0], plain[0])


def test_a_batch_is_cut_where_memory_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    graph = mlp()
    x = random_inputs(graph, np.random.default_rng(0), 9, 7)
    TorchBackend().compile(graph).write(tmp_path)
    want = TorchBackend().run(tmp_path, x, record=["lif0.v"])
    monkeypatch.setattr("snnc.backends.torch.batches.ELEMENTS", 1000)
    got = TorchBackend().run(tmp_path, x, record=["lif0.v"])
    for a, b in zip(want, got, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
