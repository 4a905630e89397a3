"""Normalizations in integers, on inputs and in the loop over time, next to the float model's."""

from __future__ import annotations

import numpy as np
import pytest

from snnc.diagnostics import CompileError
from snnc.graph import Edge, Graph, Value
from snnc.kernel import Const, Kernel, Line
from snnc.op import Op
from snnc.ops import (
    Input,
    LayerNorm,
    Linear,
    Neuron,
    Output,
    RMSNorm,
    Softmax,
    TimeLast,
    TimeMean,
    TimeSum,
)
from snnc.params import Param
from snnc.passes import run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.types import TensorType
from tests.passes.test_quantize_tensors import agreement
from tests.realgraphs import lif, noise, param


def normalized(kind: str) -> Graph:
    """A normalization of a layer of any size."""
    rng = np.random.default_rng(1)
    g = Graph(kind, 12)
    g.add("x", Input(TensorType((5, 12)), -4.0, 4.0, 0.0))
    size = 1e-4 if kind == "tiny" else 1.0
    g.add("fc", Linear(param(noise(rng, 8, 12) * size), param(noise(rng, 8) * size)), "x")
    gain, bias = param(1 + noise(rng, 8)), param(noise(rng, 8))
    norm = {
        "rms": RMSNorm(1, gain),
        "no weight": LayerNorm(1),
        "two axes": LayerNorm(2, param(noise(rng, 5, 8))),
    }.get(kind, LayerNorm(1, gain, bias))
    g.add("norm", norm, "fc")
    return g


KINDS = pytest.mark.parametrize("kind", ["layer", "rms", "no weight", "tiny", "two axes"])


@KINDS
def test_before_a_population(kind: str) -> None:
    g = normalized(kind)
    g.add("sum", TimeSum(), lif(g, "lif", "norm", beta=0.9, theta=1.5))
    g.add("out", Output(), "sum")
    assert agreement(g)[0] >= 0.999


@KINDS
def test_values(kind: str) -> None:
    """Those of the model with the same weights, to four digits."""
    g = normalized(kind)
    g.add("last", TimeLast(), "norm")
    g.add("out", Output(), "last")
    assert agreement(g)[1]["out"] < 1e-4


def nasn(size: int = 24, layers: int = 2) -> Graph:
    """``v = LayerNorm(v (1 - s))`` every step, behind the spikes; the last one is read out."""
    rng = np.random.default_rng(2)
    g = Graph("nasn", 20)
    value = g.add("x", Input(TensorType((10,)), -2.0, 2.0, 0.0)).name
    for i in range(layers):
        fan_in = g[value].type.shape[0]
        g.add(f"fc{i}", Linear(param(noise(rng, size, fan_in) * 3), param(noise(rng, size))), value)
        consts = (
            Const("a", param(rng.uniform(0.2, 0.6, size))),
            Const("one", Param(np.array(1.0))),
        )
        body = (
            Line("d", "sub", ("i", "w")),
            Line("g", "mul", ("d", "a")),
            Line("v", "add", ("w", "g")),
            Line("s", "ge", ("v", "one")),
            Line("n", "sub", ("one", "s")),
            Line("r", "mul", ("v", "n")),
        )
        op = Neuron(Kernel(("i", "w"), (), consts, body, ("s", "r")), (size,))
        norm = LayerNorm(1, param(1 + 0.2 * noise(rng, size)), param(0.2 * noise(rng, size)))
        types = op.infer((g[f"fc{i}"].type, g[f"fc{i}"].type))
        g.declare(f"lif{i}", op, types, g[f"fc{i}"].loc)
        g.connect(Edge(f"fc{i}", f"lif{i}"))
        g.add(f"norm{i}", norm, Value(f"lif{i}", 1))
        g.connect(Edge(f"norm{i}", f"lif{i}", 1, 0, 1, Param(np.array(0.0))))
        value = f"lif{i}"
    g.add("last", TimeLast(), f"norm{layers - 1}")
    g.add("fc", Linear(param(noise(rng, 4, size))), "last")
    g.add("out", Output(), "fc")
    return g


def test_in_the_loop() -> None:
    equal, _ = agreement(nasn())
    assert equal >= 0.995


def test_a_mean_over_time_is_divided_before() -> None:
    g = Graph("mean", 5)
    g.add("x", Input(TensorType((4,)), 0.0, 1.0, 1.0))
    g.add("mean", TimeMean(), "x")
    g.add("norm", LayerNorm(1), "mean")
    g.add("out", Output(), "norm")
    program = run_passes(g, integer_pipeline())
    assert [type(n.op).__name__ for n in program][1:3] == ["IntTimeMean", "IntLayerNorm"]


@pytest.mark.parametrize("op", [RMSNorm(1), Softmax(0)], ids=["norm", "softmax"])
def test_whole_numbers_are_not_normalized(op: Op) -> None:
    g = Graph("chip", 5)
    g.add("x", Input(TensorType((4,)), 0.0, 1.0, 1.0))
    g.add("norm", op, "x")
    g.add("sum", TimeSum(), "norm")
    g.add("out", Output(), "sum")
    with pytest.raises(CompileError, match="E327"):
        run_passes(g, integer_pipeline(profile="loihi"))
