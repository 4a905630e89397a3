"""Formats of models that are read in a child process, for the campaign of ``mutants.py``.

A format is registered in two lines: a function that gives the bytes of a good file, and an entry
of ``FORMATS`` with the reader that ``snnc.frontends.isolated`` calls.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.netfiles import cuba, write_net
from tests.nirfiles import chain_of, write_nir


@dataclass(frozen=True)
class Format:
    """How a format is read.

    Attributes:
        reader: ``module:function``, called with the bytes, a name and the options.
        good: Bytes of a file that the reader accepts; it raises ImportError, and the format is
            left out, where the package that writes such files is missing.
        options: For the reader.
    """

    reader: str
    good: Callable[[], bytes]
    options: Mapping[str, Any] = field(default_factory=dict)


def nir_file() -> bytes:
    """A recurrent layer in a sub-graph behind a convolution."""
    lif = {"type": "LIF", "tau": np.full(3, 0.02), "v_threshold": np.ones(3), "v_leak": 0.0}
    ends = {"in": {"type": "Input", "shape": [3]}, "out": {"type": "Output", "shape": [3]}}
    loop = {**ends, "lif": lif, "rec": {"type": "Linear", "weight": np.eye(3)}}
    edges = [("in", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "out")]
    hidden = {"type": "NIRGraph", "nodes": loop, "edges": edges}
    conv = {"type": "Conv2d", "weight": np.ones((1, 1, 3, 3)), "bias": np.zeros(1), "stride": 1}
    flat = {"type": "Flatten", "start_dim": 0, "end_dim": -1}
    layers = [conv, flat, {"type": "Affine", "weight": np.ones((3, 4)), "bias": np.ones(3)}]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.nir"
        return write_nir(path, *chain_of((1, 4, 4), *layers, hidden, out=(3,))).read_bytes()


def lava_dl_file() -> bytes:
    """An image, a convolution, a recurrent layer with delays and an average."""
    neuron = cuba(4096, 128, 80)
    conv = {"type": "conv", "weight": np.ones((2, 1, 3, 3)), "padding": [1, 1], "neuron": neuron}
    flat = {"type": "flatten", "shape": np.array([18])}
    layer = {"type": "dense_rec", "weight": np.ones((4, 18)), "weight_rec": 2 * np.eye(4)}
    delays = {"delay": np.arange(4.0), "bias": np.ones(4), "neuron": neuron}
    average = {"type": "average", "shape": np.array([2])}
    image = {"type": "input", "shape": np.array([1, 3, 3]), "weight": [76.0], "neuron": neuron}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.net"
        layers = [image, conv, flat, {**layer, **delays}, average]
        return write_net(path, *layers, steps=4).read_bytes()


def onnx_file() -> bytes:
    """A Scan: a graph with another one inside."""
    from tests.onnxfiles import scan  # needs the package onnx

    return scan(5, 2)


def pickled_file() -> bytes:
    """A module saved whole, with layers in layers."""
    from torch import nn, save

    inner = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout())
    file = io.BytesIO()
    save(nn.Sequential(nn.Flatten(), inner, nn.ReLU(), inner[0]), file)
    return file.getvalue()


FORMATS: dict[str, Format] = {
    "lava-dl": Format("snnc.frontends.from_lava_dl:read_bytes", lava_dl_file),
    "nir": Format("snnc.frontends.from_nir:read_bytes", nir_file),
    "onnx": Format("snnc.frontends.from_onnx:parse_bytes", onnx_file),
    "pickled": Format("snnc.frontends.pickle_tree:read_bytes", pickled_file),
}
