"""Model files for tests, from graphs made by hand."""

from __future__ import annotations

from pathlib import Path

from snnc.container import LoadedModel, to_bytes
from snnc.graph import Graph


def model_file(folder: Path, graph: Graph, name: str = "model.pt") -> Path:
    """Write a graph as ``snnc.export`` writes one."""
    (folder / name).write_bytes(to_bytes(LoadedModel(graph, {})))
    return folder / name
