"""Outputs that say how sure the network is, and samples that stop by them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

import snnc
from snnc.artifact import Artifact
from snnc.diagnostics import CompileError
from snnc.early_exit import Exit, integer_limits, parse_exit
from snnc.graph import Graph
from snnc.ops import Input, Linear, Output, TimeMean, TimeStack, TimeSum
from snnc.params import Param
from snnc.passes import run_passes
from snnc.passes.add_confidence import MOST_CLASSES, AddConfidence
from snnc.types import TensorType
from tests.models import model_file
from tests.realgraphs import lif, mlp, noise, param, projected

T = 16


def averaged() -> Graph:
    """Scores are a mean over time."""
    g, rng = projected("averaged", 4)
    g.add("head", Linear(param(noise(rng, 4, 8))), lif(g, "lif", "fc"))
    g.add("mean", TimeMean(), "head")
    g.add("out", Output(), "mean")
    return g


NETWORKS = {"counts": lambda: mlp((12, 20, 5)), "means": averaged}


@pytest.fixture(scope="module", params=NETWORKS)
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("exit")
    model = model_file(folder, NETWORKS[request.param]())
    return snnc.compile(model, folder / "net", target="numpy,c", exit="confidence,margin")


def data(artifact: Artifact, samples: int = 12) -> np.ndarray:  # type: ignore[type-arg]
    (entry,) = artifact.manifest.inputs
    rng = np.random.default_rng(0)
    return rng.integers(entry.lo, entry.hi + 1, (samples, T, *entry.shape)) * entry.scale


def test_they_are_what_the_scores_say(artifact: Artifact) -> None:
    x = data(artifact)
    found = artifact.run(x).outputs
    scores = np.sort(found["out"], 1)
    share = np.exp(scores - scores.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    np.testing.assert_allclose(found["margin"], scores[:, -1] - scores[:, -2], atol=2e-3)
    np.testing.assert_allclose(found["confidence"], share.max(1), atol=2e-3)
    report = artifact.verify(x)
    assert report.exact
    assert min(x for x in report.quantized_spikes.values() if x is not None) > 0.999


@pytest.mark.parametrize("criterion", ["confidence", "margin"])
def test_a_sample_stops_as_if_it_had_ended_there(artifact: Artifact, criterion: str) -> None:
    """On NumPy and C: the same steps, and the outputs of a run of so many steps."""
    x = data(artifact)
    encoded = artifact.encode(x)
    whole = artifact.run(x).outputs[criterion]
    for threshold in (0.0, float(np.median(whole)), 1e9):
        limit = Exit(criterion, threshold)
        runs = [artifact.run_until(encoded, limit, b) for b in ("numpy", "c")]
        used = runs[0].used
        assert used is not None
        np.testing.assert_array_equal(used, runs[1].used)
        for name, value in runs[0].raw.items():
            np.testing.assert_array_equal(runs[1].raw[name], value)
        for n, t in enumerate(used):
            ended = artifact.run(x[n : n + 1, :t])
            for name, value in ended.outputs.items():
                np.testing.assert_array_equal(runs[0].outputs[name][n], value[0])
            before = [artifact.run(x[n : n + 1, :k]).outputs[criterion][0] for k in range(1, t)]
            assert all(value < threshold for value in before)
            assert t == T or ended.outputs[criterion][0] >= threshold
    assert set(artifact.run_until(encoded, Exit(criterion, -1.0)).used) == {1}  # type: ignore[arg-type]


def test_the_function_of_the_c_program(artifact: Artifact, tmp_path: Path) -> None:
    """A main of its own asks after every step."""
    x = artifact.encode(data(artifact, 1))["x"][0]
    limits = integer_limits(artifact.manifest, Exit("confidence", 0.5), T)
    rows = ",".join(str(v) for v in x.reshape(-1))
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "snn.h"\n'
        f"static const SNN_IN x[] = {{{rows}}};\n"
        "int main(void) {\n    int t = 0;\n    (void)snn_begin();\n"
        f"    while (t < {T}) {{\n        (void)snn_step(x + t * {x.shape[1]});\n        t++;\n"
        f"        if (snn_reached_confidence({limits[0]})) {{ break; }}\n    }}\n"
        '    printf("%d\\n", t);\n    return 0;\n}\n'
    )
    c = artifact.folder / "c"
    header = (c / "snn.h").read_text()
    ctype = header.split("snn_step(const ")[1].split(" ")[0]
    line = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", f"-DSNN_IN={ctype}", f"-I{c}"]
    sources = [str(tmp_path / "main.c"), str(c / "snn.c"), str(c / "weights.c")]
    subprocess.run([*line, *sources, "-o", str(tmp_path / "main")], check=True)
    done = subprocess.run([str(tmp_path / "main")], check=True, capture_output=True, text=True)
    run = artifact.run_until({"x": x[None]}, Exit("confidence", 0.5))
    assert run.used is not None
    assert int(done.stdout) == run.used[0]


def test_refused_in_the_model() -> None:
    def refused(graph: Graph, kind: str = "confidence") -> str:
        with pytest.raises(CompileError) as e:
            run_passes(graph, [AddConfidence(kind)])
        assert [d.code for d in e.value.diagnostics] == ["E234"]
        return str(e.value)

    g = Graph("steps", 4)
    g.add("x", Input(TensorType((3,))))
    g.add("stack", TimeStack(), "x")
    g.add("out", Output(), "stack")
    assert "a score for every class" in refused(g)
    assert "no such criterion" in refused(mlp(), "luck")
    named = mlp()
    named.add("confidence", Input(TensorType((3,))))
    assert "named 'confidence' already" in refused(named)
    many = Graph("many", 4)
    many.add("x", Input(TensorType((3,))))
    many.add("fc", Linear(Param(np.ones((MOST_CLASSES + 1, 3)))), "x")
    many.add("sum", TimeSum(), "fc")
    many.add("out", Output(), "sum")
    assert "every two classes" in refused(many, "margin")


def test_refused_at_run_time(artifact: Artifact) -> None:
    encoded = artifact.encode(data(artifact, 1))
    for text in ("confidence", "confidence=", "=", "confidence=nan", "confidence=high"):
        with pytest.raises(CompileError, match="OUTPUT=NUMBER"):
            parse_exit(text)
    for name in ("out", "luck"):
        with pytest.raises(CompileError, match="of one number") as e:
            artifact.run_until(encoded, Exit(name, 0.5))
        assert e.value.diagnostics[0].code == "E427"


def test_thresholds_are_rounded_up(artifact: Artifact) -> None:
    """The least integer whose real value reaches the threshold."""
    entry = next(o for o in artifact.manifest.outputs if o.name == "confidence")
    for threshold in (0.0, 0.5, 0.9, 1.0, -3.0, 1e30, -1e30):
        (limit,) = set(integer_limits(artifact.manifest, Exit("confidence", threshold), 4).tolist())
        if abs(limit) < 1 << 62:
            assert limit * entry.scale[0] >= threshold > (limit - 1) * entry.scale[0]
        else:
            assert (limit > 0) == (threshold > 0)
