from pathlib import Path

import pytest

from snnc.backends.c.board_run import missing_tools
from snnc.backends.c.machines import MACHINES
from tests.cli.conftest import Snnc


def test_several_machines_in_one_artifact(
    tmp_path: Path, snnc: Snnc, model: Path, data: Path
) -> None:
    out = tmp_path / "net"
    targets = "c:riscv32,c:host,c:cortex-m0,c"
    assert snnc("compile", model, "-o", out, "--target", targets, "-q").code == 0
    assert snnc("inspect", out, "--json").document["manifest"]["targets"] == [
        *("numpy", "c", "c:cortex-m0", "c:riscv32"),
    ]
    assert "memory   c:riscv32: flash " in snnc("inspect", out).out
    verified = snnc("verify", out, "--data", data, "--json").document
    assert verified["exact"]
    assert list(verified["backends"]) == ["numpy", "c", "c:cortex-m0", "c:riscv32"]
    ran = snnc("run", out, "--data", data, "--backend", "c:riscv32", "-o", tmp_path / "y.npz")
    assert ran.code == 0
    project = tmp_path / "project"
    line = ["board", out, "--backend", "c:riscv32", "--data", data, "-o", project]
    written = snnc(*line, "--json")
    assert written.code == 0
    assert written.document["predicted"][".bss"] > 0
    assert "next       make -C" in snnc(*line[:-1], tmp_path / "other").out
    assert snnc(*line).code == 9  # it is there


@pytest.mark.parametrize("target", ["c:z80", "lava:loihi", "numpy:host"])
def test_machines_that_nobody_knows(snnc: Snnc, model: Path, tmp_path: Path, target: str) -> None:
    found = snnc("compile", model, "-o", tmp_path / "net", "--target", target)
    assert found.code == 2
    assert "E002" in found.err


def test_a_board_runs(tmp_path: Path, snnc: Snnc, model: Path, data: Path) -> None:
    if missing := missing_tools(MACHINES["cortex-m4"]):
        pytest.skip(f"{missing[0]} is not installed")
    out = tmp_path / "net"
    assert snnc("compile", model, "-o", out, "--target", "c:cortex-m4", "-q").code == 0
    line = ["board", out, "--backend", "c:cortex-m4", "--data", data, "-o", tmp_path / "p"]
    ran = snnc(*line, "--run", "--json").document
    assert ran["equal"]
    assert ran["linked"][".snn.bss"] == ran["predicted"][".bss"]
    assert snnc("board", out, "--backend", "c", "--data", data, "-o", tmp_path / "q").code == 2
