"""The network as a whole: ``snn.h`` and ``snn.c`` from the sections of its layers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from snnc.backends.c import names
from snnc.backends.c.blocks import Blocks
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.calls import Calls
from snnc.backends.c.common_factors import without_common_factors
from snnc.backends.c.delays import shift
from snnc.backends.c.header import header
from snnc.backends.c.join_sums import is_later
from snnc.backends.c.joins import find_joins
from snnc.backends.c.layer import Layer
from snnc.backends.c.layers import EMITTERS
from snnc.backends.c.machines import HOST, Machine
from snnc.backends.c.neuron import fill
from snnc.backends.c.plan import Plan, counter, inputs, is_sequence, outputs, phase
from snnc.backends.c.quads import instances
from snnc.backends.c.stages import stages_of
from snnc.backends.c.tables import Tables
from snnc.backends.c.words import SIZES
from snnc.backends.c.writer import CWriter
from snnc.early_exit import CRITERIA
from snnc.graph import Edge, Graph, Node
from snnc.intops import (
    IntInput,
    IntNeuron,
    IntTimeMax,
    IntTimeMean,
    IntTimeStack,
    IntTimeSum,
)
from snnc.op import Op
from snnc.step_limits import step_limits
from snnc.types import Clock


@dataclass(frozen=True)
class Word:
    """A value that verification compares: ``node.output`` or ``node.state``, and its loop.

    ``node`` is the layer that it belongs to.
    """

    name: str
    buffer: Buffer
    loop: int
    node: str


class Network:
    """Everything that is generated from a graph that ``check`` has accepted.

    Attributes:
        source_graph: The graph as it came, which the stored program has.
        graph: The same values, computed as the code computes them (``common_factors``).
        words: What verification compares.
    """

    def __init__(self, graph: Graph, machine: Machine = HOST) -> None:
        self.source_graph = graph
        self.graph = graph = without_common_factors(graph) if machine.is_host else graph
        self.machine = machine
        self.plan = Plan(graph, machine)
        stages = stages_of(self.plan)
        self.plan.join(find_joins(self.plan, stages.dense if stages.steps else frozenset()))
        self.tables = Tables()
        self.words: list[Word] = []
        self.layers = {n.name: self._layer(n) for n in self.plan.nodes}
        self.blocks = Blocks(self.plan, self.layers, stages)
        self.inputs = inputs(self.plan)
        self.outputs = outputs(self.plan)
        self.static_inputs = [n for n in self.inputs if n.type.clock is Clock.ONCE]
        self.step_inputs = [n for n in self.inputs if n.type.clock is Clock.STEP]
        self.min_steps = step_limits(graph)[0]
        self.sequences = [
            n for n in self.outputs if is_sequence(self.plan, n) and n.type.clock.phase < 2
        ]
        self.finals = [n for n in self.outputs if n not in self.sequences]
        #: Of them, whole sequences of later loops.
        self.late = [n for n in self.finals if is_sequence(self.plan, n)]
        #: Numbers by which a sample may stop early.
        self.criteria = [n for n in self.finals if n.name in CRITERIA and n.type.size == 1]
        self.calls = Calls(self.plan, self.step_inputs, self.outputs, self.finals)

    @property
    def bytes(self) -> int:
        """Static memory that is written."""
        return sum(layer.bytes for layer in self.layers.values()) + 8

    def header(self) -> str:
        """Return ``snn.h``."""
        return header(self)

    def source(self) -> str:
        """Return ``snn.c``."""
        w = CWriter()
        host = self.machine.is_host
        w(names.comment(f"network {self.graph.name}: integers only, static memory, no libc but"))
        w("/* string.h; tables are in weights.c, the interface in snn.h. */")
        w('#include "snn.h"', "", *(["#include <string.h>", ""] if host else []))
        w('#include "snn_lists.h"', '#include "snn_math.h"')
        w(*([] if host else ['#include "snn_memory.h"']))
        quads = instances(self.plan)
        w(*(['#include "snn_quads.h"'] if quads else []))
        w('#include "tables.h"', "", *([*quads, ""] if quads else []))
        loops = range(1, self.graph.phases + 1)
        w(*(f"SNN_STATE uint32_t {counter(Clock.of(Clock.STEP, k))};" for k in loops))
        w("SNN_STATE uint8_t snn_running;", "")
        w("#ifdef SNN_TRACE", "void (*snn_trace_step)(uint32_t loop, uint32_t step) = NULL;")
        if host:
            w("void (*snn_trace_stage)(uint32_t stage, uint32_t step) = NULL;")
        w("#endif", "")
        self._queues(w)
        early = {node.name for node in self._early}
        for name, layer in self.layers.items():
            data = "" if name in early else layer.data.text
            if body := data + layer.code.text:
                w(*layer.header(), *body.splitlines(), "")
        self.blocks.declare(w)
        self._reset(w)
        self._begin(w)
        self._step(w)
        self._finish(w)
        self.calls.define_classify(w)
        for n in self.criteria:
            self._reached(w, n)
        w("", "#ifdef SNN_TRACE")
        rows = ",\n    ".join(word.buffer.name for word in self.words) or "NULL"
        w(f"const void *const snn_word_data[] = {{\n    {rows}}};")
        if host:
            levels = (str(self.blocks.stages.level.get(word.node, 0)) for word in self.words)
            w(f"const uint32_t snn_word_stages[] = {{{', '.join(levels) or '0'}}};")
        with w.block("void snn_trace_words(void)"):
            for layer in self.layers.values():
                w(*layer.trace.text.splitlines())
        w("#endif")
        return w.text

    def _layer(self, node: Node) -> Layer:
        layer = Layer(self.plan, self.tables, node)
        if not self.plan.is_skipped(node):
            EMITTERS[type(node.op)](layer)
        self._words(layer)
        for delay in self.plan.delays.values():
            if delay.edge.src == node.name:
                depth, buffer = delay.edge.delay, delay.buffer
                layer.arrays[delay.name] = buffer.ctype, depth * buffer.size
                with layer.reset.loop("q", depth):
                    slot = replace(buffer, name=f"{delay.name}[q]")
                    fill(layer, slot, delay.edge.init, buffer.shape)
        for out in sorted({e.out for e in self.graph.out_edges(node.name) if self._is_late(e)}):
            buffer = self.plan.value(node.name, out)
            layer.reset(f"memset({buffer.name}, 0, sizeof {buffer.name});")
            if buffer.ids:
                layer.reset(f"{buffer.ids}_n = 0u;")
        return layer

    def _is_late(self, edge: Edge) -> bool:
        """Whether the array of a population is read before the neurons run."""
        return edge.delay > 0 and self.plan.reads_last(edge)

    def _queues(self, w: CWriter) -> None:
        """Declare the queues before all layers: in a loop one is read before it is filled."""
        for delay in self.plan.delays.values():
            edge, buffer = delay.edge, delay.buffer
            w(names.comment(f"{edge.delay} step(s) ago first: output {edge.out} of {edge.src}"))
            w(f"SNN_STATE {buffer.ctype} {delay.name}[{edge.delay}][{buffer.size}];")
        if self.plan.delays:
            w("")
        for node in self._early:
            w(names.comment(f"{node.name}: also read one step later, by layers that run before"))
            w(*self.layers[node.name].data.text.splitlines(), "")

    @property
    def _early(self) -> list[Node]:
        """Populations whose arrays layers before them read."""
        return [n for n in self.plan.nodes if any(map(self._is_late, self.graph.out_edges(n.name)))]

    def _words(self, layer: Layer) -> None:
        """Append the layer's words in the order of ``Simulator.words``."""
        node = layer.node
        found: dict[str, Buffer] = {}
        match node.op:
            case IntNeuron(kernel=kernel) if node.type.clock.kind is Clock.STEP:
                for i, out in enumerate(kernel.outputs):
                    found.setdefault(f"{node.name}.{out}", self.plan.value(node.name, i))
                # a state that is also an output is recorded after the step
                found |= {f"{node.name}.{name}": b for name, b in layer.states.items()}
            case IntTimeMean():
                found[f"{node.name}.acc"] = layer.states["acc"]
            case IntTimeSum() | IntTimeMax():
                found[f"{node.name}.acc"] = self.plan.value(node.name)
        loop = node.type.clock.phase
        self.words += [Word(name, buffer, loop, node.name) for name, buffer in found.items()]

    def start_of(self, node: Node) -> int:
        """Step from which on a sequence has values."""
        (stack,) = self.graph.operands(node.name)
        return stack.op.start if isinstance(stack.op, IntTimeStack) else 0

    def late_steps(self, node: Node) -> str:
        """Steps of the loop of a sequence that snn_finish gives."""
        own, start = self.graph.steps_of(node.type.clock.phase, 0), self.start_of(node)
        text = str(own) if own else "the number of steps"
        return text if not start else str(own - start) if own else f"{text} less {start}"

    def _reset(self, w: CWriter) -> None:
        later: dict[int, list[str]] = {}
        for name, layer in self.layers.items():
            loop = phase(self.graph, self.graph[name]).phase
            if loop > 1 and layer.reset.text:
                later.setdefault(loop, []).extend(layer.reset.text.splitlines())
        for loop, lines in sorted(later.items()):
            with w.block(f"static void snn_reset{loop}(void)"):
                w(*lines)
            w("")
        with w.block("void snn_reset(void)"):
            w("snn_steps = 0u;", "snn_running = 0u;")
            for name, layer in self.layers.items():
                if phase(self.graph, self.graph[name]).phase < 2:
                    w(*layer.reset.text.splitlines())
        w("")
        self._resets = set(later)

    def _begin(self, w: CWriter) -> None:
        with w.block(f"snn_status snn_begin({self.parameters(self.static_inputs)})"):
            self._judge(w, self.static_inputs)
            w("snn_reset();")
            self._run(w, Clock.ONCE)
            w("snn_running = 1u;", "return SNN_OK;")
        w("")

    def _step(self, w: CWriter) -> None:
        with w.block("static void snn_advance(void)"):
            self._run(w, Clock.STEP, but=IntInput)
            self._shift_all(w, Clock.STEP)
            w(self._count)
        w("")
        ready = ["if (snn_running == 0u) { return SNN_ORDER; }"]
        if self.graph.max_steps:
            ready.append("if (snn_steps >= SNN_MAX_STEPS) { return SNN_TOO_LONG; }")
        with w.block(f"snn_status snn_step({self.parameters(self.step_inputs)})"):
            w(*ready)
            self._judge(w, self.step_inputs)
            w(*(f"{self.layers[n.name].tick}({self.plan.label(n)});" for n in self.step_inputs))
            w("snn_advance();", "return SNN_OK;")
        w("")
        self.calls.define_events(w, ready)
        if self.machine.is_host:
            self._define_run(w, ready[:1])

    @property
    def _count(self) -> str:
        if self.graph.max_steps:
            return "snn_steps++;"
        special = max(1, self.min_steps)
        return f"snn_steps += (snn_steps < {special}u) ? 1u : 0u; /* no more are special */"

    @property
    def run_parameters(self) -> str:
        """Frames, their number, and places of outputs with a value per step."""
        frames = self.parameters(self.step_inputs) if self.step_inputs else ""
        places = self.results(self.sequences) if self.sequences else ""
        return ", ".join(filter(None, (frames, "uint32_t steps", places)))

    def _define_run(self, w: CWriter, ready: list[str]) -> None:
        with w.block(f"snn_status snn_run({self.run_parameters})"):
            w(*ready)
            if self.graph.max_steps:
                w("if (steps > SNN_MAX_STEPS - snn_steps) { return SNN_TOO_LONG; }")
            for n in self.step_inputs:
                w(f"if ({self.plan.label(n)} == NULL && steps != 0u) {{ return SNN_NULL; }}")
            for n in self.step_inputs:
                frame = f"{self.plan.label(n)} + (size_t)t * {n.type.size}u"
                test = f"if ({self.plan.id(n, 'outside')}({frame}) != 0) {{ return SNN_RANGE; }}"
                with w.block("for (uint32_t t = 0u; t < steps; t++)"):
                    w(test)
            self.blocks.run(w, [(n, self.start_of(n)) for n in self.sequences], [self._count])
            w("return SNN_OK;")
        w("")

    def _shift_all(self, w: CWriter, clock: Clock) -> None:
        """Move the queues of one loop on."""
        for delay in self.plan.delays.values():
            edge = delay.edge
            if self.graph[edge.src].types[edge.out].clock is clock:
                w(*shift(self.plan, delay))

    def _finish(self, w: CWriter) -> None:
        if self.sequences:
            with w.block(f"snn_status snn_sequence({self.results(self.sequences)})"):
                w("if (snn_running == 0u || snn_steps == 0u) { return SNN_ORDER; }")
                self._hand_out(w, self.sequences)
            w("")
        with w.block(f"snn_status snn_finish({self.results(self.finals)})"):
            w("if (snn_running == 0u) { return SNN_ORDER; }")
            if self.min_steps:
                w("if (snn_steps < SNN_MIN_STEPS) { return SNN_TOO_SHORT; }")
            self._run(w, Clock.END)
            for loop in range(2, self.graph.phases + 1):
                self._later(w, loop)
            self._hand_out(w, [n for n in self.finals if n not in self.late])

    def _reached(self, w: CWriter, node: Node) -> None:
        """Compare an output of one number with a threshold."""
        ctype = self.plan.value(node.name).ctype
        listed = ", ".join("&found" if n is node else "NULL" for n in self.finals)
        w("")
        with w.block(f"int snn_reached_{node.name}(int64_t threshold)"):
            w(f"{ctype} found = 0;")
            w(f"return (snn_finish({listed}) == SNN_OK) && ((int64_t)found >= threshold);")

    def _later(self, w: CWriter, loop: int) -> None:
        """A loop that runs at the end, from its initial state."""
        clock = Clock.of(Clock.STEP, loop)
        t, own = counter(clock), self.graph.steps_of(loop, 0)
        if loop in self._resets:
            w(f"snn_reset{loop}();")
        with w.block(f"for ({t} = 0u; {t} < {f'{own}u' if own else 'snn_steps'}; {t}++)"):
            self._run(w, clock)
            self._shift_all(w, clock)
            for n in self.late:
                if n.type.clock.phase == loop:
                    self._hand_on(w, n, t)
            w("#ifdef SNN_TRACE")
            w(f"if (snn_trace_step != NULL) {{ snn_trace_step({loop}u, {t}); }}", "#endif")
        self._run(w, Clock.of(Clock.END, loop))

    def _hand_on(self, w: CWriter, node: Node, t: str) -> None:
        """One step of a sequence that snn_finish gives."""
        buffer, to = self.plan.value(node.name), self.plan.label(node)
        start = self.start_of(node)
        size = buffer.size * SIZES[buffer.ctype]
        known = f"({to} != NULL)" + (f" && ({t} >= {start}u)" if start else "")
        where = f"({t} - {start}u)" if start else t
        with w.block(f"if ({known})"):
            w(f"memcpy(&{to}[{where} * {buffer.size}u], {buffer.name}, {size}u);")

    def _judge(self, w: CWriter, nodes: list[Node]) -> None:
        for n in nodes:
            w(f"if ({self.plan.label(n)} == NULL) {{ return SNN_NULL; }}")
        for n in nodes:
            outside = self.plan.id(n, "outside")
            w(f"if ({outside}({self.plan.label(n)}) != 0) {{ return SNN_RANGE; }}")

    def _run(self, w: CWriter, clock: Clock, but: type[Op] | None = None) -> None:
        for name, layer in self.layers.items():
            node = self.graph[name]
            if clock in layer.also:
                w(f"{layer.also[clock]}();")
            if but is not None and isinstance(node.op, but):
                continue
            join = self.plan.joins.get(name)
            if join and name != join.reader:
                w(*([f"{layer.id('both')}();"] if is_later(layer) else []))
            elif phase(self.graph, node) is clock and not self.plan.is_skipped(node):
                frame = self.plan.label(node) if isinstance(node.op, IntInput) else ""
                w(f"{layer.tick}({frame});")

    def _hand_out(self, w: CWriter, nodes: list[Node]) -> None:
        for n in nodes:
            buffer, to = self.plan.value(n.name), self.plan.label(n)
            size = buffer.size * SIZES[buffer.ctype]
            w(f"if ({to} != NULL) {{ memcpy({to}, {buffer.name}, {size}u); }}")
        w("return SNN_OK;")

    def parameters(self, nodes: list[Node]) -> str:
        listed = (f"const {self.plan.value(n.name).ctype} *{self.plan.label(n)}" for n in nodes)
        return ", ".join(listed) or "void"

    def results(self, nodes: list[Node]) -> str:
        listed = (f"{self.plan.value(n.name).ctype} *{self.plan.label(n)}" for n in nodes)
        return ", ".join(listed) or "void"
