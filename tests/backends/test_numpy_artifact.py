"""The emitted NumPy folder: complete, stand-alone, and clear about wrong inputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.numpy import arrays
from snnc.backends.numpy.backend import NumpyBackend
from snnc.diagnostics import CompileError
from tests.agreement import random_reference
from tests.intgraphs import mlp, random_inputs, simulator
from tests.lavagraphs import several_inputs

#: Runs a script where nothing but NumPy and the standard library can be imported.
ALONE = (
    "import runpy, sys; "
    "sys.modules |= dict.fromkeys(['snnc', 'safetensors', 'networkx', 'torch', 'msgspec']); "
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def run(folder: Path, *args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", ALONE, str(folder / "run.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artifact") / "numpy"
    NumpyBackend().compile(mlp()).write(path)
    return path


def test_runs_with_numpy_alone(folder: Path, tmp_path: Path) -> None:
    want = random_reference(mlp(), 0, 5, 7)
    np.save(tmp_path / "x.npy", want.inputs["image"])
    done = run(folder, tmp_path / "x.npy", tmp_path / "y.npz", "--record", "all")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not want.difference(arrays.read_results(tmp_path / "y.npz"))
    assert np.load(tmp_path / "y.npz")["record:lif0.v"].shape == (5, 7, 9)


def test_equal_runs_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 3, 12), np.uint8))
    for name in ("a.npz", "b.npz"):
        assert run(folder, tmp_path / "x.npy", tmp_path / name).returncode == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 3, 12)), "input 'image' must be integers, got float64"),
        (np.zeros((2, 3, 11), int), "input 'image' must be ('N', 'T', 12), got (2, 3, 11)"),
        (np.full((2, 3, 12), 2), "input 'image' must be in [0, 1], got 2..2"),
    ],
)
def test_wrong_inputs_are_one_line_errors(
    folder: Path, tmp_path: Path, x: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "x.npy", x)
    done = run(folder, tmp_path / "x.npy", tmp_path / "y.npz")
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")
    assert not (tmp_path / "y.npz").exists()


def test_a_missing_file_and_a_pickle_are_errors(folder: Path, tmp_path: Path) -> None:
    done = run(folder, tmp_path / "none.npy", tmp_path / "y.npz")
    assert done.returncode == 2
    assert done.stderr.startswith("error: [Errno 2] No such file")
    np.save(tmp_path / "pickle.npy", np.array([{}], object), allow_pickle=True)
    done = run(folder, tmp_path / "pickle.npy", tmp_path / "y.npz")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "is not an .npy or .npz file of integers" in done.stderr


def test_an_unknown_word_lists_the_words(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 3, 12), np.uint8))
    done = run(folder, tmp_path / "x.npy", tmp_path / "y.npz", "--record", "lif0.v,nope")
    assert done.returncode == 2
    assert "no word is named 'nope'; there are lif0.s, lif0.v" in done.stderr


def test_several_inputs_come_by_name(tmp_path: Path) -> None:
    graph = several_inputs()
    NumpyBackend().compile(graph).write(tmp_path / "numpy")
    x = random_inputs(graph, np.random.default_rng(1), 2, 5)
    np.savez(tmp_path / "x.npz", **x)
    done = run(tmp_path / "numpy", tmp_path / "x.npz", tmp_path / "y.npz")
    assert (done.returncode, done.stderr) == (0, "")
    want, _ = simulator(graph).run(x)
    got, _ = arrays.read_results(tmp_path / "y.npz")
    assert all(np.array_equal(want[k], got[k]) for k in want)
    np.save(tmp_path / "x.npy", x["fast"])
    done = run(tmp_path / "numpy", tmp_path / "x.npy", tmp_path / "y.npz")
    assert "the network has inputs ['fast', 'slow']: give an .npz" in done.stderr


def test_the_backend_runs_its_folder(folder: Path) -> None:
    x = random_inputs(mlp(), np.random.default_rng(2), 2, 4)
    outputs, records = NumpyBackend().run(folder, x, record=["lif1.s"])
    np.testing.assert_array_equal(records["lif1.s"].sum(1), outputs["out"])
    with pytest.raises(CompileError, match=r"SNNC-E421\]: input 'image' must be in"):
        NumpyBackend().run(folder, {"image": x["image"] + 5})


def test_emission_is_deterministic() -> None:
    assert NumpyBackend().emit(mlp()) == NumpyBackend().emit(mlp())
