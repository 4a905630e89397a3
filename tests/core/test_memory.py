"""Large networks are compiled in little memory: not much more than their integers take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from examples.benchmarks.c_compile_cost import real, sizes
from snnc.container import LoadedModel, write_model

#: Compiles a model file; prints the peak of memory in kB before and after that.
_COMPILE = """
import sys
import snnc.driver
import snnc.backends.c.backend
import snnc.backends.numpy.backend

def peak():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

before = peak()
snnc.driver.compile(sys.argv[1], sys.argv[2], target="c")
assert "torch" not in sys.modules
print(before, peak())
"""

_WRITE = """
import sys
from pathlib import Path
from examples.benchmarks.c_compile_cost import stage, sizes

stage("file", sizes(float(sys.argv[1]), sys.argv[2] == "deep"), Path(sys.argv[3]))
"""


def peaks(folder: Path) -> tuple[int, int]:
    """Bytes at most, before and after a model file is compiled."""
    line = [sys.executable, "-c", _COMPILE, str(folder / "model.pt"), str(folder / "net")]
    found = subprocess.run(line, check=True, capture_output=True, text=True).stdout.split()
    return int(found[0]) << 10, int(found[1]) << 10


def test_a_weight_takes_few_bytes(tmp_path: Path) -> None:
    millions = 6
    write_model(tmp_path / "model.pt", LoadedModel(real(sizes(millions)), {}))
    before, after = peaks(tmp_path)
    assert after - before < (4 * millions + 10) * 1e6  # in float64, they would be 8 alone


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["deep", "wide"])
def test_a_hundred_million_weights_take_512_mib(tmp_path: Path, shape: str) -> None:
    line = [sys.executable, "-c", _WRITE, "100", shape, str(tmp_path)]
    subprocess.run(line, check=True)
    assert peaks(tmp_path)[1] <= 512 << 20
