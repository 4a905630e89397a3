"""Steps given one by one, with state carried between them, are the steps of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import snnc
from snnc.backends.numpy.stream import Stream
from snnc.diagnostics import CompileError
from tests.intgraphs import has_steps, random_inputs, simulator
from tests.passes.test_merge_delays import INPUTS, Net, dcls
from tests.randomgraphs import random_graph


@pytest.mark.parametrize("seed", range(12))
def test_a_stream_is_a_run_cut_into_steps(seed: int) -> None:
    graph = random_graph(seed)
    sim = simulator(graph)
    x = random_inputs(graph, np.random.default_rng(seed), 3, 6)
    static = {k: v for k, v in x.items() if sim.inputs[k][1] == "once"}
    moving = {k: v for k, v in x.items() if k not in static}
    if graph.phases > 1:
        with pytest.raises(ValueError, match="several loops"):
            Stream(sim, static, 3)
        return
    steps = next(iter(moving.values())).shape[1] if has_steps(graph) else max(5, sim.loops.fewest)
    steps = min(steps, graph.max_steps or steps)
    expected = sim.run(x, None if has_steps(graph) else steps)[0]
    stream = Stream(sim, static, 3)
    for _ in range(2):  # once more after a reset
        found = [stream.step({k: v[:, t] for k, v in moving.items()}) for t in range(steps)]
        for name, value in stream.results().items():
            np.testing.assert_array_equal(value, expected[name])
        for name in sim.sequences:
            given = [f[name] for f in found if name in f]
            assert len(given) == expected[name].shape[1]
            for t, value in enumerate(given):
                np.testing.assert_array_equal(value, expected[name][:, t])
        stream.reset()


def test_frames_of_real_numbers_without_end(tmp_path: Path) -> None:
    """A leaky network with delays takes any number of steps; nothing is kept of the old ones."""
    x = torch.randn(2, 40, INPUTS, generator=torch.Generator().manual_seed(1))
    snnc.export(Net(dcls).eval(), x[:, :12], tmp_path / "model.pt", time_axis=1)
    artifact = snnc.compile(tmp_path / "model.pt", tmp_path / "out", target="numpy,c")
    assert artifact.graph().max_steps == 0
    assert "SNN_MAX_STEPS" not in (tmp_path / "out" / "c" / "snn.h").read_text().split("enum")[0]
    (expected,) = artifact.run(x.numpy(), backend="c").outputs.values()
    stream = artifact.stream(batch=2)
    for t in range(40):
        (now,) = stream.step(x[:, t].numpy()).values()
        np.testing.assert_array_equal(now, expected[:, t])
    assert stream.steps == 40
    stream.reset()
    np.testing.assert_array_equal(next(iter(stream.step(x[:, 0].numpy()).values())), expected[:, 0])
    with pytest.raises(CompileError, match="E421"):
        stream.step(x[0, 0].numpy())


def test_sums_end_where_their_proof_does() -> None:
    graph = random_graph(next(s for s in range(99) if _sums(s)), max_steps=4)
    sim = simulator(graph)
    x = random_inputs(graph, np.random.default_rng(0), 1, 4)
    stream = Stream(sim, {}, 1)
    for t in range(4):
        stream.step({k: v[:, t] for k, v in x.items()})
    with pytest.raises(ValueError, match="4 steps at most"):
        stream.step({k: v[:, 0] for k, v in x.items()})


def _sums(seed: int) -> bool:
    graph = random_graph(seed)
    kinds = {type(n.op).__name__ for n in graph}
    return graph.phases < 2 and has_steps(graph) and "IntTimeSum" in kinds and graph.max_steps > 4
