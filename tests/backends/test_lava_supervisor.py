"""A Lava run ends, with results or with an error, and leaves no process and no shared memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.base import Arrays
from snnc.backends.lava.backend import LavaBackend
from snnc.backends.lava.emitted.supervise import segments
from snnc.backends.lava.stock.backend import StockBackend
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from tests.intgraphs import mlp, proven
from tests.lavaenv import ENV, needs_lava
from tests.stockgraphs import long_network

pytestmark = [
    needs_lava,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

#: Long enough that every test strikes in the middle of it.
LONG = {"image": np.ones((1, 20_000, 12), np.int64)}
#: The same for a network whose ranges are proven for fewer steps.
MANY = {"image": np.ones((400, 50, 12), np.int64)}


def children(pid: int) -> list[int]:
    """Direct children of a process."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in text.split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(condition: object, seconds: float = 5.0) -> bool:
    """Whether a condition becomes true in time."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


class Run:
    """A ``run.py`` in the middle of its work; remembers what it must not leave behind.

    Args:
        folder: An emitted one, for images of 12 pixels.
        options: Of run.py.
        wait: Whether to wait until all workers run.
        data: What it computes.
    """

    def __init__(self, folder: Path, *options: str, wait: bool = True, data: Arrays = LONG) -> None:
        assert ENV is not None
        np.save(folder / "x.npy", data["image"])
        script = [str(folder / "run.py"), str(folder / "x.npy"), str(folder / "y.npz")]
        with (folder / "log.txt").open("wb") as log:
            self.process = subprocess.Popen(
                [str(ENV.python), "-I", *script, *options],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.folder = folder
        self.pids: list[int] = []
        self.shared: set[str] = set()
        if not wait:
            return
        # four layers, a runtime service, the shared memory manager and its tracker
        assert eventually(lambda: len(children(self.process.pid)) >= 7, 20), self.log
        time.sleep(0.3)
        self.pids = children(self.process.pid)
        self.shared = segments(self.process.pid)
        assert self.shared

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text()

    def nothing_left(self) -> bool:
        """Wait until all processes and segments are gone."""
        return eventually(
            lambda: (
                not any(map(is_alive, [self.process.pid, *self.pids]))
                and not any(Path("/dev/shm", name).exists() for name in self.shared)
            )
        )

    def end(self) -> None:
        """Never leave a mess to other tests."""
        for pid in (*self.pids, self.process.pid):
            if is_alive(pid):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    LavaBackend().compile(long_mlp()).write(tmp_path)
    return tmp_path


def long_mlp() -> Graph:
    """Any number of steps that a test may want."""
    return proven(mlp(), 1 << 16)


@pytest.fixture
def run(folder: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    started = Run(folder, *getattr(request, "param", ()))
    yield started
    started.end()


@pytest.mark.parametrize("victim", [-1, -2, -5])
def test_a_killed_worker_ends_the_run(run: Run, victim: int) -> None:
    start = time.monotonic()
    os.kill(run.pids[victim], signal.SIGKILL)
    assert run.process.wait(10) == 1
    assert time.monotonic() - start < 5
    assert run.nothing_left()
    assert run.log == f"error: a Lava worker died (process {run.pids[victim]})\n"
    assert not (run.folder / "y.npz").exists()


@pytest.mark.parametrize("run", [("--timeout", "1")], indirect=True)
def test_a_worker_that_hangs_ends_the_run(run: Run) -> None:
    os.kill(run.pids[-2], signal.SIGSTOP)
    assert run.process.wait(10) == 1
    assert run.nothing_left()
    assert "error: no step finished in 1 s (Source0 after step" in run.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_survives_the_parent(run: Run, number: int) -> None:
    run.process.send_signal(number)
    status = run.process.wait(10)
    assert status == (-number if number == signal.SIGKILL else 128 + number)
    assert run.nothing_left()


def test_an_exception_in_a_worker_is_shown(folder: Path) -> None:
    layer = folder / "layer.py"
    broken = "        turn, t = divmod(now, job.steps)\n"
    text = layer.read_text()
    assert broken in text
    raising = "        assert now < 3, 'a deliberate fault'\n"
    layer.write_text(text.replace(broken, broken + raising))
    with pytest.raises(CompileError) as e:
        LavaBackend().run(folder, LONG)
    assert e.value.diagnostics[0].code == "E611"
    assert "AssertionError: a deliberate fault" in str(e.value)
    assert "layer.py" in str(e.value)


def test_an_exception_in_a_process_of_lava_itself_is_shown(tmp_path: Path) -> None:
    """By itself Lava would hang: a decay that is no integer fails in the worker."""
    backend = StockBackend(timeout=30, limit=60)
    backend.compile(long_network()).write(tmp_path)
    network = tmp_path / "network.json"
    network.write_text(network.read_text().replace('"du": 4095', '"du": 4095.5'))
    start = time.monotonic()
    with pytest.raises(CompileError) as e:
        backend.run(tmp_path, MANY)
    assert time.monotonic() - start < 10
    assert e.value.diagnostics[0].code == "E611"
    assert "TypeError: ufunc 'right_shift' not supported" in str(e.value)


def test_the_compiler_reports_a_killed_worker_within_ten_seconds(folder: Path) -> None:
    found: list[int] = []

    def kill() -> None:
        def workers() -> list[int]:
            runs = [c for c in children(os.getpid()) if len(children(c)) >= 7]
            return children(runs[0]) if runs else []

        assert eventually(workers, 20)
        time.sleep(0.3)
        found.extend(workers())
        found.append(time.monotonic_ns())
        os.kill(found[-3], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(CompileError, match=r"SNNC-E611\]: the Lava run failed: a Lava worker died"):
        LavaBackend().run(folder, LONG)
    killer.join()
    assert time.monotonic_ns() - found.pop() < 10e9
    assert not any(map(is_alive, found))


def test_nothing_survives_the_compiler(folder: Path) -> None:
    program = (
        "import sys, numpy as np; from pathlib import Path; "
        "from snnc.backends.lava.backend import LavaBackend; "
        "LavaBackend().run(Path(sys.argv[1]), {'image': np.ones((1, 20_000, 12), int)})"
    )
    environment = {**os.environ, "TMPDIR": str(folder)}
    compiler = subprocess.Popen([sys.executable, "-c", program, str(folder)], env=environment)
    try:
        assert eventually(lambda: any(len(children(c)) >= 7 for c in children(compiler.pid)), 30)
        (runner,) = children(compiler.pid)
        pids, shared = children(runner), segments(runner)
        assert shared
    finally:
        compiler.kill()
        compiler.wait()
    assert eventually(lambda: not any(map(is_alive, [runner, *pids])))
    assert eventually(lambda: not any(Path("/dev/shm", name).exists() for name in shared))


def test_a_run_beyond_its_limit_is_ended(folder: Path) -> None:
    with pytest.raises(CompileError, match=r"SNNC-E612\]: the Lava run did not end within 1.5 s"):
        LavaBackend(limit=1.5).run(folder, LONG)
    assert not [c for c in children(os.getpid()) if is_alive(c) and children(c)]


def test_wrong_inputs_are_the_callers_mistake(folder: Path) -> None:
    with pytest.raises(CompileError, match=r"SNNC-E421\]: input 'image' must be in \[0, 1\]"):
        LavaBackend().run(folder, {"image": LONG["image"] + 1})


def test_the_processes_fit_into_a_program_of_ones_own(folder: Path) -> None:
    """Own source, emitted layers, own sink: as the docstring of layer.py says."""
    assert ENV is not None
    program = folder / "own" / "program.py"
    program.parent.mkdir()
    program.write_text(OWN_PROGRAM)
    x = np.random.default_rng(3).integers(0, 2, (4, 6, 12))
    np.save(folder / "x.npy", x)
    command = [str(ENV.python), str(program), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    seen = np.load(folder / "y.npy")  # (T of all samples, 5): zeros until a sample's last step
    want, _ = LavaBackend().run(folder, {"image": x})
    np.testing.assert_array_equal(seen.reshape(4, 6, 5)[:, -1], want["out"])
    assert not seen.reshape(4, 6, 5)[:, :-1].any()


OWN_PROGRAM = """
import sys

sys.path.insert(0, sys.argv[1])
import layer  # before lava

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source

x = np.load(sys.argv[1] + "/x.npy")
network = layer.build(steps=x.shape[1])
source = Source(data=x.reshape(-1, 12).T)
for port in network.inputs["image"]:
    source.s_out.connect(port)
sink = Sink(shape=(5,), buffer=24)
network.outputs["out"].connect(sink.a_in)
source.run(RunSteps(24), Loihi2SimCfg(select_tag="fixed_pt"))
np.save(sys.argv[1] + "/y.npy", sink.data.get().T.astype(np.int64))
source.stop()
"""
