"""From the nested graph of a file to one flat network whose loops carry delays.

Sub-graphs are replaced by their nodes, under the name of the sub-graph.  In NIR an edge has no
delay, and a loop is meant to close over time: what comes back arrives one step later.  The edge
that leaves the loop's last neuron gets the delay, so that what is remembered are spikes; with
``loop="current"`` the edge on which its effect arrives at the next neuron.
"""

from __future__ import annotations

import difflib
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.diagnostics import CompileError, Diagnostic, Loc, error, warning
from snnc.frontends.nir_file import RawNode
from snnc.frontends.nir_layers import implied
from snnc.frontends.nir_neurons import NEURONS

Array = npt.NDArray[Any]
Wire = tuple[str, str]

#: A damaged file may have thousands of faults of one kind.
MAX_MESSAGES = 50


@dataclass
class Network:
    """A flat network.

    Attributes:
        nodes: By unique name.
        before: Names of the nodes that feed a node, by its name, in the order of the edges.
        inputs: Names of the Input nodes of the outermost graph.
        outputs: Names of its Output nodes.
        delayed: Edges that arrive one step later.
        diagnostics: Warnings about the file.
    """

    nodes: dict[str, RawNode] = field(default_factory=dict)
    before: dict[str, dict[str, None]] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    delayed: set[Wire] = field(default_factory=set)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def edges(self) -> list[Wire]:
        """All edges."""
        return [(a, b) for b, sources in self.before.items() for a in sources]

    def sources(self, name: str) -> list[str]:
        """Names of the nodes that feed ``name``, in the order of the edges."""
        return list(self.before.get(name, ()))

    def followers(self) -> dict[str, list[str]]:
        """Names of the nodes that every node feeds."""
        found: dict[str, list[str]] = {n: [] for n in self.nodes}
        for a, b in self.edges:
            found[a].append(b)
        return found


def flatten(root: RawNode, loop: str = "spikes") -> Network:
    """Flatten the graph, check its edges, drop what no output needs, and cut its loops.

    Args:
        root: As the file has it.
        loop: What a loop keeps for the next step: ``spikes`` or ``current``.

    Raises:
        CompileError: E146 for edges to nowhere, missing inputs and outputs; E203 for a loop
            without a neuron.
    """
    net = Network()
    problems: list[Diagnostic] = []
    _include(root, "", net, problems)
    if problems:
        raise CompileError(problems[:MAX_MESSAGES])
    outer = {name: node.kind for name, node in root.nodes.items()}
    if "Input" not in outer.values():
        _add_inputs(net, outer)
    if "Output" not in outer.values():
        _add_outputs(net, outer)
    ends = {a for a, _ in net.edges}, {b for _, b in net.edges}
    net.inputs = [n for n, kind in outer.items() if kind == "Input" and n not in ends[1]]
    net.outputs = [n for n, kind in outer.items() if kind == "Output" and n not in ends[0]]
    for kind, names in (("Input", net.inputs), ("Output", net.outputs)):
        if not names:
            hint = "export the model again; a NIR graph has an Input and an Output"
            problems.append(error("E146", f"the graph has no {kind} node", help=hint))
    _drop_unneeded(net)
    for name, node in net.nodes.items():
        if name not in net.inputs and not net.sources(name):
            problems.append(error("E146", f"nothing feeds {name} ({node.kind})", node.loc))
    if problems:
        raise CompileError(problems[:MAX_MESSAGES])
    _cut_loops(net, loop)
    return net


def _include(graph: RawNode, prefix: str, net: Network, problems: list[Diagnostic]) -> None:
    """Add the nodes and edges of a graph; names inside a sub-graph get its name in front."""
    inner = {name: n for name, n in graph.nodes.items() if n.kind == "NIRGraph"}
    for name, node in graph.nodes.items():
        if name in inner:
            _include(node, f"{prefix}{name}.", net, problems)
        else:
            full = f"{prefix}{name}"
            if full in net.nodes:
                problems.append(error("E146", f"two nodes are named {full}", node.loc))
            net.nodes[full] = node
    found: dict[str, Diagnostic] = {}  # one message for a name, not one for each of its edges
    for (a, b), count in Counter(graph.edges).items():
        src = _end(a, graph, prefix, "Output", found)
        dst = _end(b, graph, prefix, "Input", found)
        if count > 1:
            text = f"the edge {prefix}{a} → {prefix}{b} is there {count} times, and counts once"
            net.diagnostics.append(warning("W140", text, graph.loc))
        if src and dst:
            net.before.setdefault(dst, {})[src] = None
    problems += found.values()


def _end(
    name: str, graph: RawNode, prefix: str, port: str, found: dict[str, Diagnostic]
) -> str | None:
    """The flat node that an edge's end means: of a sub-graph, its only Input or Output."""
    node = graph.nodes.get(name)
    if node is not None and node.kind != "NIRGraph":
        return f"{prefix}{name}"
    if node is not None:
        ports = [n for n, inner in node.nodes.items() if inner.kind == port]
        if len(ports) == 1:
            return f"{prefix}{name}.{ports[0]}"
        text = f"sub-graph {prefix}{name} has {len(ports)} {port} nodes, an edge needs one"
        found[f"{name} {port}"] = error("E146", text, node.loc)
        return None
    outer, _, rest = name.partition(".")
    if rest and outer in graph.nodes and graph.nodes[outer].kind == "NIRGraph":
        return _end(rest, graph.nodes[outer], f"{prefix}{outer}.", port, found)
    # Some exporters flatten sub-graphs themselves: `lif1` then is `lif1.input`, `lif1.lif`, ….
    flat = f"{name}.{port.lower()}"
    if flat in graph.nodes and graph.nodes[flat].kind == port:
        return f"{prefix}{flat}"
    close = difflib.get_close_matches(name, list(graph.nodes)[:1000], 1, 0.4)
    hint = f"is {close[0]!r} meant? " if close else ""
    text = f"an edge of {graph.path or 'the graph'} names {name!r}, and there is no such node"
    note = f"its nodes are {', '.join(graph.nodes)}"[:300]
    found[name] = error("E146", text, graph.loc, note, help=f"{hint}export the model again")
    return None


