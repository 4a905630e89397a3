"""The rate code: hash, range, and C, word for word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnc.backends.numpy.coding import dice
from snnc.diagnostics import CompileError
from snnc.intops import IntInput, IntOutput, IntRateCode, IntSum, IntTimeStack
from snnc.types import Clock
from tests.differential.test_sim_vs_c import assert_equal, fan
from tests.intgraphs import ONE, proven, simulator

#: Computed by hand from the definition; every target must give these.
KNOWN = [[2926543089, 1214650568, 276061563], [652824049, 1371706348, 346609411]]


def test_the_hash_is_that_of_the_definition() -> None:
    assert dice(0, 0, (2, 3)).tolist() == KNOWN
    assert dice((1 << 32) - 0x9E3779B9, 1, (2, 3)).tolist() == KNOWN  # seed and step add up


def test_spikes_are_as_frequent_as_asked_and_do_not_depend_on_each_other() -> None:
    coin = np.stack([dice(7, t, (500,)) for t in range(400)]) / 2.0**32
    for p in (0.01, 0.3, 0.9):
        assert abs((coin < p).mean() - p) < 4 * np.sqrt(p * (1 - p) / coin.size)
    for table in (coin, coin.T):  # steps among each other, and elements
        pairs = np.corrcoef(table)[np.triu_indices(len(table), 1)]
        assert np.abs(pairs).max() < 6 / np.sqrt(table.shape[1])


@pytest.mark.parametrize("clock", [Clock.ONCE, Clock.STEP])
@pytest.mark.parametrize(("lo", "hi"), [(0, 1), (0, 255), (-9, 9), (-(1 << 20), 1 << 20)])
def test_c_has_the_same_spikes(tmp_path: Path, clock: Clock, lo: int, hi: int) -> None:
    top = ((1 << 32) // max(hi, 1), 0)
    codes = [IntRateCode(seed, *top) for seed in (0, (1 << 32) - 1)]
    codes += [IntRateCode(5, 1, 0), IntRateCode(5, (1 << 40) - 1, 30), IntRateCode(1, 1, 62)]
    assert_equal(fan(*codes, shape=(3, 5), lo=lo, hi=hi, clock=clock), tmp_path, steps=5)


def test_the_range_knows_what_is_certain_and_impossible() -> None:
    for lo, hi, bounds in ((0, 1, (0, 1)), (1, 1, (1, 1)), (-5, 0, (0, 0)), (-1, 1, (0, 1))):
        graph = fan(IntRateCode(0, 1 << 32), shape=(2,), lo=lo, hi=hi)
        assert graph["op0"].type.dtype.bounds == bounds  # type: ignore[union-attr]
        found = simulator(graph).run(np.array([[[lo, hi]]]))[0]["out0"]
        assert {found.min(), found.max()} == set(bounds)
    with pytest.raises(CompileError) as e:
        fan(IntRateCode(0, 1 << 50), shape=(2,), hi=1 << 20)
    assert e.value.diagnostics[0].code == "E310"


def test_a_code_is_of_the_first_loop() -> None:
    graph = fan(IntRateCode(0, 1 << 31), shape=(2,))
    assert graph["op0"].type.clock is Clock.STEP
    again = proven(graph)
    again.add("more", IntSum(), "op0", "op0")
    again.add("code", IntRateCode(3, 1 << 30), "more")  # of a value per step
    again.add("stack", IntTimeStack(), "code")
    again.add("late", IntOutput(ONE), "stack")
    with pytest.raises(CompileError, match="first loop"):
        again.add("wrong", IntRateCode(3, 1), "stack")
    with pytest.raises(CompileError, match="32-bit"):
        again.add("seed", IntRateCode(1 << 32, 1), "op0")
    assert isinstance(again["input"].op, IntInput)
