"""Break Lava runs on purpose: each must end with an error in ten seconds and leave nothing.

python -m tests.hostile.lava_faults 50

Faults take turns: a killed worker, an exception in a process, a worker that hangs, Ctrl-C, SIGTERM
and a killed parent, in both of Lava's modes, at a random moment.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from snnc.backends.lava.backend import LavaBackend
from snnc.backends.lava.emitted.supervise import segments
from snnc.backends.lava.stock.backend import StockBackend
from tests.backends.test_lava_supervisor import (
    LONG,
    MANY,
    Run,
    children,
    eventually,
    is_alive,
    long_mlp,
)
from tests.stockgraphs import long_network

#: Seconds after which a fault must have ended the run.
LIMIT = 10.0


def killed(run: Run, rng: random.Random) -> None:
    """A worker is killed."""
    os.kill(rng.choice(run.pids), signal.SIGKILL)


def hangs(run: Run, rng: random.Random) -> None:
    """A worker stops; the run was started with a time-out of three seconds."""
    os.kill(run.pids[-rng.randint(1, 4)], signal.SIGSTOP)


def interrupted(run: Run, rng: random.Random) -> None:
    """Ctrl-C reaches every process of the terminal's group."""
    os.killpg(run.process.pid, signal.SIGINT)


def terminated(run: Run, rng: random.Random) -> None:
    """The program is asked to end."""
    run.process.terminate()


def orphaned(run: Run, rng: random.Random) -> None:
    """The program is killed and cannot clean up itself."""
    run.process.kill()


def raises(run: Run, rng: random.Random) -> None:
    """A process raises by itself: its files were damaged before the run."""


FAULTS: tuple[Callable[[Run, random.Random], None], ...] = (
    killed,
    raises,
    hangs,
    interrupted,
    terminated,
    orphaned,
)


def damage(folder: Path, mode: str, rng: random.Random) -> None:
    """Let a process raise: in our own code, or in Lava's with a parameter that is no integer."""
    if mode == "custom":
        path = folder / "layer.py"
        line = "        turn, t = divmod(now, job.steps)\n"
        fault = f"        assert now < {rng.randint(0, 60)}, 'a deliberate fault'\n"
        path.write_text(path.read_text().replace(line, line + fault))
        return
    path = folder / "network.json"
    document = json.loads(path.read_text())
    for population in document["populations"]:
        if population["kind"] == "lif":
            population["du"] = 4095.5
    path.write_text(json.dumps(document))


def has_ended(run: Run) -> bool:
    """Whether it has; until then, note what it must not leave behind."""
    run.pids += [p for p in children(run.process.pid) if p not in run.pids]
    run.shared |= segments(run.process.pid)
    return run.process.poll() is not None


def ends_well(
    folder: Path, mode: str, fault: Callable[[Run, random.Random], None], rng: random.Random
) -> str:
    """What went wrong, or nothing."""
    graph, backend, data = long_mlp(), LavaBackend(), LONG
    if mode == "stock":
        graph, backend, data = long_network(), StockBackend(), MANY
    backend.compile(graph).write(folder)
    if fault is raises:
        damage(folder, mode, rng)
    timeout = "3" if fault is hangs else "30"
    run = Run(folder, "--timeout", timeout, wait=fault is not raises, data=data)
    try:
        if fault is not raises:
            time.sleep(rng.random())
        start = time.monotonic()
        fault(run, rng)
        if not eventually(lambda: has_ended(run), LIMIT):
            return "the run did not end"
        seconds = time.monotonic() - start
        if run.process.returncode == 0:
            return "the run ended without an error"
        if fault is not orphaned and "error: " not in run.log:
            return f"no error was shown: {run.log[-500:]!r}"
        if fault is raises and "Traceback" not in run.log:
            return f"no traceback was shown: {run.log[-500:]!r}"
        if not (run.pids and run.shared):
            return "it ended before Lava began"
        if not run.nothing_left():
            left = [p for p in run.pids if is_alive(p)]
            return f"left {left} and {[s for s in run.shared if Path('/dev/shm', s).exists()]}"
        return "" if seconds <= LIMIT else f"it took {seconds:.1f} s"
    finally:
        run.end()


def main(count: int) -> int:
    """Run the campaign; the value is the exit code."""
    rng = random.Random(0)
    good = 0
    for i in range(count):
        fault, mode = FAULTS[i % len(FAULTS)], ("custom", "stock")[i // len(FAULTS) % 2]
        with tempfile.TemporaryDirectory() as name:
            start = time.monotonic()
            wrong = ends_well(Path(name), mode, fault, rng)
        good += not wrong
        verdict = wrong or "ended, nothing left"
        took = time.monotonic() - start
        sys.stdout.write(f"{i + 1:4} {mode:6} {fault.__name__:11} {took:5.1f} s  {verdict}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{good} of {count} ended with an error in {LIMIT:g} s and left nothing\n")
    return int(good != count)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
