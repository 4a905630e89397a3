import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from snnc.artifact import Artifact
from snnc.diagnostics import CompileError
from snnc.driver import compile_model
from snnc.manifest import NAME
from snnc.options import Options
from tests.models import model_file
from tests.realgraphs import mlp, residual_conv

X = np.random.default_rng(0).integers(0, 256, (6, 16, 12)) / 255


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact")
    compile_model(model_file(folder, mlp()), folder / "net", Options())
    return folder / "net"


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "net"))


def flip(folder: Path) -> None:
    path = folder / "program/tensors.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def edit_manifest(folder: Path, change: Callable[[dict[str, dict[str, object]]], object]) -> None:
    manifest = json.loads((folder / NAME).read_text())
    change(manifest)
    (folder / NAME).write_text(json.dumps(manifest))


def link(folder: Path) -> None:
    path = folder / "program/program.txt"
    path.rename(folder.parent / "elsewhere")
    path.symlink_to(folder.parent / "elsewhere")


def link_folder(folder: Path) -> None:
    (folder / "program").rename(folder.parent / "elsewhere")
    (folder / "program").symlink_to(folder.parent / "elsewhere")


def link_manifest(folder: Path) -> None:
    (folder / NAME).rename(folder.parent / "elsewhere")
    (folder / NAME).symlink_to(folder.parent / "elsewhere")


def traverse(folder: Path) -> None:
    edit_manifest(folder, lambda m: m["files"].update({"../x": m["files"]["program/program.txt"]}))


def pipe(folder: Path) -> None:
    (folder / "program/program.txt").unlink()
    os.mkfifo(folder / "program/program.txt")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "bit flip": (flip, "E407"),
    "longer": (lambda f: (f / "numpy/run.py").write_bytes(b"import os\n"), "E407"),
    "truncated": (lambda f: os.truncate(f / "program/graph.json", 100), "E407"),
    "missing": (lambda f: (f / "program/graph.json").unlink(), "E405"),
    "extra": (lambda f: (f / "numpy/sitecustomize.py").write_text("import os"), "E405"),
    "extra folder": (lambda f: (f / "more").mkdir() or (f / "more/x").write_text(""), "E405"),
    "extra link": (lambda f: (f / "etc").symlink_to("/etc"), "E405"),
    "link": (link, "E406"),
    "linked folder": (link_folder, "E406"),
    "pipe": (pipe, "E406"),
    "no manifest": (lambda f: (f / NAME).unlink(), "E401"),
    "half manifest": (lambda f: os.truncate(f / NAME, 300), "E402"),
    "empty manifest": (lambda f: os.truncate(f / NAME, 0), "E402"),
    "future": (lambda f: edit_manifest(f, lambda m: m.update(format="snnc.artifact/9")), "E403"),
    "traversal": (traverse, "E404"),
    "linked manifest": (link_manifest, "E406"),
}  # fmt: skip


def test_opens_what_was_compiled(copy: Path) -> None:
    artifact = Artifact.open(copy)
    assert artifact.manifest.targets == ("numpy",)
    assert [i.name for i in artifact.manifest.inputs] == ["x"]
    assert {layer.name for layer in artifact.manifest.layers} >= {"fc0", "fc1", "sum"}
    for name, entry in artifact.manifest.files.items():
        assert hashlib.sha256((copy / name).read_bytes()).hexdigest() == entry.sha256


@pytest.mark.parametrize("case", DAMAGE)
def test_refuses_every_damage(copy: Path, case: str) -> None:
    damage, code = DAMAGE[case]
    damage(copy)
    with pytest.raises(CompileError) as e:
        Artifact.open(copy)
    assert code in {d.code for d in e.value.diagnostics}


def test_reports_all_damaged_files_at_once(copy: Path) -> None:
    flip(copy)
    (copy / "extra").write_text("")
    (copy / "program/graph.json").unlink()
    with pytest.raises(CompileError) as e:
        Artifact.open(copy)
    assert [d.code for d in e.value.diagnostics] == ["E405", "E405", "E407"]


