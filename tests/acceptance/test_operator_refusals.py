"""What no integer program can be made of, or run on, ends with a code that says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.c.backend import CBackend
from snnc.backends.numpy.backend import NumpyBackend
from snnc.diagnostics import CompileError
from snnc.graph import Graph, Value
from snnc.kernel import Kernel
from snnc.ops import Embedding, Input, Linear, Neuron, Output, Softmax, TimeSum
from snnc.params import Param
from snnc.passes import run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.types import Int, TensorType
from tests.kerneltext import kernel


def neuron(body: Kernel) -> Graph:
    g = Graph("net", 8)
    g.add("x", Input(TensorType((4,)), -1.0, 1.0, 1 / 8))
    g.add("fc", Linear(Param(np.eye(4))), "x")
    g.add("n", Neuron(body, (4,)), "fc")
    return read(g, "n")


def read(g: Graph, value: str | Value) -> Graph:
    g.add("sum", TimeSum(), value)
    g.add("y", Output(), "sum")
    return g


def growing() -> Graph:
    return neuron(kernel("u = v * 1.01 + x\ns = u >= 1.0\nv' = u - s * 1.0"))


def divided() -> Graph:
    return neuron(kernel("u = v * 0.9 + x\nq = x / v\ns = q >= 1.0\nv' = u"))


def too_late() -> Graph:
    g = Graph("net", 8)
    g.add("x", Input(TensorType((4,))))
    g.add("fc", Linear(Param(np.eye(4))), Value("x", delay=5000))
    return read(g, "fc")


REFUSED: dict[str, tuple[Callable[[], Graph], str]] = {
    "a decay of 1.01": (growing, "SNNC-E322"),
    "a divisor that may be zero": (divided, "SNNC-E313"),
    "a delay of 5,000 steps": (too_late, "SNNC-E216"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_networks_without_an_integer_form(name: str) -> None:
    make, code = REFUSED[name]
    with pytest.raises(CompileError) as e:
        run_passes(make(), integer_pipeline())
    assert code in str(e.value)
    assert "help" in str(e.value)


def test_softmax_over_an_empty_axis() -> None:
    g = Graph("net")
    g.add("x", Input(TensorType((3, 0))))
    with pytest.raises(CompileError, match="softmax of nothing"):
        g.add("p", Softmax(1), "x")


def test_a_table_of_fewer_rows_than_tokens() -> None:
    g = Graph("net")
    g.add("x", Input(TensorType((3,), Int(0, 9)), 0.0, 9.0, 1.0))
    with pytest.raises(CompileError, match="token numbers 0 to 9"):
        g.add("e", Embedding(Param(np.ones((9, 2)))), "x")


@pytest.mark.parametrize("backend", [NumpyBackend(), CBackend()], ids=lambda b: b.name)
def test_tokens_outside_the_table_at_run_time(
    backend: NumpyBackend | CBackend, tmp_path: Path
) -> None:
    g = Graph("net", 4)
    g.add("x", Input(TensorType((3,), Int(0, 9)), 0.0, 9.0, 1.0))
    g.add("e", Embedding(Param(np.arange(20.0).reshape(10, 2))), "x")
    backend.compile(run_passes(read(g, "e"), integer_pipeline())).write(tmp_path)
    for wrong in (-1, 10):
        tokens = np.full((1, 4, 3), wrong)
        with pytest.raises(CompileError, match="SNNC-E421"):
            backend.run(tmp_path, {"x": tokens})
