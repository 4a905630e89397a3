"""Calls for applications: a step from a list of events, and the class after the steps so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from snnc.backends.c.plan import Plan, is_sequence
from snnc.backends.c.words import index_type, literal
from snnc.backends.c.writer import CWriter
from snnc.graph import Node
from snnc.intops import IntInput, IntOutput


@dataclass(frozen=True)
class Calls:
    """Which of them a network has.

    Attributes:
        plan: Its memory plan.
        step_inputs: Inputs that are read at every step.
        outputs: All outputs; the first one classifies.
        finals: Outputs that ``snn_finish`` gives, in order.
    """

    plan: Plan
    step_inputs: list[Node]
    outputs: list[Node]
    finals: list[Node]

    @property
    def event_input(self) -> Node | None:
        """The one input per step, if 0 and 1 are among its values."""
        if len(self.step_inputs) != 1:
            return None
        (node,) = self.step_inputs
        assert isinstance(node.op, IntInput), "inputs"
        return node if node.op.lo <= 0 < node.op.hi else None

    @property
    def class_output(self) -> Node | None:
        """The first output, if the largest of its integers is the largest of its real values."""
        node = self.outputs[0] if self.outputs else None
        if node is None or len(node.type.shape) != 1 or node.type.size < 2:
            return None
        assert isinstance(node.op, IntOutput), "outputs"
        scale = node.op.scale.data
        same = bool(np.all(scale == scale.reshape(-1)[0])) and float(scale.reshape(-1)[0]) > 0
        return node if same and not is_sequence(self.plan, node) else None

    def declare_events(self, w: CWriter) -> None:
        """Declare ``snn_step_events`` in snn.h."""
        if (node := self.event_input) is None:
            return
        top = node.type.dtype
        w("", "/* One time step from events: ids are numbers of input elements, in any order.")
        w(f" * An element is the number of its events, but at most the upper end of {top}. */")
        w(f"snn_status snn_step_events(const {self._id} *ids, uint32_t count);")

    @property
    def _id(self) -> str:
        assert self.event_input is not None, "called for event inputs"
        return index_type(self.event_input.type.size)

    def define_events(self, w: CWriter, ready: Iterable[str]) -> None:
        """Define ``snn_step_events``; ``ready`` are the checks of the network's state."""
        if (node := self.event_input) is None:
            return
        assert isinstance(node.op, IntInput), "inputs"
        y, size = self.plan.value(node.name), node.type.size
        with w.block(f"snn_status snn_step_events(const {self._id} *ids, uint32_t count)"):
            w(*ready, "if (ids == NULL && count != 0u) { return SNN_NULL; }")
            if size != 1 << 16:
                with w.block("for (uint32_t n = 0u; n < count; n++)"):
                    w(f"if (ids[n] >= {size}u) {{ return SNN_EVENT; }}")
            top = literal(node.op.hi, y.ctype) if y.ctype == "int64_t" else str(node.op.hi)
            if y.ids:
                # the list holds the elements that are not zero
                with w.block(f"for (uint32_t n = 0u; n < {y.ids}_n; n++)"):
                    w(f"{y.name}[{y.ids}[n]] = 0u;")
                w("uint32_t some = 0u;")
                new = w.block(f"if ({y.name}[ids[n]] == 0u)")
                with w.block("for (uint32_t n = 0u; n < count; n++)"), new:
                    w(f"{y.name}[ids[n]] = 1u;", f"{y.ids}[some] = ids[n];", "some++;")
                w(f"{y.ids}_n = some;")
            else:
                w(f"memset({y.name}, 0, sizeof {y.name});")
                below = w.block(f"if ({y.name}[ids[n]] < {top})")
                with w.block("for (uint32_t n = 0u; n < count; n++)"), below:
                    w(f"{y.name}[ids[n]]++;")
            w("snn_advance();", "return SNN_OK;")
        w("")

    def declare_classify(self, w: CWriter) -> None:
        """Declare ``snn_classify`` in snn.h."""
        if (node := self.class_output) is not None:
            w("", f"/* Number of the largest of the {node.type.size} values of the first output,")
            w(" * the first of equals, after the steps so far. The sample may go on. */")
            w("snn_status snn_classify(uint32_t *label);")

    def define_classify(self, w: CWriter) -> None:
        """Define ``snn_classify``."""
        if (node := self.class_output) is None:
            return
        y, nothing = self.plan.value(node.name), ", ".join("NULL" for _ in self.finals)
        w("")
        with w.block("snn_status snn_classify(uint32_t *label)"):
            w("if (label == NULL) { return SNN_NULL; }")
            w(f"const snn_status status = snn_finish({nothing});")
            w("if (status != SNN_OK) { return status; }", "uint32_t best = 0u;")
            with w.block(f"for (uint32_t i = 1u; i < {y.size}u; i++)"):
                w(f"if ({y.name}[i] > {y.name}[best]) {{ best = i; }}")
            w("*label = best;", "return SNN_OK;")
