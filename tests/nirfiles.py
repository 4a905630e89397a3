"""NIR files as exporters write them, and where the real ones lie."""

from __future__ import annotations

import ctypes
import importlib
import itertools
import os
import stat
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from snnc.backends.c.backend import CBackend
from snnc.container import LoadedModel
from snnc.frontends.from_nir import read_bytes
from snnc.frontends.nir_options import NirOptions
from snnc.graph import Graph

Fields = Mapping[str, Any]
Edges = Sequence[tuple[str, str]]


def write_nir(path: Path, nodes: Mapping[str, Fields], edges: Edges) -> Path:
    """Write a graph: nodes with a ``type`` and parameters; a sub-graph has nodes and edges."""
    h5py: Any = importlib.import_module("h5py")

    def graph(group: Any, nodes: Mapping[str, Fields], edges: Edges) -> None:
        group["type"] = "NIRGraph"
        text = h5py.string_dtype()
        pairs = np.array([*edges], dtype=object).reshape(-1, 2)
        group.create_dataset("edges", data=pairs, dtype=text)
        inner = group.create_group("nodes")
        for name, values in nodes.items():
            node = inner.create_group(name)
            if values["type"] == "NIRGraph":
                graph(node, values["nodes"], values["edges"])
                continue
            for key, value in values.items():
                node[key] = value

    with h5py.File(path, "w") as file:
        file["version"] = "1.0.8"
        graph(file.create_group("node"), nodes, edges)
    return path


def chain_of(shape: Sequence[int], *layers: Fields, out: Sequence[int] = (1,)) -> Any:
    """Arguments of ``write_nir`` for layers 0, 1, … in a row."""
    names = ["input", *map(str, range(len(layers))), "output"]
    ends = {"type": "Input", "shape": [*shape]}, {"type": "Output", "shape": [*out]}
    nodes = dict(zip(names, [ends[0], *layers, ends[1]], strict=True))
    return nodes, [*itertools.pairwise(names)]


def read(path: Path, options: str = "") -> LoadedModel:
    """Read in this process."""
    return read_bytes(path.read_bytes(), path.name, asdict(NirOptions.parse(options)))


def library_reads(nir: Any, path: Path) -> bool:
    """Whether the library of NIR reads a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            nir.read(path)
        except Exception:  # whatever it raises
            return False
    return True


def codes(model: LoadedModel) -> list[str]:
    """Codes of the diagnostics of a model."""
    return sorted(d.code for d in model.diagnostics)


def kernel_lines(graph: Graph, name: str) -> list[str]:
    """The program of a neuron."""
    return [*graph[name].op.kernel.text]  # type: ignore[attr-defined]


def read_nodes(path: Path) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str]]]:
    """Nodes and edges of a flat file, to be changed and written again."""
    h5py: Any = importlib.import_module("h5py")
    with h5py.File(path) as file:
        nodes = {name: {k: v[()] for k, v in n.items()} for name, n in file["node/nodes"].items()}
        edges = [(a.decode(), b.decode()) for a, b in file["node/edges"][()]]
    for node in nodes.values():
        node["type"] = node["type"].decode()
    return nodes, edges


def same_in_c(
    program: Graph,
    folder: Path,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    words: Mapping[str, Any],
) -> None:
    """The C program gives every output and every word of the simulator."""
    backend = CBackend()
    backend.compile(program).write(folder)
    found, states = backend.run(folder, dict(inputs), None, list(words))
    assert set(found) == set(outputs)
    assert set(states) == set(words)
    for key, value in {**outputs, **words}.items():
        np.testing.assert_array_equal(found[key] if key in found else states[key], value)


# ---- readers that go wrong, for the child process


def crash(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    ctypes.string_at(0)
    raise AssertionError("unreachable")


def spin(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    while True:
        pass


def sleep(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    time.sleep(3600)
    raise AssertionError("unreachable")


def devour(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    raise AssertionError(len(bytearray(1 << 40)))


def flood(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    pipes = [fd for fd in range(3, 64) if _is_pipe(fd)]
    while True:
        os.write(pipes[0], bytes(1 << 20))


def _is_pipe(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False


def chatter(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    print("not the answer")  # noqa: T201
    os.write(1, b"not the answer either")
    sys.stdout.flush()
    return LoadedModel(Graph(name, len(data)), {"options": dict(options)})


def write_file(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    Path(options["path"]).write_bytes(data)
    raise AssertionError("unreachable")


def leave(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    os._exit(3)


def unforeseen(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    raise KeyError("surprise")
