"""Whatever a reader does in its child process, the parent gets a graph or a diagnostic."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from snnc.diagnostics import CompileError
from snnc.frontends.isolated import Limits, read_isolated

LIMITS = replace(Limits.of_file(0), cpu=1, wall=20.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.x"
    path.write_bytes(b"12345")
    return path


def refused(reader: str, file: Path, limits: Limits = LIMITS, **options: str) -> str:
    start = time.monotonic()
    with pytest.raises(CompileError) as caught:
        read_isolated(f"tests.nirfiles:{reader}", file, options, limits)
    assert time.monotonic() - start < 15
    (found,) = caught.value.diagnostics
    assert found.code == "E147"
    assert "model.x" in found.message
    return found.message


def test_a_crash_is_named(file: Path) -> None:
    assert "SIGSEGV" in refused("crash", file)


def test_an_endless_loop_ends(file: Path) -> None:
    assert "processor time" in refused("spin", file)


def test_a_reader_that_waits_ends(file: Path) -> None:
    assert "2 s" in refused("sleep", file, replace(LIMITS, wall=2.0))


def test_memory_is_limited(file: Path) -> None:
    assert "memory" in refused("devour", file)


def test_an_endless_answer_is_cut(file: Path) -> None:
    assert "MiB" in refused("flood", file, replace(LIMITS, cpu=10, answer=8 << 20))


def test_an_unforeseen_exception_is_no_traceback(file: Path) -> None:
    assert "KeyError" in refused("unforeseen", file)


def test_an_exit_is_named(file: Path) -> None:
    assert "exit code 3" in refused("leave", file)


def test_no_file_is_written(file: Path, tmp_path: Path) -> None:
    assert "OSError" in refused("write_file", file, path=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists() or not (tmp_path / "out").stat().st_size


def test_only_the_answer_reaches_the_parent(file: Path) -> None:
    model = read_isolated("tests.nirfiles:chatter", file, {"a": 1})
    assert (model.graph.name, model.graph.steps) == ("model.x", 5)
    assert model.meta == {"options": {"a": 1}}


def test_a_missing_file() -> None:
    with pytest.raises(CompileError, match="E101"):
        read_isolated("tests.nirfiles:chatter", Path("missing.x"))
