"""NIR networks in the style of all ages and exporters, valid and broken, for tests."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.nirfiles import chain_of

RNG = np.random.default_rng(7)
DT = 1e-3
N = 4

Node = dict[str, Any]
Edge = tuple[str, str]


@dataclass(frozen=True)
class Style:
    """A network, and how its file is written.

    Attributes:
        nodes: As ``tests.nirfiles.write_nir`` takes them.
        edges: Pairs of names.
        shapes: Of one step of each input, by name.
        late: Flat edges that carry the value of the step before.
        options: For the reader.
        file: Peculiarities of the HDF5 file, see ``write``.
        missing: Ends that the file leaves out and the reader adds, for the reference.
    """

    nodes: Mapping[str, Node]
    edges: Sequence[Edge]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: {"input": (N,)})
    late: tuple[Edge, ...] = ()
    options: str = f"dt={DT}"
    file: str = ""
    missing: tuple[dict[str, Node], list[Edge]] | None = None

    @property
    def whole(self) -> tuple[dict[str, Node], list[Edge]]:
        """Nodes and edges with the ends that the file leaves out."""
        nodes, edges = self.missing or ({}, [])
        return {**self.nodes, **nodes}, [*self.edges, *edges]


def of(low: float, high: float, *shape: int) -> Any:
    """Random parameters; for one layer of ``N`` neurons by default."""
    return RNG.uniform(low, high, shape or (N,))


def port(kind: str, *shape: int) -> Node:
    return {"type": kind, "shape": np.array(shape or (N,))}


def linear(rows: int = N, columns: int = N) -> Node:
    return {"type": "Linear", "weight": RNG.normal(0.4, 0.7, (rows, columns))}


def affine(rows: int = N, columns: int = N) -> Node:
    return {**linear(rows, columns), "type": "Affine", "bias": of(-0.1, 0.2, rows)}


def lif(*shape: int) -> Node:
    names = {"tau": (4e-3, 2e-2), "r": (1, 2), "v_leak": (-0.05, 0.05)}
    names |= {"v_threshold": (0.15, 0.4), "v_reset": (-0.1, 0.0)}
    return {"type": "LIF", **{k: of(*r, *shape) for k, r in names.items()}}


def cuba(*shape: int) -> Node:
    rest = {k: v for k, v in lif(*shape).items() if k not in ("type", "tau")}
    taus = {"tau_mem": of(4e-3, 2e-2, *shape), "tau_syn": of(2e-3, 8e-3, *shape)}
    return {"type": "CubaLIF", **taus, "w_in": of(1, 2, *shape), **rest}


def without(node: Node, *names: str) -> Node:
    return {k: v for k, v in node.items() if k not in names}


def chain(shape: Sequence[int], *layers: Node, out: Sequence[int] = (N,), **more: Any) -> Style:
    nodes, edges = chain_of(shape, *layers, out=out)
    return Style(nodes, edges, **{"shapes": {"input": tuple(shape)}, **more})


def conv(kernel: Sequence[int], **fields: Any) -> Node:
    weight = RNG.normal(0.2, 0.5, kernel)
    bias = {} if fields.get("bias") is None else {"bias": of(-0.2, 0.2, kernel[0])}
    return {"type": f"Conv{len(kernel) - 2}d", "weight": weight, **fields, **bias}


def loop(neuron: Node, back: Node, **more: Any) -> Style:
    """A layer that feeds itself."""
    nodes, edges = chain_of((N,), linear(), neuron, out=(N,))
    nodes["back"] = back
    return Style(
        nodes, [*edges, ("1", "back"), ("back", "1")], **{"late": (("1", "back"),), **more}
    )


def sub_graph(*inner: tuple[str, Node], more: Sequence[Edge] = ()) -> Node:
    """A sub-graph of nodes in a row, with further edges."""
    names = ["input", *(name for name, _ in inner), "output"]
    nodes = {"input": port("Input"), **dict(inner), "output": port("Output")}
    return {"type": "NIRGraph", "nodes": nodes, "edges": [*itertools.pairwise(names), *more]}


def sinabs_cnn() -> Style:
    fire = {"type": "IF", "r": 1.0, "v_threshold": 1.0}
    layers = (
        conv((3, 2, 3, 3), stride=[1, 1], padding=[1, 1], dilation=[1, 1], groups=1, bias=True),
        fire,
        {"type": "SumPool2d", "kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0]},
        {"type": "Flatten", "start_dim": 0, "end_dim": -1, "input_type": [3, 3, 3]},
        affine(5, 27),
        fire,
    )
    return chain((2, 6, 6), *layers, out=(5,), options="dt=1")


def several_ports() -> Style:
    nodes = {
        "left": port("Input"), "right": port("Input", 3), "a": linear(), "b": linear(N, 3),
        "both": lif(), "one": port("Output"), "other": port("Output"),
    }  # fmt: skip
    edges = [
        ("left", "a"),
        ("right", "b"),
        ("a", "both"),
        ("b", "both"),
        ("both", "one"),
        ("a", "other"),
    ]
    return Style(nodes, edges, {"left": (N,), "right": (3,)})


def ported_sub_graph() -> Style:
    """A sub-graph with two inputs, which edges name as ``sub.port``."""
    inner = {"x": port("Input"), "y": port("Input"), "lif": lif(), "out": port("Output")}
    sub = {
        "type": "NIRGraph",
        "nodes": inner,
        "edges": [("x", "lif"), ("y", "lif"), ("lif", "out")],
    }
    nodes = {
        "input": port("Input"),
        "a": linear(),
        "b": linear(),
        "sub": sub,
        "output": port("Output"),
    }
    edges = [("input", "a"), ("input", "b"), ("a", "sub.x"), ("b", "sub.y"), ("sub.out", "output")]
    return Style(nodes, edges)


def flattened_sub_graph() -> Style:
    """As old exporters flattened it: its nodes have its name, edges still name the sub-graph."""
    nodes = {
        "input": port("Input"), "fc": affine(), "h.input": port("Input"), "h.lif": cuba(),
        "h.rec": affine(), "h.output": port("Output"), "output": port("Output"),
    }  # fmt: skip
    inner = [("h.input", "h.lif"), ("h.lif", "h.rec"), ("h.rec", "h.lif"), ("h.lif", "h.output")]
    edges = [("input", "fc"), ("fc", "h"), *inner, ("h", "output")]
    return Style(nodes, edges, late=(("h.lif", "h.rec"),))


def feedback() -> Style:
    nodes, edges = chain_of((N,), linear(), lif(), linear(), lif(), out=(N,))
    nodes["back"] = linear()
    return Style(nodes, [*edges, ("3", "back"), ("back", "1")], late=(("3", "back"),))


def self_loop() -> Style:
    nodes, edges = chain_of((N,), linear(), {**lif(), "r": 0.5}, out=(N,))
    return Style(nodes, [*edges, ("1", "1")], late=(("1", "1"),))


def delayed_loop(delay: Any) -> Style:
    nodes, edges = chain_of((N,), linear(), lif(), out=(N,))
    nodes["later"] = {"type": "Delay", "delay": delay}
    return Style(nodes, [*edges, ("1", "later"), ("later", "1")])


def branches() -> Style:
    nodes, edges = chain_of((N,), linear(), lif(), out=(N,))
    nodes["skip"] = {"type": "Scale", "scale": of(0.1, 0.4)}
    return Style(nodes, [*edges, ("input", "skip"), ("skip", "1")])


def no_ends() -> Style:
    ends = {"input": port("Input", 6), "output": port("Output")}
    edges = [("input", "fc"), ("lif", "output")]
    nodes = {"fc": affine(N, 6), "lif": lif()}
    return Style(nodes, [("fc", "lif")], {"input": (6,)}, missing=(ends, edges))


def lost() -> Style:
    style = chain((N,), linear(), lif())
    return replace(style, nodes={**style.nodes, "lost": lif()}, edges=[*style.edges, ("1", "lost")])


def twice() -> Style:
    style = chain((N,), linear(), lif())
    return replace(style, edges=[*style.edges, style.edges[0]])


def batched() -> Style:
    """The input claims (time, features)."""
    style = chain((N,), linear(), lif())
    return replace(style, nodes={**style.nodes, "input": port("Input", 100, N)})


def counted() -> Style:
    """Flatten counts the batch axis, as torch does; the reference does not."""
    layers = {"type": "Flatten", "start_dim": 1, "end_dim": -1}, linear(N, 24), lif()
    style = chain((2, 3, 4), *layers)
    return replace(style, missing=({"0": {"type": "Flatten"}}, []))


WHOLE = {"r": 2, "tau": 12, "v_leak": 0, "v_threshold": 1, "v_reset": 0}
SMALL = {"type": "LIF", "tau": 5e-3, "v_threshold": 0.2}
CUBA_LI = without(cuba(), "v_threshold", "v_reset")

VALID: dict[str, Style] = {
    "lif with scalars": chain((N,), linear(), SMALL),
    "lif with vectors": chain((N,), linear(), lif()),
    "lif of an image": chain((2, 3, 2), {**lif(2, 3, 2), "r": of(2, 3, 2, 3, 2)}, out=(2, 3, 2)),
    "lif without v_reset": chain((N,), affine(), without(lif(), "v_reset")),
    "lif without r and leak": chain((N,), affine(), without(lif(), "r", "v_leak", "v_reset")),
    "lif with a batch axis": chain((N,), linear(), lif(1, N)),
    "if with scalars": chain((N,), linear(), {"type": "IF", "r": 80.0, "v_threshold": 0.5}),
    "if with v_reset": chain(
        (N,),
        linear(),
        {"type": "IF", "r": of(50, 99), "v_threshold": of(0.3, 1), "v_reset": of(0, 0.2)},
    ),
    "if without r": chain((N,), linear(), {"type": "IF", "v_threshold": 1.5}, options="dt=1"),
    "li": chain((N,), linear(), without(lif(), "v_threshold", "v_reset") | {"type": "LI"}),
    "li without r and leak": chain((N,), linear(), {"type": "LI", "tau": 7e-3}),
    "i": chain((N,), linear(), {"type": "I", "r": of(1, 2)}),
    "cubali": chain((N,), linear(), CUBA_LI | {"type": "CubaLI"}),
    "cubalif": chain((N,), linear(), cuba()),
    "cubalif of nir 0.2": chain((N,), linear(), without(cuba(), "w_in", "v_reset")),
    "cubalif with scalars": chain(
        (N,), linear(), {"type": "CubaLIF", "tau_mem": 8e-3, "tau_syn": 4e-3, "v_threshold": 0.2}
    ),
    "threshold": chain((N,), linear(), {"type": "Threshold", "threshold": of(0.4, 0.9)}),
    "threshold with a scalar": chain((N,), {"type": "Threshold", "threshold": 0.6}),
    "affine": chain((3,), affine(N, 3)),
    "affine with bias False": chain((N,), {**linear(), "type": "Affine", "bias": False}, lif()),
    "affine with one bias": chain((N,), {**linear(), "type": "Affine", "bias": 0.1}, lif()),
    "weights with a batch axis": chain(
        (N,), {"type": "Linear", "weight": of(0, 1, 1, N, N)}, lif()
    ),
    "scale": chain((N,), {"type": "Scale", "scale": of(-1, 2)}, linear(), lif()),
    "scale by one number": chain((2, 3), {"type": "Scale", "scale": 0.25}, out=(2, 3)),
    "scale with a batch axis": chain((N,), {"type": "Scale", "scale": of(0, 2, 1, N)}),
    "flatten": chain((2, 3, 4), {"type": "Flatten"}, out=(24,)),
    "flatten some axes": chain(
        (2, 3, 4),
        {"type": "Flatten", "start_dim": 1, "end_dim": 2, "input_type": [2, 3, 4]},
        out=(2, 12),
    ),
    "flatten of torch": counted(),
    "sum pool with one number": chain(
        (2, 4, 6), {"type": "SumPool2d", "kernel_size": 2}, out=(2, 2, 3)
    ),
    "sum pool": chain(
        (1, 5, 6),
        {"type": "SumPool2d", "kernel_size": [3, 2], "stride": [2, 1], "padding": [1, 0]},
        out=(1, 3, 5),
    ),
    "average pool": chain(
        (2, 4, 4),
        {"type": "AvgPool2d", "kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0]},
        out=(2, 2, 2),
    ),
    "conv1d": chain(
        (2, 9), conv((3, 2, 4), stride=2, padding=1, dilation=1, groups=1, bias=True), out=(3, 4)
    ),
    "conv1d same": chain((2, 9), conv((3, 2, 3), padding="same"), out=(3, 9)),
    "conv2d without input_shape": chain(
        (2, 5, 6), conv((3, 2, 3, 3), stride=1, padding=0), out=(3, 3, 4)
    ),
    "conv2d with groups": chain(
        (4, 7, 6),
        conv(
            (4, 2, 2, 3),
            stride=[2, 1],
            padding=[1, 0],
            dilation=[2, 1],
            groups=2,
            input_shape=[7, 6],
            bias=True,
        ),
        out=(4, 4, 4),
    ),
    "conv2d valid": chain(
        (1, 4, 4), {**conv((2, 1, 2, 2), padding="valid"), "bias": False}, out=(2, 3, 3)
    ),
    "conv2d same": chain(
        (1, 4, 4), conv((2, 1, 3, 3), padding="same", bias=True), lif(2, 4, 4), out=(2, 4, 4)
    ),
    "cnn of sinabs": sinabs_cnn(),
    "delay": chain(
        (N,), linear(), lif(), {"type": "Delay", "delay": of(3e-3, 3e-3)}, linear(), lif()
    ),
    "delay of one number": chain((N,), {"type": "Delay", "delay": 2e-3}),
    "delay of nothing": chain((N,), {"type": "Delay", "delay": np.zeros(N)}, lif()),
    "delays that differ": chain(
        (N,), lif(), {"type": "Delay", "delay": [0, 1e-3, 5e-3, 2e-3]}, lif()
    ),
    "a delay in a loop": delayed_loop(4e-3),
    "delays that differ in a loop": delayed_loop(np.array([1e-3, 2e-3, 1e-3, 7e-3])),
    "recurrent lif": loop(lif(), linear()),
    "recurrent cubalif with a bias": loop(cuba(), affine()),
    "recurrent as in norse": loop(
        cuba(), affine(), late=(("back", "1"),), options=f"dt={DT},loop=current"
    ),
    "a neuron that feeds itself": self_loop(),
    "feedback over two layers": feedback(),
    "sub-graph": chain((N,), linear(), sub_graph(("lif", lif()), ("fc", affine())), lif()),
    "recurrent sub-graph": chain(
        (N,), affine(), sub_graph(("lif", cuba()), more=[("lif", "rec"), ("rec", "lif")]), linear()
    ),
    "nested sub-graphs": chain((N,), sub_graph(("a", linear()), ("b", sub_graph(("lif", lif()))))),
    "flattened sub-graph": flattened_sub_graph(),
    "sub-graph with two inputs": ported_sub_graph(),
    "two inputs and outputs": several_ports(),
    "branches": branches(),
    "an edge twice": twice(),
    "a node for nothing": lost(),
    "time axis in the input": batched(),
    "without input and output": no_ends(),
    "without a version": chain((N,), linear(), lif(), file="fixed strings"),
    "metadata": chain((N,), linear(), lif(), file="metadata"),
    "compressed": chain((N,), affine(), lif(), file="compressed"),
    "big-endian": chain((N,), affine(), lif(), file="big-endian"),
    "integers": chain(
        (N,),
        {"type": "Linear", "weight": np.arange(16).reshape(4, 4)},
        {"type": "LIF", **WHOLE},
        options="dt=1",
    ),
    "newest HDF5": chain((N,), affine(), cuba(), file="latest"),
}
VALID["recurrent sub-graph"].nodes["1"]["nodes"]["rec"] = linear()
VALID["recurrent sub-graph"] = replace(VALID["recurrent sub-graph"], late=(("1.lif", "1.rec"),))


def write(path: Path, style: Style) -> Path:
    """Write the file of a network."""
    h5py: Any = importlib.import_module("h5py")

    def text(value: str) -> Any:
        return np.bytes_(value) if style.file == "fixed strings" else value

    def data(group: Any, key: str, value: Any) -> None:
        array = np.asarray(value)
        if isinstance(value, str):
            group[key] = text(value)
        elif style.file == "compressed" and array.ndim:
            group.create_dataset(key, data=array, compression="gzip", chunks=True, shuffle=True)
        elif style.file == "big-endian":
            group[key] = array.astype(array.dtype.newbyteorder(">"))
        else:
            group[key] = array

    def graph(group: Any, nodes: Mapping[str, Node], edges: Sequence[Edge]) -> None:
        group["type"] = text("NIRGraph")
        fixed = style.file == "fixed strings"
        pairs = np.array([*edges], dtype="S" if fixed else object).reshape(-1, 2)
        group.create_dataset("edges", data=pairs, dtype=None if fixed else h5py.string_dtype())
        inner = group.create_group("nodes", track_order=True)
        for name, fields in nodes.items():
            node = inner.create_group(name)
            if fields["type"] == "NIRGraph":
                graph(node, fields["nodes"], fields["edges"])
                continue
            for key, value in fields.items():
                data(node, key, value)
            if style.file == "metadata":
                extra = node.create_group("metadata")
                extra["layer"], extra["epoch"] = "made in a test", 12

    with h5py.File(path, "w", libver="latest" if style.file == "latest" else None) as file:
        if style.file != "fixed strings":
            file["version"] = "1.0.8"
        graph(file.create_group("node"), style.nodes, style.edges)
    return path
