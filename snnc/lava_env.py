"""The Python environment that runs Lava artifacts: found, or made by ``snnc lava setup``.

lava-nc 0.10.0 is the last release and wants Python 3.10 and old versions of its dependencies, so
it lives in an environment of its own and is never imported into the compiler's process.  On
Python 3.11 and later it runs too, with the small help of ``emitted/python311.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from snnc.diagnostics import CompileError, fail

LAVA = "lava-nc==0.10.0"
#: lava-nc's own requirements; beyond Python 3.10 without the upper bounds that it does not need.
DEPENDENCIES = ("numpy>=1.24.4", "scipy", "networkx<4", "asteval<0.10", "scikit-learn")

_VARIABLE = "SNNC_LAVA_PYTHON"
_MARKER = "snnc-lava.json"
#: Prints the version of lava-nc, or fails.
_PROBE = "import importlib.metadata as m; print(m.version('lava-nc'))"
_SETUP = "run `snnc lava setup`: it makes an environment with lava-nc 0.10.0 (about 300 MB)"

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LavaEnv:
    """An interpreter that can import lava-nc 0.10.0.

    Attributes:
        python: The interpreter.
        origin: How it was found, for messages.
    """

    python: Path
    origin: str


def default_dir() -> Path:
    """Where ``setup`` puts the environment: ``$XDG_CACHE_HOME/snnc/lava``."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "snnc" / "lava"


def find(directory: Path | None = None) -> LavaEnv | None:
    """The environment that ``$SNNC_LAVA_PYTHON`` names, else the one that ``setup`` made.

    Raises:
        CompileError: E601 if the variable names something that has no lava-nc 0.10.0.
    """
    if (named := os.environ.get(_VARIABLE)) and directory is None:
        python = Path(shutil.which(named) or named).absolute()
        version = _probe(python)
        if version != LAVA.partition("==")[2]:
            has = f"has lava-nc {version}" if version else "has no lava-nc"
            text = f"{_VARIABLE}={named} {has}, needs {LAVA}"
            raise fail("E601", text, help=f"unset {_VARIABLE} and {_SETUP}")
        return LavaEnv(python, f"${_VARIABLE}")
    root = directory or default_dir()
    python = root / "bin" / "python"
    complete = (root / _MARKER).is_file() and python.exists()
    return LavaEnv(python, str(root)) if complete else None


def require() -> LavaEnv:
    """The environment; CompileError E601 if there is none."""
    env = find()
    if env is None:
        where = f"looked at ${_VARIABLE} (not set) and {default_dir()}"
        raise fail("E601", "no environment with Lava was found", None, where, help=_SETUP)
    return env


def setup(
    directory: Path | None = None, report: Report = lambda _: None, *, force: bool = False
) -> LavaEnv:
    """Make the environment, or return the one that is there.

    It is made aside, checked by running a network in it, and moved into place complete.

    Args:
        directory: Where; default: ``default_dir()``.
        report: Called with one line before every stage.
        force: Make a new one even if there is one.

    Raises:
        CompileError: E602 if it cannot be made or does not work.
    """
    root = (directory or default_dir()).expanduser().absolute()
    if not force and (env := find(root)):
        report("it is there already")
        return env
    base = base_python()
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    except OSError as e:
        raise fail("E602", f"cannot make {root}: {e.strerror}") from e
    try:
        _make(base, aside, report)
        report("running a network on it")
        _verify(LavaEnv(aside / "bin" / "python", str(aside)))
        marker = {"lava": LAVA, "python": str(base)}
        (aside / _MARKER).write_text(json.dumps(marker) + "\n", encoding="utf-8")
        _move(aside, root, force=force)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    env = find(root)
    assert env is not None, "the environment was just moved here"
    return env


def base_python() -> Path:
    """A Python 3.10 if this machine has one, else the running Python."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser() / "versions"
    candidates = sorted(pyenv.glob("3.10.*/bin/python3.10"), reverse=True)
    if on_path := shutil.which("python3.10"):
        candidates.append(Path(on_path))
    for candidate in candidates:  # pyenv's shims exist even where no 3.10 is active
        if _quietly([str(candidate), "-I", "-c", "import venv, ensurepip"]) == "":
            return candidate
    return Path(sys.executable)


def _make(base: Path, root: Path, report: Report) -> None:
    """A virtual environment with lava-nc."""
    report(f"making an environment with {base}")
    python = root / "bin" / "python"
    if _quietly([str(base), "-m", "venv", str(root)]) is None:
        # Debian splits ensurepip off; then our own pip can do the work from outside
        _run([str(base), "-m", "venv", "--clear", "--without-pip", str(root)], "making it")
        pip = [sys.executable, "-m", "pip", "--python", str(python)]
    else:
        pip = [str(python), "-m", "pip"]
    pip += ["--disable-pip-version-check", "--no-input", "install", "--quiet"]
    report(f"installing {LAVA}")
    if _quietly([str(python), "-c", "import sys; sys.exit(sys.version_info[:2] != (3, 10))"]) == "":
        _run([*pip, LAVA], "installing lava-nc")
    else:
        _run([*pip, *DEPENDENCIES], "installing what lava-nc needs")
        _run([*pip, "--no-deps", "--ignore-requires-python", LAVA], "installing lava-nc")


def _move(aside: Path, root: Path, *, force: bool) -> None:
    """Put the complete environment in place; somebody else's complete one is as good."""
    if root.exists() and (force or find(root) is None):
        shutil.rmtree(root)
    try:
        aside.rename(root)
    except OSError as e:
        if find(root) is None:
            raise fail("E602", f"cannot make {root}: {e.strerror}") from e


def _verify(env: LavaEnv) -> None:
    """Run a network of three steps and compare it with the simulator; E602 if it differs."""
    from snnc.backends.lava.selftest import agrees  # imports the backend, which imports us

    try:
        if not agrees(env.python):
            raise fail("E602", "Lava computes other integers than the simulator")
    except CompileError as e:
        notes = [str(e)]
        raise fail("E602", "the new Lava environment does not work", None, *notes) from e


def _probe(python: Path) -> str | None:
    return _quietly([str(python), "-I", "-c", _PROBE])


def _quietly(command: Sequence[str]) -> str | None:
    """Standard output of a command, or None if it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _run(command: Sequence[str], what: str) -> None:
    """Run a command of ``setup``; E602 with the end of its output if it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        output, status = done.stdout + done.stderr, done.returncode
    except OSError as e:
        output, status = str(e), 1
    if status:
        tail = [line for line in output.splitlines() if line.strip()][-8:]
        text = f"{what} failed: {' '.join(map(str, command[:3]))} …"
        hint = "is the network reachable? On Debian, `apt install python3-venv` may be needed"
        raise fail("E602", text, None, *tail, help=hint)
