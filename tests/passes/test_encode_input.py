"""Encoders in front of a network: their definitions, floats = integers = C, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import snnc
from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.encoder_choice import parse_encoder
from snnc.graph import Graph
from snnc.ops import Embedding, Input, Linear, Output, Pointwise, Reduce, TimeStack, TimeSum
from snnc.params import Param
from snnc.passes import run_passes
from snnc.passes.encode_input import encode_inputs
from snnc.passes.pipeline import integer_pipeline, real_pipeline
from snnc.types import FLOAT32, SPIKE, Clock, DType, Int, TensorType
from tests.differential.test_sim_vs_c import assert_equal
from tests.intgraphs import simulator
from tests.models import model_file
from tests.realgraphs import mlp

GREY = np.arange(256)
T = 16


def spikes_of(*shapes: tuple[int, ...], dtype: DType = FLOAT32) -> Graph:
    """A network that returns what it reads at every step, of one input per shape."""
    g = Graph("spikes", T)
    for i, shape in enumerate(shapes):
        g.add(f"x{i}", Input(TensorType(shape, dtype)))
        g.add(f"stack{i}", TimeStack(), f"x{i}")
        g.add(f"out{i}", Output(), f"stack{i}")
    return g


def encoded(text: str, *shapes: tuple[int, ...]) -> Graph:
    return encode_inputs(spikes_of(*shapes), [parse_encoder(text)])[0]


def mix(n: int) -> int:
    """lowbias32 with Python's integers."""
    n ^= n >> 16
    n = n * 0x7FEB352D % (1 << 32)
    n ^= n >> 15
    n = n * 0x846CA68B % (1 << 32)
    return n ^ n >> 16


def rate(x: Fraction, i: int, t: int, seed: int = 0) -> bool:
    golden, word = 0x9E3779B9, 1 << 32
    key = mix((seed + (t + 1) * golden) % word)
    return mix(key ^ i * golden % word) < x * word // 1


def sigma_delta(x: Fraction, i: int, t: int, start: Fraction = Fraction(1, 2)) -> bool:
    return (start + x * (t + 1)) // 1 > (start + x * t) // 1


def latency(x: Fraction, i: int, t: int, window: int = T) -> bool:
    """Rounded, halves to the later step; nothing from the end of the window on."""
    when = (window * (1 - x) + Fraction(1, 2)) // 1
    return t == when < window


