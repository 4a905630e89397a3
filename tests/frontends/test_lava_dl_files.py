"""lava-dl files from the outside: found by their contents, options of commands, and attacks."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import snnc
from snnc.cli import run
from snnc.container import read_model
from snnc.diagnostics import CompileError, Severity
from snnc.driver import compile_model
from snnc.frontends.from_hdf5 import read_bytes
from snnc.options import Options
from tests.netfiles import Layer, cuba, write_net
from tests.nirfiles import chain_of, write_nir

h5py: Any = importlib.import_module("h5py")


def net(folder: Path) -> Path:
    """Two layers; the name says nothing of the format."""
    first: Layer = {"type": "dense", "weight": 2 * np.ones((3, 4)), "neuron": cuba(threshold=3)}
    second = {"type": "dense", "weight": -2 * np.ones((2, 3)), "neuron": cuba(0, 100, 1)}
    return write_net(folder / "model.dat", first, second, steps=5)


def codes(call: Callable[[], object]) -> set[str]:
    with pytest.raises(CompileError) as caught:
        call()
    return {d.code for d in caught.value.diagnostics if d.severity is Severity.ERROR}


def test_compiled_run_and_verified_by_its_contents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = net(tmp_path), tmp_path / "out"
    assert run(["inspect", str(path)]) == 0
    assert "wrap(" in capsys.readouterr().out
    assert run(["compile", str(path), "-o", str(out), "--lava-dl", "readout=sum,compare=ge"]) == 0
    said = capsys.readouterr()
    assert "fires at v >= 64 * vThMant" in said.err + said.out
    artifact = snnc.load(out)
    assert artifact.manifest.profile == "loihi"
    assert artifact.manifest.steps == 5
    weights = {n.name: n.op.params["weight"].data for n in artifact.graph() if "dense" in n.name}
    assert weights["layer0.dense"].tolist() == [[2] * 4] * 3  # the codes of the file
    report = artifact.verify((np.random.default_rng(0).random((6, 5, 4)) < 0.5).astype(np.int64))
    assert report.exact
    assert set(report.spikes.values()) == {1.0}


def test_the_integers_of_a_file_leave_no_choice(tmp_path: Path) -> None:
    path, out = net(tmp_path), tmp_path / "out"
    assert codes(lambda: compile_model(path, out, Options(profile="default"))) == {"E325"}
    assert codes(lambda: compile_model(path, out, Options(bits=4))) == {"E320"}


def test_options_of_the_other_format_are_refused(tmp_path: Path) -> None:
    path = net(tmp_path)
    affine = {"type": "Affine", "weight": np.ones((3, 4)), "bias": np.zeros(3)}
    nir = write_nir(tmp_path / "a.nir", *chain_of((4,), affine, out=(3,)))
    data = path.read_bytes(), nir.read_bytes()
    assert codes(lambda: read_bytes(data[0], "a", {"nir": {"reset": "zero"}})) == {"E148"}
    assert codes(lambda: read_bytes(data[1], "a", {"lava_dl": {"compare": "ge"}})) == {"E178"}
    assert read_model(nir, nir="reset=zero").meta["format"] == "nir"


def test_other_models_need_whole_numbers_for_the_profile(tmp_path: Path) -> None:
    affine = {"type": "Affine", "weight": np.ones((3, 4)) / 3, "bias": np.zeros(3)}
    nir = write_nir(tmp_path / "a.nir", *chain_of((4,), affine, out=(3,)))
    assert codes(lambda: compile_model(nir, tmp_path / "out", Options(profile="loihi"))) == {"E327"}


def external_link(file: Any, layer: Any, folder: Path) -> None:
    with h5py.File(folder / "secret.h5", "w") as other:
        other["w"] = np.ones((3, 4))
    del layer["weight"]
    layer["weight"] = h5py.ExternalLink(str(folder / "secret.h5"), "/w")


def external_storage(file: Any, layer: Any, folder: Path) -> None:
    (folder / "secret.bin").write_bytes(b"TOP-SECRET-BYTES")
    layer.create_dataset("bias", (16,), "u1", external=[(str(folder / "secret.bin"), 0, 16)])


def virtual_dataset(file: Any, layer: Any, folder: Path) -> None:
    with h5py.File(folder / "secret.h5", "w") as other:
        other["w"] = np.ones(3)
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "w", (3,))
    layer.create_virtual_dataset("bias", layout)


def soft_link(file: Any, layer: Any, folder: Path) -> None:
    file["layer/2"] = h5py.SoftLink("/layer/0")


def hard_link(file: Any, layer: Any, folder: Path) -> None:
    file["layer/2"] = file["layer/0"]


def bomb(file: Any, layer: Any, folder: Path) -> None:
    del layer["weight"]
    size = (1 << 16, 1 << 16)
    layer.create_dataset("weight", size, "f4", chunks=(1024, 1024), compression="gzip")


def crowd(file: Any, layer: Any, folder: Path) -> None:
    for i in range(2, 1500):
        file.create_group(f"layer/{i}")["type"] = "flatten"


def deep(file: Any, layer: Any, folder: Path) -> None:
    for _ in range(500):
        layer = layer.create_group("g")


def huge_shape(file: Any, layer: Any, folder: Path) -> None:
    layer["shape"] = np.array([1 << 40])


def huge_conv(file: Any, layer: Any, folder: Path) -> None:
    del layer["type"], layer["weight"]
    layer["type"], layer["weight"] = "conv", np.ones((1 << 13, 1, 1, 1))
    del file["layer/1"]
    file["layer/1/type"], file["layer/1/shape"] = "input", np.array([1, 1 << 12, 1 << 12])
    file.move("layer/0", "layer/x")
    file.move("layer/1", "layer/0")
    file.move("layer/x", "layer/1")


ATTACKS: dict[Callable[[Any, Any, Path], None], str] = {
    external_link: "E140",
    external_storage: "E140",
    virtual_dataset: "E140",
    soft_link: "E140",
    hard_link: "E142",
    bomb: "E141",
    crowd: "E143",
    deep: "E143",
    huge_shape: "E202",
    huge_conv: "E202",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda f: f.__name__)
def test_attacks_are_refused_quickly(
    attack: Callable[[Any, Any, Path], None], tmp_path: Path
) -> None:
    path = net(tmp_path)
    with h5py.File(path, "a") as file:
        attack(file, file["layer/0"], tmp_path)
    start = time.process_time()
    assert codes(lambda: read_bytes(path.read_bytes(), path.name, {})) == {ATTACKS[attack]}
    assert time.process_time() - start < 3
    if attack is bomb:  # and in a child, whatever it does
        assert codes(lambda: read_model(path)) == {ATTACKS[attack]}


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    path = net(tmp_path)
    data = path.read_bytes()[:-400]
    assert codes(lambda: read_bytes(data, path.name, {})) <= {"E103", "E111", "E144", "E147"}
