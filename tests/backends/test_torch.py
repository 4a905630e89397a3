"""The emitted torch folder: complete, stand-alone, and clear about wrong inputs."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from snnc.backends.numpy import arrays
from snnc.backends.torch.backend import TorchBackend
from snnc.backends.torch.batches import run
from snnc.backends.torch.compiled import Natives
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.intops import IntInput, IntLinear, IntMaxPool
from snnc.types import Clock
from tests.agreement import random_reference
from tests.covering import COVERING
from tests.differential.test_sim_vs_torch import module
from tests.intgraphs import fitting, mlp, proven
from tests.randomgraphs import random_graph
from tests.randomkernels import Builder

#: Runs a script where snnc cannot be imported.
ALONE = (
    "import runpy, sys; "
    "sys.modules |= dict.fromkeys(['snnc', 'safetensors', 'msgspec']); "
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def test_runs_alone(tmp_path: Path) -> None:
    graph = mlp()
    TorchBackend().compile(graph).write(tmp_path / "torch")
    want = random_reference(graph, 0, 5, 7)
    np.save(tmp_path / "x.npy", want.inputs["image"])
    files = [str(tmp_path / n) for n in ("torch/run.py", "x.npy", "y.npz")]
    command = [sys.executable, "-I", "-c", ALONE, *files, "--record", "all"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not want.difference(arrays.read_results(tmp_path / "y.npz"))


def test_the_program_keeps_no_second_copy_of_the_weights() -> None:
    program = module(mlp()).program
    assert not program.exact
    assert not program.packed


@pytest.mark.parametrize("seed", COVERING)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("compiler", [False, True])
def test_a_copy_is_by_itself(
    seed: int, copied: Callable[[nn.Module], nn.Module], compiler: bool
) -> None:
    """Also of one that has run as machine code, and when what it was copied from is spoilt."""
    want = random_reference(graph := random_graph(seed), seed, 3, 5)
    network = module(graph)
    network.natives = Natives(network, after=0) if compiler else None
    assert not want.difference(run(network, want.inputs, want.steps, want.words))
    found = copied(network)
    for x in network.buffers():
        x.zero_()
    assert not want.difference(run(found, want.inputs, want.steps, want.words))


def test_wrong_inputs(tmp_path: Path) -> None:
    TorchBackend().compile(mlp()).write(tmp_path)
    with pytest.raises(CompileError, match=r"E421.*must be in \[0, 1\], got 2\.\.2"):
        TorchBackend().run(tmp_path, {"image": np.full((2, 3, 12), 2)})


def test_refuses_what_it_cannot_take() -> None:
    b = Builder(np.random.default_rng(0), Graph("net"))
    b.graph.add("x", IntInput((2, 5), Clock.STEP, 0, 1, 1.0))
    b.graph.add("fc", IntLinear(b.param((3, 5), -5, 5)), "x")
    assert {d.code for d in TorchBackend().check(b.graph)} == {"E502"}
    b.graph.add("pool", IntMaxPool((1,), (1,), (1,)), "x")
    found = TorchBackend().check(proven(b.graph))
    assert [d.code for d in found] == ["E505"]


@pytest.mark.parametrize("seed", COVERING)
def test_all_of_it_moves_to_another_device(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operator, on torch's device of shapes alone: a tensor left on the CPU would not mix."""
    # which has no autocast to be switched off
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    want = random_reference(graph := random_graph(seed), seed, 3, 5)
    network = module(graph).to("meta")
    given = {k: torch.tensor(x, device="meta") for k, x in want.inputs.items()}
    for stepwise in (False, True):
        found = network(given, fitting(graph, 5), want.words, stepwise)
        for results, tensors in zip(want.results, found, strict=True):
            assert {k: x.shape for k, x in results.items()} == {
                k: tuple(x.shape) for k, x in tensors.items()
            }
            assert all(x.device.type == "meta" for x in tensors.values())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_the_same_words_on_cuda() -> None:
    for seed in (*COVERING, *range(30)):
        want = random_reference(graph := random_graph(seed), seed, 40, 7)
        found = run(module(graph).cuda(), want.inputs, want.steps, want.words)
        assert not want.difference(found), seed
