"""Populations of the torch module as machine code: every word is the simulator's."""

from __future__ import annotations

import copy
import platform
import threading
import time

import numpy as np
import pytest
import torch

from snnc.backends.torch import machine
from snnc.backends.torch.batches import run
from snnc.backends.torch.compiled import Natives
from snnc.backends.torch.convolution import exact_on_cpu
from snnc.backends.torch.inputs import taken
from snnc.backends.torch.network import IntegerNetwork
from snnc.backends.torch.order import components
from snnc.backends.torch.windows import Convolution
from snnc.diagnostics import Loc
from snnc.graph import Edge, Graph, Value
from snnc.intops import (
    IntConv,
    IntInput,
    IntLinear,
    IntMatmul,
    IntNeuron,
    IntOutput,
    IntReshape,
    IntSumPool,
    IntTimeStack,
    IntTranspose,
)
from snnc.kernel import ROUNDINGS, Const, Kernel, Line, State
from snnc.params import Param
from snnc.passes import run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.types import Clock
from tests.absolutekernels import KERNELS, network
from tests.agreement import random_reference
from tests.covering import COVERING
from tests.differential.test_sim_vs_torch import assert_module_equal, module
from tests.intgraphs import ONE, mlp, proven, simulator
from tests.lavagraphs import GRAPHS
from tests.randomgraphs import random_graph
from tests.randomkernels import Builder, lif
from tests.spikingstacks import spiking_stack

pytestmark = pytest.mark.skipif(not machine.available(), reason="there is no C compiler")


def compiled(graph: Graph) -> IntegerNetwork:
    """The module with every population compiled at once."""
    found = module(graph)
    found.natives = Natives(found, after=0)
    return found


def assert_equal(graph: Graph, seed: int = 0, steps: int = 7) -> IntegerNetwork:
    found = compiled(graph)
    assert_module_equal(found, graph, seed, steps=steps)
    return found


@pytest.mark.parametrize("seed", COVERING)
def test_random_graphs(seed: int) -> None:
    assert_equal(random_graph(seed), seed)


@pytest.mark.parametrize("name", GRAPHS)
def test_delicate_graphs(name: str) -> None:
    assert_equal(GRAPHS[name]())


def test_kernels_in_absolute_formats() -> None:
    graph = run_passes(network(*KERNELS.values()), integer_pipeline())
    natives = assert_equal(graph, steps=30).natives
    assert natives
    assert len(natives.populations) == sum(isinstance(n.op, IntNeuron) for n in graph)


def convolutions() -> Graph:
    """Values with channels, their constants by neuron, biases, pools and a dense layer."""
    b = Builder(np.random.default_rng(1), Graph("convolutions", 4))
    g = b.graph
    x = g.add("x", IntInput((2, 9, 7), Clock.STEP, 0, 1, 1.0)).name
    plain = (1, 1), (0, 0), (1, 1)
    bias = b.param((6,), -50, 50)
    x = g.add("c0", IntConv(b.param((6, 2, 3, 3), -90, 99), bias, 3, *plain), x).name
    x = g.add("n0", IntNeuron(lif(b, (6, 7, 5)), (6, 7, 5)), x).name
    x = g.add("pool", IntSumPool((2, 2), (2, 2), (0, 0)), x).name
    x = g.add("c1", IntConv(b.param((8, 6, 2, 2), -90, 99), None, 1, *plain), x).name
    x = g.add("n1", IntNeuron(lif(b, (8, 2, 1)), (8, 2, 1)), x).name
    x = g.add("flat", IntReshape((16,)), x).name
    x = g.add("fc", IntLinear(b.param((5, 16), -90, 99), b.param((5,), -50, 50), 2), x).name
    x = g.add("n2", IntNeuron(lif(b, (5,)), (5,)), x).name
    g.add("all", IntTimeStack(), x)
    g.add("out", IntOutput(ONE), "all")
    return proven(g)


def test_layers_hand_their_bare_sums_on() -> None:
    found = assert_equal(convolutions(), steps=9)
    assert found.natives
    assert found.natives.folded == {"c0": "n0", "c1": "n1", "fc": "n2"}


def test_convolutions_of_bytes_are_those_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = convolutions()
    layers = [x for x in module(graph).layers if isinstance(x, Convolution)]
    assert all(layer.bytes for layer in layers)
    assert exact_on_cpu(), "oneDNN's convolution of bytes is gone from torch, or has changed"
    monkeypatch.setattr("snnc.backends.torch.windows.exact_on_cpu", lambda: False)
    assert_equal(graph)


