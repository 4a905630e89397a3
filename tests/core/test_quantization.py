from pathlib import Path

import numpy as np
import pytest

import snnc
from snnc.diagnostics import CompileError
from snnc.quantization import LayerChoice, read_plan
from tests.models import model_file
from tests.realgraphs import mlp, recurrent


def test_choices_by_layer_are_read(tmp_path: Path) -> None:
    file = tmp_path / "snnc.toml"
    file.write_text('[layers.fc0]\nmethod = "max"\nbits = 4\n[layers."a.b"]\nguard = 9\n')
    plan = read_plan(file, "mse")
    assert plan.of("fc0") == LayerChoice("max", 4)
    assert plan.of("a.b") == LayerChoice(guard=9)
    assert plan.of("other") == LayerChoice()


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("layers = 3", "E331", "is no table"),
        ("[layers.fc0]\nbits = 17", "E320", "possible are 2 to 16"),
        ("[layers.fc0]\nbits = true", "E320", "possible are 2 to 16"),
        ('[layers.fc0]\nbits = "4"', "E320", "without quotes: bits = 8"),
        ("[layers.fc0]\nguard = -1", "E331", "possible are 0 to 24"),
        ('[layers.fc0]\nmethod = "gptk"', "E330", "did you mean 'gptq'"),
        ('[layers.fc0]\nmethod = ["gptq"]', "E330", "possible are max"),
        ("[layers.fc0]\nbit = 4", "E331", "did you mean 'bits'"),
        ("bits = 4", "E331", "--bits chooses for the whole network; keys are layers, first, last"),
        ("[layers.zzz]\nbits = 4", "E331", "neurons: lif0"),
        ("[layer.fc0]\nbits = 4", "E331", "did you mean 'layers'"),
        ('[layers.fc0]\nprofile = "loihi"', "E331", "share one arithmetic"),
        ("[layers.a.b]\nbits = 4", "E331", 'layers."a.b"'),
        ("[layers]\nfc0 = 4", "E331", "in place of a table"),
        ("[layers", "E331", "cannot be read"),
        ("[layers.fc2]\nbits = 4", "E331", "did you mean 'fc"),
        ("[layers.lif0]\nbits = 4", "E331", "it is a neuron"),
        ('[layers.fc0]\nmethod = "gptq"', "E332", "needs calibration data"),
    ],
)
def test_mistakes_have_a_code_and_a_hint(tmp_path: Path, text: str, code: str, says: str) -> None:
    file = tmp_path / "snnc.toml"
    file.write_text(text)
    with pytest.raises(CompileError, match=says) as e:
        snnc.compile(model_file(tmp_path, mlp()), tmp_path / "net", config=file)
    assert e.value.diagnostics[0].code == code
    assert not (tmp_path / "net").exists()


def test_a_missing_file_and_an_unknown_method(tmp_path: Path) -> None:
    model = model_file(tmp_path, mlp())
    with pytest.raises(CompileError, match=r"none\.toml does not exist"):
        snnc.compile(model, tmp_path / "net", config=tmp_path / "none.toml")
    with pytest.raises(CompileError, match="did you mean 'gptq'") as e:
        snnc.compile(model, tmp_path / "net", method="gtpq")
    assert e.value.diagnostics[0].code == "E330"
    with pytest.raises(CompileError, match="a way of its own"):
        snnc.compile(model, tmp_path / "net", method="max", profile="loihi")


def test_layers_get_their_bits_method_and_guard_bits(tmp_path: Path) -> None:
    file = tmp_path / "snnc.toml"
    file.write_text('[layers.fc1]\nmethod = "max"\nbits = 3\nguard = 15\n')
    artifact = snnc.compile(model_file(tmp_path, mlp()), tmp_path / "net", config=file)
    facts = {layer.name: layer.facts for layer in artifact.manifest.layers}
    assert facts["fc0"]["weight_bits"] == 8
    assert facts["fc0"]["method"] == "mse"
    assert facts["fc1"]["weight_bits"] == 3
    assert facts["fc1"]["method"] == "max"
    assert facts["fc1"]["guard_bits"] == 15
    weight = artifact.graph()["fc1"].op.weight.data  # type: ignore[attr-defined]
    assert np.abs(weight).max() == 3
    assert artifact.manifest.weight_bits == "3- to 8-bit"


