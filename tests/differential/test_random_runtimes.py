"""Random graphs: NumPy, ONNX Runtime and torch agree on every word; failures are shrunk.

The campaign: ``pytest -m slow tests/differential/test_random_runtimes.py``.  ``SNNC_GRAPHS=2000``
before pytest runs so many in the ordinary tests, as ``tests/run.sh`` does, at 40 ms each; half of
that is ONNX Runtime getting ready for a model.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from snnc.backends.onnx.backend import OnnxBackend
from snnc.backends.onnx.session import Model
from snnc.backends.torch.batches import run
from snnc.graph import Graph
from tests.agreement import agree_on_random_graphs, random_reference
from tests.differential.test_sim_vs_torch import module

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

BLOCK = 25
IN_SUITE = int(os.environ.get("SNNC_GRAPHS", "100"))
CAMPAIGN = 50_000


def difference(graph: Graph, seed: int) -> str:
    """The first word in which a runtime differs, or an empty string."""
    want = random_reference(graph, seed, 5, 7)
    given = want.inputs, want.steps, want.words
    if found := want.difference(run(module(graph), *given)):
        return f"torch: {found}"
    with tempfile.TemporaryDirectory() as name:
        OnnxBackend().compile(graph).write(Path(name))
        found = want.difference(Model(Path(name)).run(*given))
    return f"onnx: {found}" if found else ""


@pytest.mark.parametrize("first", range(0, IN_SUITE, BLOCK))
def test_random_graphs(first: int) -> None:
    agree_on_random_graphs(range(first, first + BLOCK), difference)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(IN_SUITE, CAMPAIGN, BLOCK))
def test_the_campaign_of_random_graphs(first: int) -> None:
    agree_on_random_graphs(range(first, first + BLOCK), difference)
