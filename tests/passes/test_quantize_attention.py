"""Attention in integers, next to the float model with the same weights."""

from __future__ import annotations

import numpy as np
import pytest

from snnc.graph import Graph
from snnc.intops import IntRescale
from snnc.ops import (
    Input,
    LayerNorm,
    Linear,
    Matmul,
    Output,
    Softmax,
    Sum,
    TimeLast,
    TimeMean,
    TimeSum,
    Transpose,
)
from snnc.passes import run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.types import TensorType
from tests.passes.test_quantize_tensors import agreement
from tests.realgraphs import constant, lif, noise, param, pointwise

TOKENS, SIZE = 5, 8


def projected(
    g: Graph, source: str, bias: bool = True, spikes: float | None = 0.5
) -> tuple[str, str, str]:
    """Queries, keys and values: spikes with such a decay, or numbers."""
    rng = np.random.default_rng(4)
    found = []
    for name in "qkv":
        b = param(noise(rng, SIZE) / 4) if bias else None
        g.add(name, Linear(param(noise(rng, SIZE, SIZE)), b), source)
        found.append(name if spikes is None else lif(g, f"{name}.lif", name, beta=spikes))
    return found[0], found[1], found[2]


def spiking_self_attention() -> Graph:
    """``Q (K^T V) / 8`` of spikes, with leaks of one half: nothing is rounded."""
    g = Graph("ssa", 6)
    g.add("x", Input(TensorType((TOKENS, SIZE)), 0.0, 1.0, 1.0))
    q, k, v = projected(g, "x")
    g.add("turned", Transpose((1, 0)), k)
    g.add("kv", Matmul(), "turned", v)
    g.add("qkv", Matmul(), q, "kv")
    scaled = pointwise(g, "scaled.0", "mul", "qkv", constant(g, 0.125))
    g.add("sum", TimeSum(), lif(g, "out.lif", scaled, beta=0.5, theta=0.5))
    g.add("out", Output(), "sum")
    return g


def rates() -> Graph:
    """Softmax attention of rates; what has a logit of 0 is dropped after the softmax."""
    g = Graph("rates", 10)
    g.add("x", Input(TensorType((TOKENS, SIZE)), -2.0, 2.0, 0.0))
    spikes = projected(g, "x", spikes=0.8)
    q, k, v = (g.add(f"{s}.rate", TimeMean(), s).name for s in spikes)
    g.add("turned", Transpose((1, 0)), k)
    g.add("qk", Matmul(), q, "turned")
    logits = pointwise(g, "logits.0", "div", "qk", constant(g, SIZE**0.5))
    g.add("p", Softmax(1), logits)
    kept = pointwise(g, "kept.0", "mul", "p", pointwise(g, "ne.0", "ne", logits, constant(g, 0.0)))
    g.add("pv", Matmul(), kept, v)
    rng = np.random.default_rng(5)
    g.add("fc", Linear(param(noise(rng, 4, SIZE)), param(noise(rng, 4))), "pv")
    g.add("out", Output(), "fc")
    return g


def numbers(blocks: int = 2) -> Graph:
    """Blocks of softmax attention of normalized real values, with residuals; then spikes."""
    g = Graph("numbers", 8)
    value = g.add("x", Input(TensorType((TOKENS, SIZE)), -2.0, 2.0, 0.0)).name
    rng = np.random.default_rng(6)
    for i in range(blocks):
        g.add(f"norm{i}", LayerNorm(1, param(1 + noise(rng, SIZE) / 4)), value)
        q, k, v = (
            g.add(f"{n}{i}", Linear(param(noise(rng, SIZE, SIZE) / 3)), f"norm{i}").name
            for n in "qkv"
        )
        g.add(f"turned{i}", Transpose((1, 0)), k)
        g.add(f"qk{i}", Matmul(), q, f"turned{i}")
        g.add(f"p{i}", Softmax(1), f"qk{i}")
        g.add(f"pv{i}", Matmul(), f"p{i}", v)
        value = g.add(f"add{i}", Sum(), value, f"pv{i}").name
    g.add("fc", Linear(param(noise(rng, SIZE, SIZE)), param(noise(rng, SIZE))), value)
    g.add("sum", TimeSum(), lif(g, "lif", "fc", beta=0.9, theta=2.0))
    g.add("out", Output(), "sum")
    g.add("last", TimeLast(), value)
    g.add("value", Output(), "last")
    return g


def test_spiking_self_attention_is_exact() -> None:
    assert agreement(spiking_self_attention(), steps=6)[0] == 1.0


def test_rates() -> None:
    equal, errors = agreement(rates(), steps=10)
    assert equal >= 0.999
    assert errors["out"] < 2e-3


def test_numbers() -> None:
    """Products of wide words lose their last bits, and that is said; the rest stays."""
    equal, errors = agreement(numbers())
    assert equal >= 0.999
    assert errors["value"] < 2e-3


def test_products_of_spikes_are_not_rounded() -> None:
    program = run_passes(spiking_self_attention(), integer_pipeline())
    assert not any(isinstance(n.op, IntRescale) and n.op.shift for n in program)


@pytest.mark.parametrize("unit", [1e-13, 1e-6, 1.0, 1e9])
def test_softmax_of_logits_in_any_unit(unit: float) -> None:
    g = Graph("logits", 4)
    g.add("x", Input(TensorType((TOKENS, 3)), -100.0, 100.0, 1.0))
    scaled = pointwise(g, "scaled.0", "mul", "x", constant(g, unit))
    g.add("p", Softmax(0), scaled)
    g.add("last", TimeLast(), "p")
    g.add("out", Output(), "last")
    assert agreement(g, steps=4)[1]["out"] < 5e-3


def test_a_mean_and_what_is_computed_from_it_add_up() -> None:
    """A residual connection around what does not commute with the division."""
    g = Graph("residual", 10)
    g.add("x", Input(TensorType((TOKENS, SIZE)), -2.0, 2.0, 0.0))
    q, _, v = projected(g, "x", spikes=0.8)
    g.add("mean", TimeMean(), q)
    g.add("p", Softmax(1), "mean")
    g.add("more", TimeMean(), v)
    g.add("sum", Sum(), "more", "p")
    g.add("out", Output(), "sum")
    assert agreement(g, steps=10)[1]["out"] < 2e-3
