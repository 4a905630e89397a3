"""``info.c`` and ``interface.json``: what host programs need to know of a network."""

from __future__ import annotations

import json
from dataclasses import dataclass

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.memory import total_memory
from snnc.backends.c.network import Network
from snnc.backends.c.words import SIZES, Bounds, literal
from snnc.backends.c.writer import CWriter
from snnc.graph import Node
from snnc.intops import IntInput
from snnc.types import Clock

FORMAT = "snnc.c/1"


def info_source(net: Network) -> str:
    """Return ``info.c``: tables of inputs, outputs and words, and untyped entry points."""
    w = CWriter()
    w('#include "info.h"', "", f"const char snn_network_name[] = {names.string(net.graph.name)};")
    w(f"const uint32_t snn_default_steps = {net.graph.steps}u;")
    w(f"const uint32_t snn_max_steps = {net.graph.max_steps}u;")
    w(f"const uint32_t snn_min_steps = {net.min_steps}u;", "")
    value = net.plan.value
    inputs = [
        _Port(n.name, value(n.name), n.type.clock is Clock.STEP, input_bounds(n))
        for n in net.inputs
    ]
    outputs = [_output(net, n) for n in net.outputs]
    words = [
        _Port(x.name, x.buffer, True, x.buffer.bounds, x.loop, net.graph.steps_of(x.loop, 0))
        for x in net.words
    ]
    for kind, ports in (("input", inputs), ("output", outputs), ("word", words)):
        _ports(w, kind, ports)
    _entry(w, "begin", "in", net.inputs, net.static_inputs, net)
    _entry(w, "step", "in", net.inputs, net.step_inputs, net)
    if net.sequences:
        _entry(w, "sequence", "out", net.outputs, net.sequences, net)
    else:
        with w.block("snn_status snn_io_sequence(void *const *out)"):
            w("(void)out;", "return SNN_OK;")
        w("")
    _entry(w, "finish", "out", net.outputs, net.finals, net)
    if net.machine.is_host:
        _run(w, net)
    return w.text


@dataclass(frozen=True)
class _Port:
    """What ``snn_port`` holds."""

    name: str
    buffer: Buffer
    per_step: bool
    bounds: Bounds
    loop: int = 1
    steps: int = 0
    start: int = 0


def _output(net: Network, node: Node) -> _Port:
    buffer, loop = net.plan.value(node.name), max(1, node.type.clock.phase)
    sequence = node in net.sequences or node in net.late
    steps = net.graph.steps_of(loop, 0)
    return _Port(node.name, buffer, sequence, buffer.bounds, loop, steps, net.start_of(node))


def input_bounds(node: Node) -> Bounds:
    """Range that the network accepts."""
    assert isinstance(node.op, IntInput), "called for inputs"
    return node.op.lo, node.op.hi


def interface_json(net: Network) -> str:
    """Return ``interface.json``: the same names, unabridged, in the same order."""
    memory = total_memory(net)
    document = {
        "format": FORMAT,
        "name": net.graph.name,
        "steps": net.graph.steps,
        "max_steps": net.graph.max_steps,
        "min_steps": net.min_steps,
        "inputs": [
            {
                "name": n.name,
                "shape": list(n.type.shape),
                "clock": str(n.type.clock),
                "lo": input_bounds(n)[0],
                "hi": input_bounds(n)[1],
            }
            for n in net.inputs
        ],
        "outputs": [
            {
                "name": p.name,
                "shape": list(p.buffer.shape),
                "per_step": p.per_step,
                "steps": p.steps,
                "start": p.start,
            }
            for p in (_output(net, n) for n in net.outputs)
        ],
        "words": [
            {
                "name": x.name,
                "shape": list(x.buffer.shape),
                "steps": net.graph.steps_of(x.loop, 0),
            }
            for x in net.words
        ],
        "memory": {"static": memory.bss, "constant": memory.rodata},
    }
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


def _ports(w: CWriter, kind: str, ports: list[_Port]) -> None:
    for i, p in enumerate(ports):
        extents = ", ".join(map(str, p.buffer.shape)) or "1"
        w(f"static const int64_t {kind}_shape_{i}[] = {{{extents}}};")
    w(f"const size_t snn_{kind}_count = {len(ports)}u;")
    with w.block(f"const snn_port snn_{kind}s[] =", ";"):
        for i, p in enumerate(ports):
            ctype, size = p.buffer.ctype, p.buffer.size
            signed = int(not ctype.startswith("u"))
            numbers = f"{size}u, {SIZES[ctype]}u, {signed}, {int(p.per_step)}"
            loop = f"{p.loop}u, {p.steps}u, {p.start}u, {p.buffer.channels}u"
            limits = ", ".join(literal(n, "int64_t") for n in p.bounds)
            head = f"{names.string(p.name)}, {kind}_shape_{i}, {len(p.buffer.shape)}u"
            comma = "," if i < len(ports) - 1 else ""
            w(f"{{{head}, {numbers}, {loop}, {limits}}}{comma}")
        if not ports:
            w('{"", NULL, 0u, 0u, 0u, 0, 0, 0u, 0u, 0u, 0u, 0, 0}')
    w("")


def _entry(
    w: CWriter, name: str, array: str, ports: list[Node], used: list[Node], net: Network
) -> None:
    with w.block(f"snn_status snn_io_{name}(void *const *{array})"):
        if not used:
            w(f"(void){array};")
        w(f"return snn_{name}({', '.join(_places(net, array, ports, used))});")
    w("")


def _run(w: CWriter, net: Network) -> None:
    """``snn_io_run``."""
    frames = _places(net, "in", net.inputs, net.step_inputs)
    places = _places(net, "out", net.outputs, net.sequences)
    with w.block("snn_status snn_io_run(void *const *in, uint32_t steps, void *const *out)"):
        w(*(f"(void){name};" for name, used in (("in", frames), ("out", places)) if not used))
        w(f"return snn_run({', '.join([*frames, 'steps', *places])});")
    w("")


def _places(net: Network, array: str, ports: list[Node], used: list[Node]) -> list[str]:
    const = "const " if array == "in" else ""
    places = ((net.plan.value(n.name).ctype, ports.index(n)) for n in used)
    return [f"({const}{ctype} *){array}[{i}]" for ctype, i in places]
