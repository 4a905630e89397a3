"""Zip archives, safetensors, arrays and special files that harm a credulous reader."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from snnc.cli import run
from snnc.container import LoadedModel, to_bytes
from snnc.diagnostics import CompileError
from snnc.frontends.weights_file import read_weights
from snnc.untrusted import Archive, UnsafeError, parse_json
from tests.hostile.attacks import Touch, compile_refused, refused
from tests.models import model_file
from tests.realgraphs import mlp


def members() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(to_bytes(LoadedModel(mlp(), {})))) as archive:
        return {n: archive.read(n) for n in archive.namelist()}


def written(path: Path, parts: dict[str, bytes], **options: int) -> None:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def deflate_bomb(path: Path) -> None:
    parts = members()
    parts["tensors.safetensors"] = bytes(256 << 20)
    written(path, parts, compression=zipfile.ZIP_DEFLATED, compresslevel=1)


def lying_sizes(path: Path) -> None:
    """The directory says stored and small, the data are deflated zeros."""
    written(path, members() | {"graph.json": bytes(1 << 20)}, compression=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    at = 0
    while (at := data.find(b"PK\x01\x02", at)) >= 0:
        data[at + 10 : at + 12] = b"\0\0"
        at += 4
    path.write_bytes(data)


def overlap(path: Path) -> None:
    """Many directory entries of one member."""
    written(path, {"f": bytes(1 << 20)})
    data = path.read_bytes()
    end = data.rindex(b"PK\5\6")
    start = struct.unpack("<I", data[end + 16 : end + 20])[0]
    entry, count, directory = data[start:end], 2000, b""
    for i in range(count):
        name = b"snnc.json" if i == 0 else b"f%04d" % i
        directory += entry[:28] + struct.pack("<H", len(name)) + entry[30:46] + name
    tail = struct.pack("<HHIIH", count, count, len(directory), start, 0)
    path.write_bytes(data[:start] + directory + b"PK\5\6\0\0\0\0" + tail)


def huge_offset(path: Path) -> None:
    written(path, members())
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 42 : at + 46] = b"\xf0\xff\xff\xff"
    path.write_bytes(data)


def duplicate(path: Path) -> None:
    written(path, members())
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("graph.json", b"{}")


def slip(path: Path) -> None:
    written(path, members() | {"../canary": b"x"})


def absolute(path: Path) -> None:
    written(path, members() | {str(path.parent / "canary"): b"x"})


def link(path: Path) -> None:
    written(path, members())
    with zipfile.ZipFile(path, "a") as archive:
        member = zipfile.ZipInfo("link")
        member.external_attr = 0o120777 << 16
        archive.writestr(member, "/etc")


def encrypted(path: Path) -> None:
    written(path, members())
    data = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = data.index(mark) + flags
        data[at] |= 1
    path.write_bytes(data)


def many_members(path: Path) -> None:
    written(path, members() | {f"f{i}": b"" for i in range(20_000)})


def deep_graph(path: Path) -> None:
    written(path, members() | {"graph.json": b"[" * 500_000 + b"]" * 500_000})


def deep_header(path: Path) -> None:
    text = b'{"__metadata__":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    blob = struct.pack("<Q", len(text)) + text
    written(path, members() | {"tensors.safetensors": blob})


def repeated_key(path: Path) -> None:
    parts = members()
    parts["graph.json"] = parts["graph.json"].replace(b"{", b'{"steps": 1, ', 1)
    written(path, parts)


def huge_numbers(path: Path) -> None:
    parts = members()
    document = json.loads(parts["graph.json"])
    for node in document["nodes"]:
        if "type" in node["attributes"]:
            node["attributes"]["type"]["shape"] = [1 << 40]
            node["types"][0]["shape"] = [1 << 40]
    parts["graph.json"] = json.dumps(document).encode()
    written(path, parts)


def endless_digits(path: Path) -> None:
    parts = members()
    parts["graph.json"] = parts["graph.json"].replace(b'"steps": ', b'"steps": 1' + b"0" * 100_000)
    written(path, parts)


@pytest.mark.parametrize(
    "make",
    [
        deflate_bomb, lying_sizes, overlap, huge_offset, duplicate, slip, absolute, link,
        encrypted, many_members, deep_graph, deep_header, repeated_key, huge_numbers,
        endless_digits,
    ],
)  # fmt: skip
def test_containers(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "model.pt")
    assert compile_refused(capsys, tmp_path / "model.pt") <= {"E103", "E120"}


def test_files_that_never_end(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert compile_refused(capsys, tmp_path / "pipe") == {"E101"}
    (tmp_path / "zero").symlink_to("/dev/zero")
    assert compile_refused(capsys, tmp_path / "zero") == {"E101"}
    with pytest.raises(CompileError, match="E101"):
        read_weights(tmp_path / "pipe", ["w"])


def stored(header: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + body


ENTRY = b'"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}'
SAFETENSORS = {
    "huge header": stored(b"{}", length=1 << 62),
    "overlap": stored(
        b"{" + ENTRY + b',"b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}', bytes(24)
    ),
    "shape": stored(
        b'{"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}}', bytes(16)
    ),
    "deep": stored(b'{"__metadata__":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "twice": stored(b"{" + ENTRY + b"," + ENTRY.replace(b"F32", b"I32") + b"}", bytes(16)),
    "truncated": stored(b"{" + ENTRY + b"}", bytes(15)),
    "no object": stored(b"[1, 2]"),
    "type": stored(b"{" + ENTRY.replace(b"F32", b"F99") + b"}", bytes(16)),
}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_safetensors(tmp_path: Path, name: str) -> None:
    (tmp_path / "w.safetensors").write_bytes(SAFETENSORS[name])
    with pytest.raises(CompileError) as caught:
        read_weights(tmp_path / "w.safetensors", ["w"])
    assert {d.code for d in caught.value.diagnostics} == {"E103"}


def npz_bomb(folder: Path) -> Path:
    header = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": (1 << 32,)}
    np.lib.format.write_array_header_1_0(header, description)
    with zipfile.ZipFile(folder / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(64 << 20))
    return folder / "x.npz"


def npz_honest_bomb(folder: Path) -> Path:
    """Its header tells the truth: a few megabytes that become gigabytes."""
    header = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": (1 << 31,)}
    np.lib.format.write_array_header_1_0(header, description)
    block = bytes(1 << 20)
    with (
        zipfile.ZipFile(folder / "x.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(header.getvalue())
        for _ in range(2048):
            member.write(block)
    return folder / "x.npz"


def npz_objects(folder: Path) -> Path:
    np.savez(folder / "x.npz", x=np.array([Touch(folder)], dtype=object))
    return folder / "x.npz"


def npz_bare_pickle(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "x.npz", "w") as archive:
        archive.writestr("x.npy", pickle.dumps(Touch(folder)))
    return folder / "x.npz"


def npy_shape(folder: Path) -> Path:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }"
    header = header.ljust(118) + b"\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64)
    (folder / "x.npy").write_bytes(content)
    return folder / "x.npy"


def npy_code(folder: Path) -> Path:
    header = f"{{'descr': open({str(folder / 'canary')!r}, 'w'), 'fortran_order': False}}"
    text = header.encode().ljust(246) + b"\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
    (folder / "x.npy").write_bytes(content)
    return folder / "x.npy"


@pytest.mark.parametrize(
    "make", [npz_bomb, npz_honest_bomb, npz_objects, npz_bare_pickle, npy_shape, npy_code]
)
def test_data(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    model = model_file(tmp_path, mlp())
    assert run(["compile", str(model), "-o", str(tmp_path / "net"), "--quiet"]) == 0
    path = make(tmp_path)
    for command in (("verify",), ("run", "-o", tmp_path / "r.npz")):
        codes = refused(capsys, command[0], tmp_path / "net", "--data", path, *command[1:])
        assert codes <= {"E420", "E421", "E422"}


def test_members_are_named_in_ascii(tmp_path: Path) -> None:
    written(tmp_path / "a.zip", {"\x1b[2J\u202e/../x": b""})
    with pytest.raises(UnsafeError) as caught:
        Archive(tmp_path / "a.zip")
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": -Infinity}', '{"a":1,"a":1}', "{", "nul"])
def test_json_is_strict(text: str) -> None:
    with pytest.raises(UnsafeError):
        parse_json(text)
