"""Prints the Lava processes of a plan as Python, and what each of them computes as JSON.

The Python is what Lava asks for: a class for each process with its ports, and one that models it.
No name of the user's model becomes code: they stand in comments and in the JSON, escaped.
"""

from __future__ import annotations

import json
from typing import Any

from snnc.backends.lava.plan import InPort, OutPort, Process, needs_int64
from snnc.graph import Edge, Graph

_HEAD = '''"""The Lava processes of this network, one for each layer; written by snnc.

Lava runs every Python file that lies beside this one, so keep this folder as it is.
"""

# The next import also lets Lava be imported on Python 3.11 and later: it must come first.
from layer import LayerModel, LayerProcess  # isort: skip

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
'''


def layers_json(graph: Graph, processes: tuple[Process, ...]) -> str:
    """What ``layer.py`` reads: nodes and ports of every process, in the terms of graph.json."""
    document: dict[str, Any] = {"format": "snnc.lava/1", "processes": []}
    index = {p.name: {port.name: port for port in p.outputs} for p in processes}
    inits = _init_places(graph)
    for process in processes:
        inputs = [
            {"port": p.name, "process": p.process, "sender": p.sender, **_value(p.edge, inits)}
            for p in process.inputs
        ]
        outputs = [{"port": p.name, **_value(p.edge, inits)} for p in process.outputs]
        assert all(i["sender"] in index[i["process"]] for i in inputs), "a port without a sender"
        document["processes"].append(
            {
                "name": process.name,
                "nodes": list(process.nodes),
                "inputs": inputs,
                "outputs": outputs,
            }
        )
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


def _init_places(graph: Graph) -> dict[Edge, list[Any]]:
    """Where graph.json has the initial value of an edge: node and operand."""
    return {e: [n.name, e.port] for n in graph for e in graph.in_edges(n.name)}


def _value(edge: Edge, inits: dict[Edge, list[Any]]) -> dict[str, Any]:
    init = inits[edge] if edge.delay and edge.init is not None else None
    return {"src": edge.src, "out": edge.out, "delay": edge.delay, "init_of": init}


def processes_py(graph: Graph, processes: tuple[Process, ...]) -> str:
    """The module with the process classes and their models."""
    names = [p.name for p in processes]
    table = "".join(f'    "{name}": {name},\n' for name in names)
    blocks = [_HEAD]
    blocks += [_process(graph, p) for p in processes]
    blocks.append(f"#: Every process class, by name.\nPROCESSES = {{\n{table}}}\n")
    return "\n\n".join(blocks)


def _process(graph: Graph, process: Process) -> str:
    head = [f"class {process.name}(LayerProcess):", *_comments(graph, process)]
    body = ["    def __init__(self, job):", "        super().__init__(job=job)"]
    model = [
        f"@implements(proc={process.name}, protocol=LoihiProtocol)",
        "@requires(CPU)",
        f"class {process.name}Model(LayerModel):",
    ]
    ports: list[InPort | OutPort] = [*process.inputs, *process.outputs]
    for port in ports:
        kind = type(port).__name__
        shape = f"job.port({port.type.shape!r})"
        body.append(f"        self.{port.name} = {kind}(shape={shape})  # {_words(port)}")
        word = f"np.{_word(port)}"
        model.append(f"    {port.name}: Py{kind} = LavaPyType(Py{kind}.VEC_DENSE, {word})")
    if not ports:
        model.append("    pass")
    return "\n".join([*head, "", *body, "", "", *model]) + "\n"


def _word(port: InPort | OutPort) -> str:
    return "int64" if needs_int64(port) else "int32"


def _comments(graph: Graph, process: Process) -> list[str]:
    return [
        f"    # {type(graph[n].op).__name__} {escaped(n)}: {graph[n].type}" for n in process.nodes
    ]


def _words(port: InPort | OutPort) -> str:
    text = f"{escaped(port.edge.src)}.{port.edge.out}: {port.type}"
    return text + (f", {port.edge.delay} step(s) ago" if port.edge.delay else "")


def escaped(name: str) -> str:
    r"""A name of the user's model, safe in a comment: printable ASCII on one line.

    >>> escaped("fc1"), escaped("x\nimport os")
    ("'fc1'", "'x\\nimport os'")
    """
    return ascii(name)
