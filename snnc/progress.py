"""What a long export is doing, on stderr: a spinner on a terminal, else one line per stage.

Short exports say nothing.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

#: Seconds for which nothing is said.
QUIET = 3.0


class _Progress:
    """Shows the present stage of one job, from ``QUIET`` seconds after its start."""

    def __init__(self, quiet: float) -> None:
        self.start, self.quiet = time.monotonic(), quiet
        self.terminal = sys.stderr.isatty()
        self._spinner: Any = None

    def show(self, stage: str) -> None:
        """Name the stage that begins."""
        seconds = time.monotonic() - self.start
        if seconds < self.quiet:
            return
        if not self.terminal:
            sys.stderr.write(f"snnc: {seconds:6.1f} s  {stage}\n")
            sys.stderr.flush()
        elif self._spinner is None:
            from rich.console import Console  # slow to import, and seldom needed

            self._spinner = Console(stderr=True).status(stage)
            self._spinner.start()
        else:
            self._spinner.update(stage)

    def close(self) -> None:
        """Remove the spinner."""
        if self._spinner is not None:
            self._spinner.stop()


_current: ContextVar[_Progress | None] = ContextVar("progress", default=None)


@contextlib.contextmanager
def progress(quiet: float = QUIET) -> Iterator[None]:
    """A job whose stages are shown; a job inside another one is part of it.

    Args:
        quiet: Seconds for which nothing is said.
    """
    if _current.get() is not None:
        yield
        return
    job = _Progress(quiet)
    token = _current.set(job)
    try:
        yield
    finally:
        _current.reset(token)
        job.close()


def stage(text: str) -> None:
    """Say what is done from now on; nothing happens outside of ``progress``."""
    if (job := _current.get()) is not None:
        job.show(text)
