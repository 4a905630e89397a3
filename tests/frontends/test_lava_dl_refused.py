"""What lava-dl files cannot say, or say wrongly, is refused by code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.diagnostics import CompileError, Severity
from tests.netfiles import Layer, cuba, dense, program, read, write_net


def refused(path: Path, options: str = "", compile_it: bool = False) -> list[str]:
    """Codes of the errors of reading a file, and perhaps of compiling it."""
    graph = read(path, options).graph if compile_it else None
    with pytest.raises(CompileError) as caught:
        read(path, options) if graph is None else program(graph)
    found = [d for d in caught.value.diagnostics if d.severity is Severity.ERROR]
    assert all(d.loc is not None or d.code in ("E178", "E170") for d in found)
    return sorted(d.code for d in found)


W = np.ones((2, 3), np.float32)
CONV = {"type": "conv", "weight": np.ones((2, 1, 3, 3)), "neuron": cuba()}
POOL = {"type": "pool", "weight": np.ones((1, 1, 2, 2)), "stride": 2, "neuron": cuba()}
IMAGE = {"type": "input", "shape": np.array([1, 5, 5])}
CASES: dict[str, tuple[list[Layer], str]] = {
    "unknown layer": ([{"type": "convT", "weight": W}], "E210"),
    "unknown neuron": ([dense(W, cuba() | {"type": "RF"})], "E210"),
    "sigma-delta": ([dense(W, {"type": "SDNN", "activation": "relu", "vThMant": 2})], "E210"),
    "complex": ([{"type": "dense", "weight/real": W, "weight/imag": W}], "E210"),
    "no weight": ([{"type": "dense", "neuron": cuba()}], "E170"),
    "no decay": ([dense(W, {"type": "CUBA", "vDecay": 1, "vThMant": 1})], "E170"),
    "a decay beyond 4096": ([dense(W, cuba(5000))], "E202"),
    "a fraction of a decay": ([dense(W, cuba(0.5))], "E202"),
    "decays for other channels": ([dense(W, cuba(np.arange(3)))], "E202"),
    "two thresholds": ([dense(W, cuba() | {"theta": 7})], "E202"),
    "a delay beyond 63": ([dense(W, cuba(), delay=np.array([1.0, 64.0]))], "E202"),
    "other delays": ([dense(W, cuba(), delay=np.arange(4.0))], "E202"),
    "sizes": ([dense(W, cuba()), dense(W, cuba())], "E202"),
    "no image": ([CONV], "E202"),
    "an image too small": ([{**IMAGE, "shape": np.array([1, 2, 5])}, CONV], "E202"),
    "another shape": ([IMAGE, {**CONV, "shape": np.array([2, 4, 4])}], "E202"),
    "windows that do not tile": ([IMAGE, POOL], "E210"),
    "a second input": ([dense(W, cuba()), IMAGE], "E202"),
    "groups": ([dense(W, cuba()), {"type": "average", "shape": np.array([3])}], "E202"),
    "delays of images": (
        [IMAGE, {**CONV, "delay": np.array([0.0, 3.0])}, {**CONV, "weight": np.ones((2, 2, 3, 3))}],
        "E210",
    ),
    "a bias without neurons": ([dense(W, bias=np.ones(2))], "E210"),
    "NaN": ([dense(W * np.nan, cuba())], "E301"),
    "adaptive and refractory": (
        [
            dense(
                W,
                cuba() | {"type": "ALIF", "thDecay": 1, "refDecay": 1, "vThStep": 1, "refDelay": 2},
            )
        ],
        "E210",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_by_code(case: str, tmp_path: Path) -> None:
    layers, code = CASES[case]
    assert refused(write_net(tmp_path / "a.net", *layers)) == [code]


def test_weights_must_be_whole_to_be_compiled(tmp_path: Path) -> None:
    path = write_net(tmp_path / "a.net", dense(W / 2, cuba()))
    assert refused(path, compile_it=True) == ["E327"]


def test_inputs_of_encoders_must_be_on_a_binary_grid(tmp_path: Path) -> None:
    entry = {"type": "input", "shape": np.array([4]), "neuron": cuba()}
    path = write_net(tmp_path / "a.net", entry)
    assert refused(path, f"input_step={1 / 255}", compile_it=True) == ["E327"]


def test_unread_parameters_are_named(tmp_path: Path) -> None:
    path = write_net(tmp_path / "a.net", dense(W, cuba() | {"novelty": 3}, extra=np.ones(2)))
    found = [d for d in read(path).diagnostics if d.code == "W170"]
    assert ["extra" in found[0].message, "novelty" in found[1].message] == [True, True]


@pytest.mark.parametrize(
    "text",
    ["compare=eq", "delay_shift=2", "steps=-1", "x=1", "steps=a", "input=2x", "input_lo=2"],
)
def test_wrong_options(text: str, tmp_path: Path) -> None:
    assert refused(write_net(tmp_path / "a.net", dense(W)), text) == ["E178"]


def drop_type(file: Any) -> None:
    del file["layer/0/type"]


def drop_layer(file: Any) -> None:
    file.move("layer/0", "layer/7")


def no_layers(file: Any) -> None:
    del file["layer/0"]


def number_as_type(file: Any) -> None:
    del file["layer/0/type"]
    file["layer/0/type"] = 3


def text_as_weight(file: Any) -> None:
    del file["layer/0/weight"]
    file["layer/0/weight"] = "heavy"


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (drop_type, "E170"),
        (drop_layer, "E170"),
        (no_layers, "E170"),
        (number_as_type, "E170"),
        (text_as_weight, "E144"),
    ],
)
def test_incomplete_files(damage: Callable[[Any], None], code: str, tmp_path: Path) -> None:
    import h5py  # type: ignore[import-untyped]

    path = write_net(tmp_path / "a.net", dense(W, cuba()))
    with h5py.File(path, "a") as file:
        damage(file)
    assert refused(path) == [code]
