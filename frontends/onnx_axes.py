"""What an ONNX graph says about its inputs: which axis it walks along, and how often it repeats."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from snnc.diagnostics import fail
from snnc.frontends.onnx_file import OnnxGraph, OnnxInput, OnnxModel, OnnxNode
from snnc.frontends.onnx_fold import Const
from snnc.frontends.readings import SHORTEST, FileInput

#: Element type of ONNX → number of the type in torch.
_SCALARS = {1: 7, 2: 1, 3: 2, 5: 3, 6: 4, 7: 5, 9: 12, 10: 7, 11: 8, 16: 7}
#: Extents for axes whose extent the file leaves open: steps, and samples.
STEPS, SAMPLES = 10, 3
#: Rounds of the longest loop.
ROUNDS = 2_000
#: What exporters and users call an axis of time.
_TIMES = ("t", "time", "steps", "num_steps", "seq", "sequence", "seq_len", "sequence_length")


@dataclass(frozen=True)
class Usage:
    """What the graph does with its inputs.

    Attributes:
        selected: (input, axis) of which single elements are taken, as a loop over time does.
        scanned: Those of them that a ``Scan`` or ``Loop`` walks along, whatever their extent.
        rounds: Numbers of rounds of loops that are written into the file.
        repetitions: How often the same weights are used: numbers of steps without time axis.
    """

    selected: set[tuple[int, int]] = field(default_factory=set)
    scanned: set[tuple[int, int]] = field(default_factory=set)
    rounds: list[int] = field(default_factory=list)
    repetitions: list[int] = field(default_factory=list)


#: An input behind operators that only rearrange it: its index, and where its axes are now.
_View = tuple[int, tuple[int | None, ...]]


def usage(model: OnnxModel, known: Mapping[str, Const]) -> Usage:
    """What the graph does with its inputs.

    Raises:
        CompileError: E143 for a loop that is longer than any sample.
    """
    found = Usage()
    views: dict[str, _View] = {}
    for i, x in enumerate(model.graph.inputs):
        views[x.name] = (i, tuple(range(len(x.shape or ()))))
    _walk(model.graph, views, dict(known), found, frozenset())
    found.repetitions.extend(_repetitions(model.graph, known))
    return found


def _repetitions(graph: OnnxGraph, known: Mapping[str, Const]) -> list[int]:
    """Numbers of steps, if no input has them: parts that are stacked, uses of the same weights."""
    made = {o: n.op for n in graph.nodes for o in n.outputs}
    stacked = Counter(
        len(n.inputs)
        for n in graph.nodes
        if n.op == "SequenceConstruct"
        or (n.op == "Concat" and all(made.get(x) in ("Unsqueeze", "Reshape") for x in n.inputs))
    )
    weights = Counter(
        (n.op, n.inputs[1:])
        for n in graph.nodes
        if n.op in ("Gemm", "MatMul", "Conv") and n.inputs[-1] in known
    )
    spikes = Counter(
        (n.op, n.path, n.frames)
        for n in graph.nodes
        if n.op in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    )
    counts = Counter(n for c in (weights, spikes) for n in c.values() if n >= SHORTEST)
    likely = [n for n, _ in stacked.most_common(2)] + [n for n, _ in counts.most_common(3)]
    common = [math.gcd(*counts)] if counts else []  # layers in a row have the same line of code
    return [n for n in dict.fromkeys(likely + common) if n >= SHORTEST]


def _walk(
    graph: OnnxGraph,
    views: dict[str, _View],
    known: dict[str, Const],
    found: Usage,
    counters: frozenset[str],
) -> None:
    for node in graph.nodes:
        view = views.get(node.input(0))
        match node.op:
            case "Scan":
                _scan(node, views, known, found)
            case "Loop":
                _loop(node, views, known, found)
            case "Identity" | "Cast" if view:
                views[node.outputs[0]] = view
            case "Transpose" if view and "perm" in node.attrs:
                index, axes = view
                if sorted(node.attrs["perm"]) == list(range(len(axes))):
                    views[node.outputs[0]] = (index, tuple(axes[d] for d in node.attrs["perm"]))
            case "Unsqueeze" | "Squeeze" if view and node.input(1) in known:
                _rearranged(node, view, known, views)
            case "Gather" if view and node.input(1) in counters:
                if (axis := _axis(view, node.attrs.get("axis", 0))) is not None:
                    found.selected.add((view[0], axis))
                    found.scanned.add((view[0], axis))
            case "Gather" if view and node.input(1) in known:
                if known[node.input(1)].array.size == 1:
                    _note(view, node.attrs.get("axis", 0), found)
            case "Split" if view:
                if len(node.outputs) >= SHORTEST:
                    _note(view, node.attrs.get("axis", 0), found)
            case "SplitToSequence" if view:
                _note(view, node.attrs.get("axis", 0), found)
            case "Slice" if view and {node.input(i) for i in (1, 2, 3)} <= {*known}:
                starts, ends, places = (known[node.input(i)].ints() for i in (1, 2, 3))
                for start, end, place in zip(starts, ends, places, strict=False):
                    if end - start == 1:
                        _note(view, place, found)
            case _:
                pass


def _rearranged(
    node: OnnxNode, view: _View, known: Mapping[str, Const], views: dict[str, _View]
) -> None:
    index, axes = view
    places = known[node.input(1)].ints()
    new = list(axes)
    if node.op == "Unsqueeze":
        rank = len(new) + len(places)
        for p in sorted(p % rank for p in places):
            new.insert(p, None)
    else:
        gone = {p % max(len(new), 1) for p in places}
        new = [a for i, a in enumerate(new) if i not in gone]
    views[node.outputs[0]] = (index, tuple(new))


def _axis(view: _View, axis: int) -> int | None:
    rank = len(view[1])
    return view[1][axis % rank] if rank else None


def _note(view: _View, axis: int, found: Usage) -> None:
    if (own := _axis(view, axis)) is not None:
        found.selected.add((view[0], own))


def _scan(node: OnnxNode, views: dict[str, _View], known: dict[str, Const], found: Usage) -> None:
    count = min(max(node.attrs.get("num_scan_inputs", 0), 0), len(node.inputs))
    names = node.inputs[len(node.inputs) - count :]
    for name, axis in zip(names, node.attrs.get("scan_input_axes", [0] * count), strict=False):
        if name in views and (own := _axis(views[name], axis)) is not None:
            found.selected.add((views[name][0], own))
            found.scanned.add((views[name][0], own))


def _loop(node: OnnxNode, views: dict[str, _View], known: dict[str, Const], found: Usage) -> None:
    if node.input(0) in known and known[node.input(0)].array.size == 1:
        rounds = known[node.input(0)].ints()[0]
        if rounds > ROUNDS:
            text = f"a loop runs {rounds:,} times"
            raise fail("E143", text, node.loc, help="export the model again")
        found.rounds.append(rounds)
    body = node.attrs.get("body")
    if isinstance(body, OnnxGraph) and body.inputs:
        inner = known | {n: Const(a, n) for n, a in body.tensors.items()}
        inside = dict(views)
        for x in body.inputs:
            inside.pop(x.name, None)
        _walk(body, inside, inner, found, frozenset((body.inputs[0].name,)))


def file_inputs(model: OnnxModel, used: Usage, name: str) -> tuple[FileInput, ...]:
    """The inputs, with extents for the axes whose extents the file leaves open.

    Raises:
        CompileError: E160 for an input that is no tensor of numbers of known rank.
    """
    timed = {(model.graph.inputs[i].shape or ())[a] for i, a in used.selected} | {
        d
        for x in model.graph.inputs
        for d in (x.shape or ())[:2]
        if isinstance(d, str) and d.lower() in _TIMES
    }

    def extent(i: int, a: int, x: OnnxInput, n: int | str | None) -> tuple[int, bool]:
        if isinstance(n, int):
            return n, True
        is_time = (i, a) in used.selected if n is None else n in timed
        return (STEPS, True) if is_time else (SAMPLES, False)

    found = []
    for i, x in enumerate(model.graph.inputs):
        if x.shape is None or x.element not in _SCALARS:
            text = f"{name}: input {x.name!a:.80} has no known rank and type"
            raise fail("E160", text, help="export the model with the shapes of its inputs")
        shape = tuple(extent(i, a, x, n) for a, n in enumerate(x.shape))
        found.append(FileInput(x.name, _SCALARS[x.element], shape))
    return tuple(found)
