"""Archives of torch.export through which ``torch.export.load`` runs code, and bombs."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.hostile.attacks import Touch, compile_refused

pytestmark = pytest.mark.filterwarnings("ignore")
Members = dict[str, bytes]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v: Any = torch.zeros(x.shape[1], 4)
        for t in range(x.shape[0]):
            v = 0.5 * v + self.fc(x[t])
            v = v * (v < 0.3)
        return v


@pytest.fixture(scope="module")
def members() -> Members:
    buffer = io.BytesIO()
    shapes = ({1: torch.export.Dim("b")},)
    program = torch.export.export(Net(), (torch.rand(5, 2, 3),), dynamic_shapes=shapes)
    torch.export.save(program, buffer)
    with zipfile.ZipFile(buffer) as archive:
        return {n: archive.read(n) for n in archive.namelist()}


def key(members: Members, end: str) -> str:
    return next(n for n in members if n.endswith(end))


def edit(members: Members, end: str, change: Callable[[Any], None]) -> None:
    name = key(members, end)
    document = json.loads(members[name])
    change(document)
    members[name] = json.dumps(document).encode()


def nodes(document: Any) -> Any:
    return document["graph_module"]["graph"]["nodes"]


def pickled_weights(m: Members, folder: Path) -> str:
    def change(document: Any) -> None:
        entry = document["config"]["fc.weight"]
        entry["use_pickle"] = True
        buffer = io.BytesIO()
        torch.save({"x": Touch(folder)}, buffer)
        m[key(m, entry["path_name"])] = buffer.getvalue()

    edit(m, "model_weights_config.json", change)
    return "E110"


def opaque_constant(m: Members, folder: Path) -> str:
    def change(document: Any) -> None:
        document["config"]["evil"] = {
            "path_name": "opaque_obj_0",
            "is_param": False,
            "use_pickle": True,
            "tensor_meta": None,
        }

    edit(m, "model_constants_config.json", change)
    root = key(m, "archive_format").partition("/")[0]
    m[f"{root}/data/constants/opaque_obj_0"] = pickle.dumps(Touch(folder))
    return "E110"


def shape_expression(m: Members, folder: Path) -> str:
    code = f"[open({str(folder / 'canary')!r}, 'w'), Symbol('s0')][1]"

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "expr_str" in value:
                value["expr_str"] = code
            value = list(value.values())
        for v in value if isinstance(value, list) else ():
            walk(v)

    edit(m, "/models/model.json", walk)
    edit(m, "/models/model.json", lambda d: nodes(d)[0].update(target="torch.ops.aten.foo.bar"))
    return "E210"


def foreign_targets(m: Members, folder: Path) -> str:
    targets = ("os.system", "torch.ops.aten.from_file.default", "builtins.eval", "_operator.call")

    def change(document: Any) -> None:
        for node, target in zip(nodes(document), targets, strict=False):
            node["target"] = target

    edit(m, "/models/model.json", change)
    return "E210"


def target_with_dots(m: Members, folder: Path) -> str:
    target = "torch.ops.aten.add.Tensor.__globals__.os.system"
    edit(m, "/models/model.json", lambda d: nodes(d)[0].update(target=target))
    return "E210"


def compiled_code(m: Members, folder: Path) -> str:
    root = key(m, "archive_format").partition("/")[0]
    m[f"{root}/data/aotinductor/model/x.wrapper.so"] = b"\x7fELF"
    return "E110"


def traversal(m: Members, folder: Path) -> str:
    m["../../canary"] = b"x"
    return "E103"


def tensor_larger_than_its_data(m: Members, folder: Path) -> str:
    def change(document: Any) -> None:
        document["config"]["fc.weight"]["tensor_meta"]["sizes"] = [{"as_int": 1 << 20}] * 2

    edit(m, "model_weights_config.json", change)
    return "E103"


def tensor_of_one_number(m: Members, folder: Path) -> str:
    """Strides of zero: a few bytes that claim terabytes."""

    def change(document: Any) -> None:
        meta = document["config"]["fc.weight"]["tensor_meta"]
        meta["sizes"], meta["strides"] = [{"as_int": 1 << 20}] * 2, [{"as_int": 0}] * 2

    edit(m, "model_weights_config.json", change)
    return "E103"


def negative_offset(m: Members, folder: Path) -> str:
    def change(document: Any) -> None:
        document["config"]["fc.weight"]["tensor_meta"]["storage_offset"] = {"as_int": -8}

    edit(m, "model_weights_config.json", change)
    return "E103"


def deep_json(m: Members, folder: Path) -> str:
    m[key(m, "/models/model.json")] = b"[" * 400_000 + b"]" * 400_000
    return "E103"


def repeated_key(m: Members, folder: Path) -> str:
    name = key(m, "/models/model.json")
    m[name] = m[name].replace(b"{", b'{"graph_module": 1, ', 1)
    return "E103"


def used_before_computed(m: Members, folder: Path) -> str:
    edit(m, "/models/model.json", lambda d: nodes(d).reverse())
    return "E103"


def other_schema(m: Members, folder: Path) -> str:
    edit(m, "/models/model.json", lambda d: d["schema_version"].update(major=99))
    return "E111"


@pytest.mark.parametrize(
    "attack",
    [
        pickled_weights, opaque_constant, shape_expression, foreign_targets, target_with_dots,
        compiled_code, traversal, tensor_larger_than_its_data, tensor_of_one_number,
        negative_offset, deep_json, repeated_key, used_before_computed, other_schema,
    ],
)  # fmt: skip
def test_attack(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    members: Members,
    attack: Callable[[Members, Path], str],
) -> None:
    changed = dict(members)
    expected = attack(changed, tmp_path)
    with zipfile.ZipFile(tmp_path / "model.pt2", "w") as archive:
        for name, content in changed.items():
            archive.writestr(name, content)
    assert compile_refused(capsys, tmp_path / "model.pt2") == {expected}


def test_sample_inputs_and_expressions_are_never_opened(tmp_path: Path, members: Members) -> None:
    from snnc.frontends.from_pt2 import read_bytes

    changed = dict(members)
    changed[key(changed, "sample_inputs/model.pt")] = pickle.dumps(Touch(tmp_path))
    shape_expression(changed, tmp_path)
    edit(changed, "/models/model.json", lambda d: nodes(d)[0].update(target=first))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in changed.items():
            archive.writestr(name, content)
    assert read_bytes(buffer.getvalue(), "net.pt2", {}).graph.steps == 5
    assert not (tmp_path / "canary").exists()


#: The first operator of ``Net``.
first = "torch.ops.aten.sym_size.int"
