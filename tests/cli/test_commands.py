import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.numpy.backend import NumpyBackend
from snnc.cli import COMMANDS
from tests.cli.conftest import Snnc
from tests.models import model_file
from tests.realgraphs import mlp


def test_help_names_every_command(snnc: Snnc) -> None:
    result = snnc("--help")
    assert result.code == 0
    assert all(name in result.out for name in COMMANDS)
    assert snnc().out == result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(snnc: Snnc, command: str) -> None:
    result = snnc(command, "--help")
    assert result.code == 0
    assert "Usage" in result.out


def test_version(snnc: Snnc) -> None:
    assert snnc("--version").out.startswith("snnc ")


def test_help_and_version_import_nothing_heavy() -> None:
    program = (
        "import sys, snnc.cli\n"
        "code = snnc.cli.run(['--help'])\n"
        "heavy = {'numpy', 'torch', 'networkx', 'rich', 'safetensors'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_compile_prints_results_on_stdout_and_progress_on_stderr(
    snnc: Snnc, model: Path, tmp_path: Path
) -> None:
    result = snnc("compile", model, "-o", tmp_path / "net")
    assert result.code == 0
    assert "quantize" in result.err
    assert "quantize" not in result.out
    assert "fc0" in result.out
    assert "snnc verify" in result.out
    assert {p.name for p in (tmp_path / "net").iterdir()} >= {"manifest.json", "program", "numpy"}
    assert snnc("compile", model, "-o", tmp_path / "net2", "--quiet").err == ""


def test_compile_as_json(snnc: Snnc, model: Path, tmp_path: Path) -> None:
    result = snnc("compile", model, "-o", tmp_path / "net", "--json")
    assert result.err == ""
    document = result.document
    assert (document["schema"], document["status"]) == ("snnc.result/1", "ok")
    assert document["targets"] == ["numpy"]
    assert [layer["name"] for layer in document["layers"]][:2] == ["fc0", "lif0"] or document[
        "layers"
    ]


def test_the_same_input_gives_the_same_bytes(snnc: Snnc, model: Path, tmp_path: Path) -> None:
    hashes = [
        snnc("compile", model, "-o", tmp_path / name, "--json").document["tree_sha256"]
        for name in ("a", "b")
    ]
    assert hashes[0] == hashes[1]
    files = {p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()}
    assert all(
        (tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files
    )
    assert not any(str(tmp_path).encode() in (tmp_path / "a" / f).read_bytes() for f in files)


def test_other_processes_give_the_same_bytes(model: Path, tmp_path: Path) -> None:
    trees = set()
    for seed, threads, locale in (("0", "1", "C"), ("77", "4", "C.UTF-8")):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "LC_ALL": locale,
            "TZ": f"UTC{threads}",
        }
        command = [sys.executable, "-m", "snnc", "compile", model, "-o", tmp_path / seed]
        arguments = [*map(str, command), "--target", "c,lava", "--json"]
        done = subprocess.run(arguments, check=True, capture_output=True, env=environment)
        trees.add(json.loads(done.stdout)["tree_sha256"])
    assert len(trees) == 1


def test_dump_ir_writes_the_graph_after_every_pass(snnc: Snnc, model: Path, tmp_path: Path) -> None:
    assert snnc("compile", model, "-o", tmp_path / "net", "--dump-ir", tmp_path / "ir").code == 0
    names = sorted(p.name for p in (tmp_path / "ir").iterdir())
    assert names[0] == "000_input.snn"
    assert any("quantize" in name for name in names)