def spiking() -> Graph:
    """Layers that read spikes: rows of tokens, counts, several tiles, sums of 17 bits, loops."""
    b = Builder(np.random.default_rng(2), Graph("spiking", 9))
    g = b.graph
    x = g.add("x", IntInput((3, 70), Clock.STEP, 0, 2, 1.0)).name
    x = g.add("f0", IntLinear(b.param((66, 70), -127, 127), b.param((66,), -9, 9), 2), x).name
    x = g.add("n0", IntNeuron(lif(b, (3, 66)), (3, 66)), x).name
    x = g.add("flat", IntReshape((198,)), x).name
    g.add("f1", IntLinear(b.param((700, 198), 100, 255)), x)
    _loop(b, "f1", "n1", IntLinear(b.param((700, 700), -90, 99), None, 1))
    g.add("f2", IntLinear(b.param((5, 700), -128, 127)), "n1")
    _loop(b, "f2", "n2", IntLinear(b.param((5, 5), -9, 9)), b.param((5,), 0, 1))
    for name in ("n0", "n1", "n2"):
        g.add(f"{name}.all", IntTimeStack(), name)
        g.add(f"{name}.out", IntOutput(ONE), f"{name}.all")
    return proven(g)


def _loop(
    b: Builder, arriving: str, name: str, layer: IntLinear, init: Param | None = None
) -> None:
    """Neurons that read a layer, and one of their own spikes; half of them fire now and then."""
    size = layer.weight.shape[0]
    theta = Const("theta", b.param((size,), 1, 30000))
    state = State("v", init=Param(np.zeros(size, np.int8)), next="r")
    body = [Line("m", "rsh", ("v",), 1, "floor"), Line("u", "add", ("m", "a"))]
    body += [Line("w", "add", ("u", "b")), Line("s", "gt", ("w", "theta"))]
    body += [Line("r", "select", ("s", "m", "w"))]
    op = IntNeuron(Kernel(("a", "b"), (state,), (theta,), tuple(body), ("s",)), (size,))
    g, types = b.graph, (b.graph[arriving].type,)
    g.declare(name, op, op.infer((*types, *types)), Loc(name))
    g.add(f"own.{name}", layer, Value(name, delay=1, init=init))
    g.connect(Edge(arriving, name))
    g.connect(Edge(f"own.{name}", name, 1))


