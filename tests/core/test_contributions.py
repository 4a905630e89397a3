"""Why integers leave the float model: causes that were put in are found, and remedies measured."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from snnc.alternatives import Alternative, alternatives, best_of
from snnc.artifact import Artifact
from snnc.contributions import Contributions, contributions
from snnc.data import Data, as_data
from snnc.driver import compile as compile_file
from snnc.graph import Graph, Value
from snnc.kernel import Const, Kernel, Line, State
from snnc.measure import Measured
from snnc.ops import Input, Linear, Neuron, Output, TimeSum
from snnc.params import Param
from snnc.types import TensorType
from tests.models import model_file

STEPS = 12


def network(decay: float, ternary: bool = False) -> Graph:
    """Two layers of LIF neurons with reset by subtraction, and a readout."""
    rng = np.random.default_rng(3)
    g = Graph("net", STEPS)
    last = g.add("x", Input(TensorType((16,)), 0.0, 1.0, 0.0)).name
    sizes = (16, 24, 24, 5)
    for i, (fan_in, rows) in enumerate(itertools.pairwise(sizes)):
        weight = rng.normal(0.1, 0.5, (rows, fan_in))
        weight = np.clip(np.rint(2 * weight), -1, 1) / 8 if ternary else weight
        last = g.add(
            f"fc{i}",
            Linear(Param(weight), None if ternary else Param(rng.normal(0, 0.1, rows))),
            last,
        ).name
        if i < 2:
            body = (
                Line("d", "mul", ("a", "v")),
                Line("u", "add", ("d", "x")),
                Line("s", "ge", ("u", "th")),
                Line("r", "mul", ("s", "th")),
                Line("w", "sub", ("u", "r")),
            )
            consts = (
                Const("a", Param(np.float64(decay))),
                Const("th", Param(np.float64(1.0))),
            )
            kernel = Kernel(("x",), (State("v", "w", Param(np.float64(0))),), consts, body, ("s",))
            last = g.add(f"lif{i}", Neuron(kernel, (rows,)), last).name
    g.add("sum", TimeSum(), Value(last))
    g.add("y", Output(), "sum")
    return g


def samples(artifact: Artifact, count: int, seed: int = 0) -> Data:
    x = np.random.default_rng(seed).random((count, STEPS, 16))
    return as_data(x, artifact.manifest.inputs)


def compiled(folder: Path, decay: float = 0.9, toml: str = "", **options: object) -> Artifact:
    model = model_file(folder, network(decay))
    if toml:
        (folder / "snnc.toml").write_text(toml)
        options["config"] = folder / "snnc.toml"
    return compile_file(model, folder / "net", **options)  # type: ignore[arg-type]


def costs(found: Contributions) -> dict[str, float]:
    assert found.twin == 1
    return {c.name: c.removed or 0.0 for c in found.parts}


def test_few_bits_of_weights_are_named_with_the_layer(tmp_path: Path) -> None:
    toml = "[layers.fc1]\nbits = 2\n[layers.fc0]\nbits = 12\n[layers.fc2]\nbits = 12\n"
    artifact = compiled(tmp_path, toml=toml, input_bits=14)
    found = contributions(artifact, samples(artifact, 16), STEPS)
    share = costs(found)
    assert share["weights"] > 0.9
    assert share["weights of fc1"] > 0.8 > share["weights of fc0"]
    assert found.worst is not None
    assert (found.worst.part, found.worst_layer and found.worst_layer.layer) == ("weights", "fc1")
    assert found.shipped.divergence["lif0"].f1 > found.shipped.divergence["lif1"].f1


def test_coarse_inputs_are_named(tmp_path: Path) -> None:
    artifact = compiled(tmp_path, bits=14, input_bits=3)
    share = costs(contributions(artifact, samples(artifact, 16), STEPS))
    assert share["inputs"] > 0.9
    assert share["inputs"] == max(share.values())


def test_too_few_guard_bits_are_rounding_and_more_are_advised(tmp_path: Path) -> None:
    model = model_file(tmp_path, network(0.97, ternary=True))  # weights that 2 bits hold exactly
    toml = "".join(f"[layers.{n}]\nguard = 1\n" for n in ("lif0", "lif1"))
    (tmp_path / "snnc.toml").write_text(toml)
    options = {"bits": 2, "method": "max", "input_bits": 14, "config": tmp_path / "snnc.toml"}
    artifact = compile_file(model, tmp_path / "net", **options)  # type: ignore[arg-type]
    found = contributions(artifact, samples(artifact, 16), STEPS)
    share = costs(found)
    assert share["neurons"] > 0.9
    assert share["rounding"] > 0.5 > share["weights"]
    tried = alternatives(artifact, found, samples(artifact, 64, 1), STEPS)
    assert tried.best is not None
    assert tried.best.name == "4 guard bits more"
    assert '[layers."lif1"] guard = 5' in tried.best.how
    assert "not tried" not in tried.advice


def test_the_advice_was_measured(tmp_path: Path) -> None:
    artifact = compiled(tmp_path, bits=3, input_bits=12)
    why = contributions(artifact, samples(artifact, 16), STEPS)
    found = alternatives(artifact, why, samples(artifact, 64, 1), STEPS)
    names = {a.name for a in found.tried}
    assert {"method gptq", "method auto", "4 bits in all layers"} <= names
    assert found.samples == 32
    assert found.best is not None
    assert found.best.recovered == pytest.approx(1 - found.best.measured.loss / found.now.loss)
    assert found.best.name in found.advice
    assert f"{100 * (found.best.recovered or 0):.0f} %" in found.advice
    again = compile_file(
        tmp_path / "model.pt", tmp_path / "wide", bits=4, input_bits=12
    )  # what the row of 4 bits says is what compiling gives
    row = next(a for a in found.tried if a.name == "4 bits in all layers")
    unseen = samples(artifact, 64, 1).dense["x"][1::2]
    direct = contributions(again, as_data(unseen, again.manifest.inputs), STEPS).shipped
    assert direct.error == pytest.approx(row.measured.error)


def test_integers_that_no_lowering_gives_are_said_to_be_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = compiled(tmp_path, bits=3)
    monkeypatch.setattr("snnc.contributions.relower", lambda _: None)
    found = contributions(artifact, samples(artifact, 4), STEPS)
    assert found.parts == ()
    assert found.twin is None
    assert found.worst is None
    assert "gives other integers" in found.unknown


def test_what_costs_no_bytes_is_preferred() -> None:
    def tried(*rows: tuple[str, float, int]) -> str:
        found = [
            Alternative(name, "", size, Measured(None, None, 0.1), share)
            for name, share, size in sorted(rows, key=lambda r: -r[1])
        ]
        best = best_of(found, 100)
        return "" if best is None else best.name

    assert tried(("gptq", 0.6, 100), ("wide", 0.9, 120)) == "gptq"
    assert tried(("gptq", 0.4, 100), ("wide", 0.9, 120), ("wider", 0.95, 140)) == "wide"
    assert tried(("gptq", 0.38, 100), ("wide", 0.45, 120)) == "gptq"
    assert tried(("gptq", 0.2, 100), ("wide", 0.45, 120)) == "wide"
    assert tried(("gptq", -0.2, 100), ("wide", 0.05, 120)) == ""
