"""Early exit from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.cli.conftest import Snnc


def test_samples_stop_early(tmp_path: Path, snnc: Snnc, model: Path, data: Path) -> None:
    net = tmp_path / "net"
    assert snnc("compile", model, "-o", net, "--target", "c", "--exit", "margin").code == 0
    found = {}
    for backend in ("numpy", "c"):
        out = tmp_path / f"{backend}.npz"
        how = ("--backend", backend, "-o", out, "--exit", "margin=1.5", "--json")
        found[backend] = snnc("run", net, "--data", data, *how).document
        steps = np.load(out)["steps"]
        assert found[backend]["mean_steps"] == steps.mean() < 16
        assert found[backend]["accuracy"] is not None
    assert found["numpy"]["mean_steps"] == found["c"]["mean_steps"]


def test_refused(tmp_path: Path, snnc: Snnc, model: Path, artifact: Path, data: Path) -> None:
    out = ("--data", data, "-o", tmp_path / "o.npz")
    assert "E427" in snnc("run", artifact, *out, "--exit", "margin=1").err
    assert "E427" in snnc("run", artifact, *out, "--exit", "margin").err
    assert "E427" in snnc("run", artifact, *out, "--exit", "out=1", "--record", "lif0").err
    refused = snnc("compile", model, "-o", tmp_path / "net", "--exit", "luck")
    assert (refused.code, "E234" in refused.err) == (4, True)