def test_any_flipped_bit_is_found(copy: Path) -> None:
    rng = np.random.default_rng(0)
    files = sorted(p for p in copy.rglob("*") if p.is_file())
    for _ in range(60):
        path = files[rng.integers(len(files))]
        raw = path.read_bytes()
        damaged = bytearray(raw)
        damaged[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        if path.name == NAME:
            # The manifest hashes everything but itself: what remains must be a manifest.
            with contextlib.suppress(CompileError):
                Artifact.open(copy)
        else:
            with pytest.raises(CompileError):
                Artifact.open(copy)
        path.write_bytes(raw)


def test_what_using_an_artifact_leaves_in_it_does_no_harm(copy: Path) -> None:
    (copy / "numpy/__pycache__").mkdir()
    (copy / "numpy/__pycache__/simulator.cpython-311.pyc").write_bytes(b"")
    (copy / "c").mkdir()
    (copy / "c/run").write_bytes(b"")
    Artifact.open(copy)


def test_missing_and_other_paths(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nothing", tmp_path / "file", tmp_path):
        with pytest.raises(CompileError) as e:
            Artifact.open(path)
        assert e.value.diagnostics[0].code == "E401"


def test_runs_real_numbers_and_gives_them_back(original: Path) -> None:
    artifact = Artifact.open(original)
    run = artifact.run(X, record=["lif0"])
    assert run.steps == 16
    assert run.outputs["out"].dtype == np.float64
    assert np.array_equal(run.outputs["out"], run.raw["out"])  # spike counts
    assert all(word.startswith("lif0") for word in run.words)
    encoded = artifact.encode(X)
    assert np.array_equal(artifact.run_encoded(encoded).raw["out"], run.raw["out"])
    assert np.array_equal(artifact.decode(run.raw, 16)["out"], run.outputs["out"])


def test_no_samples_and_no_steps_run(original: Path) -> None:
    artifact = Artifact.open(original)
    assert artifact.run(X[:0]).outputs["out"].shape == (0, 5)
    assert artifact.run(X[:, :0]).outputs["out"].tolist() == [[0.0] * 5] * 6


@pytest.mark.parametrize(
    ("x", "options", "code"),
    [
        (X[:, 0], {}, "E421"),
        (X[:, :, :3], {}, "E421"),
        (X, {"steps": 3}, "E421"),
        (X * np.nan, {}, "E424"),
        (X, {"backend": "tpu"}, "E002"),
        (X, {"backend": "lava"}, "E007"),
        (X, {"record": ["lif9"]}, "E006"),
    ],
)
def test_refuses_what_does_not_fit(
    original: Path, x: np.ndarray, options: dict[str, object], code: str
) -> None:
    with pytest.raises(CompileError) as e:
        Artifact.open(original).run(x, **options)  # type: ignore[arg-type]
    assert e.value.diagnostics[0].code == code


def test_a_static_network_takes_its_steps_from_the_model(tmp_path: Path) -> None:
    model = model_file(tmp_path, mlp(static=True))
    artifact = compile_model(model, tmp_path / "net", Options()).artifact
    assert artifact.run(X[:, 0]).steps == 16
    assert artifact.run(X[:, 0], steps=4).steps == 4


def test_verifies_in_python(original: Path) -> None:
    report = Artifact.open(original).verify(X, np.zeros(6, np.int64))
    assert report.exact
    assert report.backends["numpy"].samples == 6
    assert report.accuracy["float"] is not None


def test_a_convolution_with_a_residual_verifies(tmp_path: Path) -> None:
    model = model_file(tmp_path, residual_conv())
    artifact = compile_model(model, tmp_path / "net", Options()).artifact
    x = np.random.default_rng(1).integers(0, 2, (3, 8, 2, 8, 8))
    report = artifact.verify(x)
    assert report.exact
    assert report.accuracy == {}
    assert len(report.rates) == 2
    assert all(v is not None and v > 0.99 for v in report.quantized_spikes.values())


def rewrite(folder: Path, name: str, content: bytes) -> None:
    """Change or add a file, and its hash in the manifest."""
    (folder / name).write_bytes(content)
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    edit_manifest(folder, lambda m: m["files"].update({name: entry}))


@pytest.fixture(scope="module")
def with_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    options = Options(targets=("numpy", "c", "lava"))
    compile_model(model_file(folder, mlp()), folder / "net", options)
    return folder / "net"


@pytest.mark.parametrize(
    ("backend", "name"),
    [
        ("c", "c/snn.c"),  # changed
        ("c", "c/stdint.h"),  # not emitted at all
        ("lava", "lava/run.py"),
        ("lava", "lava/snnc_layers/more.py"),
        ("numpy", "numpy/simulator.py"),
    ],
)
def test_code_that_the_program_does_not_emit_is_not_run(
    with_code: Path, tmp_path: Path, backend: str, name: str
) -> None:
    copy = Path(shutil.copytree(with_code, tmp_path / "net"))
    old = (copy / name).read_bytes() if (copy / name).exists() else b""
    rewrite(copy, name, old + b"\n")
    artifact = Artifact.open(copy)  # the hashes are right
    for run in (lambda: artifact.run(X, backend), lambda: artifact.verify(X, backends=[backend])):
        with pytest.raises(CompileError) as e:
            run()
        (found,) = e.value.diagnostics
        assert found.code == "E408"
        assert str(copy / name) in found.message


def test_missing_code_is_not_made_up(with_code: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(with_code, tmp_path / "net"))
    (copy / "c/npy.c").unlink()
    edit_manifest(copy, lambda m: m["files"].pop("c/npy.c"))
    with pytest.raises(CompileError, match=r"E408.*npy\.c"):
        Artifact.open(copy).run(X, "c")
