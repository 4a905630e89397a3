"""A population that reads an input and its own spikes gets one sum of both."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from examples.benchmarks.c_events import leaky
from snnc.backends.c import stages
from snnc.backends.c.network import Network
from snnc.backends.c.proof_run import check_certificate, prove, write_proof
from snnc.diagnostics import CompileError, Loc
from snnc.graph import Edge, Graph
from snnc.intops import IntInput, IntLinear, IntNeuron, IntOutput, IntTimeStack
from snnc.params import Param
from snnc.storage import dump_graph
from snnc.types import Clock
from tests.backends.test_c_common_factors import assert_words, recurrent, two_inputs
from tests.intgraphs import ONE, proven

INPUTS = 300
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")
CHECKED = (*STRICT, "-O2", "-fsanitize=undefined", "-fno-sanitize-recover=all")
BUILDS = {
    "portable": CHECKED,
    "scalar": (*STRICT, "-O1", "-DSNN_LANES=0"),
    "native": (*STRICT, "-O3", "-march=native"),
}
BUILDS |= {f"{name}, blocks": (*flags, "-DSNN_TRACE_BLOCKS") for name, flags in BUILDS.items()}


def test_layers_of_the_same_shift_are_joined() -> None:
    """The factor 2 of the recurrent weights is the difference of the shifts."""
    joins = Network(recurrent(2, inputs=INPUTS)).plan.joins
    assert set(joins) == {"fc", "own", "lif"}
    assert not Network(recurrent(1, inputs=INPUTS)).plan.joins
    assert not Network(recurrent(2)).plan.joins  # too small for blocks of steps


def two_taps(size: int = 64) -> Graph:
    """A population that reads what another does, and what it did in the step before."""
    rng, g = np.random.default_rng(1), Graph("taps", 9)

    def layer(out: int, fan_in: int, shift: int) -> IntLinear:
        return IntLinear(Param(rng.integers(-40, 41, (out, fan_in), np.int8)), None, shift)

    g.add("x", IntInput((50,), Clock.STEP, 0, 1, 1.0))
    g.add("fc", layer(INPUTS, 50, 4), "x")
    other, late = IntNeuron(leaky(1500), (INPUTS,)), layer(size, INPUTS, 3)
    spikes = other.infer((g["fc"].type,))
    g.declare("late", late, late.infer(spikes), Loc("late"))
    g.add("other", other, "fc")
    g.connect(Edge("other", "late", delay=1))
    g.add("now", layer(size, INPUTS, 3), "other")
    g.add("lif", IntNeuron(two_inputs(1500), (size,)), "now", "late")
    g.add("stack", IntTimeStack(), "lif")
    g.add("spikes", IntOutput(ONE), "stack")
    return proven(g)


def test_late_spikes_of_others_are_not_joined(tmp_path: Path) -> None:
    """Their list is the one of this step before the layer that reads it has a list to add to."""
    graph = two_taps()
    net = Network(graph)
    assert net.plan.reads_last(graph.in_edges("late")[0])
    assert not net.plan.joins
    assert_words(graph, tmp_path, BUILDS["portable"], 50)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("size", [64, 40])
def test_words_are_those_of_the_definition(tmp_path: Path, build: str, size: int) -> None:
    graph = recurrent(2, size=size, inputs=INPUTS * 64 // size + 1)
    assert Network(graph).plan.joins
    assert_words(graph, tmp_path, BUILDS[build], INPUTS * 64 // size + 1)


@pytest.fixture
def certified(tmp_path: Path) -> Path:
    graph = recurrent(2, inputs=INPUTS)
    write_proof(graph, tmp_path)
    (tmp_path / "program").mkdir()
    text, blob = dump_graph(graph)
    (tmp_path / "program" / "graph.json").write_bytes(text)
    (tmp_path / "program" / "tensors.safetensors").write_bytes(blob)
    return tmp_path


def test_the_sum_of_both_is_certified(certified: Path) -> None:
    assert "2 layers certified" in check_certificate(certified / "proof", certified / "program")
    file = certified / "proof" / "bounds.json"
    document = json.loads(file.read_text())
    (layer,) = (x for x in document["layers"] if "and" in x)
    assert (layer["name"], layer["and"]) == ("fc", "own")
    layer["value_word"] = "int8_t"
    file.write_text(json.dumps(document))
    with pytest.raises(CompileError, match="E414"):
        check_certificate(certified / "proof", certified / "program")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("frama-c"), reason="frama-c is not installed")
def test_joined_layers_are_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "DENSE", 0)
    graph = recurrent(2, size=16)
    assert Network(graph).plan.joins
    found = write_proof(graph, tmp_path)
    verdicts = [prove(tmp_path / "proof", h, tmp_path / "c") for h in found]
    assert len(verdicts) == 4
    assert all(v.proven for v in verdicts)
