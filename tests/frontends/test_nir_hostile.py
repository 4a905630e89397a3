"""NIR files that reach for other files, for memory or for ever: refused, and quickly."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.cli import run
from snnc.container import read_model
from snnc.diagnostics import CompileError, Severity
from tests.hostile.attacks import Stopwatch
from tests.nirfiles import chain_of, write_nir

h5py: Any = importlib.import_module("h5py")
SECRET = b"TOP-SECRET-BYTES"


def base(tmp_path: Path) -> Path:
    affine = {"type": "Affine", "weight": np.ones((3, 4)), "bias": np.zeros(3)}
    lif = {"type": "LIF", "tau": np.full(3, 0.02), "v_threshold": np.ones(3)}
    return write_nir(tmp_path / "model.nir", *chain_of((4,), affine, lif, out=(3,)))


def external_link(file: Any, fc: Any, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as other:
        other["w"] = np.frombuffer(SECRET, np.uint8).astype(float)
    del fc["bias"]
    fc["bias"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/w")


def external_storage(file: Any, fc: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(SECRET)
    del fc["bias"]
    fc.create_dataset("bias", (16,), "u1", external=[(str(tmp_path / "secret.bin"), 0, 16)])


def virtual_dataset(file: Any, fc: Any, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as other:
        other["w"] = np.frombuffer(SECRET, np.uint8)
    layout = h5py.VirtualLayout((16,), "u1")
    layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "w", (16,))
    del fc["bias"]
    fc.create_virtual_dataset("bias", layout)


def soft_loop(file: Any, fc: Any, tmp_path: Path) -> None:
    loop = file["node/nodes"].create_group("loop")
    loop["type"] = "NIRGraph"
    loop["nodes"] = h5py.SoftLink("/node/nodes")


def hard_loop(file: Any, fc: Any, tmp_path: Path) -> None:
    loop = file["node/nodes"].create_group("loop")
    loop["type"] = "NIRGraph"
    loop["nodes"] = file["node/nodes"]


def fill_bomb(file: Any, fc: Any, tmp_path: Path) -> None:
    del fc["weight"]
    fc.create_dataset("weight", (1 << 16, 1 << 16), "f4", chunks=(1024, 1024), compression="gzip")


def metadata_bomb(file: Any, fc: Any, tmp_path: Path) -> None:
    fc.create_group("metadata").create_dataset("x", (1 << 34,), "u1", chunks=(1 << 20,))


def many_bombs(file: Any, fc: Any, tmp_path: Path) -> None:
    for i in range(40):
        fc.create_dataset(f"x{i}", (1 << 20,), "f4", chunks=(1 << 18,), compression="gzip")


def deep(file: Any, fc: Any, tmp_path: Path) -> None:
    group = file["node/nodes"]
    for _ in range(1000):
        node = group.create_group("g")
        node["type"] = "NIRGraph"
        group = node.create_group("nodes")


def crowded(file: Any, fc: Any, tmp_path: Path) -> None:
    nodes = file["node/nodes"]
    for i in range(2000):
        nodes.create_group(f"n{i}")["type"] = "NIRGraph"


def broken_name(file: Any, fc: Any, tmp_path: Path) -> None:
    file["node/nodes"].create_group(b"\xff\xfe\x1b[31m")["type"] = "Threshold"


def long_name(file: Any, fc: Any, tmp_path: Path) -> None:
    file["node/nodes"].create_group("n" * 5000)["type"] = "Threshold"


def not_a_number(file: Any, fc: Any, tmp_path: Path) -> None:
    file["node/nodes/1/tau"][1] = np.nan


def objects(file: Any, fc: Any, tmp_path: Path) -> None:
    del fc["bias"]
    fc.create_dataset("bias", data=[b"a", b"bc"], dtype=h5py.string_dtype())


def compound(file: Any, fc: Any, tmp_path: Path) -> None:
    del fc["bias"]
    fc.create_dataset("bias", data=np.zeros(3, [("a", "f4"), ("b", "i4")]))


def empty_data(file: Any, fc: Any, tmp_path: Path) -> None:
    del fc["bias"]
    fc["bias"] = h5py.Empty("f4")


def named_type(file: Any, fc: Any, tmp_path: Path) -> None:
    fc["kind"] = np.dtype("f4")


def references(file: Any, fc: Any, tmp_path: Path) -> None:
    del fc["bias"]
    fc.create_dataset("bias", data=[file["node"].ref], dtype=h5py.ref_dtype)


def no_type(file: Any, fc: Any, tmp_path: Path) -> None:
    del fc["type"]


def numeric_type(file: Any, fc: Any, tmp_path: Path) -> None:
    del fc["type"]
    fc["type"] = 7


def numeric_edges(file: Any, fc: Any, tmp_path: Path) -> None:
    del file["node/edges"]
    file["node/edges"] = np.zeros((3, 2))


def text_padding(file: Any, fc: Any, tmp_path: Path) -> None:
    fc["padding"] = "x" * 100_000


def huge_stride(file: Any, fc: Any, tmp_path: Path) -> None:
    for key, value in {"stride": [1 << 62, 1], "kernel_size": [1, 1]}.items():
        fc[key] = value
    del fc["type"]
    fc["type"] = "SumPool2d"


def wide_linear(file: Any, fc: Any, tmp_path: Path) -> None:
    del file["node/nodes/input/shape"]
    file["node/nodes/input/shape"] = [1 << 20, 1 << 20, 5]


def not_nir(file: Any, fc: Any, tmp_path: Path) -> None:
    del file["node"]


def lava_dl(file: Any, fc: Any, tmp_path: Path) -> None:
    del file["node"]
    file.create_group("layer")


CASES: dict[Callable[[Any, Any, Path], None], str] = {
    external_link: "E140",
    external_storage: "E140",
    virtual_dataset: "E140",
    soft_loop: "E140",
    hard_loop: "E142",
    fill_bomb: "E141",
    metadata_bomb: "E141",
    many_bombs: "E141",
    deep: "E143",
    crowded: "E146",
    broken_name: "E145",
    long_name: "E145",
    not_a_number: "E301",
    objects: "E144",
    compound: "E144",
    empty_data: "E144",
    named_type: "E144",
    references: "E144",
    no_type: "E146",
    numeric_type: "E146",
    numeric_edges: "E146",
    text_padding: "E145",
    huge_stride: "E202",
    wide_linear: "E202",
    not_nir: "E111",
    lava_dl: "E170",
}


@pytest.mark.parametrize("damage", CASES, ids=lambda f: f.__name__)
def test_hostile_files_are_refused(
    tmp_path: Path, damage: Callable[[Any, Any, Path], None]
) -> None:
    path = base(tmp_path)
    with h5py.File(path, "a") as file:
        damage(file, file["node/nodes/0"], tmp_path)
    watch = Stopwatch()
    with pytest.raises(CompileError) as caught:
        read_model(path)
    assert watch.in_time()
    text = str(caught.value)
    errors = {d.code for d in caught.value.diagnostics if d.severity is Severity.ERROR}
    assert errors == {CASES[damage]}
    assert "SECRET" not in text
    assert str(list(SECRET[:3]))[1:-1] not in text


def test_the_good_file_is_read(tmp_path: Path) -> None:
    assert len(read_model(base(tmp_path)).graph) == 5


def test_a_file_on_which_the_library_never_returns(tmp_path: Path) -> None:
    path = base(tmp_path)
    data = bytearray(path.read_bytes())
    heap = data.find(b"GCOL")
    data[heap + 24 : heap + 32] = (-16 % (1 << 64)).to_bytes(8, "little")
    path.write_bytes(data)
    watch = Stopwatch()
    with pytest.raises(CompileError, match=r"E147|E103"):
        read_model(path)
    assert watch.in_time()


def test_cut_files(tmp_path: Path) -> None:
    path = base(tmp_path)
    data = path.read_bytes()
    for size in (9, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(CompileError, match="E103"):
            read_model(path)


def test_the_command_has_one_line_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = base(tmp_path)
    with h5py.File(path, "a") as file:
        file["node/nodes/1/tau"][1] = np.inf
    assert run(["compile", str(path), "-o", str(tmp_path / "out")]) == 3
    err = capsys.readouterr().err
    assert "E301" in err
    assert "1: tau[1] is inf" in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
