"""Small integer graphs with proven ranges, what runs them, and inputs for them."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import safetensors.numpy

from snnc.backends.numpy.simulator import Simulator
from snnc.graph import Graph
from snnc.intops import (
    IntInput,
    IntLinear,
    IntNeuron,
    IntOutput,
    IntTimeSum,
)
from snnc.params import Param
from snnc.passes.base import Context, run_passes
from snnc.passes.prove_ranges import ProveRanges
from snnc.step_limits import step_limits
from snnc.storage import dump_graph
from snnc.types import Clock
from tests.randomkernels import Builder, lif

Array = np.ndarray[Any, Any]
ONE = Param(np.array(1.0))


def proven(graph: Graph, max_steps: int = 64) -> Graph:
    """Fill in all ranges."""
    return run_passes(graph, [ProveRanges(max_steps)], Context())


def simulator(graph: Graph) -> Simulator:
    """The definition, over the stored form of the graph."""
    text, blob = dump_graph(graph)
    return Simulator(json.loads(text), safetensors.numpy.load(blob))


def random_inputs(
    graph: Graph, rng: np.random.Generator, samples: int, steps: int
) -> dict[str, Array]:
    """Integers over the whole range of every input; spikes at 30 %.

    Some samples are constant at an end of the range: silent, or full.  ``steps`` is moved to
    a number that the network takes.
    """
    steps = fitting(graph, steps)
    found = {}
    for node in graph:
        if isinstance(op := node.op, IntInput):
            head = (samples,) if op.clock is Clock.ONCE else (samples, steps)
            x = rng.integers(op.lo, op.hi + 1, (*head, *op.shape))
            if (op.lo, op.hi) == (0, 1):
                x = (rng.random((*head, *op.shape)) < 0.3).astype(np.int64)
            extreme = rng.random(samples)
            x[extreme < 0.15] = op.hi
            x[extreme > 0.85] = op.lo
            found[node.name] = x
    return found


def fitting(graph: Graph, steps: int) -> int:
    """The number of steps closest to ``steps`` that the network takes."""
    fewest, most = step_limits(graph)
    return max(fewest, min(steps, most or steps))


def has_steps(graph: Graph) -> bool:
    """Whether an input gives the number of steps."""
    return any(isinstance(n.op, IntInput) and n.op.clock is Clock.STEP for n in graph)


def mlp(bits: int = 8, sizes: tuple[int, ...] = (12, 9, 5), seed: int = 0) -> Graph:
    """Spikes -> (linear -> LIF)*; the output counts the spikes of the last layer."""
    b = Builder(np.random.default_rng(seed), Graph("mlp", 6))
    value = b.graph.add("image", IntInput((sizes[0],), Clock.STEP, 0, 1, 1.0)).name
    for i, (fan_in, out) in enumerate(itertools.pairwise(sizes)):
        top = (1 << (bits - 1)) - 1
        weight = b.param((out, fan_in), -top, top)
        value = b.graph.add(f"fc{i}", IntLinear(weight, b.param((out,), -top, top)), value).name
        value = b.graph.add(f"lif{i}", IntNeuron(lif(b, (out,)), (out,)), value).name
    b.graph.add("count", IntTimeSum(), value)
    b.graph.add("out", IntOutput(ONE), "count")
    return proven(b.graph)
