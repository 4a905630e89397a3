"""Two lines in one are the two lines, at halves and at the ends of what they are proven for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snnc.backends.numpy import neuron
from snnc.backends.numpy.arithmetic import function
from snnc.backends.numpy.fusion import decay, fused, reset
from snnc.graph import Graph
from snnc.intops import IntInput, IntNeuron, IntOutput, IntTimeSum
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param
from snnc.rounding import rsh
from snnc.types import Clock
from tests.intgraphs import ONE, proven, random_inputs, simulator

LIMIT = 1 << 44
INT31 = (-(1 << 31), (1 << 31) - 1)


def line(name: str, fn: str, args: str, shift: int = 0, rounding: str = "") -> dict[str, Any]:
    return {"name": name, "fn": fn, "args": list(args), "shift": shift, "rounding": rounding}


def decayed(a: int, v: np.ndarray[Any, Any], shift: int) -> np.ndarray[Any, Any]:
    ranges = {"a": (a, a), "v": INT31, "m": (1 - LIMIT, LIMIT - 1), "y": INT31}
    outer, inner = line("y", "rsh", "m", shift, "half_away"), line("m", "mul", "av")
    call = decay(outer, inner, ranges)
    assert call is not None
    compute, args = call
    given = {"a": np.array(a, np.int32), "v": v.astype(np.int32)}
    found = compute(*(given[name] for name in args))
    assert found.dtype == np.int32
    return found


@pytest.mark.parametrize("shift", [1, 2, 8, 15, 16, 20, 31, 43])
@pytest.mark.parametrize("largest", [1, 3, 1 << 10, (1 << 15) - 1, (1 << 22) + 1, (1 << 31) - 1])
def test_a_decay_is_rounded_as_the_integers_are(shift: int, largest: int) -> None:
    """Where a half is met, next to one, and at the largest products."""
    rng = np.random.default_rng(shift)
    for a in {largest, -largest, largest - 1, -(largest // 2)}:
        most = min(
            INT31[1], (LIMIT - 1) // max(1, abs(a)), ((1 << 31 + shift) - 1) // (2 * largest)
        )
        v = rng.integers(-most, most + 1, 2000)
        # a * v just above or below an odd number of halves
        halves = rng.integers(-(1 << 31), 1 << 31, 2000) * 2 + 1
        near = np.asarray((halves << shift - 1) // (a or 1) if shift < 31 else v)
        near = near[:, None] + np.array([-1, 0, 1])
        v = np.unique(np.clip(np.append(v, near), -most, most))
        v = np.append(v, [most, -most, 0, 1, -1])
        want = [rsh(a * int(x), shift, "half_away") for x in v]
        assert decayed(a, v, shift).tolist() == want


def test_halves_go_away_from_zero() -> None:
    halves = 2 * np.arange(-500, 500) + 1
    want = np.sign(halves) * (np.abs(halves) + 1) // 2
    assert np.array_equal(decayed(1 << 15, halves, 16), want)
    last = (1 << 27) - 1  # the largest odd number of halves below the limit
    assert decayed(1 << 16, np.array([last, -last]), 17).tolist() == [1 << 26, -(1 << 26)]


def test_what_is_not_proven_stays_two_lines() -> None:
    outer, inner = line("y", "rsh", "m", 16, "half_away"), line("m", "mul", "av")
    small = {"a": (0, 9), "v": (0, 9), "m": (0, 81), "y": (0, 9)}
    assert fused(outer, inner, small) is not None
    assert fused({**outer, "shift": 0}, inner, small) is None
    assert fused({**outer, "rounding": "floor"}, inner, small) is None
    for name, reach in (("m", (0, LIMIT)), ("m", (-LIMIT, 0)), ("m", None), ("v", (0, 1 << 31))):
        assert fused(outer, inner, {**small, name: reach}) is None
    assert fused(outer, inner, {**small, "y": (-(1 << 31) - 1, 0)}) is None
    choice, added = line("y", "select", "smx"), line("m", "add", "xd")
    small = {"s": (0, 1), "x": (0, 9), "d": (0, 9), "m": (0, 18), "y": (0, 18)}
    assert fused(choice, added, small) is not None
    assert fused(choice, line("m", "sub", "xd"), small) is None
    assert fused(line("y", "select", "sxm"), added, small) is None
    assert fused(choice, line("m", "add", "ed"), {**small, "e": (0, 9)}) is None
    for name in "xdm":
        assert fused(choice, added, {**small, name: (0, 1 << 31)}) is None


def test_a_reset_adds_where_a_flag_says_so() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(INT31[0], 1, (50, 3))
    d = rng.integers(0, INT31[1] + 1, 3)
    ranges = {"s": (0, 3), "x": INT31, "d": INT31, "m": INT31}
    for args in ("xd", "dx"):
        choice, added = line("y", "select", "smx"), line("m", "add", args)
        call = reset(choice, added, ranges)
        assert call is not None
        compute, names = call
        for s in (rng.integers(0, 2, (50, 3)) == 1, rng.integers(0, 4, (50, 3))):
            given = {"s": s, "x": x.astype(np.int32), "d": d.astype(np.int32)}
            found = compute(*(given[name] for name in names))
            assert found.dtype == np.int32
            assert np.array_equal(found, function(choice)(s, x + d, x))


def leaky() -> Graph:
    """A layer of neurons that decay by a number of 16 bits and subtract their threshold."""
    names = {"a": 61234, "theta": 900, "k": -900}
    body = (
        Line("m", "mul", ("a", "v")),
        Line("d", "rsh", ("m",), 16, "half_away"),
        Line("u", "add", ("d", "x")),
        Line("s", "ge", ("u", "theta")),
        Line("less", "add", ("u", "k")),
        Line("next", "select", ("s", "less", "u")),
    )
    consts = tuple(Const(name, Param(np.array(value))) for name, value in names.items())
    kernel = Kernel(("x",), (State("v", "next", Param(np.array(0))),), consts, body, ("s",))
    g = Graph("g")
    g.add("x", IntInput((6,), Clock.STEP, -400, 700, 1.0))
    g.add("n", IntNeuron(kernel, (6,)), "x")
    g.add("sum", IntTimeSum(), "n")
    g.add("out", IntOutput(ONE), "sum")
    return proven(g)


def test_a_network_is_the_same_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    short = simulator(leaky())
    monkeypatch.setattr(neuron, "fused", lambda *_: None)
    long = simulator(leaky())
    assert [len(sim.neurons["n"].lines) for sim in (short, long)] == [4, 6]
    x, words = random_inputs(leaky(), np.random.default_rng(3), 9, 40), short.words()
    for a, b in zip(short.run(x, None, words), long.run(x, None, words), strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], name)
