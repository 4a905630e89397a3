import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from snnc import atomic
from snnc.atomic import AtomicFolder, sweep, write_file
from snnc.diagnostics import CompileError
from snnc.manifest import FORMAT, NAME

MANIFEST = f'{{"format": "{FORMAT}"}}'.encode()


def publish(target: Path, content: bytes = b"new", force: bool = False) -> None:
    with AtomicFolder(target, force) as folder:
        folder.write("sub/word.txt", content)
        folder.write(NAME, MANIFEST)
        folder.publish()


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def code(e: pytest.ExceptionInfo[CompileError]) -> str:
    return e.value.diagnostics[0].code


def test_appears_whole_and_alone(tmp_path: Path) -> None:
    publish(tmp_path / "out")
    assert (tmp_path / "out/sub/word.txt").read_bytes() == b"new"
    assert names(tmp_path) == ["out"]


def test_makes_missing_parents(tmp_path: Path) -> None:
    publish(tmp_path / "a/b/out")
    assert (tmp_path / "a/b/out" / NAME).exists()


def test_an_error_leaves_no_trace(tmp_path: Path) -> None:
    def fail() -> None:
        with AtomicFolder(tmp_path / "a/b/out") as folder:
            folder.write("x", b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(tmp_path) == []


def test_refuses_an_existing_artifact_unless_forced(tmp_path: Path) -> None:
    publish(tmp_path / "out", b"old")
    with pytest.raises(CompileError) as e:
        publish(tmp_path / "out")
    assert code(e) == "E430"
    assert (tmp_path / "out/sub/word.txt").read_bytes() == b"old"
    publish(tmp_path / "out", force=True)
    assert (tmp_path / "out/sub/word.txt").read_bytes() == b"new"
    assert names(tmp_path) == ["out"]


def test_replaces_without_the_exchange_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "_exchange", lambda a, b: False)
    publish(tmp_path / "out", b"old")
    publish(tmp_path / "out", force=True)
    assert (tmp_path / "out/sub/word.txt").read_bytes() == b"new"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", ["work", "empty", "file", "link", "dangling"])
@pytest.mark.parametrize("force", [False, True])
def test_never_replaces_what_is_not_an_artifact(tmp_path: Path, kind: str, force: bool) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    if kind == "work":
        out.mkdir()
        (out / "thesis.tex").write_text("years of work")
    elif kind == "empty":
        out.mkdir()
    elif kind == "file":
        out.write_text("text")
    else:
        if kind == "link":
            publish(other)
        out.symlink_to(other)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CompileError) as e:
        publish(out, force=force)
    assert code(e) == "E431"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_is_reported_and_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path / "out", b"old")

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CompileError, match="No space left on device") as e:
        publish(tmp_path / "out", force=True)
    assert code(e) == "E432"
    assert (tmp_path / "out/sub/word.txt").read_bytes() == b"old"
    assert names(tmp_path) == ["out"]


def test_an_unusable_parent_is_reported_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CompileError) as e, AtomicFolder(tmp_path / "file/out"):
        pytest.fail("entered")
    assert code(e) == "E432"


def test_sweeps_leftovers_of_the_dead_but_not_of_the_living(tmp_path: Path) -> None:
    target = tmp_path / "out"
    dead = tmp_path / ".out.0123456789ab.snnc-tmp"
    other = tmp_path / ".other.0123456789ab.snnc-tmp"
    dead.mkdir()
    other.mkdir()
    with AtomicFolder(target) as living:
        sweep(target)
        assert living.path.exists()
    assert not dead.exists()
    assert other.exists()


def test_a_killed_run_is_swept_by_the_next(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from snnc.atomic import AtomicFolder\n"
        "with AtomicFolder(Path(sys.argv[1])) as f:\n"
        "    f.write('x', b'x'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "out"], check=False)
    assert len(names(tmp_path)) == 1
    publish(tmp_path / "out")
    assert names(tmp_path) == ["out"]


def test_writers_at_once_leave_one_whole_result(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def work(i: int) -> None:
        try:
            publish(tmp_path / "out", b"%d" % i, force=True)
        except BaseException as e:  # a thread would swallow it
            failures.append(e)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out/sub/word.txt").read_bytes().isdigit()


def test_write_file_replaces_whole(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    write_file(path, b"old")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["r.npz"]
    with pytest.raises(CompileError) as e:
        write_file(tmp_path / "missing/r.npz", b"x")
    assert code(e) == "E432"
