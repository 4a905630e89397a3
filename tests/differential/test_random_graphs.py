"""Random graphs over all operators: NumPy and C agree on every word; failures are shrunk.

The campaign: ``pytest -m slow tests/differential/test_random_graphs.py``.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from snnc.backends.c.backend import CBackend
from snnc.graph import Graph
from tests.agreement import agree_on_random_graphs, random_reference

#: A graph takes 40 ms of a processor with tcc, 130 with gcc.
TCC = shutil.which("tcc") is not None
FAST = CBackend(compiler="tcc" if TCC else "", flags=("-std=c99", "-w", "-O0"))
BLOCK = 100
IN_SUITE = 2000 if TCC else 500
CAMPAIGN = 50_000


def difference(graph: Graph, seed: int, backend: CBackend = FAST) -> str:
    """The first word in which the backends differ, or an empty string."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        backend.compile(graph).write(folder)
        want = random_reference(graph, seed, 5, 7)
        return want.difference(backend.run(folder, want.inputs, want.steps, want.words))


@pytest.mark.parametrize("first", range(0, IN_SUITE, BLOCK))
def test_random_graphs(first: int) -> None:
    agree_on_random_graphs(range(first, first + BLOCK), difference)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(IN_SUITE, CAMPAIGN, BLOCK))
def test_the_campaign_of_random_graphs(first: int) -> None:
    agree_on_random_graphs(range(first, first + BLOCK), difference)
