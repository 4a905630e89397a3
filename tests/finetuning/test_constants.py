"""Scales and constants of the model are trained, through the integers that follow them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

import snnc
from snnc.diagnostics import CompileError, Loc, fail
from snnc.finetuning import forms as module
from snnc.finetuning.constants import KEPT_SHARE, Source
from snnc.finetuning.forms import Forms, check_words
from snnc.finetuning.slopes import slopes
from snnc.graph import Edge, Graph
from snnc.intops import IntLayerNorm, IntNeuron, IntRescale
from snnc.ops import Constant, Input, LayerNorm, Linear, Output, Pointwise, TimeLast, TimeMean
from snnc.options import Options
from snnc.params import Param
from snnc.preparing import prepare
from snnc.types import TensorType
from tests.models import model_file
from tests.realgraphs import counted, lif, mlp, noise, param, pointwise

SAMPLES = np.random.default_rng(0).integers(0, 2, (40, 16, 6)).astype(np.float64)
TARGETS = np.arange(40) % 4


def learned(seed: int = 0, mean: bool = False) -> Graph:
    """A leak and a threshold for each neuron, a normalization, and scores."""
    rng, g = np.random.default_rng(seed), Graph("learned", 16)
    g.add("x", Input(TensorType((6,)), 0.0, 1.0, 1.0))
    g.add("fc", Linear(param(noise(rng, 8, 6))), "x")
    leak, theta = rng.integers(64, 122, 8) / 128, rng.integers(96, 160, 8) / 128
    spikes = lif(g, "lif", "fc", leak, theta)
    g.add("mix", Linear(param(noise(rng, 8, 8) / 4), param(noise(rng, 8) / 8)), spikes)
    gain, offset = rng.integers(64, 193, 8) / 128, noise(rng, 8) / 8
    g.add("norm", LayerNorm(1, param(gain), param(offset)), "mix")
    g.add("scores", Linear(param(noise(rng, 4, 8) / 4), param(noise(rng, 4) / 8)), "norm")
    g.add("mean", TimeMean() if mean else TimeLast(), "scores")
    g.add("out", Output(), "mean")
    return g


def forms(folder: Path, graph: Graph, bits: int = 4) -> Forms:
    np.savez(folder / "x.npz", x=SAMPLES)
    options = Options(bits=bits, method="mse", calibration=folder / "x.npz").check()
    return Forms(prepare(model_file(folder, graph), options), lambda *_: None)


def test_the_words_between_two_lowerings_are_those_of_the_next(tmp_path: Path) -> None:
    found = forms(tmp_path, learned())
    network = found.network(16)
    latents = network.constants.latents
    names = {name.rsplit("/", 1)[1] for name in latents}
    assert names >= {"peak", "weight", "bias"}
    assert sum(name.startswith("real/lif/") for name in latents) == 2
    generator = torch.Generator().manual_seed(0)
    x = {"x": torch.tensor(SAMPLES)}
    before = network(x, 16)[0]["out"].detach()
    with torch.no_grad():
        for name, latent in latents.items():
            size = 0.1 if name.endswith("peak") else 0.02
            latent += size * torch.rand(latent.shape, generator=generator)
    moved = network(x, 16)[0]["out"].detach()
    again = found.renewed(network, 16)
    lowered = again(x, 16)[0]["out"].detach()
    assert not torch.equal(moved, before)
    scales = [float(found.proven["out"].op.scale.data)]  # type: ignore[attr-defined]
    assert len(scales) == 1
    a, b = moved / moved.abs().max(), lowered / lowered.abs().max()
    assert (a - b).abs().max() < 0.05
    for key, latent in again.constants.latents.items():
        assert torch.equal(latent, latents[key])


def test_single_numbers_with_names_are_trained_and_those_of_the_code_are_not(
    tmp_path: Path,
) -> None:
    g = Graph("named", 16)
    g.add("x", Input(TensorType((6,)), 0.0, 1.0, 1.0))
    g.add("fc", Linear(param(noise(np.random.default_rng(0), 8, 6))), "x")
    for name, value in (("beta", 0.8), ("1.0", 1.0)):
        g.add(name, Constant(param(value)))
    g.declare("kept", Pointwise("mul"), (TensorType((8,)),), Loc("lif", "net.py", 3))
    g.connect(Edge("beta", "kept", 1))
    v = pointwise(g, "lif.v", "add", "kept", "fc")
    s = pointwise(g, "lif.s", "ge", v, "1.0")
    g.connect(Edge(pointwise(g, "lif.reset", "sub", v, s), "kept", 0, delay=1))
    found = forms(tmp_path, counted(g, s))
    network = found.network(16)
    (name,) = (n for n in network.constants.latents if n.startswith("real/"))
    with torch.no_grad():
        network.constants.latents[name] -= 0.3
    moved = network({"x": torch.tensor(SAMPLES)}, 16)[0]["out"]
    again = found.renewed(network, 16)
    assert torch.equal(again({"x": torch.tensor(SAMPLES)}, 16)[0]["out"], moved)
    arrays = found.with_integers(again).ctx.reused
    assert arrays is not None
    assert arrays.arrays[name] == pytest.approx(0.5)


def test_sums_over_any_number_of_steps_may_be_wider_than_those_of_the_data(tmp_path: Path) -> None:
    found = forms(tmp_path, learned(mean=True))
    changes = [n for n in found.proven if isinstance(n.op, IntRescale)]
    assert sum(n.name.startswith("out.unit") for n in changes) <= 2
    with pytest.raises(CompileError, match="more than 53 bits"):
        found.network(1 << 16)
    network = found.network(16)
    check_words(network, {"x": torch.tensor(SAMPLES).long()}, 16, found.proven)


def test_gradients_reach_scales_and_constants(tmp_path: Path) -> None:
    network = forms(tmp_path, learned()).network(16)
    outputs, _ = network({"x": torch.tensor(SAMPLES)}, 16)
    latents = network.latents()
    gradients = torch.autograd.grad(
        outputs["out"].square().sum(), [x.value for x in latents.values()]
    )
    assert all(bool((g != 0).any()) for g in gradients)


def test_trained_constants_ship_and_are_followed(tmp_path: Path) -> None:
    model = model_file(tmp_path, learned())
    data = (SAMPLES, TARGETS)
    np.savez(tmp_path / "x.npz", x=SAMPLES)
    plain = snnc.compile(
        model, tmp_path / "a", bits=2, method="gptq", calibration=tmp_path / "x.npz"
    )
    tuned = snnc.finetune(model, tmp_path / "b", data, bits=2, target="c", epochs=3, batch=10)
    for kind in (IntNeuron, IntLayerNorm):
        old, new = (_constants(artifact.graph(), kind) for artifact in (plain, tuned))
        assert len(old) == len(new)
        assert all(not np.array_equal(a, b) for a, b in zip(old, new, strict=True))
    assert tuned.verify(SAMPLES).exact
    again = snnc.compile(model, tmp_path / "c", reuse=tmp_path / "b", target="c")
    assert again.manifest.tree == tuned.manifest.tree
    with pytest.raises(CompileError, match="of other content"):
        snnc.compile(model_file(tmp_path, mlp(), "other.pt"), tmp_path / "d", reuse=tmp_path / "b")


def _constants(graph: Graph, kind: type[IntNeuron | IntLayerNorm]) -> list[npt.NDArray[np.int64]]:
    found = []
    for node in graph:
        if isinstance(node.op, kind):
            consts = node.op.kernel.consts if isinstance(node.op, IntNeuron) else ()
            found += [c.values.data for c in consts if c.values.data.size > 1]
            found += [node.op.gain.data] if isinstance(node.op, IntLayerNorm) else []
    return found


def test_constants_that_cannot_be_lowered_go_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, npt.NDArray[np.float64]]] = []
    lowered = Forms.renewed

    def refused(
        forms: Forms, network: module.TrainableNetwork, steps: int
    ) -> module.TrainableNetwork:
        seen.append({n: p.detach().numpy().copy() for n, p in network.constants.latents.items()})
        if len(seen) == 1:
            raise fail("E326", "too far")
        return lowered(forms, network, steps)

    monkeypatch.setattr(Forms, "renewed", refused)
    model = model_file(tmp_path, learned())
    tuned = snnc.finetune(model, tmp_path / "a", (SAMPLES, TARGETS), bits=3, epochs=3, batch=20)
    assert tuned.verify(SAMPLES).exact
    assert any("stopped being trained" in w for w in tuned.manifest.warnings)
    again = snnc.compile(model, tmp_path / "b", reuse=tmp_path / "a")
    assert again.manifest == tuned.manifest
    start = {name: x for name, x in seen[1].items() if name.endswith("peak")}
    assert all((x == 0).all() for x in start.values())
    assert all((seen[0][name] != 0).any() for name in start)
    assert all(np.array_equal(later[name], seen[1][name]) for later in seen[2:] for name in start)


def test_limits_keep_signs_and_sides_of_one() -> None:
    def bounds(*values: float) -> list[list[float]]:
        return [x.tolist() for x in Source(np.array(values), False, ()).limits()]

    k = KEPT_SHARE
    assert bounds(0.5, 0.25) == [[0.5 * k, 0.25 * k], [1 - 0.5 * k, 1 - 0.75 * k]]
    assert bounds(2.0, 3.0) == [[1 + k, 1 + 2 * k], [np.inf, np.inf]]
    assert bounds(0.5, 2.0) == [[0.5 * k, 2 * k], [np.inf, np.inf]]
    assert bounds(-0.5, 2.0) == [[-np.inf] * 2, [np.inf] * 2]


def test_integers_that_follow_several_numbers_are_left_alone() -> None:
    """Of a mean, the change of every other element shows that none of them is followed alone."""

    def program(array: npt.NDArray[np.float64]) -> Graph:
        from tests.intgraphs import mlp as integers

        g = integers()
        node = next(n for n in g if isinstance(n.op, IntNeuron))
        kernel = node.op.kernel
        mean = Param(np.full(node.op.shape, round(array.mean() * 1000)))
        own = Param(np.rint(np.resize(array, node.op.shape) * 1000).astype(np.int64))
        first, *rest = kernel.consts
        consts = (
            module.replace(first, values=mean, index=None),
            *(module.replace(c, values=own, index=None) for c in rest),
        )
        op = module.replace(node.op, kernel=module.replace(kernel, consts=consts))
        g.replace(module.replace(node, op=op))
        return g

    size = next(n for n in program(np.ones(1)) if isinstance(n.op, IntNeuron)).op.shape[0]
    at = np.linspace(1, 2, size)
    found = slopes(program(at), program, at, False)
    consts = next(n for n in program(at) if isinstance(n.op, IntNeuron)).op.kernel.consts
    assert {s.target[1] for s in found} == {c.name for c in consts[1:]}
    for slope in found:
        assert slope.index.tolist() == list(range(size))
        np.testing.assert_allclose(slope.value, slope.value[0], rtol=0.05)
