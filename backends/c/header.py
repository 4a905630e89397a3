"""``snn.h``: what a program may ask of the network, and how it answers."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from snnc.backends.c import names
from snnc.backends.c.writer import CWriter

if TYPE_CHECKING:
    from snnc.backends.c.network import Network

STATUS = (
    ("SNN_OK", "done"),
    ("SNN_RANGE", "an input element is outside its range; nothing has changed"),
    ("SNN_ORDER", "call snn_begin first; nothing has changed"),
    ("SNN_TOO_LONG", "more than SNN_MAX_STEPS steps; nothing has changed"),
    ("SNN_NULL", "an input pointer is null; nothing has changed"),
    ("SNN_TOO_SHORT", "fewer than SNN_MIN_STEPS steps so far; nothing has changed"),
    ("SNN_EVENT", "an event is none of the input's elements; nothing has changed"),
)


def header(net: Network) -> str:
    """Return ``snn.h``."""
    w = CWriter()
    w(names.comment(f"network {net.graph.name}"))
    w("#ifndef SNN_H", "#define SNN_H", "", "#include <stddef.h>", "#include <stdint.h>", "")
    if net.graph.max_steps:
        w("/* The ranges of all words are proven for at most so many steps. */")
        w(f"#define SNN_MAX_STEPS {net.graph.max_steps}u", "")
    if net.min_steps:
        w("/* With fewer steps there are no results. */")
        w(f"#define SNN_MIN_STEPS {net.min_steps}u", "")
    for kind, nodes in (("INPUT", net.inputs), ("OUTPUT", net.outputs)):
        for i, n in enumerate(nodes):
            shape = "x".join(map(str, n.type.shape)) or "1"
            w(names.comment(f"{n.name}: {shape}, {n.type.dtype}"))
            w(f"#define SNN_{kind}_{i}_SIZE {prod(n.type.shape)}u")
    w("")
    with w.block("typedef enum", " snn_status;"):
        last = len(STATUS) - 1
        for i, (name, text) in enumerate(STATUS):
            w(f"{name} = {i}{'' if i == last else ','} {names.comment(text)}")
    w("", "/* Forget everything; snn_begin does it, too. */", "void snn_reset(void);")
    w("", "/* Start a sample: static inputs, and what depends only on them. */")
    w(f"snn_status snn_begin({net.parameters(net.static_inputs)});")
    w("", "/* One time step. */")
    w(f"snn_status snn_step({net.parameters(net.step_inputs)});")
    net.calls.declare_events(w)
    if net.machine.is_host:
        _declare_run(net, w)
    if net.sequences:
        w("", "/* Outputs of the last step; a null pointer skips one. */")
        w(f"snn_status snn_sequence({net.results(net.sequences)});")
    w(
        "",
        "/* Outputs after the steps so far; a null pointer skips one. The sample may go on. */",
    )
    for n in net.late:
        w(names.comment(f"{n.name} is a sequence: {net.late_steps(n)} times its size."))
    w(f"snn_status snn_finish({net.results(net.finals)});")
    net.calls.declare_classify(w)
    for n in net.criteria:
        w(
            "",
            "/* Whether the sample may stop after the steps so far. */",
        )
        w(f"int snn_reached_{n.name}(int64_t threshold);")
    w("", "#ifdef SNN_TRACE", "/* Arrays of the words of info.c, for verification. */")
    w("extern const void *const snn_word_data[];")
    w("/* Called before they are read. */", "void snn_trace_words(void);")
    w("/* Called after every step of the loops behind the first, which run in snn_finish. */")
    w("extern void (*snn_trace_step)(uint32_t loop, uint32_t step);")
    if net.machine.is_host:
        w("/* Called by snn_run after every step of the layers of a stage. */")
        w("extern void (*snn_trace_stage)(uint32_t stage, uint32_t step);")
        w("extern const uint32_t snn_word_stages[];")
    w("#endif", "", "#endif")
    return w.text


def _declare_run(net: Network, w: CWriter) -> None:
    """Declare ``snn_run`` in snn.h."""
    w("", "/* So many time steps: frame after frame, the same results as of one step after the")
    w(" * other. All frames are checked before anything changes. */")
    for n in net.sequences:
        w(names.comment(f"{n.name}: a value for each of these steps that has one, or null"))
    w(f"snn_status snn_run({net.run_parameters});")
