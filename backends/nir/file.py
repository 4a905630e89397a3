"""Writes a NIR file: HDF5 as ``nir.write`` lays it out, without the package nir.

Layout: ``/version``, ``/node/type``, ``/node/nodes/<name>/…``, ``/node/edges``; every node, and the
graph, may have a group ``metadata`` of numbers and texts.
"""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from snnc.backends.nir.network import Network

#: The version of NIR whose nodes these are.
VERSION = "1.0.4"
#: Names in the metadata: of the graph, how it must be read; of a layer, what its integers mean.
OPTIONS, SCALE = "snnc", "weight_scale"


def write(net: Network, about: Mapping[str, Any], scales: Mapping[str, Any]) -> bytes:
    """The bytes of a file.

    Args:
        net: What it holds.
        about: What its metadata say besides the options of reading.
        scales: Of layers, by name: what an integer weight of each row stands for.
    """
    h5py: Any = importlib.import_module("h5py")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=True) as file:
        file.create_dataset("version", data=VERSION)
        root = file.create_group("node", track_order=True)
        root.create_dataset("type", data="NIRGraph")
        pairs = np.array(net.edges, dtype=object).reshape(-1, 2)
        root.create_dataset("edges", data=pairs, dtype=h5py.string_dtype())
        inner = root.create_group("nodes", track_order=True)
        for name, fields in net.nodes.items():
            group = inner.create_group(name, track_order=True)
            for key, value in fields.items():
                group.create_dataset(key, data=value)
            if name in scales:
                group.create_group("metadata").create_dataset(SCALE, data=scales[name])
        text = json.dumps({"options": net.options, **about}, sort_keys=True)
        root.create_group("metadata").create_dataset(OPTIONS, data=text)
    return buffer.getvalue()
