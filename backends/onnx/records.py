"""Makes spikes and states outputs of a model; this needs the package onnx."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import onnx
from onnx import ModelProto, helper


def with_records(
    model: bytes, words: Iterable[str], places: Mapping[str, Any]
) -> tuple[bytes, dict[str, str]]:
    """The model with an output (N, T, ...) for every word.

    Args:
        model: What the compiler wrote.
        words: Names of words.
        places: Of every word: its loop, its name there and its shape.

    Returns:
        The longer model, and the name of the output of each word.
    """
    found: ModelProto = onnx.load_model_from_string(model)
    scans = {node.name: node for node in found.graph.node if node.op_type == "Scan"}
    outputs = {}
    for i, word in enumerate(words):
        place = places[word]
        scan = scans[place["loop"]]
        body = next(a.g for a in scan.attribute if a.name == "body")
        name, inner = f"//record {i}", f"//recorded {i}"
        # in int64, so that its type need not be known here
        body.node.append(helper.make_node("Cast", [place["value"]], [inner], to=7))
        shape = place["shape"]
        body.output.append(helper.make_tensor_value_info(inner, 7, ["N", *shape]))
        scan.output.append(name)
        axes = next((a for a in scan.attribute if a.name == "scan_output_axes"), None)
        if axes is None:
            scan.attribute.append(helper.make_attribute("scan_output_axes", [1]))
        else:
            axes.ints.append(1)
        found.graph.output.append(helper.make_tensor_value_info(name, 7, ["N", "T", *shape]))
        outputs[word] = name
    return found.SerializeToString(deterministic=True), outputs
