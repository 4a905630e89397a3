"""ONNX files that reach for other files, or ask for more than they hold: refused, at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from snnc.diagnostics import CompileError
from snnc.frontends.from_onnx import read_bytes
from tests.hostile.attacks import PATIENCE, compile_refused
from tests.onnxfiles import floats, info, ints, model

node = helper.make_node
SECRET = b"TOP-SECRET-BYTES"


def external(folder: Path, location: str, length: int = 16, offset: int | None = None) -> bytes:
    """A model whose only tensor lies in another file."""
    (folder.parent / "secret.bin").write_bytes(SECRET)
    (folder / "ok.bin").write_bytes(np.arange(4, dtype="<f4").tobytes())
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="length", value=str(length))
    if offset is not None:
        tensor.external_data.add(key="offset", value=str(offset))
    add = [node("Add", ["x", "w"], ["y"])]
    return bytes(model(add, [("x", [5, 4])], ["y"], [tensor]).SerializeToString())


def linked(folder: Path, name: str) -> bytes:
    data = external(folder, "data.bin" if name != "parent" else "sub/secret.bin")
    if name == "symlink":
        (folder / "data.bin").symlink_to("../secret.bin")
    elif name == "parent":
        (folder / "sub").symlink_to("..")
    elif name == "hardlink":
        (folder / "data.bin").hardlink_to(folder.parent / "secret.bin")
    else:
        os.mkfifo(folder / "data.bin")
    return data


OUTSIDE: dict[str, Callable[[Path], bytes]] = {
    "dotdot": lambda d: external(d, "../secret.bin"),
    "dotdot inside": lambda d: external(d, "a/../../secret.bin"),
    "absolute": lambda d: external(d, str(d.parent / "secret.bin")),
    "device": lambda d: external(d, "/dev/zero", 1 << 40),
    "backslash": lambda d: external(d, "..\\secret.bin"),
    "negative offset": lambda d: external(d, "ok.bin", offset=-4),
    "too long": lambda d: external(d, "ok.bin", 1 << 50),
    "nul": lambda d: external(d, "ok.bin\0../secret.bin"),
    "beside": lambda d: external(d, "ok.bin"),
    **{k: lambda d, k=k: linked(d, k) for k in ("symlink", "parent", "hardlink", "fifo")},
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_other_file_is_opened(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(OUTSIDE[name](folder))
    if name in ("dotdot", "fifo"):  # through all of the command
        assert compile_refused(capsys, folder / "model.onnx") == {"E140"}
    assert code_of((folder / "model.onnx").read_bytes()) == "E140"


def code_of(data: bytes) -> str:
    """The refusal by the reader, in this process and in time."""
    start = time.monotonic()
    with pytest.raises(CompileError) as caught:
        read_bytes(data, "model.onnx", {})
    assert time.monotonic() - start < PATIENCE
    return caught.value.diagnostics[0].code


def saved(nodes: list[Any], tensors: list[Any], outputs: tuple[str, ...] = ("y",)) -> bytes:
    return bytes(model(nodes, [("x", [4])], outputs, tensors).SerializeToString())


def add(tensor: Any) -> bytes:
    return saved([node("Add", ["x", "w"], ["y"])], [tensor])


def dims(*sizes: int) -> bytes:
    return add(TensorProto(name="w", data_type=1, dims=sizes, raw_data=bytes(16)))


def shape_bomb() -> bytes:
    nodes = [
        node("ConstantOfShape", ["s"], ["w"]),
        node("ReduceSum", ["w"], ["r"], keepdims=0),
        node("Add", ["x", "r"], ["y"]),
    ]
    return saved(nodes, [ints([1 << 20, 1 << 14], "s")])


def tower(op: str) -> bytes:
    """2**40 elements from one, in forty nodes."""
    pairs = [(f"c{i}", f"c{i + 1}") for i in range(40)]
    twice = {"Tile": lambda a: [a, "two"], "Concat": lambda a: [a, a]}[op]
    attrs = {"axis": 0} if op == "Concat" else {}
    nodes = [node(op, twice(a), [b], **attrs) for a, b in pairs]
    nodes += [node("ReduceSum", ["c40"], ["q"], keepdims=0), node("Add", ["x", "q"], ["y"])]
    return saved(nodes, [ints([2], "two"), floats(np.ones(1), "c0")])


def _varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def nested(depth: int = 3000) -> bytes:
    """If in If in If, as bytes: nothing writes this."""
    graph = helper.make_graph([node("Identity", ["x"], ["y"])], "l", [], [info("y")])
    data = graph.SerializeToString()
    for _ in range(depth):
        branch = _field(1, b"then_branch") + _field(6, data) + _varint(20 << 3) + _varint(5)
        inner = _field(1, b"c") + _field(2, b"y") + _field(4, b"If") + _field(5, branch)
        data = _field(1, inner) + _field(2, b"l")
    version = _field(8, _varint(2 << 3) + _varint(17))
    return _varint(1 << 3) + _varint(9) + _field(7, data) + version


def functions() -> bytes:
    """Functions that call each other twice: 2**40 nodes if they are inlined."""
    domain = [helper.make_opsetid("", 17), helper.make_opsetid("b", 1)]
    bodies = [
        [node(f"f{i + 1}", ["a"], ["t"], domain="b"), node(f"f{i + 1}", ["t"], ["o"], domain="b")]
        for i in range(39)
    ]
    bodies.append([node("Identity", ["a"], ["o"])])
    made = [helper.make_function("b", f"f{i}", ["a"], ["o"], b, domain)
            for i, b in enumerate(bodies)]  # fmt: skip
    call = [node("f0", ["x"], ["y"], domain="b")]
    graph = helper.make_graph(call, "g", [info("x", [4])], [info("y", [4])])
    whole = helper.make_model(graph, functions=made, opset_imports=domain, ir_version=9)
    return bytes(whole.SerializeToString())


def custom() -> bytes:
    whole = model([node("Steal", ["x"], ["y"], domain="evil")], [("x", [5, 4])], ["y"], [])
    whole.opset_import.append(helper.make_opsetid("evil", 1))
    return bytes(whole.SerializeToString())


def sparse() -> bytes:
    whole = model([node("Add", ["x", "w"], ["y"])], [("x", [5, 4])], ["y"], [floats([1], "w")])
    whole.graph.sparse_initializer.add().dims.append(1 << 62)
    return bytes(whole.SerializeToString())


def loops(depth: int, rounds: int = 2) -> bytes:
    """Loops in loops, each with a bound of its own."""
    inner = [node("Add", ["v", "v"], ["w"])]
    for level in range(depth):
        names = (f"i{level}", f"c{level}", f"v{level}")
        taken = {"v": names[2], "w": f"w{level}"} if not level else {}
        for n in inner:
            n.input[:] = [taken.get(x, x) for x in n.input]
            n.output[:] = [taken.get(x, x) for x in n.output]
        body = helper.make_graph(
            [node("Identity", [names[1]], [f"d{level}"]), *inner],
            "b",
            [info(names[0], [], TensorProto.INT64), info(names[1], [], TensorProto.BOOL),
             info(names[2])],
            [info(f"d{level}", [], TensorProto.BOOL), info(f"w{level}")],
        )  # fmt: skip
        last = level == depth - 1
        start, end = ("x", "y") if last else (f"v{level + 1}", f"w{level + 1}")
        inner = [node("Loop", ["many", "yes", start], [end], body=body)]
    yes = onnx.numpy_helper.from_array(np.array(True), "yes")
    whole = model(inner, [("x", [5, 4])], ["y"], [ints(rounds, "many"), yes])
    return bytes(whole.SerializeToString())


ADD = node("Add", ["x", "x"], ["y"])
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "huge tensor": (lambda: dims(1 << 31, 1 << 31), "E141"),
    "negative extent": (lambda: dims(-4), "E160"),
    "wrong size": (lambda: dims(3), "E160"),
    "shape bomb": (shape_bomb, "E141"),
    "tile tower": (lambda: tower("Tile"), "E141"),
    "concat tower": (lambda: tower("Concat"), "E141"),
    "nested": (nested, "E103"),
    "loops in loops": (lambda: loops(10), "E143"),
    "cycle": (
        lambda: saved([node("Add", ["x", "b"], ["a"]), node("Add", ["a", "x"], ["b"]),
                       node("Identity", ["a"], ["y"])], []),
        "E160",
    ),
    "defined twice": (lambda: saved([ADD, node("Mul", ["x", "x"], ["y"])], []), "E160"),
    "missing": (lambda: saved([node("Add", ["x", "ghost"], ["y"])], []), "E160"),
    "no output": (lambda: saved([ADD], [], ("z",)), "E160"),
    "functions": (functions, "E161"),
    "another domain": (custom, "E161"),
    "sparse": (sparse, "E161"),
    "long loop": (lambda: loops(1, 1 << 62), "E143"),
    "random": (lambda: saved([node("RandomNormalLike", ["x"], ["y"])], []), "E134"),
    "control characters": (lambda: saved([node("Add", ["x", "x"], ["y\x1b[2J"])], []), "E145"),
    "strings": (lambda: add(TensorProto(name="w", data_type=8, dims=[1], string_data=[b"x"])),
                "E144"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, code = BOMBS[name]
    data = make()
    if name in ("tile tower", "shape bomb", "nested", "long loop"):
        (tmp_path / "model.onnx").write_bytes(data)
        assert compile_refused(capsys, tmp_path / "model.onnx") == {code}
    assert code_of(data) == code
