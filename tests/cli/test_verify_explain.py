"""``snnc verify --explain``: what parts of the arithmetic cost, and what would be better."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnc.artifact import Artifact
from snnc.cli import run
from snnc.operations import packed
from tests.cli.conftest import Snnc


@pytest.fixture(scope="module")
def coarse(model: Path) -> Path:
    out = model.parent / "coarse"
    assert run(["compile", str(model), "-o", str(out), "--bits", "3", "--quiet"]) == 0
    return out


def test_every_spiking_layer_says_how_it_diverges(snnc: Snnc, coarse: Path, data: Path) -> None:
    document = snnc("verify", coarse, "--data", data, "--json").document
    assert "explanation" not in document
    layers = document["divergence"]
    assert set(layers) == set(document["rates"])
    for layer, d in layers.items():
        assert d["agreement"] == document["agreement"]["spikes"][layer]
        assert 0 < d["f1"] < 1
        assert d["emd"] > 0
        assert set(d["first"]) == {"sample", "step", "index"}


def test_why_and_what_would_be_better(snnc: Snnc, coarse: Path, data: Path, training: Path) -> None:
    args = ("verify", coarse, "--data", data, "--explain", "--calibration", training, "--json")
    explained = snnc(*args).document["explanation"]
    assert explained["contributions"]["twin"] == 1
    assert {"inputs", "weights", "decays"} <= {
        p["part"] for p in explained["contributions"]["parts"]
    }
    found = explained["alternatives"]
    assert "method gptq" in {a["name"] for a in found["tried"]}
    assert found["recommended"] in found["advice"]
    assert "other calibration samples" in found["advice"]


def test_bits_of_layers_are_widened_from_what_they_are(
    snnc: Snnc, model: Path, data: Path, training: Path, tmp_path: Path
) -> None:
    (tmp_path / "snnc.toml").write_text("[layers.fc0]\nbits = 2\n[layers.fc1]\nbits = 3\n")
    net, config = tmp_path / "net", tmp_path / "snnc.toml"
    assert snnc("compile", model, "-o", net, "--bits", 6, "--config", config).code == 0
    args = ("verify", net, "--data", data, "--explain", "--calibration", training, "--json")
    tried = {a["name"]: a for a in snnc(*args).document["explanation"]["alternatives"]["tried"]}
    assert "7 bits in all layers" not in tried
    wider = tried["1 bit more in all layers"]
    assert '[layers."fc0"] bits = 3, [layers."fc1"] bits = 4' in wider["how"]
    config.write_text(wider["how"].partition("with ")[2].replace(", ", "\n").replace("] b", "]\nb"))
    assert snnc("compile", model, "-o", net, "--bits", 6, "--config", config, "--force").code == 0
    assert packed(Artifact.open(net).graph()) == wider["bytes"]


def test_what_does_not_go_together_is_refused(
    snnc: Snnc, coarse: Path, data: Path, model: Path
) -> None:
    lonely = snnc("verify", coarse, "--data", data, "--calibration", data)
    assert lonely.code == 2
    assert "--explain" in lonely.err
    other = snnc("verify", coarse, "--data", data, "--explain", "--model", model)
    assert other.code == 2


def test_unfit_calibration_data_are_named_before_any_work(
    snnc: Snnc, coarse: Path, data: Path, training: Path, tmp_path: Path
) -> None:
    with np.load(training) as arrays:
        x = arrays["x"]
    broken = x.copy()
    broken[[3, 9], 0, 0] = np.nan, np.inf
    cases = {"shape": (x[:, :, :11], "E421"), "nan": (broken, "E424"), "none": (x[:0], "E421")}
    for name, (array, code) in cases.items():
        np.savez(tmp_path / f"{name}.npz", x=array)
        model = coarse.parent / "model.pt"
        for args in (
            ("verify", coarse, "--data", data, "--explain", "--calibration"),
            ("sweep", model, "-o", tmp_path / "s", "--calibration", data, "--data"),
            ("report", coarse, "-o", tmp_path / "page.html", "--data"),
        ):
            result = snnc(*args, tmp_path / f"{name}.npz")
            assert f"error[SNNC-{code}]" in result.err
            assert result.out == ""
    said = snnc(
        "verify", coarse, "--data", data, "--explain", "--calibration", tmp_path / "nan.npz"
    )
    assert "2 of 70 samples of nan.npz hold NaN or infinity" in said.err
    assert "the first are 3, 9" in said.err
    assert not (tmp_path / "s").exists()
    assert not (tmp_path / "page.html").exists()


def test_data_that_reach_no_layer_choose_nothing(
    snnc: Snnc, model: Path, data: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "zeros.npz", x=np.zeros((40, 16, 12)))
    args = ("compile", model, "--bits", "3", "-o", tmp_path / "net", "--method", "gptq")
    result = snnc(*args, "--calibration", tmp_path / "zeros.npz")
    assert result.code == 0
    assert "warning[SNNC-W333]: nothing but zeros reaches" in result.err


def test_few_calibration_data_from_a_function_are_said_to_be_few(
    snnc: Snnc, coarse: Path, data: Path, training: Path, tmp_path: Path
) -> None:
    text = f"import numpy as np\ndef samples():\n    yield np.load({str(training)!r})['x'][:10]\n"
    (tmp_path / "made.py").write_text(text)
    args = ("verify", coarse, "--data", data, "--samples", 2, "--explain")
    result = snnc(*args, "--calibration", f"{tmp_path}/made.py:samples")
    assert result.code == 0
    assert "warning[SNNC-W332]: 10 calibration samples are few" in result.err
    assert "weights of" in result.out
    assert "method gptq" in result.out
    assert "on 10 calibration samples" in result.out
