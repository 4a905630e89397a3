"""Graphs with the proof of their bounds."""

from __future__ import annotations

from pathlib import Path

from snnc.backends.c.proof_run import write_proof
from snnc.graph import Graph
from snnc.storage import dump_graph


def certified(graph: Graph, folder: Path) -> Path:
    """The proof of a graph, with the stored program beside it, in ``program``."""
    write_proof(graph, folder)
    program = folder / "program"
    program.mkdir()
    text, blob = dump_graph(graph)
    (program / "graph.json").write_bytes(text)
    (program / "tensors.safetensors").write_bytes(blob)
    return folder / "proof"
