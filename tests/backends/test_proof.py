"""Proofs by Frama-C Eva: good code is proven, and every seeded defect is not.

The quick tests prove a dense layer with its neurons; with ``-m slow`` also a recurrent, a
convolutional and an attention layer, and that eight defects are seen.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.benchmarks.c_events import leaky
from snnc.backends.c.proof import Harness
from snnc.backends.c.proof_run import Verdict, check_certificate, prove, write_proof
from snnc.diagnostics import CompileError, Loc
from snnc.graph import Edge, Graph, Value
from snnc.intops import (
    IntConv,
    IntInput,
    IntLinear,
    IntMatmul,
    IntNeuron,
    IntOutput,
    IntSum,
    IntSumPool,
    IntTimeSum,
    IntTranspose,
)
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param
from snnc.types import Clock
from tests.certified import certified
from tests.intgraphs import ONE, proven

needs_eva = pytest.mark.skipif(not shutil.which("frama-c"), reason="frama-c is not installed")


def weights(*shape: int, top: int = 30, seed: int = 0) -> Param:
    values = np.random.default_rng(seed).integers(-top, top + 1, shape)
    return Param(values.astype(np.int8 if top < 128 else np.int16))


def counted(g: Graph, spikes: str) -> Graph:
    g.add("count", IntTimeSum(), spikes)
    g.add("out", IntOutput(ONE), "count")
    return proven(g)


def dense() -> Graph:
    g = Graph("dense", 8)
    g.add("x", IntInput((7,), Clock.STEP, 0, 1, 1.0))
    g.add("fc", IntLinear(weights(5, 7), weights(5, top=9), 4), "x")
    g.add("lif", IntNeuron(leaky(300), (5,)), "fc")
    return counted(g, "lif")


def recurrent() -> Graph:
    g = Graph("recurrent", 8)
    g.add("x", IntInput((12,), Clock.STEP, 0, 1, 1.0))
    g.add("fc", IntLinear(weights(9, 12), weights(9, seed=1)), "x")
    op = IntNeuron(leaky(160), (9,))
    g.declare("lif", op, op.infer((g["fc"].type,)), Loc("lif"))
    g.add("back", IntLinear(weights(9, 9, top=8)), Value("lif", 0, 1))
    g.add("both", IntSum(), "fc", "back")
    g.connect(Edge("both", "lif"))
    return counted(g, "lif")


def convolutional() -> Graph:
    g = Graph("conv", 8)
    g.add("x", IntInput((2, 5, 5), Clock.STEP, 0, 1, 1.0))
    one = (1, 1)
    g.add("conv", IntConv(weights(3, 2, 3, 3), None, 0, one, one, one, 1), "x")
    g.add("lif", IntNeuron(leaky(70), (3, 5, 5)), "conv")
    g.add("pool", IntSumPool((2, 2), (2, 2), (0, 0)), "lif")
    g.add("lif2", IntNeuron(leaky(3), (3, 2, 2)), "pool")
    return counted(g, "lif2")


def attention() -> Graph:
    """Q (K^T V) of spikes, as spiking transformers without softmax have it."""
    g = Graph("attention", 8)
    g.add("x", IntInput((4, 6), Clock.STEP, 0, 1, 1.0))
    g.add("turned", IntTranspose((1, 0)), "x")
    g.add("keys", IntMatmul(), "turned", "x")
    g.add("values", IntMatmul(2), "x", "keys")
    g.add("lif", IntNeuron(leaky(5), (4, 6)), "values")
    return counted(g, "lif")


NETWORKS = {f.__name__: f for f in (dense, recurrent, convolutional, attention)}


def proved(graph: Graph, folder: Path, wanted: str = "") -> list[Verdict]:
    found: list[Harness] = write_proof(graph, folder)
    some = [h for h in found if wanted in h.node]
    return [prove(folder / "proof", h, folder / "c") for h in some]


@needs_eva
@pytest.mark.parametrize(
    "name",
    ["dense", *(pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS if n != "dense")],
)
def test_layers_are_proven(tmp_path: Path, name: str) -> None:
    verdicts = proved(NETWORKS[name](), tmp_path)
    assert len(verdicts) >= 3
    assert {v.name: (v.alarms, v.valid) for v in verdicts} == {
        v.name: (0, v.asserts) for v in verdicts
    }
    assert all(v.asserts for v in verdicts)


def refractory() -> Graph:
    """A layer of 16-bit weights and neurons with two states, and a count of silent steps."""
    body = (
        Line("m", "mul", ("u", "a")),
        Line("d", "rsh", ("m",), 12, "trunc"),
        Line("un", "add", ("d", "i")),
        Line("n", "mul", ("v", "b")),
        Line("e", "rsh", ("n",), 12, "trunc"),
        Line("vn", "add", ("e", "un")),
        Line("free", "le", ("r", "zero")),
        Line("high", "ge", ("vn", "theta")),
        Line("s", "and", ("free", "high")),
        Line("after", "select", ("high", "zero", "vn")),
        Line("v1", "select", ("free", "after", "zero")),
        Line("less", "sub", ("r", "one")),
        Line("r0", "select", ("free", "zero", "less")),
        Line("r1", "select", ("s", "two", "r0")),
    )
    values = {"a": 3072, "b": 3968, "theta": 4096, "zero": 0, "one": 1, "two": 2}
    consts = tuple(Const(name, Param(np.array(n))) for name, n in values.items())
    zero = Param(np.array(0))
    states = (State("u", "un", zero), State("v", "v1", zero), State("r", "r1", zero))
    g = Graph("refractory", 8)
    g.add("x", IntInput((12,), Clock.STEP, 0, 1, 1.0))
    g.add("fc", IntLinear(weights(6, 12, top=4000), None, 6), "x")
    g.add("lif", IntNeuron(Kernel(("i",), states, consts, body, ("s",)), (6,)), "fc")
    return counted(g, "lif")


#: What is changed in snn.c: a pattern that must occur, its replacement, the layer that fails.
DEFECTS = {
    "32-bit product": (r"(const int32_t v\d+_d) = .*;", r"\1 = (u1_u * 3072) / 4096;", "lif"),
    "one element too far": (r"j < 6u; j\+\+\) \{\n(\s+acc)", r"j <= 6u; j++) {\n\1", "fc"),
    "shift of a negative": (r"(\[\w+\]) \* INT32_C\(64\)", r"\1 << 6", "fc"),
    "state not initialised": (r"    memset\((l\d+_s1_v), 0, sizeof \1\);\n", "", "lif"),
    "16-bit accumulator": (r"acc\[j\] \+= w\[j\];", "acc[j] = (int16_t)(acc[j] + w[j]);", "fc"),
    "> for >=": (r"(v\d+_high = .*)>=", r"\1>", "lif"),
    "counter wraps": (r"(v\d+_r0) = .*;", r"\1 = u3_r - 1;", "lif"),
    "output one too far": (r"(l\d+_y0_s)\[(\w+)\] =", r"\1[\2 + 1u] =", "lif"),
}


@needs_eva
@pytest.mark.slow
def test_the_network_of_the_defects_is_proven(tmp_path: Path) -> None:
    assert all(v.proven for v in proved(refractory(), tmp_path))


@needs_eva
@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS)
def test_seeded_defects_are_seen(tmp_path: Path, defect: str) -> None:
    pattern, replacement, layer = DEFECTS[defect]
    found = write_proof(refractory(), tmp_path)
    source = tmp_path / "c" / "snn.c"
    text, count = re.subn(pattern, replacement, source.read_text())
    assert count, "the emitted C has changed: seed the defect where it belongs now"
    source.write_text(text)
    verdicts = [prove(tmp_path / "proof", h, tmp_path / "c") for h in found if h.node == layer]
    assert not all(v.proven for v in verdicts)


@pytest.mark.parametrize("name", NETWORKS)
def test_sums_are_certified(tmp_path: Path, name: str) -> None:
    proof = certified(NETWORKS[name](), tmp_path)
    assert "layers certified" in check_certificate(proof, tmp_path / "program")


@pytest.mark.parametrize(
    ("key", "change", "text"),
    [
        ("sums", lambda x: [x[0] + 1, x[1]], "sums lie in"),
        ("sums", lambda x: [x[0], x[1] - 1], "sums lie in"),
        ("input", lambda x: [0, 0], "its input"),
        ("sum_word", lambda x: "uint16_t", "does not fit uint16_t"),
        ("value_word", lambda x: "uint8_t", "does not fit uint8_t"),
        ("name", lambda x: "x", "not in the certificate"),
    ],
)
def test_a_wrong_certificate_is_refused(tmp_path: Path, key: str, change, text: str) -> None:  # type: ignore[no-untyped-def]
    proof = certified(dense(), tmp_path)
    document = json.loads((proof / "bounds.json").read_text())
    document["layers"][0][key] = change(document["layers"][0][key])
    if key == "name":
        document["layers"] = []
    (proof / "bounds.json").write_text(json.dumps(document))
    with pytest.raises(CompileError) as caught:
        check_certificate(proof, tmp_path / "program")
    assert caught.value.diagnostics[0].code == "E414"
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("key", "change", "text"),
    [
        ("factors", lambda x: [[0, 0], x[1]], "a factor is not"),
        ("sums", lambda x: [x[0], x[1] - 1], "sums lie in"),
        ("sum_word", lambda x: "int8_t", "does not fit int8_t"),
    ],
)
def test_a_wrong_certificate_of_a_product_is_refused(
    tmp_path: Path, key: str, change: Callable[[Any], object], text: str
) -> None:
    g = Graph("product", 8)
    g.add("x", IntInput((64, 6), Clock.STEP, 0, 3, 1.0))
    g.add("turned", IntTranspose((1, 0)), "x")
    g.add("keys", IntMatmul(), "turned", "x")
    g.add("lif", IntNeuron(leaky(5), (6, 6)), "keys")
    proof = certified(counted(g, "lif"), tmp_path)
    document = json.loads((proof / "bounds.json").read_text())
    (product,) = document["products"]
    product[key] = change(product[key])
    (proof / "bounds.json").write_text(json.dumps(document))
    with pytest.raises(CompileError, match=text):
        check_certificate(proof, tmp_path / "program")


def test_no_frama_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = write_proof(dense(), tmp_path)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(CompileError, match="frama-c-base") as caught:
        prove(tmp_path / "proof", found[0], tmp_path / "c")
    assert caught.value.diagnostics[0].code == "E624"