def test_layers_that_share_a_neuron_may_differ_in_bits_but_not_in_method(tmp_path: Path) -> None:
    file, model = tmp_path / "snnc.toml", model_file(tmp_path, recurrent())
    file.write_text("[layers.loop]\nbits = 4\n")
    artifact = snnc.compile(model, tmp_path / "net", config=file)
    spikes = artifact.verify(np.random.default_rng(0).integers(0, 2, (50, 16, 6)))
    assert min(v for v in spikes.quantized_spikes.values() if v is not None) > 0.999
    weights = [artifact.graph()[n].op.weight.data for n in ("fc", "loop")]  # type: ignore[attr-defined]
    assert [int(np.abs(w).max()).bit_length() for w in weights] == [7, 3]
    file.write_text('[layers.loop]\nmethod = "max"\n')
    with pytest.raises(CompileError, match="different methods"):
        snnc.compile(model, tmp_path / "other", config=file)
    file.write_text("[layers.loop]\nguard = 9\n[layers.fc]\nguard = 10\n")
    with pytest.raises(CompileError, match="different guard bits"):
        snnc.compile(model, tmp_path / "other", config=file)


def test_the_manifest_says_which_data_were_used(tmp_path: Path) -> None:
    model, data = model_file(tmp_path, mlp()), tmp_path / "train.npy"
    np.save(data, np.random.default_rng(0).integers(0, 256, (20, 16, 12)) / 255)
    plain = snnc.compile(model, tmp_path / "a", calibration=data)
    assert plain.manifest.calibration is None  # ranges only
    assert b"mse" not in (tmp_path / "a" / "manifest.json").read_bytes()
    made = snnc.compile(model, tmp_path / "b", calibration=data, method="gptq")
    assert made.manifest.method == "gptq"
    used = snnc.load(tmp_path / "b").manifest.calibration
    assert used is not None
    assert (used.file, used.samples) == ("train.npy", 20)
    assert any("20 calibration samples are few" in w for w in made.manifest.warnings)


@pytest.mark.parametrize("method", ["gptq", "auto"])
def test_choices_are_followed_without_the_data(tmp_path: Path, method: str) -> None:
    model, data = model_file(tmp_path, recurrent()), tmp_path / "train.npy"
    np.save(data, np.random.default_rng(0).integers(0, 2, (40, 16, 6)))
    limits = {"bits": 3, "input_bits": 5, "max_steps": 20}
    first = snnc.compile(model, tmp_path / "a", calibration=data, method=method, **limits)  # type: ignore[arg-type]
    data.unlink()
    again = snnc.compile(model, tmp_path / "b", reuse=tmp_path / "a")
    assert again.manifest == first.manifest
    assert again.manifest.tree == first.manifest.tree


def test_choices_of_something_else_are_refused(tmp_path: Path) -> None:
    model, data = model_file(tmp_path, mlp()), tmp_path / "train.npy"
    np.save(data, np.random.default_rng(0).integers(0, 256, (40, 16, 12)) / 255)
    snnc.compile(model, tmp_path / "a", calibration=data, method="gptq")
    snnc.compile(model, tmp_path / "plain")
    config = tmp_path / "snnc.toml"
    config.write_text("[layers.fc1]\nbits = 4\n")
    other = model_file(tmp_path, mlp(seed=1), "other.pt")
    for says, path, options in [
        ("of other content", other, {"reuse": tmp_path / "a"}),
        ("needed no calibration data", model, {"reuse": tmp_path / "plain"}),
        ("no integers for layer fc1", model, {"reuse": tmp_path / "a", "config": config}),
        ("leave --bits out", model, {"reuse": tmp_path / "a", "bits": 5}),
        ("leave --input-bits out", model, {"reuse": tmp_path / "a", "input_bits": 5}),
        ("leave --method out", model, {"reuse": tmp_path / "a", "method": "auto"}),
        ("leave --calibration out", model, {"reuse": tmp_path / "a", "calibration": data}),
    ]:
        with pytest.raises(CompileError, match=says) as e:
            snnc.compile(path, tmp_path / "b", **options)  # type: ignore[arg-type]
        assert e.value.diagnostics[0].code == "E333"


@pytest.mark.parametrize("broken", ["shape", "NaN", "none"])
def test_unfit_calibration_data_are_refused(tmp_path: Path, broken: str) -> None:
    x = np.zeros((5, 16, 11 if broken == "shape" else 12))
    if broken == "NaN":
        x[3, 2, 1] = np.nan
    np.save(tmp_path / "x.npy", x[:0] if broken == "none" else x)
    with pytest.raises(CompileError) as e:
        snnc.compile(
            model_file(tmp_path, mlp()),
            tmp_path / "net",
            calibration=tmp_path / "x.npy",
            method="gptq",
        )
    assert e.value.diagnostics[0].code == {"shape": "E421", "NaN": "E424", "none": "E421"}[broken]