def phase(x: Fraction, i: int, t: int, bits: int = 8) -> bool:
    return x == 1 or bool((x * (1 << (t % bits + 1)) // 1) % 2)


CODES: dict[str, Callable[[Fraction, int, int], bool]] = {
    "rate": rate,
    "rate:seed=4294967295": lambda x, i, t: rate(x, i, t, 4294967295),
    "sigma-delta": sigma_delta,
    "sigma-delta:start=0.25": lambda x, i, t: sigma_delta(x, i, t, Fraction(1, 4)),
    "latency": latency,
    "latency:steps=10": lambda x, i, t: latency(x, i, t, 10),
    "latency:steps=23": lambda x, i, t: latency(x, i, t, 23),
    "phase": phase,
    "phase:bits=5": lambda x, i, t: phase(x, i, t, 5),
}


@pytest.mark.parametrize("text", CODES)
def test_spikes_are_the_definition_in_floats_and_integers(text: str) -> None:
    x = [Fraction(int(n), 255) for n in GREY]
    expected = [[CODES[text](p, i, t) for i, p in enumerate(x)] for t in range(T)]
    graph = encoded(text, (256,))
    found = simulator(run_passes(graph, integer_pipeline())).run(GREY[None])[0]["out0"][0]
    np.testing.assert_array_equal(found, np.array(expected, int))
    real = FloatSimulator(run_passes(graph, real_pipeline())).run(GREY[None] / 255)[0]["out0"][0]
    np.testing.assert_array_equal(real, found)


@pytest.mark.parametrize("text", ["rate", "sigma-delta", "latency", "phase"])
def test_the_largest_value_may_be_another_than_one(text: str) -> None:
    program = run_passes(encoded(f"{text}:max=255", (256,)), integer_pipeline())
    same = run_passes(encoded(text, (256,)), integer_pipeline())
    runs = [simulator(g).run(GREY[None])[0]["out0"] for g in (program, same)]
    np.testing.assert_array_equal(*runs)


def test_a_signal_sends_its_changes_in_floats_and_integers() -> None:
    n = np.clip(np.random.default_rng(0).integers(-30, 31, (8, T, 3)).cumsum(1), -127, 127)
    graph = encoded("delta", (6,))
    x = graph["x0"].op
    assert isinstance(x, Input)
    assert x.type == TensorType((3,))
    sent, up, down = np.zeros((8, 3)), [], []
    for t in range(T):
        change = n[:, t] / 128 - sent
        up.append(change >= 0.125)
        down.append(change <= -0.125)
        sent = sent + 0.125 * up[-1] - 0.125 * down[-1]
    expected = np.concatenate([np.stack(up, 1), np.stack(down, 1)], 2).astype(int)
    signed = encoded("delta:signed=1", (3,))
    for g, wanted in ((graph, expected), (signed, expected[..., :3] - expected[..., 3:])):
        x = replace(x, type=g["x0"].type, lo=-127 / 128, hi=127 / 128, step=1 / 128)
        g.replace(replace(g["x0"], op=x))
        real = FloatSimulator(run_passes(g, real_pipeline())).run(n / 128)[0]["out0"]
        np.testing.assert_array_equal(real, wanted)
        found = simulator(run_passes(g, integer_pipeline())).run(n)[0]["out0"]
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("code", ["direct", "sigma-delta", "rate", "latency"])
def test_a_population_has_overlapping_fields(code: str) -> None:
    graph = encoded(f"population:neurons=5,code={code}", (2, 10))
    assert graph["x0"].type.shape == (2, 2)
    n = np.random.default_rng(0).integers(0, 256, (20, 2, 2))
    centre, sigma = np.arange(5) / 4, 0.125
    field = np.exp(-((n[..., None] / 255 - centre) ** 2) / (2 * sigma**2)).reshape(20, 2, 10)
    program = simulator(run_passes(graph, integer_pipeline()))
    real = FloatSimulator(run_passes(graph, real_pipeline())).run(n / 255)[0]["out0"]
    found = program.run(n)[0]["out0"]
    if code == "direct":
        np.testing.assert_allclose(real, field[:, None].repeat(T, 1), atol=1e-12)
        np.testing.assert_allclose(found / 2**16, real, atol=2**-12)
        return
    assert (found == real).mean() > 0.999  # a table of exp is near the function, not equal
    if code == "sigma-delta":
        np.testing.assert_allclose(found.sum(1), T * field, atol=0.51)


def test_a_static_value_is_repeated() -> None:
    graph = encoded("direct", (5,))
    x = np.arange(5)[None]
    found = simulator(run_passes(graph, integer_pipeline())).run(x)[0]["out0"]
    np.testing.assert_array_equal(found, x[:, None].repeat(T, 1))


def test_c_has_the_same_words(tmp_path: Path) -> None:
    """All encoders in one network, each with its own input."""
    texts = [*CODES, "direct", "population:neurons=4,code=rate", "delta", "delta:signed=1"]
    shapes = [(2, 8) if text.startswith(("p", "d")) else (7,) for text in texts]
    choices = [parse_encoder(f"x{i}={text}") for i, text in enumerate(texts)]
    graph, named = encode_inputs(spikes_of(*shapes), choices)
    assert [c.input for c in named] == [f"x{i}" for i in range(len(texts))]
    assert_equal(run_passes(graph, integer_pipeline()), tmp_path, steps=T)


BAD: dict[str, tuple[str, str]] = {
    "morse": ("E230", "no encoder 'morse'"),
    "rate:speed=3": ("E230", "'speed=3' is no option of rate"),
    "rate:seed": ("E230", "'seed' is no option of rate"),
    "rate:seed=-1": ("E230", "a whole number from 0"),
    "rate:max=0": ("E230", "a number above 0"),
    "rate:max=nan": ("E230", "a number above 0"),
    "population": ("E230", "needs neurons="),
    "population:neurons=4,code=morse": ("E230", "one of direct"),
    "y=rate": ("E231", "no input is named 'y'"),
    "population:neurons=5": ("E232", "cannot give the shape (7,)"),
    "delta": ("E232", "cannot give the shape (7,)"),
}


@pytest.mark.parametrize("text", BAD)
def test_refused(text: str) -> None:
    code, part = BAD[text]
    with pytest.raises(CompileError) as e:
        encoded(text, (7,))
    assert e.value.diagnostics[0].code == code
    assert part in str(e.value)


def test_refused_inputs() -> None:
    static = spikes_of((7,))
    g = Graph("static", 4)
    g.add("x", Input(TensorType((3,), FLOAT32, Clock.ONCE)))
    g.add("out", Output(), "x")
    tokens = Graph("tokens", 4)
    tokens.add("x", Input(TensorType((3,), Int(0, 9))))
    tokens.add("e", Embedding(Param(np.ones((10, 2)))), "x")
    tokens.add("sum", TimeSum(), "e")
    tokens.add("out", Output(), "sum")
    for graph, text, part in (
        (g, "rate", "once per sample"),
        (tokens, "rate", "tokens"),
        (spikes_of((2,), (3,)), "rate", "several inputs"),
        (encode_inputs(static, [parse_encoder("rate")])[0], "phase", "once per sample"),
    ):
        with pytest.raises(CompileError) as e:
            encode_inputs(graph, [parse_encoder(text)])
        assert e.value.diagnostics[0].code == "E231"
        assert part in str(e.value)


@pytest.mark.parametrize("encoder", ["rate", "sigma-delta", "latency", "phase"])
def test_values_outside_are_refused(tmp_path: Path, encoder: str) -> None:
    model = model_file(tmp_path, mlp())
    for low, high in ((-0.5, 1.0), (0.0, 255.0)):
        np.save(tmp_path / "x.npy", np.linspace(low, high, 24).reshape(2, 12))
        with pytest.raises(CompileError) as e:
            snnc.compile(
                model, tmp_path / "net", encode=encoder, calibration=tmp_path / "x.npy", bits=4
            )
        assert [d.code for d in e.value.diagnostics] == ["E233"]
    assert not (tmp_path / "net").exists()


def test_types_behind_an_encoder_are_those_of_spikes() -> None:
    """So that what moves them, or takes their largest, knows that they are 0 or 1."""
    g = Graph("max", T)
    g.add("x", Input(TensorType((2, 3))))
    g.add("max", Reduce("max", (0,)), "x")
    g.add("fc", Linear(Param(np.ones((2, 3)))), "max")
    g.add("shifted", Pointwise("neg"), "fc")
    g.add("sum", TimeSum(), "shifted")
    g.add("out", Output(), "sum")
    coded = encode_inputs(g, [parse_encoder("phase")])[0]
    assert coded["max"].type.dtype == SPIKE
    assert g["x"].type.clock is Clock.STEP  # the caller's graph is as it was
