"""lava-dl network files, written as ``net.export_hdf5`` writes them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from snnc.backends.numpy.simulator import Simulator
from snnc.container import LoadedModel
from snnc.frontends.from_lava_dl import read_bytes
from snnc.frontends.lava_dl_options import LavaDlOptions
from snnc.graph import Graph
from snnc.passes import run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.storage import dump_graph

Layer = Mapping[str, Any]


def cuba(i_decay: Any = 4096, v_decay: Any = 0, threshold: Any = 10, **more: Any) -> Layer:
    """Parameters of CUBA neurons."""
    names = {"type": "CUBA", "iDecay": i_decay, "vDecay": v_decay, "vThMant": threshold}
    return {**names, "refDelay": 1, "gradedSpike": False, **more}


def write_net(path: Path, *layers: Layer, steps: int | None = None) -> Path:
    """Write layers: fields with a ``type``, and perhaps parameters of neurons as ``neuron``."""
    h5py: Any = importlib.import_module("h5py")
    with h5py.File(path, "w") as file:
        for i, layer in enumerate(layers):
            group = file.create_group(f"layer/{i}")
            group.create_dataset("type", (1,), "S10", [layer["type"].encode()])
            for key, value in layer.items():
                if key == "neuron":
                    for name, parameter in value.items():
                        group[f"neuron/{name}"] = parameter
                elif key != "type":
                    group[key] = value
        if steps is not None:
            file["simulation/Ts"], file["simulation/tSample"] = 1, steps
    return path


def some_layers(source: Path, target: Path, wanted: Sequence[int]) -> Path:
    """A file with some layers of another one."""
    h5py: Any = importlib.import_module("h5py")
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        for i, layer in enumerate(wanted):
            old.copy(f"layer/{layer}", new.require_group("layer"), name=str(i))
    return target


def read(path: Path, options: str = "") -> LoadedModel:
    """Read in this process."""
    return read_bytes(path.read_bytes(), path.name, asdict(LavaDlOptions.parse(options)))


def program(graph: Graph, max_steps: int = 4096) -> Graph:
    """The integers, with proven ranges."""
    return run_passes(graph, integer_pipeline(profile="loihi", max_steps=max_steps))


def simulator(graph: Graph) -> Simulator:
    """The definition's run of an integer program."""
    text, blob = dump_graph(graph)
    return Simulator(json.loads(text), safetensors.numpy.load(blob))


def compiled(path: Path, options: str = "") -> Simulator:
    """Read and compile in this process."""
    return simulator(program(read(path, options).graph))


def dense(weight: Any, neuron: Layer | None = None, **more: Any) -> Layer:
    found = {"type": "dense", "weight": np.asarray(weight, np.float32), **more}
    return found if neuron is None else {**found, "neuron": neuron}
