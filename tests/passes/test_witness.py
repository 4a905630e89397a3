"""Every interval of a linear sum is reached, and no run leaves what is proven."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy

from snnc.backends.numpy.simulator import Simulator
from snnc.graph import Graph
from snnc.passes.base import Context, run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.passes.prove_ranges import ProveRanges
from snnc.passes.witness import is_linear_sum, witness
from snnc.storage import dump_graph
from tests import realgraphs
from tests.intgraphs import has_steps, random_inputs
from tests.randomgraphs import random_graph

NETWORKS = (realgraphs.mlp, realgraphs.residual_conv, realgraphs.recurrent, realgraphs.compartments)


def sums(graph: Graph) -> list[str]:
    found = [n.name for n in graph if is_linear_sum(graph, n.name)]
    return [name for name in found if not graph.in_edges(name)[0].delay]


def assert_reached(graph: Graph, ctx: Context) -> int:
    for name in sums(graph):
        proven = ctx.ranges[name, 0]
        assert witness(graph, name, ctx.ranges)[1] == proven.hi.max()
        assert witness(graph, name, ctx.ranges, largest=False)[1] == proven.lo.min()
    return len(sums(graph))


def test_random_sums_reach_the_ends_of_their_intervals() -> None:
    total = 0
    for seed in range(90):
        ctx = Context()
        graph = run_passes(random_graph(seed), [ProveRanges(64)], ctx)
        total += assert_reached(graph, ctx)
    assert total > 40


@pytest.mark.parametrize("make", NETWORKS)
def test_networks_reach_and_never_leave_their_intervals(make: object) -> None:
    assert callable(make)
    ctx = Context()
    program = run_passes(make(), integer_pipeline(), ctx)
    assert assert_reached(program, ctx)
    text, blob = dump_graph(program)
    sim = Simulator(json.loads(text), safetensors.numpy.load(blob))
    x = random_inputs(program, np.random.default_rng(0), 6, 20)
    _, words = sim.run(x, None if has_steps(program) else 20, sim.words())
    limits = {}
    for n in program:
        kernel = getattr(n.op, "kernel", None)
        if kernel is not None and hasattr(kernel, "states"):
            limits |= {f"{n.name}.{s.name}": (s.lo, s.hi) for s in kernel.states}
            limits |= {f"{n.name}.{line.name}": (line.lo, line.hi) for line in kernel.body}
    checked = [w for w in words if w in limits]
    assert checked
    for word in checked:
        lo, hi = limits[word]
        assert lo <= words[word].min() <= words[word].max() <= hi, word