def _add_inputs(net: Network, outer: dict[str, str]) -> None:
    """Give a graph without an Input one for every node that nothing feeds."""
    shapes = {n: implied(node) for n, node in net.nodes.items() if not net.sources(n)}
    for name, shape in shapes.items():
        if shape is not None:
            _add_port(net, outer, "Input", name, np.asarray(shape))


def _add_outputs(net: Network, outer: dict[str, str]) -> None:
    """Give a graph without an Output one for every node that feeds nothing."""
    last = [name for name, after in net.followers().items() if not after]
    for name in last:
        if net.nodes[name].kind != "Input":
            _add_port(net, outer, "Output", name, None)


def _add_port(
    net: Network, outer: dict[str, str], kind: str, name: str, shape: Array | None
) -> None:
    port = kind.lower() if kind not in outer.values() else f"{kind.lower()}.{name}"
    while port in net.nodes:
        port += "_"
    net.nodes[port] = RawNode(kind, port, {} if shape is None else {"shape": shape})
    outer[port] = kind
    a, b = (port, name) if kind == "Input" else (name, port)
    net.before.setdefault(b, {})[a] = None
    text = f"the graph has no {kind} there; {name} ({net.nodes[name].kind}) is taken for one end"
    net.diagnostics.append(warning("W140", text, net.nodes[name].loc))


def _drop_unneeded(net: Network) -> None:
    """Remove nodes that no output depends on, with a warning."""
    needed = set(net.outputs)
    todo = list(net.outputs)
    while todo:
        for source in net.sources(todo.pop()):
            if source not in needed:
                needed.add(source)
                todo.append(source)
    dropped = [n for n in net.nodes if n not in needed]
    if dropped and net.outputs:
        text = f"no output depends on {', '.join(dropped)[:200]}; left out"
        net.diagnostics.append(warning("W140", text))
        net.nodes = {n: node for n, node in net.nodes.items() if n in needed}
        net.before = {b: sources for b, sources in net.before.items() if b in needed}
        net.inputs = [n for n in net.inputs if n in needed]


def _cut_loops(net: Network, keeps: str) -> None:
    """Delay one edge of every loop, searching from the inputs on, depth first."""
    out = net.followers()
    while loop := _loop(net, out):
        wires = list(zip(loop, [*loop[1:], loop[0]], strict=True))
        if any(net.nodes[a].kind == "Delay" for a in loop):
            wire = next(w for w in wires if net.nodes[w[0]].kind == "Delay")
        else:
            neurons = [w for w in wires if net.nodes[w[0]].kind in NEURONS]
            spiking = [w for w in neurons if NEURONS[net.nodes[w[0]].kind].fires]
            if not neurons:
                path = [f"{name}: {net.nodes[name].kind}" for name in loop]
                text = "a loop without a neuron"
                hint = "a loop needs a state that it passes through"
                raise CompileError([error("E203", text, Loc(loop[0]), *path, help=hint)])
            wire = (spiking or neurons)[-1]
            if keeps == "current":
                wire = _arrival(net, wires, wire)
        net.delayed.add(wire)
        out[wire[0]].remove(wire[1])


def _arrival(net: Network, wires: list[Wire], first: Wire) -> Wire:
    """The edge of a loop on which what leaves by ``first`` arrives at the next neuron.

    It is ``first`` itself if no spike gives no current: then both remember the same, and spikes
    are exact in integers.
    """
    at = wires.index(first)
    biased = False
    for a, b in [*wires[at:], *wires[:at]]:
        biased |= bool(np.any(net.nodes[a].fields.get("bias", 0.0)))
        if net.nodes[b].kind in NEURONS:
            return (a, b) if biased else first
    return first


def _loop(net: Network, out: dict[str, list[str]]) -> list[str] | None:
    """The first loop that a search from the inputs meets, from its entry on; None without loops."""
    done: set[str] = set()
    for start in (*net.inputs, *net.nodes):
        if start in done:
            continue
        path, rest = [start], [iter(out[start])]
        on_path = {start}
        while path:
            following = next(rest[-1], None)
            if following is None:
                done.add(path[-1])
                on_path.discard(path.pop())
                rest.pop()
            elif following in on_path:
                return path[path.index(following) :]
            elif following not in done:
                path.append(following)
                on_path.add(following)
                rest.append(iter(out[following]))
    return None


def order(net: Network) -> list[str]:
    """The nodes, producers before their consumers but for delayed edges."""
    waiting = dict.fromkeys(net.nodes, 0)
    for wire in net.edges:
        waiting[wire[1]] += wire not in net.delayed
    after = net.followers()
    ready = deque(n for n in net.inputs if not waiting[n])
    later = deque(n for n, count in waiting.items() if not count and n not in ready)
    found = []
    while ready or later:  # what only reads the last step waits until it is needed
        name = ready.popleft() if ready else later.popleft()
        found.append(name)
        for consumer in after[name]:
            if (name, consumer) not in net.delayed:
                waiting[consumer] -= 1
                if not waiting[consumer]:
                    ready.append(consumer)
    assert len(found) == len(net.nodes), "every loop is cut"
    return found
