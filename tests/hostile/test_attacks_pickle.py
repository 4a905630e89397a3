"""Pickles that run code when they are loaded, as models and as weights."""

from __future__ import annotations

import io
import pickle
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from snnc.diagnostics import CompileError
from snnc.frontends.weights_file import read_weights
from tests.hostile.attacks import Touch, compile_refused


def checkpoint(folder: Path, path: Path) -> None:
    torch.save({"w": torch.zeros(2), "x": Touch(folder)}, path)


def whole_module(folder: Path, path: Path) -> None:
    module: Any = torch.nn.Linear(2, 2)
    module.hook = Touch(folder)
    torch.save(module, path)


def old_format(folder: Path, path: Path) -> None:
    torch.save({"x": Touch(folder)}, path, _use_new_zipfile_serialization=False)


def bare(folder: Path, path: Path) -> None:
    path.write_bytes(pickle.dumps(Touch(folder), 2))


def fires_then_breaks(folder: Path, path: Path) -> None:
    path.write_bytes(pickle.dumps(Touch(folder), 2)[:-1] + b"\xff\xff\xff")


def text_protocol(folder: Path, path: Path) -> None:
    path.write_bytes(pickle.dumps(Touch(folder), 0))


def tar(folder: Path, path: Path) -> None:
    content = pickle.dumps(Touch(folder), 2)
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def two_pickles(folder: Path, path: Path) -> None:
    torch.save({"w": torch.zeros(2)}, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", pickle.dumps(Touch(folder), 2))


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {n: archive.read(n) for n in archive.namelist()}


def persistent_id(folder: Path, path: Path) -> None:
    torch.save({"w": torch.zeros(2)}, path)
    members = members_of(path)
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            evil = pickle.dumps({"w": Touch(folder)}, 2) if name.endswith("data.pkl") else content
            new.writestr(name, evil)


def opcode_flood(folder: Path, path: Path) -> None:
    path.write_bytes(b"\x80\x02" + b"]0" * (4 << 20))


def memo_bomb(folder: Path, path: Path) -> None:
    """Lists that double forty times."""
    stream = b"\x80\x02]q\x00K\x01a"
    for i in range(40):
        stream += b"0]q" + bytes([i + 1]) + (b"h" + bytes([i]) + b"a") * 2
    path.write_bytes(stream + b".")


def deflate_bomb(folder: Path, path: Path) -> None:
    """A checkpoint whose storage is a quarter of a megabyte that becomes 256."""
    torch.save({"w": torch.zeros(4)}, path)
    members = members_of(path)
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            if not name.endswith("/data/0"):
                new.writestr(name, content)
                continue
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            with new.open(member, "w", force_zip64=True) as stream:
                for _ in range(256):
                    stream.write(bytes(1 << 20))


ATTACKS = (
    checkpoint, whole_module, old_format, bare, fires_then_breaks, text_protocol, tar,
    two_pickles, persistent_id, opcode_flood, memo_bomb, deflate_bomb,
)  # fmt: skip


@pytest.mark.parametrize("make", ATTACKS)
def test_as_a_model(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    make(tmp_path, tmp_path / "model.pt")
    assert compile_refused(capsys, tmp_path / "model.pt") <= {"E102", "E103", "E110"}


@pytest.mark.parametrize("make", ATTACKS)
def test_as_weights(tmp_path: Path, make: Callable[[Path, Path], None]) -> None:
    path = tmp_path / "weights.pt"
    make(tmp_path, path)
    with pytest.raises(CompileError) as caught:
        read_weights(path, ["w"])
    assert {d.code for d in caught.value.diagnostics} <= {"E103", "E110", "E113", "E147"}
    assert not (tmp_path / "canary").exists()


ON_LOAD = "  def __setstate__(self, x: int) -> None:\n"
SCRIPTS = {
    "writes on load": ON_LOAD + "    _ = torch.from_file({canary!r}, True, 16)\n",
    "writes when called": "  def forward(self, x: Tensor) -> Tensor:\n"
    "    return torch.from_file({canary!r}, True, 16)\n",
    "never returns": ON_LOAD + "    while True:\n      pass\n",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_torchscript_is_a_program(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 3), torch.rand(1, 2)), tmp_path / "m.pt")
    code = SCRIPTS[name].format(canary=str(tmp_path / "canary"))
    with (
        zipfile.ZipFile(tmp_path / "m.pt") as old,
        zipfile.ZipFile(tmp_path / "model.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for member in old.namelist():
            content = old.read(member)
            new.writestr(member, content + code.encode() if member.endswith(".py") else content)
    assert compile_refused(capsys, tmp_path / "model.pt") == {"E110"}
    with pytest.raises(CompileError, match="E110"):
        read_weights(tmp_path / "model.pt", ["w"])
    assert not (tmp_path / "canary").exists()
