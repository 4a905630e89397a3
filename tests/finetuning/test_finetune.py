"""Fine-tuning: what is trained is what ships, it learns, and it can be interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import snnc
from snnc.cli import run
from snnc.diagnostics import CompileError, Loc, fail
from snnc.finetuning import finetune as module
from snnc.finetuning.forms import Forms
from tests.models import model_file
from tests.realgraphs import mlp, recurrent, residual_conv


def samples(graph: str, count: int = 40) -> npt.NDArray[np.float64]:
    shape = {"mlp": (16, 12), "recurrent": (16, 6), "conv": (16, 2, 8, 8)}[graph]
    return np.random.default_rng(0).integers(0, 2, (count, *shape)).astype(np.float64)


@pytest.mark.parametrize(
    ("name", "target", "epochs", "batch", "rate"),
    [("mlp", "c", 8, 8, 0.01), ("recurrent", "c", 12, 4, 0.05), ("conv", "numpy", 6, 8, 0.01)],
)
def test_weights_of_two_bits_learn_and_every_word_is_that_of_the_program(
    tmp_path: Path, name: str, target: str, epochs: int, batch: int, rate: float
) -> None:
    graph = {"mlp": mlp, "recurrent": recurrent, "conv": residual_conv}[name]()
    model, x = model_file(tmp_path, graph), samples(name)
    np.savez(tmp_path / "x.npz", x=x)
    plain = snnc.compile(
        model, tmp_path / "a", bits=2, method="gptq", calibration=tmp_path / "x.npz"
    )
    tuned = snnc.finetune(
        model,
        tmp_path / "b",
        (x, None),
        bits=2,
        target=target,
        epochs=epochs,
        batch=batch,
        rate=rate,
    )
    assert tuned.manifest.method == "finetune"
    assert tuned.manifest.calibration is not None
    assert tuned.manifest.calibration.samples == len(x)
    weights = [n.op.weight.data for n in tuned.graph() if hasattr(n.op, "weight")]
    used = {int(i) for w in weights for i in np.unique(w)}
    assert used == {-2, -1, 0, 1} if name != "conv" else used >= {-1, 0, 1}  # three steps are few
    errors = []
    for artifact in (plain, tuned):
        report = artifact.verify(x)
        assert report.exact
        errors.append(_distance(artifact, model, x))
    assert errors[1] < 0.95 * errors[0]


def _distance(artifact: snnc.Artifact, model: Path, x: npt.NDArray[np.float64]) -> float:
    """Squared difference of the outputs from those of 16 bits."""
    sixteen = snnc.compile(model, model.parent / "sixteen", bits=16, force=True)
    a, b = (net.run(x).outputs["out"] for net in (artifact, sixteen))
    return float(np.square(a - b).mean())


def test_reuse_emits_the_trained_integers_for_other_targets(tmp_path: Path) -> None:
    model, x = model_file(tmp_path, recurrent()), samples("recurrent")
    y = np.arange(len(x)) % 3
    tuned = snnc.finetune(model, tmp_path / "a", (x, y), bits=3, epochs=2, batch=20)
    again = snnc.compile(model, tmp_path / "b", reuse=tmp_path / "a")
    assert again.manifest == tuned.manifest
    other = snnc.compile(model, tmp_path / "c", reuse=tmp_path / "a", target="c")
    assert str(other.graph()) == str(tuned.graph())
    with pytest.raises(CompileError, match="needs training"):
        snnc.compile(model, tmp_path / "d", method="finetune")


def test_an_interrupted_training_continues_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = model_file(tmp_path, mlp()), samples("mlp")
    y = np.arange(len(x)) % 5
    whole = snnc.finetune(model, tmp_path / "a", (x, y), bits=2, epochs=3)
    file = tmp_path / "state"

    class StopError(Exception):
        pass

    def stopped(text: str) -> None:
        if text.startswith("epoch 2"):
            raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(module, "stage", stopped)
        with pytest.raises(StopError):
            snnc.finetune(model, tmp_path / "b", (x, y), bits=2, epochs=3, checkpoint=file)
    assert file.exists()
    assert not (tmp_path / "b").exists()
    with pytest.raises(CompileError, match="another training") as e:
        snnc.finetune(model, tmp_path / "b", (x, y), bits=3, epochs=3, checkpoint=file)
    assert e.value.diagnostics[0].code == "E337"
    raw = bytearray(file.read_bytes())
    raw[-9] ^= 1
    flipped = tmp_path / "flipped"
    flipped.write_bytes(raw)
    with pytest.raises(CompileError, match="another hash"):
        snnc.finetune(model, tmp_path / "b", (x, y), bits=2, epochs=3, checkpoint=flipped)
    seen: list[str] = []
    monkeypatch.setattr(module, "stage", seen.append)
    resumed = snnc.finetune(model, tmp_path / "b", (x, y), bits=2, epochs=3, checkpoint=file)
    assert seen[0].startswith("epoch 3/3")
    assert resumed.manifest.tree == whole.manifest.tree
    assert not file.exists()
    file.write_bytes(b"no checkpoint")
    with pytest.raises(CompileError, match="damaged"):
        snnc.finetune(model, tmp_path / "c", (x, y), bits=2, checkpoint=file)


def test_a_loss_of_the_users_own_and_targets_that_are_no_classes(tmp_path: Path) -> None:
    model, x = model_file(tmp_path, mlp()), samples("mlp")
    wanted = np.random.default_rng(1).normal(size=(len(x), 5))
    with pytest.raises(CompileError, match="labels must have the shape"):
        snnc.finetune(model, tmp_path / "a", (x, wanted), bits=4)

    def loss(outputs: dict[str, torch.Tensor], target: torch.Tensor) -> torch.Tensor:
        return (outputs["out"] - target).square().mean()

    tuned = snnc.finetune(model, tmp_path / "a", (x, wanted), bits=4, epochs=3, loss=loss)
    plain = snnc.compile(model, tmp_path / "b", bits=4)
    errors = [np.square(a.run(x).outputs["out"] - wanted).mean() for a in (plain, tuned)]
    assert errors[1] < errors[0]
    with pytest.raises(CompileError, match="the loss is nan") as e:
        snnc.finetune(model, tmp_path / "c", (x, wanted), loss=lambda o, t: loss(o, t) * np.nan)
    assert e.value.diagnostics[0].code == "E336"


@pytest.mark.parametrize(
    ("labels", "says"),
    [(np.full(40, 5), "has 5 classes"), (np.zeros(39, int), "39 targets for 40 samples")],
)
def test_labels_that_do_not_fit(tmp_path: Path, labels: npt.NDArray[np.int64], says: str) -> None:
    with pytest.raises(CompileError, match=says):
        snnc.finetune(model_file(tmp_path, mlp()), tmp_path / "a", (samples("mlp"), labels))
    assert not (tmp_path / "a").exists()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, x = model_file(tmp_path, mlp()), samples("mlp")
    np.savez(tmp_path / "train.npz", x=x, y=np.arange(len(x)) % 5)
    flags = ["--data", str(tmp_path / "train.npz"), "--bits", "2", "--epochs", "2"]
    assert run(["finetune", str(model), "-o", str(tmp_path / "net"), *flags]) == 0
    printed = capsys.readouterr()
    assert "epoch 2/2" in printed.err
    assert "--reuse" in printed.out
    assert snnc.load(tmp_path / "net").manifest.method == "finetune"


def test_training_that_does_harm_is_taken_back(tmp_path: Path) -> None:
    model, x = model_file(tmp_path, mlp()), samples("mlp")
    tuned = snnc.finetune(model, tmp_path / "a", (x, None), bits=8, epochs=1, batch=40, rate=3.0)
    assert any("no epoch has a smaller loss" in w for w in tuned.manifest.warnings)
    np.savez(tmp_path / "x.npz", x=x)
    plain = snnc.compile(model, tmp_path / "b", method="gptq", calibration=tmp_path / "x.npz")
    assert str(plain.graph()) == str(tuned.graph())


@pytest.mark.parametrize(
    ("wrong", "code", "says"),
    [
        ({"rate": float("nan")}, "E003", "rate is nan"),
        ({"rate": -0.1}, "E003", "rate is -0.1"),
        ({"seed": 1 << 63}, "E003", "seed is"),
        ({"epochs": 0}, "E003", "epochs is 0"),
        ({"checkpoint": "nowhere/state"}, "E432", "cannot write"),
        ({"loss": lambda outputs, _: outputs["out"].square()}, "E336", "the shape"),
        ({"loss": lambda outputs, _: outputs["out"].argmax(1).sum()}, "E336", "no weight changes"),
    ],
)
def test_what_cannot_train_is_refused(
    tmp_path: Path, wrong: dict[str, Any], code: str, says: str
) -> None:
    data = (samples("mlp"), np.zeros(40, int))
    if "checkpoint" in wrong:
        wrong = {"checkpoint": tmp_path / wrong["checkpoint"]}
    with pytest.raises(CompileError, match=says) as e:
        snnc.finetune(model_file(tmp_path, mlp()), tmp_path / "a", data, bits=2, **wrong)
    assert e.value.diagnostics[0].code == code
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ((samples("mlp"), np.full(40, 0.5)), "E423"),
        ((samples("mlp"), np.full(40, "cat")), "E423"),
        ((samples("mlp"), np.eye(40)), "E423"),
        ((samples("mlp"), np.int64(3)), "E421"),
        ((samples("mlp"), np.zeros(40), np.zeros(40)), "E421"),
        (samples("mlp"), "E421"),
    ],
)
def test_data_that_are_no_samples_and_labels(tmp_path: Path, data: Any, code: str) -> None:
    with pytest.raises(CompileError) as e:
        snnc.finetune(model_file(tmp_path, mlp()), tmp_path / "a", data, bits=2)
    assert e.value.diagnostics[0].code == code


def test_a_loss_without_targets_is_refused_and_labels_may_be_whole_floats(tmp_path: Path) -> None:
    model, x = model_file(tmp_path, mlp()), samples("mlp")
    with pytest.raises(CompileError, match="of which none are given"):
        snnc.finetune(model, tmp_path / "a", (x, None), loss=lambda o, t: o["out"].mean())
    tuned = [
        snnc.finetune(model, tmp_path / f"{i}", (x, labels), bits=2, epochs=1, batch=40)
        for i, labels in enumerate((np.arange(40) % 3, np.arange(40) % 3.0))
    ]
    assert str(tuned[0].graph()) == str(tuned[1].graph())


def test_numbers_that_nothing_can_be_made_of_end_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renewed(self: Forms, network: object, steps: int) -> None:
        raise fail("E310", "lif0 needs more than 63 bits in the worst case", Loc("lif0"))

    monkeypatch.setattr(Forms, "renewed", renewed)
    model, data = model_file(tmp_path, mlp()), (samples("mlp"), None)
    with pytest.raises(CompileError, match="needs more than 63 bits") as e:
        snnc.finetune(model, tmp_path / "a", data, bits=2, epochs=1)
    (found,) = e.value.diagnostics
    assert (found.code, found.loc, found.help) == ("E336", Loc("lif0"), "lower the rate")
    assert not (tmp_path / "a").exists()