@pytest.mark.parametrize("dense", [0.0, 0.4, 9.0])
def test_weights_of_spikes_are_added(dense: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """By rows, by products, and by the one or the other, all steps at once or a few at a time."""
    monkeypatch.setattr("snnc.backends.torch.native.DENSE", dense)
    graph = spiking()
    natives = assert_equal(graph, steps=9).natives
    assert natives
    rows = {name: {i: r.most for i, r in p.rows.items()} for name, p in natives.populations.items()}
    assert rows == {"n0": {0: 0}, "n1": {0: 128, 1: 0}, "n2": {0: 0}}
    assert natives.populations["n1"].own == {1}
    monkeypatch.setattr("snnc.backends.torch.whole.CHUNK", 2000)
    monkeypatch.setattr("snnc.backends.torch.native.LISTED", 999)
    assert_equal(graph, 3, steps=9)


@pytest.mark.parametrize("has_layer", [False, True])
def test_neurons_that_read_their_own_spikes(has_layer: bool) -> None:
    """Without a layer in between, or also without one."""
    b, n = Builder(np.random.default_rng(4), Graph("own", 9)), 70
    g, inputs = b.graph, ("a", "b", "c")[: 2 + has_layer]
    g.add("x", IntInput((n,), Clock.STEP, -9, 90, 1.0))
    body = [Line("m", "rsh", ("v",), 1, "floor"), Line("u", "add", ("m", "a"))]
    body += [Line("w", "sub", ("u", "b")), Line("y", "add", ("w", "c" if has_layer else "b"))]
    body += [Line("s", "gt", ("y", "t")), Line("r", "select", ("s", "m", "y"))]
    state, theta = State("v", "r", Param(np.zeros(n, np.int8))), Const("t", Param(np.array(70)))
    op = IntNeuron(Kernel(inputs, (state,), (theta,), tuple(body), ("s",)), (n,))
    g.declare("n", op, op.infer((g["x"].type,) * len(inputs)), Loc("n"))
    g.connect(Edge("x", "n"))
    g.connect(Edge("n", "n", 1, delay=1))
    if has_layer:
        g.add("fc", IntLinear(b.param((n, n), -9, 9)), Value("n", delay=1))
        g.connect(Edge("fc", "n", 2))
    g.add("all", IntTimeStack(), "n")
    g.add("out", IntOutput(ONE), "all")
    natives = assert_equal(proven(g), steps=9).natives
    assert natives
    assert natives.populations["n"].own == ({2} if has_layer else set())


@pytest.mark.parametrize("rounding", ["half_away", "trunc"])
def test_products_of_computed_matrices(rounding: str) -> None:
    """Of words of 16 and 32 bits, turned, with broadcast axes, and of sizes that fill no vector."""
    b = Builder(np.random.default_rng(5), Graph("products", 4))
    g = b.graph
    g.add("x", IntInput((2, 7, 9), Clock.STEP, 0, 1, 1.0))
    g.add("y", IntInput((9, 7), Clock.STEP, -90, 99, 1.0))
    g.add("n", IntNeuron(lif(b, (2, 7, 9)), (2, 7, 9)), "x")
    g.add("turned", IntTranspose((1, 0)), "y")
    g.add("xy", IntMatmul(3, rounding), "x", "y")
    g.add("xyn", IntMatmul(0, rounding), "xy", "n")
    g.add("both", IntMatmul(5, rounding), "xy", "xyn")
    g.add("yx", IntMatmul(1, rounding), "y", "turned")
    g.add("wide", IntMatmul(0, rounding), "yx", "yx")
    for name in ("xy", "xyn", "both", "yx", "wide"):
        g.add(f"{name}.all", IntTimeStack(), name)
        g.add(f"{name}.out", IntOutput(ONE), f"{name}.all")
    natives = assert_equal(proven(g)).natives
    assert natives
    assert natives.products.keys() == {"xy", "xyn", "both", "yx"}


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_ties_of_shifted_products(rounding: str) -> None:
    """In words of 32 and of 64 bits, at a tie and beside it."""
    rng, shift, n = np.random.default_rng(0), 8, 400
    g, inputs = Graph("ties", 3), {}
    for i, top in enumerate([1 << 14, 1 << 40]):
        x = rng.integers(-top, top, (2, 3, n))
        x[:, :, ::2] = (x[:, :, ::2] >> shift << shift) + 128
        inputs[f"x{i}"] = x.clip(-top, top)
        factors = (1, 3, 255, -257)
        body = [Line(f"m{k}", "mul", (f"a{k}", "i")) for k in range(4)]
        body += [Line(f"d{k}", "rsh", (f"m{k}",), shift, rounding) for k in range(4)]
        consts = tuple(Const(f"a{k}", Param(np.array(f))) for k, f in enumerate(factors))
        outputs = tuple(f"d{k}" for k in range(4))
        g.add(f"x{i}", IntInput((n,), Clock.STEP, -top, top, 1.0))
        g.add(f"n{i}", IntNeuron(Kernel(("i",), (), consts, tuple(body), outputs), (n,)), f"x{i}")
        for k in range(4):
            g.add(f"all{i}{k}", IntTimeStack(), Value(f"n{i}", k))
            g.add(f"out{i}{k}", IntOutput(ONE), f"all{i}{k}")
    graph = proven(g)
    want, got = simulator(graph).run(inputs)[0], run(compiled(graph), inputs)[0]
    for name, a in want.items():
        np.testing.assert_array_equal(got[name], a, name)


def _ways(seed: int) -> set[str]:
    """Compare a random stack of layers; give the ways in which some are added by rows."""
    natives = assert_equal(spiking_stack(seed), seed, 9).natives
    assert natives
    populations = [p for p in natives.populations.values() if p.rows]
    ways = {"own" for p in populations if p.own} | {"tokens" for p in populations if p.shape[1:]}
    rows = [r for p in populations for r in p.rows.values()]
    return ways | {f"parts {r.most > 0}" for r in rows} | {f"counts {r.repeats > 1}" for r in rows}


def test_random_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnc.backends.torch.native.DENSE", 9.0)
    pairs = {f"{way} {whether}" for way in ("parts", "counts") for whether in (True, False)}
    assert _ways(15) | _ways(22) == {"own", "tokens"} | pairs


@pytest.mark.slow
@pytest.mark.parametrize("dense", [0.4, 9.0])
def test_many_random_stacks(dense: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnc.backends.torch.native.DENSE", dense)
    for seed in range(500):
        _ways(seed)
        machine.build.cache_clear()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flags are those of one processor")
@pytest.mark.parametrize("level", ["", "-v3"])
def test_other_processors(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled without vectors of 512 bits, too."""
    flags = [f"-march=x86-64{level}" if f == "-march=native" else f for f in machine.FLAGS]
    monkeypatch.setattr(machine, "FLAGS", tuple(flags))
    machine.build.cache_clear()
    try:
        assert_equal(spiking(), steps=9)
    finally:
        machine.build.cache_clear()


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint32", "int64", "uint64", ">i2"])
def test_inputs_of_every_type(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are checked and narrowed by a compiled function where they lie as it takes them."""
    graph = spiking()
    found, x = compiled(graph), np.random.default_rng(0).integers(0, 3, (5, 4, 3, 70))
    want, _ = simulator(graph).run({"x": x})
    for given in (x.astype(kind), np.asfortranarray(x.astype(kind))):
        np.testing.assert_array_equal(run(found, {"x": given})[0]["n0.out"], want["n0.out"])
    for place, wrong in ((0, 3), (-1, 3), (-1, 100)):
        given = x.astype(kind)
        given.reshape(-1)[place] = wrong
        with pytest.raises(ValueError, match=rf"must be in \[0, 2\], got 0\.\.{wrong}"):
            run(found, {"x": given})
    monkeypatch.setattr("snnc.backends.torch.batches.ELEMENTS", 20000)
    np.testing.assert_array_equal(run(found, {"x": x})[0]["n1.out"], want["n1.out"])


@pytest.mark.parametrize("good", [0, 1])
def test_a_compiler_that_fails_later_leaves_tensors(
    good: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the inputs, or at what reads them: the words are the same, and a warning says why."""
    graph = mlp()
    want, found, builds = random_reference(graph, 0, 5, 7), compiled(graph), list[str]()

    def build(source: str) -> machine.Function:
        builds.append(source)
        if len(builds) > good:
            raise OSError("cc is out of memory")
        return real(source)

    real = machine.build
    monkeypatch.setattr(machine, "build", build)
    with pytest.warns(RuntimeWarning, match="tensors, which take longer: cc is out of memory"):
        assert not want.difference(run(found, want.inputs, None, want.words))
    assert (len(builds), found.natives) == (good + 1, None)
    assert not want.difference(run(found, want.inputs, None, want.words))


def test_arrays_that_are_not_aligned_are_copied() -> None:
    raw = np.zeros(1 + 4 * 3 * 5 * 8, np.uint8)
    for array, is_taken in ((raw[:-1], True), (raw[1:], False)):
        x = array.view(np.int64).reshape(4, 3, 5)
        assert (taken(x, torch.int8, (0, 1), True) is not None) == is_taken


def test_what_fails_waits_for_the_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """They write to memory that is given back when the caller's error is raised."""
    monkeypatch.setattr(machine, "ELEMENTS", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    begun, calls, ends = threading.Event(), list[int](), list[int]()

    def part(first: int, _: int) -> None:
        calls.append(first)
        if threading.current_thread() is threading.main_thread():
            begun.wait(5)
            raise KeyboardInterrupt
        begun.set()
        time.sleep(0.05)
        ends.append(first)

    with pytest.raises(KeyboardInterrupt):
        machine.parallel(part, 8, 100)
    assert len(ends) == len(calls) - 1 >= 1


def test_few_steps_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnc.backends.torch.whole.CHUNK", 200)
    assert_equal(convolutions(), steps=9)


def test_threads_share_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ELEMENTS", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert_equal(mlp())
    finally:
        torch.set_num_threads(before)


def test_a_network_is_compiled_when_that_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    found, graph = module(mlp()), mlp()
    want = random_reference(graph, 0, 5, 7)
    natives = found.natives = Natives(found, after=1 << 19)
    paid = []
    while not natives.pay(5, 7):
        assert not want.difference(run(found, want.inputs, None, want.words))
        paid.append(1)
    assert 1 <= len(paid) < 9
    assert not want.difference(run(copy.deepcopy(found), want.inputs, None, want.words))
    monkeypatch.setattr(machine, "available", lambda: False)
    assert not natives.pay(5, 7), "without a compiler it never is"


def test_loops_are_as_small_as_they_are() -> None:
    """Only what waits for itself is evaluated step by step."""
    nodes = [
        {"name": n, "inputs": [{"src": s} for s in reads]}
        for n, reads in {"a": "d", "b": "x", "c": "ab", "d": "c", "e": "cf", "f": "e"}.items()
    ]
    found = [[node["name"] for node in group] for group in components(nodes)]
    assert found == [["b"], ["a", "c", "d"], ["e", "f"]]
