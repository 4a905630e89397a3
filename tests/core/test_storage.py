import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnc.diagnostics import CompileError
from snnc.passes import run_passes
from snnc.passes.pipeline import integer_pipeline, real_pipeline
from snnc.storage import dump_graph, load_graph
from tests.realgraphs import mlp, residual_conv

GRAPHS = {
    "traced": mlp(),
    "raised": run_passes(residual_conv(), real_pipeline()),
    "integer": run_passes(residual_conv(), integer_pipeline()),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_round_trip(name: str) -> None:
    graph = GRAPHS[name]
    stored = dump_graph(graph)
    again = load_graph(*stored)
    assert str(again) == str(graph)
    assert dump_graph(again) == stored


def damaged(change: str) -> tuple[bytes, bytes]:
    text, blob = dump_graph(GRAPHS["traced"])
    document = json.loads(text)
    node = document["nodes"][1]
    if change == "operator":
        node["op"] = "System"
    elif change == "field":
        node["attributes"]["hook"] = "os.system"
    elif change == "type":
        node["types"][0]["shape"] = ["3"]
    elif change == "tensor":
        node["attributes"]["weight"]["tensor"] = "missing"
    elif change == "source":
        node["inputs"][0]["src"] = "nobody"
    elif change == "port":
        node["inputs"][0]["out"] = 7
    elif change == "format":
        document["format"] = "snnc.graph/99"
    elif change == "shape":
        node["attributes"]["weight"]["shape"] = [1, 2]
    return json.dumps(document).encode(), blob


@pytest.mark.parametrize(
    "change", ["operator", "field", "type", "tensor", "source", "port", "format", "shape"]
)
def test_damaged_structure_is_refused(change: str) -> None:
    with pytest.raises(CompileError, match="E120"):
        load_graph(*damaged(change))


def test_wrong_types_are_refused() -> None:
    text, blob = dump_graph(GRAPHS["traced"])
    wrong = text.replace(b'"shape": [\n      20', b'"shape": [\n      21', 1)
    with pytest.raises(CompileError, match=r"E120|E20"):
        load_graph(wrong, blob[:-8])


@given(st.integers(0, 10**9), st.integers(0, 255))
def test_any_flipped_byte_is_an_error_or_a_graph(position: int, value: int) -> None:
    text, blob = dump_graph(GRAPHS["traced"])
    data = bytearray(text)
    data[position % len(data)] = value
    with contextlib.suppress(CompileError):
        load_graph(bytes(data), blob)


def test_a_delay_that_no_network_has() -> None:
    text, blob = dump_graph(mlp())
    longer = text.replace(b'"delay": 1,', b'"delay": 2147483647,', 1)
    assert longer != text
    with pytest.raises(CompileError, match=r"E120.*bad edge"):
        load_graph(longer, blob)
