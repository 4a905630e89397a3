"""Runs an emitted Lava folder in a session of its own, and leaves nothing behind.

The emitted ``run.py`` supervises its workers itself.  This is the second line: whatever becomes
of it, its whole process group and its shared memory are gone when ``execute`` returns.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from snnc.backends.base import Arrays
from snnc.backends.lava.emitted.supervise import segments, unlink
from snnc.backends.numpy.arrays import read_results, write_results
from snnc.diagnostics import CompileError, fail

#: Lines of the log that an error shows.
TAIL = 25
#: Seconds that a process group gets between SIGTERM and SIGKILL.
GRACE = 3.0


def execute(
    python: Path,
    folder: Path,
    inputs: Arrays,
    steps: int | None,
    record: Iterable[str],
    timeout: float,
    limit: float,
) -> tuple[Arrays, Arrays]:
    """Run ``folder/run.py`` with ``python``.

    Args:
        python: Interpreter of the Lava environment.
        folder: What ``LavaBackend.emit`` wrote.
        inputs: By name, (N, T, ...) or (N, ...).
        steps: Steps for a network without per-step input.
        record: Words to record.
        timeout: Seconds without a finished step after which run.py gives up.
        limit: Seconds after which it is ended in any case.

    Returns:
        Outputs and records, as ``Simulator.run``.

    Raises:
        CompileError: E421 if the inputs do not fit, E611 if Lava fails, E612 after ``limit``.
    """
    words = list(record)
    wanted = "all" if any("," in word for word in words) else ",".join(words)
    with tempfile.TemporaryDirectory(prefix="snnc-lava-") as name:
        work = Path(name)
        write_results(work / "in.npz", inputs, {})
        # a copy without bytecode, which Python prefers to the sources, whatever it does
        ignored = shutil.ignore_patterns("__pycache__", work.name)
        shutil.copytree(folder, work / "net", ignore=ignored)
        command = [str(python), "-I", str(work / "net" / "run.py"), "in.npz", "out.npz"]
        command += ["--timeout", str(timeout), f"--record={wanted}"]
        command += [] if steps is None else ["--steps", str(steps)]
        status = _supervised(command, work, limit)
        log = (work / "log.txt").read_text(encoding="utf-8", errors="replace")
        if status != 0:
            raise _failure(status, log, limit)
        outputs, records = read_results(work / "out.npz")
    return outputs, {word: records[word] for word in words if word in records}


def _supervised(command: list[str], work: Path, limit: float) -> int | None:
    """Exit status of the command, or None if it had to be ended; its output is in log.txt."""
    end = time.monotonic() + limit
    shared: set[str] = set()
    # a file, not a pipe: an orphan would hold a pipe open
    with (work / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_die_with_parent(),
        )
        try:
            while process.poll() is None:
                shared |= segments(process.pid)
                if time.monotonic() > end:
                    return None
                time.sleep(0.02)
            return process.returncode
        finally:
            _end_group(process)
            unlink(shared)


def _die_with_parent() -> Callable[[], None] | None:
    """What the child runs first: ask Linux for SIGTERM when we die, even by kill -9."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)  # loaded before the fork
    return lambda: libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, which lets multiprocessing unlink its shared memory, then SIGKILL."""
    end = time.monotonic() + GRACE
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < end:
            process.poll()  # reaps the leader
            if not _has_members(process.pid):
                break
            time.sleep(0.01)
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _has_members(group: int) -> bool:
    """Whether a process of the group lives; the dead that init has not reaped do not count."""
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    stats = list(Path("/proc").glob("[0-9]*/stat"))
    for stat in stats:
        with suppress(OSError, IndexError):  # gone in the meantime
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
            if int(pgrp) == group and state != "Z":
                return True
    return not stats  # without /proc: believe the signal


def _failure(status: int | None, log: str, limit: float) -> CompileError:
    lines = log.splitlines()
    reason = next((x for x in reversed(lines) if x.startswith("error: ")), "").removeprefix(
        "error: "
    )
    if status == 2 and reason:
        return fail("E421", reason)
    if status is None:
        return fail("E612", f"the Lava run did not end within {limit:g} s", None, *lines[-TAIL:])
    how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
    return fail(
        "E611",
        f"the Lava run failed: {reason or f'it ended with {how}'}",
        None,
        *(line for line in lines[-TAIL:] if line != f"error: {reason}"),
        help="its processes and shared memory are gone; run it again, or `snnc lava setup --force`",
    )
