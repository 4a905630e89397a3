import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Snnc


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("frama-c"), reason="frama-c is not installed")
def test_every_layer_of_an_artifact_is_proven(tmp_path: Path, snnc: Snnc, model: Path) -> None:
    out = tmp_path / "net"
    assert snnc("compile", model, "-o", out, "--target", "c", "-q").code == 0
    found = snnc("verify", out, "--prove", "--proof", tmp_path / "proof", "--json")
    assert found.code == 0
    proof = found.document["proof"]
    assert all(h["proven"] and h["alarms"] == 0 for h in proof["harnesses"])
    assert "2 layers certified" in proof["certificate"]
    assert (tmp_path / "proof" / "proof" / "layer_1.c").exists()
    assert snnc("verify", out, "--prove", "--proof", tmp_path / "proof").code == 9


def test_nothing_to_compare_on(tmp_path: Path, snnc: Snnc, model: Path) -> None:
    out = tmp_path / "net"
    assert snnc("compile", model, "-o", out, "-q").code == 0
    found = snnc("verify", out)
    assert found.code == 2
    assert "--data" in found.err
