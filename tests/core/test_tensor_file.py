"""Tensors that are written in parts are the library's bytes; those in a file are read by rows."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from snnc.content import parts_of
from snnc.diagnostics import CompileError
from snnc.params import Param
from snnc.tensor_file import LARGE, read, written
from snnc.untrusted import UnsafeError

KINDS = (
    *("bool", "uint8", "int8", "int16", "uint16", "float16", "int32", "uint32", "float32"),
    *("float64", "int64", "uint64"),
)


def blob(tensors: dict[str, Param]) -> bytes:
    return b"".join(parts_of(written(tensors)))


def test_every_type_and_order_is_as_the_library_writes_it() -> None:
    rng = np.random.default_rng(0)
    shapes = ((3, 5), (0,), (1,), (2, 0, 3), (70, 1000))
    arrays = {
        f"t{(7 * i + j) % 11}.{i}.{j}": rng.integers(0, 2, shape).astype(kind)
        for i, kind in enumerate(KINDS)
        for j, shape in enumerate(shapes)
    }
    assert blob({name: Param(a) for name, a in arrays.items()}) == safetensors.numpy.save(arrays)
    assert blob({}) == safetensors.numpy.save({})


def file_of(path: Path, arrays: dict[str, Any]) -> dict[str, Param]:
    data = safetensors.numpy.save(arrays)
    path.write_bytes(b"before" + data + b"behind")
    with path.open("rb") as file:
        return read(file, 6, len(data))


def test_large_tensors_are_read_by_rows(tmp_path: Path) -> None:
    large = np.arange(LARGE, dtype=np.float32).reshape(64, 2, -1)
    small = np.arange(6, dtype=np.int16).reshape(2, 3)
    found = file_of(tmp_path / "f", {"large": large, "small": small})
    assert np.array_equal(found["large"].rows(3, 7), large[3:7])
    assert np.array_equal(np.concatenate(list(found["large"].blocks(1000))), large)
    assert np.array_equal(found["small"].data, small)
    same = Param(large)
    assert found["large"] == same
    assert hash(found["large"]) == hash(same)
    assert found["large"] != Param(large + np.float32(1))
    assert pickle.loads(pickle.dumps(found["large"])) == same
    (tmp_path / "f").unlink()
    assert np.array_equal(found["large"].data, large)
    assert not found["large"].data.flags.writeable


def test_a_file_that_is_changed_while_it_is_read_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "f"
    found = file_of(path, {"large": np.zeros((64, LARGE // 256), np.float32)})
    data = path.read_bytes()
    path.write_bytes(data[:-1000])
    with pytest.raises(CompileError, match="E103"):
        found["large"].rows(0, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["a"].update(data_offsets=[0, 12]),
        lambda h: h["a"].update(data_offsets=[4, 20]),
        lambda h: h["a"].update(data_offsets=[0]),
        lambda h: h["a"].update(data_offsets="01"),
        lambda h: h["a"].update(shape=[-4]),
        lambda h: h["a"].update(shape=[1 << 62, 1 << 62]),
        lambda h: h["a"].update(shape=[True]),
        lambda h: h["a"].update(shape=4),
        lambda h: h["a"].update(dtype="F8"),
        lambda h: h["a"].update(dtype=["F32"]),
        lambda h: h["a"].update(more=1),
        lambda h: h["a"].pop("shape"),
        lambda h: h.update(a=[]),
        lambda h: h.pop("b"),
        lambda h: h["b"].update(data_offsets=[8, 24]),
    ],
)
def test_damaged_headers_are_refused(tmp_path: Path, change: Any) -> None:
    data = safetensors.numpy.save({"a": np.zeros(4, np.float32), "b": np.ones(4, np.float32)})
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    path = tmp_path / "f"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    with path.open("rb") as file, pytest.raises(UnsafeError):
        read(file, 0, path.stat().st_size)
