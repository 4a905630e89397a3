"""Modules saved whole: rebuilt if every class is known, else refused by name, and never run."""

from __future__ import annotations

import copy
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import snnc
from snnc.container import read_model
from snnc.diagnostics import CompileError
from snnc.exporting import export
from snnc.frontends.from_pickled import arguments_for, rebuild
from snnc.frontends.pickle_tree import read_bytes
from snnc.frontends.weights_file import read_weights

STEPS = 8

# the libraries' own deprecation warnings are not ours
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def neuron() -> Any:
    pytest.importorskip("spikingjelly")
    torch.manual_seed(0)
    from spikingjelly.activation_based import neuron

    return neuron


def loud(module: nn.Module) -> nn.Module:
    """With weights that make neurons fire on the example, and in training mode."""
    with torch.no_grad():
        for p in module.parameters():
            if p.dim() > 1:
                p.mul_(6)
    return module.train()


def example(*shape: int) -> torch.Tensor:
    """What the reader takes as the example."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def saved(module: Any, path: Path, new: bool = True) -> Path:
    torch.save(module, path, _use_new_zipfile_serialization=new)
    return path


def here(path: Path) -> Any:
    """The module, read in this process."""
    return rebuild(path.name, read_bytes(path.read_bytes(), path.name, {}))


def same(a: nn.Module, b: nn.Module, x: torch.Tensor) -> None:
    """Equal weights, and equal outputs in eval mode."""
    mine, theirs = a.state_dict(), b.state_dict()
    assert list(mine) == list(theirs)
    for name, tensor in theirs.items():
        assert mine[name].dtype == tensor.dtype
        assert torch.equal(mine[name], tensor)
    with torch.no_grad():
        found, expected = a.eval()(x), b.eval()(x)
    if isinstance(expected, tuple):  # the outputs come before the states
        found, expected = found[0], expected[0]
    assert expected.count_nonzero() > 0
    assert torch.equal(found, expected)


def codes(refused: Callable[[], object]) -> str:
    with pytest.raises(CompileError) as caught:
        refused()
    return str(caught.value)


def test_a_pickled_module_is_the_exported_one(tmp_path: Path, neuron: Any) -> None:
    shared = nn.Linear(6, 6)  # one layer in two places
    net = loud(nn.Sequential(shared, neuron.LIFNode(), nn.Dropout(), shared, neuron.IFNode()))
    net(torch.rand(5, 6))  # leaves states of another batch behind
    path = saved(net, tmp_path / "model.pt")
    old = here(saved(net, tmp_path / "old.pt", new=False))
    same(old, net, torch.rand(5, 6))
    model = read_model(path, shape=(6,), steps=STEPS)  # in a child process
    wish: dict[str, Any] = {"time_axis": 1, "step_module": True}
    expected = export(net, example(2, STEPS, 6), **wish)
    assert str(model.graph) == str(expected.graph)
    assert model.meta["checks"] == expected.checks
    assert min(expected.checks["numeric"]["active"].values()) > 0


def test_tied_weights_stay_one(tmp_path: Path, neuron: Any) -> None:
    net = loud(nn.Sequential(nn.Linear(6, 6), neuron.LIFNode(), nn.Linear(6, 6), neuron.IFNode()))
    net[2].weight = net[0].weight  # type: ignore[index,union-attr]
    module = here(saved(net, tmp_path / "model.pt"))
    assert module[2].weight is module[0].weight
    same(module, net, example(2, 6) * 3)


def test_sequences_of_all_steps(tmp_path: Path, neuron: Any) -> None:
    from spikingjelly.activation_based import layer

    net = nn.Sequential(
        *(layer.Conv2d(1, 4, 3, step_mode="m"), layer.BatchNorm2d(4, step_mode="m")),
        *(neuron.LIFNode(step_mode="m"), layer.Flatten(step_mode="m")),
        *(layer.Linear(144, 3, step_mode="m"), neuron.IFNode(step_mode="m")),
        *(layer.SeqToANNContainer(nn.Linear(3, 3)), layer.MultiStepContainer(neuron.LIFNode())),
    )
    module = here(saved(loud(net), tmp_path / "model.pt"))
    same(module[:4], net[:4], example(STEPS, 2, 1, 8, 8))  # type: ignore[index]
    arguments, how = arguments_for(module, (1, 8, 8), STEPS)
    assert arguments["example"].shape == (STEPS, 2, 1, 8, 8)
    assert arguments["time_axis"] == 0
    assert "(T, N, …)" in how


def test_sinabs_takes_its_own_layouts(tmp_path: Path) -> None:
    sl: Any = pytest.importorskip("sinabs.layers", exc_type=ImportError)
    torch.manual_seed(0)
    recurrent = sl.LIFRecurrent(10.0, rec_connect=nn.Linear(6, 6))
    net = nn.Sequential(nn.Linear(5, 6), sl.LIF(10.0, norm_input=False), recurrent)
    module = here(saved(loud(net), tmp_path / "model.pt"))
    same(module[:2], net[:2], example(2, STEPS, 5))
    assert arguments_for(module, (5,), STEPS)[0]["time_axis"] == 1
    net = nn.Sequential(nn.Conv2d(1, 3, 3), sl.IAFSqueeze(batch_size=3), nn.Flatten())
    module = here(saved(loud(net), tmp_path / "model.pt"))
    same(module, net, example(3 * STEPS, 1, 6, 6))
    arguments, _ = arguments_for(module, (1, 6, 6), STEPS)
    assert arguments["example"].shape == (3 * STEPS, 1, 6, 6)
    assert arguments["time_axis"] == arguments["batch_axis"] == 0


@pytest.mark.parametrize("layer", ["IAF", "LI", "LSNN", "LIFEx", "LIFAdEx"])
def test_norse_layers(tmp_path: Path, layer: str) -> None:
    nt: Any = pytest.importorskip("norse.torch", exc_type=ImportError)
    torch.manual_seed(0)
    net = nt.SequentialState(nt.Lift(nn.Linear(5, 6)), getattr(nt, layer)())
    module = here(saved(loud(net), tmp_path / "model.pt"))
    same(module, net, example(STEPS, 2, 5) * 20)
    assert arguments_for(module, (5,), STEPS)[0]["time_axis"] == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(tmp_path: Path, neuron: Any, dtype: torch.dtype) -> None:
    net = loud(nn.Sequential(nn.Linear(6, 8), neuron.LIFNode(), nn.Linear(8, 3))).to(dtype)
    same(here(saved(net, tmp_path / "model.pt")), net, example(2, 6).to(dtype))


def on_cuda(path: Path) -> Path:
    """Say in the pickle that every storage was on a GPU, as torch writes it."""
    with zipfile.ZipFile(path) as old:
        members = {n: old.read(n) for n in old.namelist()}
    (pickled,) = [n for n in members if n.endswith("data.pkl")]
    there, here = b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"
    assert there in members[pickled]
    members[pickled] = members[pickled].replace(there, here)
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
    return path


@pytest.mark.skipif(torch.cuda.is_available(), reason="here torch can load it")
def test_tensors_of_a_gpu(tmp_path: Path, neuron: Any) -> None:
    net = loud(nn.Sequential(nn.Linear(6, 8), neuron.LIFNode(), nn.Linear(8, 3)))
    path = on_cuda(saved(net, tmp_path / "model.pt"))
    with pytest.raises(RuntimeError, match="CUDA"):
        torch.load(path, weights_only=False)
    same(here(path), net, example(2, 6))
    state = on_cuda(saved(net.state_dict(), tmp_path / "weights.pt"))
    with pytest.raises(RuntimeError, match="CUDA"):
        torch.load(state, weights_only=True)
    found = read_weights(state, list(net.state_dict()))
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(found[name].data, tensor.numpy())


# ---- what is not rebuilt


class Own(nn.Linear):
    pass


class Other:
    pass


def foreign() -> nn.Module:
    net = nn.Sequential(Own(2, 2), nn.Identity())
    net.note = Other()  # type: ignore[assignment]
    return net


def hooked() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.weight_norm(nn.Linear(2, 2))


def overridden() -> nn.Module:
    net = nn.Linear(2, 2)
    vars(net)["forward"] = 5
    return net


def misplaced() -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 2))
    net._modules["0"] = torch.zeros(2)  # type: ignore[assignment]  # noqa: SLF001
    return net


def not_a_name() -> nn.Module:
    net = nn.Linear(2, 2)
    net.kind = nn.ReLU  # type: ignore[assignment]  # a class, where its objects belong
    return net


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (foreign, "E110", ("test_pickled.Own", "test_pickled.Other")),
        (hooked, "E110", ("torch.nn.utils.weight_norm.WeightNorm",)),
        (overridden, "E103", ("forward",)),
        (misplaced, "E103", ("_modules",)),
        (not_a_name, "E103", ("ReLU",)),
        (lambda: {"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)}, "E103", ("dict",)),
        (lambda: nn.LSTM(2, 2), "E110", ("torch.nn.modules.rnn.LSTM",)),
    ],
)
def test_refusals_name_the_reason(
    tmp_path: Path, make: Callable[[], Any], code: str, says: tuple[str, ...]
) -> None:
    path = saved(make(), tmp_path / "model.pt")
    text = codes(lambda: here(path))
    assert f"SNNC-{code}" in text
    for part in says:
        assert part in text


def test_all_foreign_names_are_listed_and_none_is_imported(tmp_path: Path) -> None:
    own = tmp_path / "their_code.py"
    mark = tmp_path / "imported"
    own.write_text(f"open({str(mark)!r}, 'w')\nfrom torch import nn\nclass Net(nn.Linear): pass\n")
    sys.path.insert(0, str(tmp_path))
    try:
        import their_code  # type: ignore[import-not-found]

        saved(their_code.Net(2, 2), tmp_path / "model.pt")
        del sys.modules["their_code"]
        mark.unlink()
        text = codes(lambda: read_model(tmp_path / "model.pt", shape=(2,), steps=4))
    finally:
        sys.path.remove(str(tmp_path))
    assert "their_code.Net" in text
    assert "E110" in text
    assert not mark.exists()


def test_a_library_that_is_not_there(
    tmp_path: Path, neuron: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(nn.Sequential(nn.Linear(2, 2), neuron.LIFNode()), tmp_path / "model.pt")
    monkeypatch.setitem(sys.modules, "spikingjelly.activation_based.neuron.lif", None)
    text = codes(lambda: here(path))
    assert "E115" in text
    assert "spikingjelly" in text


def test_shape_and_steps_are_asked_for(tmp_path: Path, neuron: Any) -> None:
    path = saved(nn.Sequential(nn.Linear(2, 2), neuron.LIFNode()), tmp_path / "model.pt")
    for shape, steps in (((), 4), ((2,), None)):
        text = codes(lambda: read_model(path, shape=shape, steps=steps))  # noqa: B023
        assert "E114" in text
        assert "--input" in text
    mixed = nn.Sequential(neuron.LIFNode(), neuron.LIFNode(step_mode="m"))
    assert "E114" in codes(lambda: arguments_for(mixed, (2,), 4))


def test_an_artifact_from_a_pickled_module(tmp_path: Path, neuron: Any) -> None:
    net = loud(nn.Sequential(nn.Linear(6, 8), neuron.LIFNode(), nn.Linear(8, 3)))
    path = saved(net, tmp_path / "model.pt")
    artifact = snnc.compile(path, tmp_path / "net", shape=(6,), steps=STEPS)
    assert artifact.verify(np.random.default_rng(0).random((5, STEPS, 6))).exact
    export(net, example(2, STEPS, 6), tmp_path / "exported.pt", time_axis=1, step_module=True)
    with pytest.raises(CompileError, match="E003"):
        snnc.compile(tmp_path / "exported.pt", tmp_path / "other", shape=(6,))


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container and key in a tree of JSON values."""
    keys = value if isinstance(value, dict) else range(len(value))
    inner = [places(value[k]) for k in keys if isinstance(value[k], dict | list)]
    return [(value, k) for k in keys] + [p for found in inner for p in found]


@pytest.mark.parametrize("seed", range(5))
def test_damaged_trees_end_in_diagnostics(tmp_path: Path, seed: int, neuron: Any) -> None:
    """Values of the tree change places, so that nothing is where it belongs."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 3), nn.BatchNorm1d(3), neuron.LIFNode())
    path = saved(net, tmp_path / "model.pt")
    tree = read_bytes(path.read_bytes(), "model.pt", {})
    generator = np.random.default_rng(seed)
    refused = 0
    for _ in range(100):
        meta = copy.deepcopy(tree.meta)
        spots = places(meta["objects"])
        for i in generator.integers(len(spots), size=2):
            other, key = spots[generator.integers(len(spots))]
            container, k = spots[i]
            container[k] = other[key]
        try:
            rebuild("model.pt", replace(tree, meta=meta))
        except CompileError:
            refused += 1  # any other exception fails the test
    assert refused > 50
