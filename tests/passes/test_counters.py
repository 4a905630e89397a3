"""The number of the step, compared with counts: a latency code inside the model."""

from __future__ import annotations

import numpy as np
import pytest

from snnc.graph import Graph, Value
from snnc.kernel import Const, Kernel, Line, State
from snnc.ops import Input, Linear, Neuron, Output, Repeat, TimeSum
from snnc.params import Param
from snnc.passes.counters import counts
from snnc.types import Clock, TensorType
from tests.passes.test_quantize_tensors import agreement
from tests.realgraphs import lif, noise, param


def clock(step: float = 1.0) -> Kernel:
    """``t' = t + step``."""
    consts = (Const("step", Param(np.array(step))),)
    body = (Line("t1", "add", ("t", "step")),)
    return Kernel((), (State("t", "t1", Param(np.array(0.0))),), consts, body, ("t1",))


@pytest.mark.parametrize("delay", [0, 1])
def test_one_spike_when_the_time_has_come(delay: int) -> None:
    g = Graph("latency", 12)
    g.add("due", Input(TensorType((6,), clock=Clock.ONCE), 0.0, 11.0, 1.0))
    g.add("kept", Repeat(), "due")
    g.add("clock", Neuron(clock(), ()))
    equal = Kernel(("a", "b"), (), (), (Line("s", "eq", ("a", "b")),), ("s",))
    now = Value("clock", delay=delay, init=Param(np.array(0.0)) if delay else None)
    g.add("first", Neuron(equal, (6,)), "kept", now)
    g.add("fc", Linear(param(noise(np.random.default_rng(0), 5, 6) * 2)), "first")
    g.add("sum", TimeSum(), lif(g, "lif", "fc", beta=0.5))
    g.add("out", Output(), "sum")
    assert agreement(g)[0] == 1.0


def test_what_counts() -> None:
    assert counts(clock())
    assert not counts(clock(0.5))
