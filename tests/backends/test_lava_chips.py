"""Placement on the cores of a chip: limits are kept, and what does not fit gets good advice."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.lava.stock.chips import RESOURCES, Chip, Limit, find_chip, names
from snnc.backends.lava.stock.cores import Cores, Part
from snnc.backends.lava.stock.fitting import fit
from snnc.backends.lava.stock.legalise import legalise
from snnc.backends.lava.stock.placement import place
from snnc.backends.lava.stock.plan import StockPlan
from snnc.cli import run
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.ops import Conv2d, Input, Linear, Neuron, Output, TimeSum
from snnc.passes import run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.types import TensorType
from tests.kerneltext import kernel
from tests.models import model_file
from tests.passes.test_fit_loihi import LIF, NETS, chain
from tests.realgraphs import param
from tests.stockgraphs import random_network

LOIHI1, LOIHI2 = find_chip("loihi1"), find_chip("loihi2")


def small(chip: Chip, **limits: int) -> Chip:
    return replace(chip, **{k: Limit(v, "a test") for k, v in limits.items()})


def planned(graph: Graph, bits: int = 8) -> StockPlan:
    return legalise(run_passes(graph, integer_pipeline(bits=bits, profile="loihi", stock=True)))


def layer(op: Linear | Conv2d, shape: tuple[int, ...], out: tuple[int, ...]) -> Graph:
    g = Graph("net", 8)
    g.add("x", Input(TensorType(shape), 0.0, 1.0, 1.0))
    g.add("w", op, "x")
    g.add("n", Neuron(kernel(LIF, beta=0.9, theta=1.0), out), "w")
    g.add("sum", TimeSum(), "n")
    g.add("out", Output(), "sum")
    return g


@pytest.mark.parametrize("key", names())
def test_every_figure_has_a_source(key: str) -> None:
    chip = find_chip(key)
    for name in ("cores", *RESOURCES, "payload_bits", "longest_delay"):
        limit = getattr(chip, name)
        assert limit.value >= 1
        assert len(limit.source) > 10
    assert chip.synapses.source
    with pytest.raises(CompileError, match="chips are lava:loihi1, lava:loihi2"):
        find_chip("loihi9")


@pytest.mark.parametrize(
    ("inputs", "rows", "words"), [(64, 10, 192), (128, 64, 2016), (784, 50, 9408)]
)
def test_memory_of_loihi_2_against_its_compiler(inputs: int, rows: int, words: int) -> None:
    """Dense layers of lava-dl's notebooks: never too little, at most 9 % too much."""
    found = inputs * LOIHI2.synapses.words(rows, rows, 8, delayed=False)
    assert words <= found <= 1.09 * words


@pytest.mark.parametrize("seed", [0, 2, 5, 11])
def test_cores_hold_every_neuron_once_and_keep_the_limits(seed: int) -> None:
    plan = legalise(random_network(seed))  # these have no feedback too fast for Lava (E512)
    chip = small(LOIHI1, neurons=5, synapse_words=30, axons_in=24, axons_out=12, groups=2)
    placement = place(plan, chip)
    held = [
        (p.population, i) for c in placement.cores for p in c.parts for i in range(p.start, p.stop)
    ]
    assert sorted(held) == sorted((p.name, i) for p in plan.populations for i in range(p.size))
    home = {
        neuron: k
        for k, c in enumerate(placement.cores)
        for p in c.parts
        for neuron in [(p.population, i) for i in range(p.start, p.stop)]
    }
    cores = Cores(plan, chip)
    arrives: set[tuple[object, int]] = set()
    for name, found in cores.synapses.items():
        for s in found:
            for src, row in zip(s.src, s.rows, strict=True):
                arrives.add(((s.carrier, int(src)), home[name, int(row)]))
    for k, core in enumerate(placement.cores):
        assert all(core.uses[r] <= chip.limit(r) for r in RESOURCES)
        assert core.uses["axons_in"] == sum(to == k for _, to in arrives)
        assert core.uses["axons_out"] == sum(
            home.get(src) == k and to != k
            for src, to in arrives  # type: ignore[call-overload]
        )
    assert placement.traffic == sum(home.get(src) != to for src, to in arrives)  # type: ignore[call-overload]


def test_kernels_are_shared() -> None:
    """The 576 inner pixels of an image have one set of synapses between them."""
    rng = np.random.default_rng(0)
    weight = param(rng.normal(size=(4, 1, 3, 3)))
    plan = planned(layer(Conv2d(weight, None, (1, 1), (1, 1), (1, 1)), (1, 26, 26), (4, 26, 26)))
    cores = Cores(plan, small(LOIHI1, neurons=4096))
    (population,) = plan.populations
    need = cores.need(Part(population.name, 0, population.size))
    assert need.of("axons_in") == 26 * 26
    assert need.synapse_words < 26 * 26 * 36 * 8 / 64 / 10


