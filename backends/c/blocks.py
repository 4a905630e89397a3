"""``snn_run``: many steps in one call, layer by layer where ``stages`` finds that worth it."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.backends.c.delays import shift
from snnc.backends.c.join_sums import added_to, is_first
from snnc.backends.c.layer import Layer
from snnc.backends.c.pairs import emit_block, has_sums, parts_of
from snnc.backends.c.plan import Plan, phase
from snnc.backends.c.stages import Kept, Stages
from snnc.backends.c.words import SIZES, index_type
from snnc.backends.c.writer import CWriter
from snnc.graph import Node
from snnc.intops import IntInput
from snnc.types import Clock


@dataclass(frozen=True)
class Block:
    """Names of the arrays that keep a value; the first index of each is the step.

    Attributes:
        values: The value; empty if nobody reads it but by its list.
        ids: The list of its spikes, or empty.
        counts: How long the lists are, or empty.
    """

    values: str
    ids: str
    counts: str


def block_of(plan: Plan, kept: Kept) -> Block:
    """The arrays of a kept value."""
    node = plan.graph[kept.node]
    names = [plan.id(node, f"b{kept.out}_{part}") for part in ("y", "ids", "n")]
    if not kept.buffer.ids:
        return Block(names[0], "", "")
    return Block(names[0] if kept.stages else "", names[1], names[2])


@dataclass(frozen=True)
class Blocks:
    """The parts of ``snn.c`` that run blocks of steps."""

    plan: Plan
    layers: dict[str, Layer]
    stages: Stages

    def __post_init__(self) -> None:
        for kept in self._kept:
            block, array, size = block_of(self.plan, kept), kept.buffer, self.stages.steps
            arrays = self.layers[kept.node].arrays
            if block.values:
                arrays[block.values] = array.ctype, size * array.size
            if block.ids:
                arrays[block.ids] = index_type(array.size), size * array.size
                arrays[block.counts] = "uint32_t", size

    @property
    def _kept(self) -> list[Kept]:
        return list(self.stages.kept.values()) if self.stages.steps else []

    def declare(self, w: CWriter) -> None:
        """Declare what is kept, and the functions of dense layers."""
        steps = self.stages.steps
        if not steps:
            return
        w("/* ---- blocks of steps: values that one layer keeps for the next */")
        for kept in self._kept:
            block, array = block_of(self.plan, kept), kept.buffer
            if block.values:
                w(f"SNN_STATE {array.ctype} {block.values}[{steps}][{array.size}];")
            if block.ids:
                w(f"SNN_STATE {index_type(array.size)} {block.ids}[{steps}][{array.size}];")
                w(f"SNN_STATE uint32_t {block.counts}[{steps}];")
        self._room(w)
        for name in self._in_order(self.stages.dense):
            self._dense(w, self.layers[name])
        w("")

    def _room(self, w: CWriter) -> None:
        """Declare what products of vectors need for the largest layer."""
        inputs = []
        for name in self.stages.dense:
            layer = self.layers[name]
            pairs = self.plan.pairs(layer.node)
            assert pairs is not None, "dense layers add pairs"
            if has_sums(layer, pairs, self.plan.value(name)):
                inputs.append(layer.node.op.params["weight"].shape[1])
        if inputs:
            w("#ifdef SNN_MULTIPLY")
            w(f"SNN_STATE uint8_t snn_spikes[{self.stages.steps}u * SNN_SPREAD({max(inputs)}u)];")
            w(f"SNN_STATE uint16_t snn_turned[SNN_TURNED({max(inputs)}u)];", "#endif")

    def _dense(self, w: CWriter, layer: Layer) -> None:
        pairs = self.plan.pairs(layer.node)
        assert pairs is not None, "dense layers add pairs"
        (x,) = self.plan.operands(layer.node)
        block = next(b for k in self._kept if k.buffer.ids == x.ids for b in [self._block(k)])
        values = self._block(self.stages.kept[layer.node.name, 0]).values
        if parts := parts_of(pairs, layer.node.op.params["weight"].shape[1]):
            steps, starts = self.stages.steps, layer.id("starts")
            w(f"SNN_STATE uint32_t {starts}[{steps}][{parts + 1}];")
            layer.arrays[starts] = "uint32_t", steps * (parts + 1)
        emit_block(layer, pairs, (block.ids, block.counts, values), w)

    def _block(self, kept: Kept) -> Block:
        return block_of(self.plan, kept)

    def _in_order(self, names: frozenset[str]) -> list[str]:
        return [n.name for n in self.plan.nodes if n.name in names]

    def run(self, w: CWriter, sequences: list[tuple[Node, int]], advance: list[str]) -> None:
        """The statements of ``snn_run`` behind its checks.

        Args:
            w: The body of the function.
            sequences: Outputs with a value per step, and the first step that has one.
            advance: Statements that count a step.
        """
        for i, (_, start) in enumerate(sequences):
            skip = f"(snn_steps < {start}u) ? {start}u - snn_steps : 0u" if start else "0u"
            w(f"const uint32_t skip{i} = {skip};")
        if not self.stages.steps:
            with w.block("for (uint32_t t = 0u; t < steps; t++)"):
                for node in self.plan.nodes:
                    if isinstance(node.op, IntInput) and node.type.clock is Clock.STEP:
                        w(self._tick(node, "t"))
                w("snn_advance();")
                self._hand_on(w, sequences, "t")
                self._trace(w, 0, "t")
            return
        most = self.stages.steps
        with w.block(f"for (uint32_t first = 0u; first < steps; first += {most}u)"):
            w(f"const uint32_t n = (steps - first < {most}u) ? steps - first : {most}u;")
            w("const uint32_t start = snn_steps;")
            for stage in range(max(self.stages.level.values()) + 1):
                self._stage(w, stage, sequences, advance)

    def _stage(
        self, w: CWriter, stage: int, sequences: list[tuple[Node, int]], advance: list[str]
    ) -> None:
        level, graph = self.stages.level, self.plan.graph
        inside = [n for n in self.plan.nodes if level.get(n.name) == stage]
        w(f"/* stage {stage} */", "snn_steps = start;")
        with w.block("for (uint32_t t = 0u; t < n; t++)"):
            for kept in self._kept:
                late = kept.node in self.stages.dense or level[kept.node] < stage
                if stage in kept.stages and late and not is_first(self.layers[kept.node]):
                    self._restore(w, kept)
            for node in inside:
                if node.name in self.stages.dense or self.plan.is_skipped(node):
                    continue
                layer = self.layers[node.name]
                if Clock.STEP in layer.also:
                    w(f"{layer.also[Clock.STEP]}();")
                if phase(graph, node) is Clock.STEP:
                    joined = added_to(layer, self._first_of(layer))
                    w(joined or self._list(node) or self._tick(node, "(first + t)"))
            for kept in self._kept:
                made = level[kept.node] == stage and kept.node not in self.stages.dense
                if made and not self._list(graph[kept.node]):
                    self._save(w, kept)
            for delay in self.plan.delays.values():
                if level.get(delay.edge.src) == stage:
                    w(*shift(self.plan, delay))
            w(*advance)
            self._hand_on(w, sequences, "first + t", stage)
            self._trace(w, stage, "first + t")
        for node in inside:
            if self._list(node):  # as a step would leave it
                w(self._tick(node, "(first + n - 1u)"))
            if node.name in self.stages.dense:
                w(f"{self.layers[node.name].id('block')}(n);")

    def _first_of(self, layer: Layer) -> str:
        """The sums of this step of the layer to which the sums of another are added."""
        join = self.plan.joins.get(layer.node.name)
        kept = self.stages.kept[join.first, 0] if join and join.own == layer.node.name else None
        return f"{self._block(kept).values}[t]" if kept else ""

    def _list(self, node: Node) -> str:
        """Statement that lists the spikes of a frame where dense layers read them, or nothing.

        Of an input that nobody else reads.
        """
        edges = self.plan.graph.out_edges(node.name)
        if not isinstance(node.op, IntInput) or not all(
            e.dst in self.stages.dense and not e.delay for e in edges
        ):
            return ""
        kept, buffer = self.stages.kept.get((node.name, 0)), self.plan.value(node.name)
        if kept is None or buffer.channels or not buffer.ids:
            return ""
        block = self._block(kept)
        frame = f"{self.plan.label(node)} + (size_t)(first + t) * {node.type.size}u"
        return f"{block.counts}[t] = snn_list_16({frame}, {buffer.size}u, {block.ids}[t]);"

    def _tick(self, node: Node, t: str) -> str:
        layer, frame = self.layers[node.name], ""
        if isinstance(node.op, IntInput):
            frame = f"{self.plan.label(node)} + (size_t){t} * {node.type.size}u"
        return f"{layer.tick}({frame});"

    def _save(self, w: CWriter, kept: Kept) -> None:
        block, array = self._block(kept), kept.buffer
        if block.values:
            w(f"memcpy({block.values}[t], {array.name}, sizeof {array.name});")
        if block.ids:
            w(f"memcpy({block.ids}[t], {array.ids}, sizeof {array.ids}[0] * {array.ids}_n);")
            w(f"{block.counts}[t] = {array.ids}_n;")

    def _restore(self, w: CWriter, kept: Kept) -> None:
        block, array = self._block(kept), kept.buffer
        w(f"memcpy({array.name}, {block.values}[t], sizeof {array.name});")
        if block.ids:
            w(f"memcpy({array.ids}, {block.ids}[t], sizeof {array.ids}[0] * {block.counts}[t]);")
            w(f"{array.ids}_n = {block.counts}[t];")

    def _hand_on(
        self, w: CWriter, sequences: list[tuple[Node, int]], t: str, stage: int = 0
    ) -> None:
        """Copy what a step gives of outputs with a value per step."""
        for i, (node, _) in enumerate(sequences):
            (stack,) = self.plan.graph.operands(node.name)
            if self.stages.steps and self.stages.level[stack.name] != stage:
                continue
            buffer, to = self.plan.value(node.name), self.plan.label(node)
            with w.block(f"if ({to} != NULL && {t} >= skip{i})"):
                place = f"&{to}[(size_t)({t} - skip{i}) * {buffer.size}u]"
                w(f"memcpy({place}, {buffer.name}, {buffer.size * SIZES[buffer.ctype]}u);")

    def _trace(self, w: CWriter, stage: int, t: str) -> None:
        hook = f"if (snn_trace_stage != NULL) {{ snn_trace_stage({stage}u, {t}); }}"
        w("#ifdef SNN_TRACE", hook, "#endif")
