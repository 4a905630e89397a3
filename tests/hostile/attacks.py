"""What every attack is checked for: nothing runs, nothing is touched, a coded refusal, in time.

The payload of an attack creates an empty file, the canary, beside the attacking file.
"""

from __future__ import annotations

import json
import resource
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from snnc.cli import run

#: Seconds of processor time that a refusal may take, and on the clock of a machine that is busy.
PATIENCE, BUSY = 5.0, 60.0


class Touch:
    """Creates the canary when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "canary"

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.path), "w")


@dataclass(frozen=True)
class Stopwatch:
    """Time since it was made, child processes that have ended included."""

    clock: float = field(default_factory=time.monotonic)
    work: float = field(default_factory=lambda: _work())

    def in_time(self) -> bool:
        """Whether a refusal that ends now was quick enough."""
        return _work() - self.work <= PATIENCE and time.monotonic() - self.clock <= BUSY


def _work() -> float:
    mine = time.process_time()
    theirs = resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine + theirs.ru_utime + theirs.ru_stime


def peak() -> int:
    """Largest memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def refused(capsys: pytest.CaptureFixture[str], *args: object, memory: int = 512 << 20) -> set[str]:
    """Codes of a command that must be refused without harm; its files lie beside args[1]."""
    folder = Path(str(args[1])).parent
    before = set(folder.rglob("*"))
    capsys.readouterr()
    used, watch = peak(), Stopwatch()
    code = run([*map(str, args), "--json"])
    in_time = watch.in_time()
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert "\x1b" not in out
    document = json.loads(out)
    codes = {d["code"].removeprefix("SNNC-") for d in document["diagnostics"]}
    assert code not in (0, 1), document["diagnostics"]
    assert "E901" not in codes
    assert not (folder / "canary").exists()
    assert set(folder.rglob("*")) == before
    assert in_time
    assert peak() - used <= memory
    return {c for c in codes if c.startswith("E")}


def compile_refused(capsys: pytest.CaptureFixture[str], path: Path) -> set[str]:
    """Codes of ``snnc compile``."""
    return refused(capsys, "compile", path, "-o", path.parent / "out")
