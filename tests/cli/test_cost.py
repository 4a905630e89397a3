"""``snnc cost``: counts, energies and where the figures come from."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Snnc


def test_the_command(snnc: Snnc, artifact: Path, data: Path) -> None:
    result = snnc("cost", artifact, "--data", data, "--samples", 5)
    assert result.code == 0
    assert "Effective_ACs" in result.out
    assert "times the energy of the quantized ANN on the same logic" in result.out
    document = snnc("cost", artifact, "--data", data, "--samples", 5, "--json").document
    assert document["samples"] == 5
    assert {e["hardware"] for e in document["energy"]} >= {"digital logic, 45 nm"}
