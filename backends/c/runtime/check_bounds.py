"""Check a certificate of sums against a stored program; shares no code with the compiler.

    python check_bounds.py PROGRAM bounds.json

PROGRAM is the folder with graph.json and tensors.safetensors. For every layer with weights: the
certified input contains what its producer is declared to give; no partial sum of distinct inputs,
in any order, leaves the certified interval; that interval fits the word of sums, and the declared
range that of the value (if it is raw, its readers apply shift and bias; where the sums of another
layer are added, those of both, by the shift that they have in common). The same for products of
two computed matrices, whose elements are sums of as many terms as the left one has columns.
Python's integers do not overflow.
"""

from __future__ import annotations

import array
import json
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

WORDS = {"uint8_t": (0, 255), "uint16_t": (0, 65535)}
WORDS |= {f"int{n}_t": (-(1 << (n - 1)), (1 << (n - 1)) - 1) for n in (8, 16, 32, 64)}
SIGNED = {"I8": 1, "I16": 2, "I32": 4, "I64": 8}
UNSIGNED = {"U8": 1, "U16": 2, "U32": 4, "U64": 8}


class Tensors:
    """Integers of a safetensors file."""

    def __init__(self, path: pathlib.Path) -> None:
        raw = pathlib.Path(path).read_bytes()
        size = int.from_bytes(raw[:8], "little")
        self.table, self.raw = json.loads(raw[8 : 8 + size]), raw[8 + size :]

    def rows(self, name: str, count: int) -> list[Sequence[int]]:
        """The elements of a tensor in so many rows."""
        entry = self.table[name]
        kinds = SIGNED if entry["dtype"] in SIGNED else UNSIGNED
        width, (start, end) = kinds[entry["dtype"]], entry["data_offsets"]
        part = memoryview(self.raw)[start:end]
        if sys.byteorder != "little":
            sys.exit("run this on a little-endian computer")
        letter = {1: "b", 2: "h", 4: "i", 8: "q"}[width]
        values = array.array(letter if kinds is SIGNED else letter.upper(), bytes(part))
        each = len(values) // count
        return [values[i * each : (i + 1) * each] for i in range(count)]


def inside(inner: Sequence[int], outer: Sequence[int]) -> bool:
    """Whether an interval lies in another."""
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def joined(
    layer: dict[str, Any], other: dict[str, Any], nodes: dict[str, dict[str, Any]]
) -> tuple[int, int]:
    """The sums of two layers, ``sums << shift`` each, in units of ``1 << layer["shift"]``."""
    shifts = [nodes[x["name"]]["attributes"]["shift"] for x in (layer, other)]
    low, high = (sum(x["sums"][k] << n for x, n in zip((layer, other), shifts, strict=True))
                 for k in (0, 1))  # fmt: skip
    return low >> layer["shift"], -(-high >> layer["shift"])


def check(
    layer: dict[str, Any],
    layers: dict[str, dict[str, Any]],
    nodes: dict[str, dict[str, Any]],
    tensors: Tensors,
) -> Iterator[str]:
    """Yield what is wrong with a layer."""
    node = nodes[layer["name"]]
    producer = nodes[node["inputs"][0]["src"]]
    low, high = layer["input"]
    edge, attributes = node["inputs"][0], node["attributes"]
    kind = producer["types"][edge["out"]]["dtype"]
    given = [(kind["lo"], kind["hi"]), (0, 0)]
    if edge["init"] is not None:
        given += [(n, n) for n in tensors.rows(edge["init"]["tensor"], 1)[0]]
    if not all(inside(g, (low, high)) for g in given):
        yield "its input is not within the certified interval"
    rows = tensors.rows(attributes["weight"]["tensor"], attributes["weight"]["shape"][0])
    least = most = 0
    for row in rows:
        up = sum(max(w * low, w * high) for w in row)
        down = sum(min(w * low, w * high) for w in row)
        least, most = min(least, down), max(most, up)
    if not inside((least, most), layer["sums"]):
        yield f"sums lie in [{least}, {most}], certified is {layer['sums']}"
    if not inside(layer["sums"], WORDS[layer["sum_word"]]):
        yield f"{layer['sums']} does not fit {layer['sum_word']}"
    declared = node["types"][0]["dtype"]
    value = layer["sums"] if layer["is_raw"] else (declared["lo"], declared["hi"])
    if "and" in layer:
        value = joined(layer, layers[layer["and"]], nodes)
    if not inside(value, WORDS[layer["value_word"]]):
        yield f"its range does not fit {layer['value_word']}"


def check_product(
    product: dict[str, Any], node: dict[str, Any], nodes: dict[str, dict[str, Any]]
) -> Iterator[str]:
    """Yield what is wrong with a product of two computed matrices."""
    types = [nodes[e["src"]]["types"][e["out"]] for e in node["inputs"]]
    for kind, certified in zip(types, product["factors"], strict=True):
        if not inside((kind["dtype"]["lo"], kind["dtype"]["hi"]), certified):
            yield "a factor is not within the certified interval"
    (a, b), (c, d) = product["factors"]
    ends, terms = (a * c, a * d, b * c, b * d, 0), types[0]["shape"][-1]
    sums = terms * min(ends), terms * max(ends)
    if not inside(sums, product["sums"]):
        yield f"sums lie in {list(sums)}, certified is {product['sums']}"
    if not inside(product["sums"], WORDS[product["sum_word"]]):
        yield f"{product['sums']} does not fit {product['sum_word']}"


def main(program: str, certificate: str) -> int:
    """Print what is wrong; the value is the exit code."""
    graph = json.loads(pathlib.Path(program, "graph.json").read_text(encoding="utf-8"))
    tensors = Tensors(pathlib.Path(program, "tensors.safetensors"))
    nodes = {n["name"]: n for n in graph["nodes"]}
    document = json.loads(pathlib.Path(certificate).read_text(encoding="utf-8"))
    layers, products = document["layers"], document["products"]
    weighted = [n["name"] for n in graph["nodes"] if "weight" in n["attributes"]]
    known = [layer["name"] for layer in layers]
    wrong = [f"{name}: is not in the certificate" for name in weighted if name not in known]
    by_name = {layer["name"]: layer for layer in layers}
    for layer in layers:
        wrong += [f"{layer['name']}: {text}" for text in check(layer, by_name, nodes, tensors)]
    for product in products:
        found = check_product(product, nodes[product["name"]], nodes)
        wrong += [f"{product['name']}: {text}" for text in found]
    sys.stdout.write(("\n".join(wrong) or f"{len(layers) + len(products)} layers certified") + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
