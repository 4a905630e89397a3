"""Finding and making the Lava environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snnc import lava_env
from snnc.backends.lava.backend import LavaBackend
from snnc.backends.lava.selftest import agrees
from snnc.diagnostics import CompileError, fail
from tests.lavaenv import ENV, needs_lava


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty user cache, and no variable that names an environment."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SNNC_LAVA_PYTHON", raising=False)
    return tmp_path / "cache" / "snnc" / "lava"


def fake(root: Path) -> None:
    """Something that looks like a virtual environment."""
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "python").symlink_to(sys.executable)


def test_without_an_environment_the_error_says_what_to_do(cache: Path) -> None:
    assert lava_env.find() is None
    with pytest.raises(CompileError) as e:
        LavaBackend().run(cache, {"x": np.zeros((1, 1), int)})
    (d,) = e.value.diagnostics
    assert d.code == "E601"
    assert d.notes == (f"looked at $SNNC_LAVA_PYTHON (not set) and {cache}",)
    assert d.help is not None
    assert "snnc lava setup" in d.help


def test_the_variable_comes_first(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNNC_LAVA_PYTHON", sys.executable)
    with pytest.raises(CompileError, match=r"SNNC-E601\]: SNNC_LAVA_PYTHON=.* has no lava-nc"):
        lava_env.find()
    monkeypatch.setenv("SNNC_LAVA_PYTHON", str(cache / "nothing"))
    with pytest.raises(CompileError, match="has no lava-nc"):
        lava_env.require()


def test_a_half_made_environment_is_never_used(cache: Path) -> None:
    fake(cache)
    assert lava_env.find() is None
    (cache / "snnc-lava.json").write_text("{}\n")
    env = lava_env.find()
    assert env is not None
    assert env.python == cache / "bin" / "python"


@pytest.mark.parametrize("stage", ["_make", "_verify"])
def test_a_failed_setup_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def failing(*_: object) -> None:
        raise fail("E602", "no network")

    monkeypatch.setattr(lava_env, "_make", lambda base, root, report: fake(root))
    monkeypatch.setattr(lava_env, "_verify", lambda env: None)
    monkeypatch.setattr(lava_env, stage, failing)
    with pytest.raises(CompileError, match="no network"):
        lava_env.setup()
    assert list(cache.parent.iterdir()) == []


def test_a_failed_setup_keeps_the_old_environment(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lava_env, "_make", lambda base, root, report: fake(root))
    monkeypatch.setattr(lava_env, "_verify", lambda env: None)
    said: list[str] = []
    env = lava_env.setup(report=said.append)
    assert said == ["running a network on it"]
    assert lava_env.setup(report=said.append) == env
    assert said[-1] == "it is there already"

    def broken(env: lava_env.LavaEnv) -> None:
        raise fail("E602", "broken")

    monkeypatch.setattr(lava_env, "_verify", broken)
    with pytest.raises(CompileError, match="broken"):
        lava_env.setup(force=True)
    assert lava_env.find() == env
    assert [p.name for p in cache.parent.iterdir()] == ["lava"]


def test_pip_failing_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lava_env, "base_python", lambda: Path("/bin/false"))
    with pytest.raises(CompileError) as e:
        lava_env.setup()
    assert e.value.diagnostics[0].code == "E602"
    assert list(cache.parent.iterdir()) == []


def test_no_lava_in_the_compilers_process() -> None:
    code = (
        "import sys; import snnc.backends.lava.backend, snnc.lava_env; "
        "print([m for m in sys.modules if m.split('.')[0] in ('lava', 'torch')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@needs_lava
def test_the_environment_works() -> None:
    assert ENV is not None
    assert agrees(ENV.python)


@pytest.mark.slow
@pytest.mark.parametrize("base", ["found", "running"])
def test_setup_for_real(cache: Path, monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    """Needs a package index. The running Python is 3.11 or later: it takes the other road."""
    if base == "running":
        monkeypatch.setattr(lava_env, "base_python", lambda: Path(sys.executable))
    env = lava_env.setup()
    assert env.python.is_relative_to(cache)
    assert agrees(env.python)
    assert [p.name for p in cache.parent.iterdir()] == ["lava"]
