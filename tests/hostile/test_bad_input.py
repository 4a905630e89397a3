"""Every bad input has its own code and exit code, and nothing is written."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from snnc.artifact import Artifact
from snnc.cli import run
from snnc.driver import compile_model
from snnc.ops import Linear
from snnc.options import Options
from snnc.params import Param
from tests.models import model_file
from tests.realgraphs import mlp


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b""
        for p in sorted(folder.rglob("*"))
    }


def refused(
    capsys: pytest.CaptureFixture[str], folder: Path, *args: object
) -> tuple[set[str], int, str]:
    """Codes, exit code and all text of a command that must fail and change nothing."""
    before = tree(folder)
    capsys.readouterr()
    code = run([*map(str, args), "--json"])
    out, err = capsys.readouterr()
    assert err == ""
    document = json.loads(out)
    assert document["status"] == "error"
    assert document["exit"] == code != 0
    assert tree(folder) == before
    errors = [d for d in document["diagnostics"] if d["severity"] == "error"]
    return {d["code"].removeprefix("SNNC-") for d in errors}, code, out


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.path), "w")


def test_missing_junk_and_empty_model_files(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "junk.pt").write_bytes(os.urandom(1000))
    (tmp_path / "empty.pt").write_bytes(b"")
    for name in ("missing.pt", "junk.pt", "empty.pt"):
        codes, code, _ = refused(
            capsys, tmp_path, "compile", tmp_path / name, "-o", tmp_path / "out"
        )
        assert code == 3
        assert all(c.startswith("E1") for c in codes)


def test_a_pickle_is_never_loaded(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "p.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "canary")))
    _codes, code, text = refused(
        capsys, tmp_path, "compile", tmp_path / "p.pt", "-o", tmp_path / "out"
    )
    assert code == 3
    assert "--module" in text
    assert "snnc.export" in text


@pytest.mark.parametrize("bits", [-1, 0, 1, 17, 64])
def test_widths_out_of_range(capsys: pytest.CaptureFixture[str], tmp_path: Path, bits: int) -> None:
    model = model_file(tmp_path, mlp())
    for option in ("--bits", "--input-bits"):
        codes, code, text = refused(
            capsys, tmp_path, "compile", model, "-o", tmp_path / "out", f"{option}={bits}"
        )
        assert (codes, code) == ({"E320"}, 2)
        assert option in text


def test_all_wrong_options_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = model_file(tmp_path, mlp())
    args = ("--bits=1", "--target=tpu", "--profile=analog", "--max-steps=0")
    codes, code, _ = refused(capsys, tmp_path, "compile", model, "-o", tmp_path / "out", *args)
    assert codes == {"E320", "E002", "E325", "E003"}
    assert code == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_without_a_value_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, bad: float
) -> None:
    graph = mlp()
    node = graph["fc1"]
    assert isinstance(node.op, Linear)
    weight = node.op.weight.data.copy()
    weight[2, 7] = bad
    graph.replace(replace(node, op=replace(node.op, weight=Param(weight))))
    model = model_file(tmp_path, graph)
    _codes, code, text = refused(capsys, tmp_path, "compile", model, "-o", tmp_path / "out")
    assert code == 3
    assert "fc1" in text
    assert "[2, 7]" in text


@pytest.mark.parametrize(
    ("theta", "beta", "exits"), [(0.0, 0.9, 4), (-1.0, 0.9, 4), (1.0, 1.5, 5), (1.0, -0.1, 5)]
)
def test_impossible_neurons(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, theta: float, beta: float, exits: int
) -> None:
    model = model_file(tmp_path, mlp(theta=theta, beta=beta))
    _codes, code, text = refused(capsys, tmp_path, "compile", model, "-o", tmp_path / "out")
    assert code == exits
    assert "lif" in text


def test_an_output_that_exists(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = model_file(tmp_path, mlp())
    assert run(["compile", str(model), "-o", str(tmp_path / "out"), "--quiet"]) == 0
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/thesis.tex").write_text("years of work")
    for out, options, expected in (
        ("out", (), "E430"),
        ("thesis", (), "E431"),
        ("thesis", ("--force",), "E431"),
        ("model.pt", ("--force",), "E431"),
        ("model.pt/out", (), "E432"),
    ):
        codes, code, _ = refused(capsys, tmp_path, "compile", model, "-o", tmp_path / out, *options)
        assert (codes, code) == ({expected}, 9)


def test_a_dump_folder_that_cannot_be(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = model_file(tmp_path, mlp())
    args = ("-o", tmp_path / "out", "--dump-ir", model / "ir")
    codes, code, _ = refused(capsys, tmp_path, "compile", model, *args)
    assert (codes, code) == ({"E433"}, 9)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = model_file(tmp_path, mlp())
    (tmp_path / "locked").mkdir(mode=0o555)
    codes, code, _ = refused(capsys, tmp_path, "compile", model, "-o", tmp_path / "locked/out")
    assert (codes, code) == ({"E432"}, 9)


def test_data_of_the_wrong_shape(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = model_file(tmp_path, mlp())
    assert run(["compile", str(model), "-o", str(tmp_path / "net"), "--quiet"]) == 0
    np.save(tmp_path / "x.npy", np.zeros((4, 12)))
    (tmp_path / "junk.npz").write_bytes(b"junk")
    for command in ("verify", "run"):
        out = ("-o", tmp_path / "r.npz") if command == "run" else ()
        for name, expected in (("x.npy", "E421"), ("junk.npz", "E420"), ("none.npy", "E420")):
            codes, code, _ = refused(
                capsys, tmp_path, command, tmp_path / "net", "--data", tmp_path / name, *out
            )
            assert (codes, code) == ({expected}, 3)
    codes, _, text = refused(
        capsys, tmp_path, "verify", tmp_path / "net", "--data", tmp_path / "x.npy"
    )
    assert "(N, T, 12)" in text
    assert "(4, 12)" in text


@pytest.mark.parametrize(
    "args",
    [
        ("compil",),
        ("compile",),
        ("compile", "m.pt", "--no-such-option"),
        ("compile", "m.pt", "--bits", "eight"),
        ("verify", "dir"),
        ("run", "dir", "--data", "x.npy"),
        ("verify", "dir", "--data", "x.npy", "--samples", "0"),
    ],
)
def test_usage_errors_are_coded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, args: tuple[str, ...]
) -> None:
    codes, code, _ = refused(capsys, tmp_path, *args)
    assert (codes, code) == ({"E001"}, 2)


def test_a_bug_of_ours_asks_to_be_reported(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*args: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr("snnc.preparing.load", crash)
    codes, code, text = refused(capsys, tmp_path, "compile", "m.pt", "-o", tmp_path / "out")
    assert (codes, code) == ({"E901"}, 1)
    assert "report" in text
    assert "Traceback" not in text


def forked_compiler(model: Path, out: Path, bits: int) -> int:
    """Compile in a forked child, which needs no time to start; returns its process id."""
    if pid := os.fork():
        return pid
    try:
        compile_model(model, out, Options(bits=bits, force=True))
    finally:
        os._exit(0)


def test_kill_9_leaves_the_old_or_the_new_or_nothing(tmp_path: Path) -> None:
    model, out = model_file(tmp_path, mlp()), tmp_path / "out"
    compile_model(model, out, Options())
    start = time.monotonic()
    compile_model(model, out, Options(force=True))
    full = time.monotonic() - start
    rng = np.random.default_rng(5)
    seen = set()
    for i in range(16):
        if i % 2:
            shutil.rmtree(out, ignore_errors=True)
        old = out.exists() and Artifact.open(out).manifest.tree
        pid = forked_compiler(model, out, bits=2 + i % 15)
        time.sleep(full * rng.uniform(0, 3))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        new = out.exists() and Artifact.open(out).manifest.tree
        assert new or not old
        seen.add("old" if new == old else "new")
    compile_model(model, out, Options(force=True))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.pt", "out"]
    assert seen == {"old", "new"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    model, out = model_file(tmp_path, mlp()), tmp_path / "out"
    slow = (
        "import os, signal, sys, time; import snnc.driver\n"
        "def lower(*args):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "snnc.driver.lower = lower\n"
        "from snnc.cli import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", slow, "compile", str(model), "-o", str(out)]
    default = partial(signal.signal, number, signal.SIG_DFL)  # a background job ignores SIGINT
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=default
    )
    assert process.stdout is not None
    process.stdout.readline()
    start = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert time.monotonic() - start < 2
    assert process.returncode == 130
    assert b"nothing was written" in err
    assert b"Traceback" not in err
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m snnc ops | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert done.returncode == 0
    assert done.stderr == b""
