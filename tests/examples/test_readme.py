"""Every command and program that README.md shows works as printed there.

Blocks marked ``sh`` and ``python`` are executed in their order, in one folder; ``console`` blocks
must print what they show; ``bash`` blocks are the ones that set up a machine.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import snnc
from tests.lavaenv import ENV, needs_lava

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where programs are found: first a ``snnc`` of the package that is tested."""
    script = tmp_path_factory.mktemp("bin") / "snnc"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m snnc "$@"\n')
    script.chmod(0o755)
    places = [script.parent, Path(sys.executable).parent, os.environ["PATH"]]
    return os.pathsep.join(map(str, places))


def run(program: list[str], folder: Path, path: str) -> subprocess.CompletedProcess[str]:
    package = str(Path(snnc.__file__).parents[1])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": package}
    return subprocess.run(
        program, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def without_weights(program: str) -> str:
    """The text of a program without the numbers that follow from its random weights."""
    return re.sub(r"in \[.*\]|#\w+", "…", program)


@needs_lava
def test_blocks_run_in_their_order(tmp_path: Path, path: str) -> None:
    pytest.importorskip("torch")
    assert ENV is not None
    program = ""
    for kind, text in BLOCKS:
        if kind == "python":
            program += text  # a later block goes on where the one before has ended
            (tmp_path / "quickstart.py").write_text(text if "class" in text else program)
            done = run([sys.executable, "quickstart.py"], tmp_path, path)
        elif kind == "sh":
            lines = [line for line in text.splitlines() if "lava setup" not in line]
            commands = "\n".join(lines).replace(
                "~/.cache/snnc/lava/bin/python", shlex.quote(str(ENV.python))
            )
            done = run(["bash", "-euo", "pipefail", "-c", commands], tmp_path, path)
        elif kind == "console":
            command, _, shown = text.removeprefix("$ ").partition("\n")
            done = run(["bash", "-c", f"{command} 2>&1"], tmp_path, path)
            assert done.stdout == shown
            continue
        else:
            continue
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    raw = [np.load(tmp_path / "c.npy")]
    for name, key in (("numpy", "out"), ("lava", "out"), ("scores", "raw:out")):
        with np.load(tmp_path / f"{name}.npz") as results:
            raw.append(results[key])
    assert all(np.array_equal(raw[0], other) for other in raw)
    (shown,) = (text for kind, text in BLOCKS if kind == "text")
    assert without_weights(shown) in without_weights(
        (tmp_path / "net/program/program.txt").read_text()
    )


@pytest.mark.parametrize("script", ["examples/main_job.sh", "tests/run.sh"])
def test_the_two_commands_are_there(script: str) -> None:
    assert f"bash {script}" in README
    done = subprocess.run(["bash", "-n", ROOT / script], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link
    for path in re.findall(r"`((?:backends|passes|examples|tests)/[\w./]+)`", README):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"^\| `(\w+\.py)` \|", README, re.MULTILINE):
        assert (ROOT / "examples" / name).exists(), name
