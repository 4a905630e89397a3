"""What ``snnc inspect`` says of a NIR file: layers, formulas, their constants, and the reading."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from snnc.frontends.nir_exporters import EXPORTERS
from snnc.frontends.nir_options import NirOptions, choices
from tests.cli.conftest import Snnc
from tests.nirfiles import chain_of, write_nir


@pytest.mark.parametrize("options", ["exporter=snntorch", "exporter=rockpool,spikes=one,dt=1e-3"])
def test_a_recurrent_network(
    snnc: Snnc,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    golden: Callable[[str, str], None],
    options: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    linear = {"type": "Linear", "weight": np.eye(3, 4)}
    tau = np.array([2e-3, 3e-3, 4e-3])
    lif = {"type": "LIF", "tau": tau, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0}
    cuba = {"type": "CubaLIF", "tau_mem": tau, "tau_syn": 2e-3, "w_in": 2.0, "v_threshold": 0.5}
    nodes, edges = chain_of((4,), linear, lif, cuba, out=(3,))
    nodes["back"] = {"type": "Affine", "weight": np.eye(3), "bias": np.ones(3)}
    write_nir(tmp_path / "net.nir", nodes, [*edges, ("1", "back"), ("back", "1")])
    result = snnc("inspect", "net.nir", "--nir", options)
    assert result.code == 0
    name = options.partition(",")[0].partition("=")[2]
    golden(f"{name}.txt", result.out + "\n" + result.err)
    (remark,) = snnc("inspect", "net.nir", "--nir", options, "--json").document["diagnostics"][:1]
    assert remark["code"] == "SNNC-R140"


def test_every_option_is_explained(snnc: Snnc) -> None:
    words = set(re.findall(r"\w+", snnc("explain", "R140").out))
    assert {f.name for f in fields(NirOptions)} <= words
    assert set(EXPORTERS) <= words
    for values in choices().values():
        assert set(values) <= words
