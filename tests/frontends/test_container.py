"""The model file: equal bytes, nothing executed, and a clear answer to any other file."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from snnc.container import LoadedModel, pickled_names, read_model, to_bytes, write_model
from snnc.diagnostics import CompileError
from snnc.exporting import export
from snnc.graph import Graph
from snnc.ops import Constant, Input, Linear, Output, Pointwise
from snnc.params import Param
from snnc.types import TensorType
from tests.usercode import NET


def small(value: float = 1.0) -> LoadedModel:
    graph = Graph("small", 4)
    graph.add("x", Input(TensorType((2,))))
    graph.add("fc", Linear(Param(np.float32([[1, 2], [3, value]]))), "x")
    graph.add("c", Constant(Param(np.array(0.3))))
    graph.add("y", Pointwise("ge"), "fc", "c")
    graph.add("out", Output(), "y")
    return LoadedModel(graph, {"checks": {"admissible": True}})


def code_of(path: Path) -> str:
    with pytest.raises(CompileError) as caught:
        read_model(path)
    (one,) = caught.value.diagnostics
    assert one.help or one.code in ("E101", "E103", "E120")
    return one.code


def message_of(path: Path) -> str:
    with pytest.raises(CompileError) as caught:
        read_model(path)
    return str(caught.value)


def test_round_trip(tmp_path: Path) -> None:
    write_model(tmp_path / "model.pt", small())
    model = read_model(tmp_path / "model.pt")
    assert str(model.graph) == str(small().graph)
    assert model.meta == small().meta | {"exported": True}
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_equal_models_are_equal_bytes() -> None:
    assert to_bytes(small()) == to_bytes(small())
    with zipfile.ZipFile(io.BytesIO(to_bytes(small()))) as archive:
        assert {m.date_time[0] for m in archive.infolist()} == {1980}
        assert {m.compress_type for m in archive.infolist()} == {zipfile.ZIP_STORED}


def test_exports_of_one_module_are_equal_bytes() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.fc = nn.Linear(3, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            v: Any = 0.0
            for t in range(x.shape[1]):
                v = 0.5 * v + self.fc(x[:, t])
                v = v * (1 - (v >= 0.3).float())
            return v

    x = torch.arange(24.0).reshape(2, 4, 3) / 15
    first, second = (export(Net(), x, time_axis=1) for _ in range(2))
    assert to_bytes(first.model) == to_bytes(second.model)
    op = first.graph["x"].op
    assert isinstance(op, Input)
    assert (op.lo, op.step) == (0.0, 1 / 15)


def test_missing_file_and_directory(tmp_path: Path) -> None:
    assert code_of(tmp_path / "none.pt") == "E101"
    assert code_of(tmp_path) == "E101"


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 100, b"import os\n"])
def test_junk(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    assert code_of(tmp_path / "model.pt") == "E102"


def test_foreign_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert code_of(tmp_path / "model.pt") == "E102"


def test_every_truncation_and_any_flipped_byte_is_noticed(tmp_path: Path) -> None:
    data = to_bytes(small())
    path = tmp_path / "model.pt"
    for size in range(2, len(data), 97):
        path.write_bytes(data[:size])
        assert code_of(path) == "E103"
    start = data.index(b"safetensors") + 40
    broken = bytearray(data)
    broken[start] ^= 1
    path.write_bytes(broken)
    assert code_of(path) in ("E103", "E120")


def rewritten(change: dict[str, bytes | None], compress: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(to_bytes(small()))) as old:
        members = {n: old.read(n) for n in old.namelist()} | change
    with zipfile.ZipFile(buffer, "w", compress) as new:
        for name, content in members.items():
            if content is not None:
                new.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        rewritten({"extra.py": b"print(1)"}),
        rewritten({"graph.json": None}),
        rewritten({}, zipfile.ZIP_DEFLATED),
        rewritten({"snnc.json": b"[]"}),
        rewritten({"snnc.json": b"{"}),
        rewritten({"snnc.json": b'{"format": "snnc.model/999"}'}),
    ],
)
def test_members_other_than_written(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(data)
    assert code_of(tmp_path / "model.pt") == "E103"


def test_malformed_graph(tmp_path: Path) -> None:
    document = json.dumps({"format": "snnc.graph/1", "nodes": [{"op": "os.system"}]})
    (tmp_path / "model.pt").write_bytes(rewritten({"graph.json": document.encode()}))
    assert code_of(tmp_path / "model.pt") == "E120"


def test_duplicate_members(tmp_path: Path) -> None:
    buffer = io.BytesIO(to_bytes(small()))
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("graph.json", b"{}")
    (tmp_path / "model.pt").write_bytes(buffer.getvalue())
    assert code_of(tmp_path / "model.pt") == "E103"


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weight_that_is_not_finite(tmp_path: Path, value: float) -> None:
    with pytest.raises(CompileError, match=r"E301.*fc: weight\[1, 1\]"):
        write_model(tmp_path / "model.pt", small(value))
    (tmp_path / "model.pt").write_bytes(to_bytes(small(value)))
    assert code_of(tmp_path / "model.pt") == "E301"


class Marker:
    """Leaves a file behind if it is ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("new", [True, False])
