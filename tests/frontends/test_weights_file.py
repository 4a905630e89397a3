"""Weights for the user's own code: ways to save them, and what is said when they do not fit."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from snnc.container import load_from_source
from snnc.diagnostics import CompileError
from snnc.frontends.weights_file import read_weights
from snnc.ops import Linear
from tests.usercode import NET

NAMES = ["fc.weight", "fc.bias"]


def weights(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    values = torch.arange(12).reshape(4, 3) / 7
    return {"fc.weight": values.to(dtype), "fc.bias": torch.zeros(4, dtype=dtype)}


def refusal(path: Path) -> str:
    with pytest.raises(CompileError) as caught:
        read_weights(path, NAMES)
    return str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_precisions_and_formats(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "weights"
    state = weights(dtype)

    def old(state: Any, path: Path) -> None:
        torch.save(state, path, _use_new_zipfile_serialization=False)

    saves: list[Any] = [torch.save, old, safetensors.torch.save_file]
    for save in saves:
        save(state, path)
        found = read_weights(path, NAMES)
        assert set(found) == set(NAMES)
        exact = torch.from_numpy(found["fc.weight"].data.copy()).to(torch.float64)
        assert torch.equal(exact, state["fc.weight"].to(torch.float64))


@pytest.mark.parametrize(
    "checkpoint",
    [
        {"epoch": 3, "state_dict": weights(), "ema": {k: v + 1 for k, v in weights().items()}},
        {"model": weights(), "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
        {"a": {"b": weights()}, "other": {"fc.weight": torch.ones(3)}},
        {f"module.{k}": v for k, v in weights().items()},
        {"state_dict": {f"_orig_mod.{k}": v for k, v in weights().items()}},
    ],
)
def test_checkpoints(tmp_path: Path, checkpoint: Any) -> None:
    torch.save(checkpoint, tmp_path / "c.pt")
    found = read_weights(tmp_path / "c.pt", NAMES)
    assert torch.equal(torch.from_numpy(found["fc.weight"].data.copy()), weights()["fc.weight"])


def test_parts_that_cannot_be_told_apart_are_listed(tmp_path: Path) -> None:
    torch.save({"student": weights(), "teacher": weights()}, tmp_path / "c.pt")
    text = refusal(tmp_path / "c.pt")
    for part in ("E113", "several parts fit", "student: 2 of 2", "teacher: 2 of 2"):
        assert part in text
    torch.save({"x": {"w": torch.ones(1)}, "y": {"fc.bias": torch.ones(1)}}, tmp_path / "c.pt")
    text = refusal(tmp_path / "c.pt")
    for part in ("E113", "no part fits", "x: 0 of 2", "y: 1 of 2"):
        assert part in text
    torch.save({"epoch": 3}, tmp_path / "c.pt")
    assert "E113" in refusal(tmp_path / "c.pt")


def test_tensors_that_are_not_numbers(tmp_path: Path) -> None:
    for value in (torch.eye(3).to_sparse(), torch.zeros(2, dtype=torch.complex64)):
        torch.save({"fc.weight": value, "fc.bias": value}, tmp_path / "w.pt")
        text = refusal(tmp_path / "w.pt")
        assert "fc." in text


def test_missing_unexpected_and_misshapen_names(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    state = {"fc.weight": torch.zeros(5, 3), "fc.scale": torch.zeros(1)}
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(CompileError) as caught:
        load_from_source(f"{tmp_path / 'net.py'}:make", tmp_path / "w.pt")
    text = str(caught.value)
    for part in ("E113", "missing in the file: fc.bias", "not in the module: fc.scale", "[5, 3]"):
        assert part in text


def test_float64_weights_reach_the_graph(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    torch.save({"state_dict": weights(torch.float64)}, tmp_path / "w.pt")
    model = load_from_source(f"{tmp_path / 'net.py'}:make", tmp_path / "w.pt")
    op = model.graph["fc"].op
    assert isinstance(op, Linear)
    assert torch.equal(torch.from_numpy(op.weight.data.copy()), weights()["fc.weight"])


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(weights(), path)
    with zipfile.ZipFile(path) as archive:
        (member,) = (m for m in archive.infolist() if m.filename.endswith("data/0"))
        at = member.header_offset
    data = bytearray(path.read_bytes())
    start = data.index(weights()["fc.weight"].numpy().tobytes(), at)
    data[start + 5] ^= 64
    path.write_bytes(data)
    torch.load(path, weights_only=True)  # torch itself accepts it
    assert "E103" in refusal(path)
