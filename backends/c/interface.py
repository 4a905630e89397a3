"""``info.c`` and ``interface.json``: what host programs need to know of a network."""

from __future__ import annotations

import json

from snnc.backends.c import names
from snnc.backends.c.network import Network
from snnc.backends.c.plan import Buffer
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
    w(f"const uint32_t snn_max_steps = {net.graph.max_steps}u;", "")
    value = net.plan.value
    inputs = [
        (n.name, value(n.name), n.type.clock is Clock.STEP, input_bounds(n)) for n in net.inputs
    ]
    outputs = [
        (n.name, value(n.name), n in net.sequences, value(n.name).bounds) for n in net.outputs
    ]
    words = [(x.name, x.buffer, True, x.buffer.bounds) for x in net.words]
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
    return w.text


def input_bounds(node: Node) -> Bounds:
    """Range that the network accepts."""
    assert isinstance(node.op, IntInput), "called for inputs"
    return node.op.lo, node.op.hi


def interface_json(net: Network) -> str:
    """Return ``interface.json``: the same names, unabridged, in the same order."""
    document = {
        "format": FORMAT,
        "name": net.graph.name,
        "steps": net.graph.steps,
        "max_steps": net.graph.max_steps,
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
            {"name": n.name, "shape": list(n.type.shape), "per_step": n in net.sequences}
            for n in net.outputs
        ],
        "words": [{"name": x.name, "shape": list(x.buffer.shape)} for x in net.words],
        "memory": {"static": net.bytes, "constant": net.tables.bytes},
    }
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


def _ports(w: CWriter, kind: str, ports: list[tuple[str, Buffer, bool, Bounds]]) -> None:
    for i, (_, buffer, _, _) in enumerate(ports):
        extents = ", ".join(map(str, buffer.shape)) or "1"
        w(f"static const int64_t {kind}_shape_{i}[] = {{{extents}}};")
    w(f"const size_t snn_{kind}_count = {len(ports)}u;")
    with w.block(f"const snn_port snn_{kind}s[] =", ";"):
        for i, (name, buffer, per_step, (lo, hi)) in enumerate(ports):
            signed = int(not buffer.ctype.startswith("u"))
            numbers = f"{buffer.size}u, {SIZES[buffer.ctype]}u, {signed}, {int(per_step)}"
            limits = f"{literal(lo, 'int64_t')}, {literal(hi, 'int64_t')}"
            head = f"{names.string(name)}, {kind}_shape_{i}, {len(buffer.shape)}u"
            w(f"{{{head}, {numbers}, {limits}}}{',' if i < len(ports) - 1 else ''}")
        if not ports:
            w('{"", NULL, 0u, 0u, 0u, 0, 0, 0, 0}')
    w("")


def _entry(
    w: CWriter, name: str, array: str, ports: list[Node], used: list[Node], net: Network
) -> None:
    const = "const " if array == "in" else ""
    with w.block(f"snn_status snn_io_{name}(void *const *{array})"):
        if not used:
            w(f"(void){array};")
        places = ((net.plan.value(n.name).ctype, ports.index(n)) for n in used)
        listed = ", ".join(f"({const}{ctype} *){array}[{i}]" for ctype, i in places)
        w(f"return snn_{name}({listed});")
    w("")