def test_pickled_module_is_named_and_not_loaded(tmp_path: Path, new: bool) -> None:
    net = nn.Linear(2, 3)
    net.marker = Marker(tmp_path / "executed")  # type: ignore[assignment]
    torch.save(net, tmp_path / "model.pt", _use_new_zipfile_serialization=new)
    text = message_of(tmp_path / "model.pt")
    assert "E110" in text
    for part in ("pathlib.Path", "--module file.py:factory", "snnc.export"):
        assert part in text
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_names_in_a_pickle(protocol: int) -> None:
    data = pickle.dumps([Path.touch, io.BytesIO, io.StringIO, io.BytesIO], protocol)
    assert {"_io.BytesIO", "_io.StringIO"} <= set(pickled_names(data))


@pytest.mark.parametrize("new", [True, False])
def test_state_dict(tmp_path: Path, new: bool) -> None:
    weights = nn.Linear(2, 3).state_dict()
    torch.save(weights, tmp_path / "model.pt", _use_new_zipfile_serialization=new)
    text = message_of(tmp_path / "model.pt")
    for part in ("E110", "weights", "--module file.py:factory", "snnc.export"):
        assert part in text


@pytest.mark.filterwarnings("ignore")
def test_torchscript(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Linear(2, 3), torch.rand(1, 2)), tmp_path / "model.pt")
    text = message_of(tmp_path / "model.pt")
    assert "E110" in text
    assert "TorchScript" in text


@pytest.mark.filterwarnings("ignore")
def test_exchange_formats(tmp_path: Path) -> None:
    program = torch.export.export(nn.Linear(2, 3), (torch.rand(1, 2),))
    torch.export.save(program, tmp_path / "model.pt2")
    graph = read_model(tmp_path / "model.pt2").graph  # no state and no loop: one step
    assert (graph.steps, [n.type.shape for n in graph if isinstance(n.op, Input)]) == (1, [(2,)])
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08\x12\x07pytorch")
    assert code_of(tmp_path / "model.onnx") == "E103"
    (tmp_path / "model.nir").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    assert code_of(tmp_path / "model.nir") == "E103"


FACTORIES = """
def pair():
    return Net(), torch.rand(2, 6, 3)

def nothing():
    return 3
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "user_net.py"
    path.write_text(NET + FACTORIES)
    return path


def test_weights_with_the_users_own_code(tmp_path: Path, source: Path) -> None:
    from snnc.container import load_from_source

    weight = torch.arange(12.0).reshape(4, 3)
    torch.save({"fc.weight": weight, "fc.bias": torch.zeros(4)}, tmp_path / "weights.pt")
    model = load_from_source(f"{source}:make", tmp_path / "weights.pt")
    op = model.graph["fc"].op
    assert isinstance(op, Linear)
    assert np.array_equal(op.weight.data, weight.numpy())
    assert model.graph["fc"].loc.file is not None
    assert model.graph["fc"].loc.file.endswith("user_net.py")


@pytest.mark.parametrize(
    ("factory", "code"), [("none", "E112"), ("nothing", "E112"), ("pair", "E139")]
)
def test_factories_that_do_not_work(source: Path, factory: str, code: str) -> None:
    from snnc.container import load_from_source

    with pytest.raises(CompileError, match=code):
        load_from_source(f"{source}:{factory}")


def test_weights_that_do_not_fit(tmp_path: Path, source: Path) -> None:
    from snnc.container import load_from_source

    torch.save({"fc.weight": torch.zeros(5, 3)}, tmp_path / "weights.pt")
    with pytest.raises(CompileError, match="E113"):
        load_from_source(f"{source}:make", tmp_path / "weights.pt")
    torch.save(Marker(tmp_path / "executed"), tmp_path / "code.pt")
    with pytest.raises(CompileError, match="E110"):
        load_from_source(f"{source}:make", tmp_path / "code.pt")
    assert not (tmp_path / "executed").exists()
