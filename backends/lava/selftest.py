"""A network of three steps that shows that a Lava environment works."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from snnc.backends.lava.backend import LavaBackend
from snnc.backends.lava.execute import execute
from snnc.backends.numpy.simulator import Simulator
from snnc.graph import Graph
from snnc.intops import IntInput, IntLinear, IntNeuron, IntOutput, IntTimeSum
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param
from snnc.types import Clock


def agrees(python: Path) -> bool:
    """Whether Lava, run by ``python``, and the simulator give equal integers.

    Raises:
        CompileError: E611 or E612 if Lava fails.
    """
    graph = _network()
    x = {"x": np.arange(24).reshape(2, 3, 4) % 5}
    with tempfile.TemporaryDirectory(prefix="snnc-lava-") as name:
        folder = Path(name)
        LavaBackend().compile(graph).write(folder)
        simulator = Simulator.load(folder)
        words = simulator.words()
        want = simulator.run(x, None, words)
        got = execute(python, folder, x, None, words, timeout=60, limit=120)
    return all(
        a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)
        for a, b in zip(want, got, strict=True)
    )


def _network() -> Graph:
    def integers(*values: int) -> Param:
        return Param(np.array(values if len(values) > 1 else values[0], np.int32))

    kernel = Kernel(
        inputs=("i",),
        states=(State("v", "v_next", integers(0)),),
        consts=(Const("threshold", integers(9)),),
        body=(
            Line("u", "add", ("v", "i")),
            Line("s", "ge", ("u", "threshold")),
            Line("reset", "mul", ("s", "threshold")),
            Line("v_next", "sub", ("u", "reset")),
        ),
        outputs=("s",),
    )
    graph = Graph("selftest", steps=3)
    graph.add("x", IntInput((4,), Clock.STEP, 0, 4, 1.0))
    graph.add("fc", IntLinear(Param(np.arange(8, dtype=np.int8).reshape(2, 4) - 3)), "x")
    graph.add("lif", IntNeuron(kernel, (2,)), "fc")
    graph.add("sum", IntTimeSum(), "lif")
    graph.add("y", IntOutput(Param(np.array(1.0))), "sum")
    return graph