def test_fewer_bits_are_advised_and_fit() -> None:
    rng = np.random.default_rng(0)
    net = layer(Linear(param(rng.normal(size=(64, 100)))), (100,), (64,))
    chip = small(LOIHI1, cores=1, synapse_words=700)
    _, found = fit(planned(net), chip)
    (problem,) = found
    assert problem.code == "E520"
    assert "needs 2 cores, Loihi 1 has 1" in problem.message
    assert any("synapse words" in note for note in problem.notes)
    (bits,) = map(int, re.findall(r"--bits (\d)", str(problem.help)))
    placement, found = fit(planned(net, bits), chip)
    assert placement is not None
    assert placement.fits
    assert found[0].code == "R521"


def test_a_neuron_that_reads_too_much_is_named() -> None:
    plan = planned(chain(*NETS["lif"], step=1.0))
    _, found = fit(plan, small(LOIHI1, axons_in=20))
    (problem,) = found
    assert "a neuron of n0 needs 30 axons_in, a core has 20" in problem.message
    assert "--target lava:loihi2, which it fits" in str(problem.help)


def test_graded_inputs_get_an_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The advice is followed literally."""
    path = str(model_file(tmp_path, chain(*NETS["lif"])))
    command = ["compile", path, "-o", str(tmp_path / "net"), "-q"]
    assert run([*command, "--target", "lava:loihi1"]) == 6
    assert not (tmp_path / "net").exists()
    advice = capsys.readouterr().err
    assert "compile with --encode rate, or --target lava:loihi2, which it fits" in advice
    assert run([*command, "--target", "lava:loihi1", "--encode", "rate"]) == 0
    mapping = (tmp_path / "net" / "lava-stock-loihi1" / "mapping.txt").read_text()
    assert mapping.startswith("1 of 128 cores of Loihi 1")
    assert run([*command, "--force", "--target", "lava:loihi2"]) == 0


@pytest.mark.slow
def test_too_many_neurons_for_loihi_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    conv = Conv2d(param(rng.normal(size=(64, 1, 3, 3))), None, (1, 1), (1, 1), (1, 1))
    path = str(model_file(tmp_path, layer(conv, (1, 48, 48), (64, 48, 48))))
    command = ["compile", path, "-o", str(tmp_path / "net"), "-q", "--target"]
    assert run([*command, "lava:loihi1"]) == 6
    message = capsys.readouterr().err
    assert "the network needs 144 cores, Loihi 1 has 128" in message
    assert "core  holds" in message
    (target,) = re.findall(r"--target (lava:\w+), which it fits", message)
    assert run([*command, target]) == 0


@pytest.mark.slow
def test_too_many_weights_for_loihi_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    net = layer(Linear(param(rng.normal(size=(4400, 4000)).astype(np.float32))), (4000,), (4400,))
    command = ["compile", str(model_file(tmp_path, net)), "-o", str(tmp_path / "net"), "-q"]
    assert run([*command, "--target", "lava:loihi1"]) == 6
    (bits,) = re.findall(r"--bits (\d)", capsys.readouterr().err)
    assert run([*command, "--target", "lava:loihi1", "--bits", bits]) == 0


def test_a_network_of_too_many_cores_fits_where_the_advice_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """135,200 neurons on the chip itself, not a smaller one: the table, and a target that works."""
    weight = param(np.random.default_rng(0).normal(size=(8, 1, 3, 3)))
    net = layer(Conv2d(weight, None, (1, 1), (1, 1), (1, 1)), (1, 130, 130), (8, 130, 130))
    command = ["compile", str(model_file(tmp_path, net)), "-o", str(tmp_path / "net"), "-q"]
    command += ["--encode", "rate", "--target"]
    assert run([*command, "lava:loihi1"]) == 6
    assert not (tmp_path / "net").exists()
    advice = capsys.readouterr().err
    assert "the network needs 133 cores, Loihi 1 has 128" in advice
    assert re.search(r"n\[0:1016\] +99.2 % +0.2 % ", advice)
    (target,) = re.findall(r"help: .*--target (\S+), which it fits", advice)
    assert run([*command, target]) == 0
    mapping = (tmp_path / "net" / "lava-stock-loihi2" / "mapping.txt").read_text()
    assert "cores of Loihi 2" in mapping.splitlines()[0]
