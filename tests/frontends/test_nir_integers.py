"""NIR layers and neurons as integers: near the float graph, and in C equal to the simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.backends.c.backend import CBackend
from snnc.backends.float_sim import FloatSimulator
from snnc.intops import IntOutput
from snnc.passes.base import run_passes
from snnc.passes.pipeline import integer_pipeline
from tests.intgraphs import simulator
from tests.nirfiles import chain_of, read, write_nir

RNG = np.random.default_rng(0)
FIRST = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _own_numbers() -> None:
    """Give a test the same numbers whatever ran before it."""
    RNG.bit_generator.state = FIRST


DT = "dt=1e-3"


def of(low: float, high: float, count: int = 8) -> Any:
    return RNG.uniform(low, high, count)


def linear(inputs: int, outputs: int) -> dict[str, Any]:
    return {"type": "Linear", "weight": RNG.normal(size=(outputs, inputs)) * 0.7}


LIF = {
    "type": "LIF",
    "tau": of(0.002, 0.02),
    "r": 1.0,
    "v_leak": of(-0.02, 0.02),
    "v_threshold": of(0.2, 0.4),
    "v_reset": of(-0.1, 0.0),
}
CUBA = {
    "type": "CubaLIF",
    "tau_mem": of(0.002, 0.02),
    "tau_syn": of(0.002, 0.01),
    "r": of(1, 2),
    "w_in": of(1, 3),
    "v_threshold": of(0.2, 0.4),
}
LI = {"type": "LI", "tau": of(0.002, 0.02), "r": 1.0}
CUBA_LI = {**{k: v for k, v in CUBA.items() if k != "v_threshold"}, "type": "CubaLI"}
IF = {"type": "IF", "r": 1.0, "v_threshold": of(1, 2)}
CONV = {"type": "Conv2d", "weight": RNG.normal(size=(3, 2, 3, 3)), "bias": of(-0.1, 0.1, 3)}
FIRE = {"type": "IF", "r": 1.0, "v_threshold": 1.0}

CASES: dict[str, tuple[list[int], list[dict[str, Any]], int, str]] = {
    "lif, li": ([6], [linear(6, 8), LIF, linear(8, 8), LI], 8, DT),
    "decay=exp": ([6], [linear(6, 8), LIF], 8, f"{DT},decay=exp"),
    "timing=next": ([6], [linear(6, 8), LIF], 8, f"{DT},timing=next"),
    "subtract next": ([6], [linear(6, 8), LIF], 8, f"{DT},timing=next,reset=subtract"),
    "snntorch": ([6], [linear(6, 8), LIF], 8, f"{DT},timing=snntorch,reset=subtract"),
    "cubalif": ([6], [linear(6, 8), CUBA], 8, DT),
    "cubali": ([6], [linear(6, 8), CUBA_LI], 8, DT),
    "if": ([6], [linear(6, 8), IF], 8, ""),
    "i": ([6], [linear(6, 8), {"type": "I", "r": of(1, 2)}], 8, DT),
    "threshold": ([6], [linear(6, 8), {"type": "Threshold", "threshold": of(0.2, 0.5)}], 8, ""),
    "scale": ([6], [linear(6, 8), {"type": "Scale", "scale": of(-2, 2)}, LIF], 8, DT),
    "no weights": ([8], [LIF], 8, DT),
    "delay": ([6], [linear(6, 8), LIF, {"type": "Delay", "delay": 3e-3}, linear(8, 8)], 8, DT),
    "delayed input": ([6], [{"type": "Delay", "delay": 3e-3}, linear(6, 8), LIF], 8, DT),
    "delayed current": ([6], [linear(6, 8), {"type": "Delay", "delay": 3e-3}, LIF], 8, DT),
    "conv and pools": (
        [2, 8, 8],
        [
            {**CONV, "padding": "same"},
            FIRE,
            {"type": "SumPool2d", "kernel_size": 2},
            {"type": "AvgPool2d", "kernel_size": [2, 2], "stride": [2, 2]},
            {"type": "Flatten", "start_dim": 0, "end_dim": -1},
            linear(12, 5),
            {**FIRE, "v_threshold": 1.5},
        ],
        5,
        "",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_integers(tmp_path: Path, case: str) -> None:
    shape, layers, outputs, options = CASES[case]
    path = write_nir(tmp_path / "n.nir", *chain_of(shape, *layers, out=(outputs,)))
    graph = read(path, options).graph
    program = run_passes(graph, integer_pipeline(bits=12))
    sim = simulator(program)
    x = np.random.default_rng(1).integers(0, 2, (3, 60, *shape))
    found, words = sim.run({"input": x}, None, sim.words())
    real = FloatSimulator(graph).run(x)[0]["output"]
    integers = found["output"]
    if np.isin(real, (0, 1)).all():
        assert 20 < real.sum() < real.size
        assert (real == integers).mean() > 0.99
    else:
        op = program["output"].op
        assert isinstance(op, IntOutput)
        error = np.abs(integers * op.scale.data - real).max()
        assert error < 0.02 * np.abs(real).max()
    backend = CBackend()
    backend.compile(program).write(tmp_path / "c")
    in_c, words_in_c = backend.run(tmp_path / "c", {"input": x}, None, list(words))
    np.testing.assert_array_equal(in_c["output"], integers)
    assert list(words_in_c) == list(words)
    for name, value in words.items():
        np.testing.assert_array_equal(words_in_c[name], value)
