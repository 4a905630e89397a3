"""The stages live at the root and are importable as snnc.*; distributions hold exactly that."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STAGES = ("frontends", "passes", "backends")


def build(kind: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", folder]
    subprocess.run([*command, ROOT], check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


def sources() -> set[str]:
    """Files that belong to the package, by their place in it."""
    kinds = ("*.py", "*.c", "*.h", "py.typed", "Makefile")
    found = {p for kind in kinds for p in (ROOT / "snnc").rglob(kind)}
    inside = {p.relative_to(ROOT).as_posix() for p in found}
    names = {n for n in inside if n.split("/")[1] not in STAGES}
    for stage in STAGES:
        files = (p for kind in kinds for p in (ROOT / stage).rglob(kind))
        names |= {"snnc/" + p.relative_to(ROOT).as_posix() for p in files}
    return names


@pytest.mark.parametrize("stage", STAGES)
def test_stage_is_linked_into_the_package(stage: str) -> None:
    link = ROOT / "snnc" / stage
    assert link.is_symlink()
    assert link.readlink() == Path("..") / stage
    assert link.samefile(ROOT / stage)


def test_wheel_holds_only_snnc(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if ".dist-info/" not in n}
        metadata = next(n for n in archive.namelist() if n.endswith("/METADATA"))
        text = archive.read(metadata).decode()
    assert {n.split("/")[0] for n in names} == {"snnc"}
    assert sources() <= names
    assert not [n for n in names if "__pycache__" in n or n.endswith(".so")]
    assert "License-Expression: Apache-2.0" in text


def test_wheel_runs_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    program = "import snnc.passes, snnc.backends, snnc.frontends as f; print(f.__file__)"
    command = [sys.executable, "-P", "-c", program]
    path = {"PYTHONPATH": str(wheel)}  # comes before an editable install
    done = subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, env=path)
    assert done.stdout.decode().startswith(str(wheel))


def test_sdist_holds_the_real_folders(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as sdist:
        names = {n.split("/", 1)[1] for n in sdist.getnames()}
    for stage in STAGES:
        assert f"{stage}/__init__.py" in names
        assert not [n for n in names if n.startswith(f"snnc/{stage}")]
    assert {"snnc/__init__.py", "LICENSE", "README.md", "pyproject.toml"} <= names
