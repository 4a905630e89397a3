"""Runs a Lava network so that it ends: with results, or with an error and nothing left behind.

By itself lava-nc 0.10.0 waits for ever if a process dies or raises, never exits without ``stop``,
and leaves workers and shared memory when its parent is killed.  Here a timer looks at all workers
several times a second, from before the first one starts until after the last one ended:

* a dead worker, or no finished step for ``timeout`` seconds, stops everything;
* workers ask the kernel to be terminated when this process dies, however it dies;
* shared memory of this process is unlinked at the end, whatever happened.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing import resource_tracker
from pathlib import Path
from types import FrameType
from typing import Any

#: Exit status after a dead worker or a time-out.
FAILED = 1
#: A function of our processes, which print what they raise.
OWN = ", in _guarded\n"
_TICK = 0.1
_SHM = Path("/dev/shm")


def segments(pid: int | str = "self") -> set[str]:
    """Names of the shared memory of Python's multiprocessing that a process has mapped."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines()
        paths = (line.split(maxsplit=5)[-1] for line in lines)
        return {p.split()[0].rpartition("/")[2] for p in paths if p.startswith("/dev/shm/psm_")}
    return set()


def unlink(names: Iterable[str]) -> None:
    """Remove shared memory that is left."""
    for name in names:
        with suppress(OSError):
            (_SHM / name).unlink()


def _tie_children_to_me() -> None:
    """Make every later forked child die when this process dies."""
    if not sys.platform.startswith("linux"):
        return
    libc, parent = ctypes.CDLL(None), os.getpid()

    def in_child() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
        libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it died before we asked
            os._exit(FAILED)

    os.register_at_fork(after_in_child=in_child)


class Supervisor:
    """Watches one Lava network.

    Args:
        process: Any process of the network.
        progress: Process name -> array whose first element counts finished steps.
        timeout: Longest time in seconds without a finished step.
    """

    def __init__(self, process: Any, progress: dict[str, Any], timeout: float) -> None:
        self._process = process
        self._progress = progress
        self._timeout = timeout
        self._seen: tuple[int, ...] = ()
        self._since = time.monotonic()
        self._stopping = False

    def run(self, steps: int) -> None:
        """Run the network to its end; does not return if that fails."""
        from lava.magma.core.run_conditions import RunSteps  # type: ignore[import-not-found]
        from lava.magma.core.run_configs import Loihi2SimCfg  # type: ignore[import-not-found]

        _tie_children_to_me()
        handlers = {signal.SIGALRM: self._look, signal.SIGTERM: self._end, signal.SIGINT: self._end}
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)
        try:
            self._process.run(RunSteps(steps), Loihi2SimCfg(select_tag="fixed_pt"))
            self._stopping = True
            self._since = time.monotonic()
            self._process.stop()
        except Exception as e:
            self.abort(f"{type(e).__name__}: {e}", FAILED)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
        unlink(segments())

    def _look(self, number: int, frame: FrameType | None) -> None:
        """The timer: is everyone alive and is there progress?"""
        now = time.monotonic()
        seen = tuple(int(count[0]) for count in self._progress.values())
        if seen != self._seen:
            self._seen, self._since = seen, now
        if not self._stopping and (dead := [a for a in self._workers() if _has_ended(a)]):
            sys.stderr.write(self._tracebacks())
            self.abort(f"a Lava worker died (process {dead[0]})", FAILED)
        if now - self._since > self._timeout:
            places = ", ".join(f"{k} after step {v[0]}" for k, v in self._progress.items())
            self.abort(f"no step finished in {self._timeout:g} s ({places})", FAILED)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.abort(f"stopped by {signal.Signals(number).name}", 128 + number)

    def _workers(self) -> list[int]:
        """Process ids of all workers started so far."""
        infrastructure = getattr(self._process.runtime, "_messaging_infrastructure", None)
        actors = infrastructure.actors if infrastructure is not None else ()
        return [a.pid for a in actors if not getattr(a, "_closed", False) and a.pid]

    def _tracebacks(self) -> str:
        """What workers raised; our own processes have shown it themselves."""
        infrastructure = getattr(self._process.runtime, "_messaging_infrastructure", None)
        actors = infrastructure.actors if infrastructure is not None else ()
        found = (getattr(actor, "exception", None) for actor in actors)
        texts = [text for _, text in filter(None, found)]
        return "".join(text for text in texts if OWN not in text)

    def abort(self, reason: str, status: int) -> None:
        """End everything at once and leave this process."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for pid in self._workers():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for name in segments():
            unlink([name])
            with suppress(OSError):
                # else the tracker of multiprocessing complains that somebody did its work
                resource_tracker.unregister(f"/{name}", "shared_memory")
        sys.stderr.write(f"error: {reason}\n")
        sys.stderr.flush()
        # Not sys.exit: Lava's and multiprocessing's exit handlers would wait for the dead.  The
        # shared memory manager gets SIGTERM from the kernel as soon as we are gone.
        os._exit(status)


def _has_ended(pid: int) -> bool:
    """Whether a child is dead; leaves it for others to reap."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True  # reaped: it had ended
