"""The pass interface and the loop that runs passes."""

from __future__ import annotations

import abc
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from snnc.diagnostics import CompileError, Diagnostic
from snnc.graph import Graph
from snnc.interval import Interval

if TYPE_CHECKING:
    from snnc.passes.calibration import Calibration
    from snnc.passes.kept_choices import KeptChoices
    from snnc.passes.placed import Placed
    from snnc.passes.switched_kernel import Lowering


def _no_choices() -> KeptChoices:
    from snnc.passes.kept_choices import KeptChoices  # it knows graphs in integers: avoid the cycle

    return KeptChoices()


@dataclass
class Context:
    """What passes share: remarks and warnings, and what they learned about layers.

    Attributes:
        diagnostics: Everything reported without stopping.
        layers: Per node, what ``inspect`` shows (weight error, guard bits, units, …).
        fake_quantized: The real graph with quantized weights, once ``quantize`` has run.
        neurons: How each scale-free neuron was lowered, once ``quantize`` has run.
        calibration: Data for methods of ``quantize`` that need some.
        choices: What such methods chose.
        reused: Choices to follow, in place of data.
        placed: How layers with weights became integers, if anyone wants to know.
        ranges: Proven interval of every value, per element, once ``prove-ranges`` has run.
    """

    diagnostics: list[Diagnostic] = field(default_factory=list)
    layers: dict[str, dict[str, object]] = field(default_factory=dict)
    fake_quantized: Graph | None = None
    neurons: dict[str, Lowering] = field(default_factory=dict)
    calibration: Calibration | None = None
    choices: KeptChoices = field(default_factory=_no_choices)
    reused: KeptChoices | None = None
    placed: dict[str, Placed] | None = None
    ranges: dict[tuple[str, int], Interval] = field(default_factory=dict)

    def emit(self, diagnostic: Diagnostic) -> None:
        """Report without stopping."""
        self.diagnostics.append(diagnostic)

    def note(self, node: str, **facts: object) -> None:
        """Remember facts about a node."""
        self.layers.setdefault(node, {}).update(facts)


@dataclass(frozen=True)
class Pass(abc.ABC):
    """A named graph-to-graph transformation; its dataclass fields are its options.

    ``run`` gets its own copy of the graph and returns it (or a new one).  A graph that
    verifies before a pass verifies after it; in between anything goes.
    """

    name: ClassVar[str]

    def requires(self, graph: Graph) -> None:
        """Preconditions. Raise CompileError if the graph is not ready for this pass."""

    @abc.abstractmethod
    def run(self, graph: Graph, ctx: Context) -> Graph:
        """Transform the graph."""

    def ensures(self, graph: Graph) -> None:
        """Postconditions that later stages rely on."""


class Observer(Protocol):
    """Called around every pass: dumps, timing, progress bars, equivalence checks."""

    def before(self, pass_: Pass, graph: Graph, /) -> None:
        """A pass is about to run."""

    def after(self, pass_: Pass, before: Graph, graph: Graph, seconds: float, /) -> None:
        """A pass has run."""


def run_passes(
    graph: Graph,
    passes: Sequence[Pass],
    ctx: Context | None = None,
    observers: Sequence[Observer] = (),
) -> Graph:
    """Run passes in order, verifying before the first and after each one."""
    ctx = ctx or Context()
    graph.verify()
    for pass_ in passes:
        for observer in observers:
            observer.before(pass_, graph)
        start = time.perf_counter()
        try:
            pass_.requires(graph)
            new = pass_.run(graph.copy(), ctx)
            new.verify()
            pass_.ensures(new)
        except CompileError as e:
            e.add_note(f"in pass {pass_.name}")
            raise
        for observer in observers:
            observer.after(pass_, graph, new, time.perf_counter() - start)
        graph = new
    return graph