def test_force_replaces(snnc: Snnc, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "net"
    assert snnc("compile", model, "-o", out, "--bits", 8).code == 0
    assert snnc("compile", model, "-o", out, "--bits", 4).code == 9
    assert snnc("compile", model, "-o", out, "--bits", 4, "--force").code == 0
    assert snnc("inspect", out, "--json").document["manifest"]["bits"] == 4


def test_verify_reports_everything(snnc: Snnc, artifact: Path, data: Path) -> None:
    document = snnc("verify", artifact, "--data", data, "--json").document
    assert 0 <= document["float"]["accuracy"] <= 1
    assert 0 <= document["integer"]["accuracy"] <= 1
    assert 0 <= document["agreement"]["labels"] <= 1
    assert all(0.9 < v <= 1 for v in document["agreement"]["spikes"].values())
    assert set(document["rates"]) == set(document["agreement"]["spikes"])
    numpy = document["backends"]["numpy"]
    assert numpy["equal"] is True
    assert numpy["samples"] == 8
    assert numpy["words_compared"] > 8 * 16 * (20 + 5) * 2
    assert numpy["first_difference"] is None


def test_verify_compares_with_another_float_model(
    snnc: Snnc, artifact: Path, model: Path, data: Path, tmp_path: Path
) -> None:
    def agreement(path: Path) -> float:
        result = snnc("verify", artifact, "--data", data, "--model", path, "--json")
        return float(min(result.document["agreement"]["spikes"].values()))

    retrained = model_file(tmp_path, mlp(seed=1))
    assert agreement(model) > 0.98 > agreement(retrained)
    for path, said in ((model, False), (retrained, True)):
        printed = snnc("verify", artifact, "--data", data, "--model", path).out
        assert ("of other content than the compiled one" in printed) == said
    other = model_file(tmp_path, mlp((12, 20, 4)))
    result = snnc("verify", artifact, "--data", data, "--model", other)
    assert result.code == 3
    assert "SNNC-E412" in result.err


def test_verify_prints_tables(snnc: Snnc, artifact: Path, data: Path) -> None:
    result = snnc("verify", artifact, "--data", data, "--samples", 3)
    assert result.code == 0
    assert "3 samples of 16 steps" in result.out
    assert "accuracy" in result.out
    assert "numpy" in result.out


def test_verify_finds_a_wrong_backend(
    snnc: Snnc, model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, artifact = NumpyBackend.run, tmp_path / "net"
    assert snnc("compile", model, "-o", artifact, "--target", "c").code == 0

    def wrong(self, folder, inputs, steps=None, record=()):  # type: ignore[no-untyped-def]
        outputs, words = right(NumpyBackend(), folder.parent / "numpy", inputs, steps, record)
        word = next(w for w in words if not w.endswith(".s"))
        words[word] = words[word].copy()
        words[word][5, 7, 3] += 1
        return outputs, words

    monkeypatch.setattr("snnc.backends.c.backend.CBackend.run", wrong)
    result = snnc("verify", artifact, "--data", data, "--json")
    assert result.code == 7
    document = result.document
    assert (document["status"], document["exit"]) == ("error", 7)
    assert document["backends"]["numpy"]["equal"] is True
    comparison = document["backends"]["c"]
    assert comparison["equal"] is False
    assert comparison["samples_different"] == 1
    first = comparison["first_difference"]
    assert (first["sample"], first["step"], first["index"]) == (5, 7, [3])
    assert set(first["values"]) == {"numpy", "c"}
    (diagnostic,) = document["diagnostics"]
    assert diagnostic["code"] == "SNNC-E410"
    assert "sample 5, step 7" in diagnostic["message"]


needs_cc = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler"
)


@needs_cc
def test_verify_runs_c_and_an_artifact_stays_valid_after_make(
    snnc: Snnc, model: Path, data: Path, tmp_path: Path
) -> None:
    net = tmp_path / "net"
    assert snnc("compile", model, "-o", net, "--target", "numpy,c").code == 0
    subprocess.run(["make", "-s", "-C", str(net / "c")], check=True)
    document = snnc("verify", net, "--data", data, "--json").document
    assert document["exact"] is True
    counts = {name: b["words_compared"] for name, b in document["backends"].items()}
    assert counts["c"] == counts["numpy"] > 0


def test_a_missing_tool_does_not_hide_the_other_backends(
    snnc: Snnc, model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = tmp_path / "net"
    assert snnc("compile", model, "-o", net, "--target", "lava").code == 0
    monkeypatch.delenv("SNNC_LAVA_PYTHON", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    result = snnc("verify", net, "--data", data, "--json")
    assert result.code == 8
    backends = result.document["backends"]
    assert backends["numpy"]["equal"] is True
    assert backends["lava"]["equal"] is None
    assert backends["lava"]["error"] == "SNNC-E601"


def test_run_writes_outputs_words_and_integers(
    snnc: Snnc, artifact: Path, data: Path, tmp_path: Path
) -> None:
    out, integers = tmp_path / "r.npz", tmp_path / "in.npy"
    words = [w for w in snnc_words(artifact) if w.startswith("lif0")]
    layer = words[0].rpartition(".")[0]
    args = ("--record", layer, "--samples", 4, "--integers", integers)
    result = snnc("run", artifact, "--data", data, "-o", out, *args)
    assert result.code == 0, result.err
    with np.load(out) as found:
        assert found["out"].shape == (4, 5)
        assert found["raw:out"].dtype.kind == "i"
        assert found["class"].shape == (4,)
        assert all(found[f"record:{w}"].shape == (4, 16, 20) for w in words)
        raw = found["raw:out"]
    alone = tmp_path / "alone.npz"
    command = [sys.executable, "-I", artifact / "numpy/run.py", integers, alone]
    subprocess.run([str(c) for c in command], check=True, env={}, cwd=tmp_path)
    with np.load(alone) as found:
        assert np.array_equal(found["out"], raw)


def test_results_never_replace_what_is_needed(
    snnc: Snnc, artifact: Path, data: Path, tmp_path: Path
) -> None:
    before = data.read_bytes(), (artifact / "manifest.json").read_bytes()
    again = data.parent / ".." / data.parent.name / data.name
    for args in (
        ("run", artifact, "--data", data, "-o", again),
        ("run", artifact, "--data", data, "-o", tmp_path / "r.npz", "--integers", data),
        ("run", artifact, "--data", data, "-o", tmp_path / "r", "--integers", tmp_path / "r"),
        ("report", artifact, "--data", data, "-o", again),
        ("report", artifact, "-o", artifact / "manifest.json"),
        ("cost", artifact, "--data", data, "--sana-fe", data),
    ):
        result = snnc(*args)
        assert result.code == 9, args
        assert "SNNC-E435" in result.err
    assert (data.read_bytes(), (artifact / "manifest.json").read_bytes()) == before


@pytest.mark.parametrize("command", ["verify", "cost", "report"])
@pytest.mark.parametrize(
    ("shape", "value", "says"),
    [
        ((0, 16, 12), 0, "holds no samples"),
        ((3, 0, 12), 0, "no time steps"),
        ((3, 16, 12), 1e300, "numbers beyond 3.4e+38"),
        ((3, 16, 12), np.nan, "hold NaN or infinity"),
    ],
)
def test_data_that_say_nothing_are_refused(
    snnc: Snnc,
    artifact: Path,
    tmp_path: Path,
    command: str,
    shape: tuple[int, ...],
    value: float,
    says: str,
) -> None:
    np.save(tmp_path / "x.npy", np.full(shape, value))
    place = ("-o", tmp_path / "page.html") if command == "report" else ()
    result = snnc(command, artifact, "--data", tmp_path / "x.npy", *place)
    assert result.code == 3
    assert says in result.err
    assert list(tmp_path.iterdir()) == [tmp_path / "x.npy"]


def snnc_words(artifact: Path) -> list[str]:
    from snnc.artifact import Artifact

    return Artifact.open(artifact).simulator.words()


def test_run_gives_the_same_bytes_twice(
    snnc: Snnc, artifact: Path, data: Path, tmp_path: Path
) -> None:
    for name in ("a.npz", "b.npz"):
        assert snnc("run", artifact, "--data", data, "-o", tmp_path / name).code == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert zipfile.is_zipfile(tmp_path / "a.npz")


def test_inspect_shows_an_artifact_and_a_model(snnc: Snnc, artifact: Path, model: Path) -> None:
    result = snnc("inspect", artifact)
    assert "proven from" in result.out
    result = snnc("inspect", model)
    assert result.code == 0
    assert "fc0" in result.out
    assert ">=" in result.out  # the neuron's program
    assert snnc("inspect", model, "--json").document["layers"]


def test_explain(snnc: Snnc) -> None:
    assert "exit code is 7" in snnc("explain", "E410").out
    assert snnc("explain", "snnc-e410").out == snnc("explain", "E410").out
    assert "E201" in snnc("explain").out
    assert snnc("explain", "E999").code == 2


@pytest.mark.parametrize(
    ("command", "word"), [("targets", "lava"), ("ops", "Linear"), ("passes", "quantize")]
)
def test_lists(snnc: Snnc, command: str, word: str) -> None:
    result = snnc(command)
    assert result.code == 0
    assert word in result.out
    assert snnc(command, "--json").document["status"] == "ok"


def test_calibration_widens_the_input(snnc: Snnc, model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.linspace(-3, 3, 5 * 16 * 12).reshape(5, 16, 12))
    args = ("-o", tmp_path / "net", "--calibration", tmp_path / "c.npy")
    assert snnc("compile", model, *args).code == 0
    (entry,) = snnc("inspect", tmp_path / "net", "--json").document["manifest"]["inputs"]
    assert entry["lo"] * entry["scale"] == pytest.approx(-3)
    assert entry["hi"] * entry["scale"] == pytest.approx(3)


def test_clipped_inputs_are_a_warning(snnc: Snnc, artifact: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((1, 16, 12), 2.0))
    args = ("--data", tmp_path / "x.npy", "-o", tmp_path / "r.npz", "--json")
    document = snnc("run", artifact, *args).document
    assert document["status"] == "ok"
    assert [d["code"] for d in document["diagnostics"]] == ["SNNC-W424"]
