"""Which part of the integer arithmetic costs how much: each switched back to real numbers in turn.

A twin of the program computes its integers in float64 (``passes/switched_kernel.py``): with nothing
switched it gives the program's own spikes, which is checked, so that what a switch changes is
due to that part alone.  Parts are

* ``inputs``: values on the grid of the integers;
* ``weights``: of all layers with their biases, and of each layer by itself;
* ``decays``: of neurons, 16 bits;
* ``thresholds``: what is compared with, subtracted or set in neurons;
* ``rounding``: of states and of what reaches a neuron;
* ``neurons``: decays, thresholds and rounding together, which may do what none does alone;
* ``other operators``: norms, softmax and sums, which the twin always computes in real numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from snnc import ops
from snnc.artifact import Artifact
from snnc.data import Data
from snnc.graph import Graph
from snnc.measure import FloatRunner, IntegerRunner, Measured, Runner, measure
from snnc.passes.base import Context
from snnc.passes.choose_codes import weighted_names
from snnc.passes.switched_kernel import DECAYS, INPUTS, PARTS, ROUNDING, THRESHOLDS, WEIGHTS
from snnc.profile import PROFILES
from snnc.relower import relower
from snnc.verify import float_graph

#: Parts that are switched back together.
TOGETHER = {"neurons": (DECAYS, THRESHOLDS, ROUNDING)}
#: Most layers whose weights are switched back one by one: those with the largest errors.
MOST_LAYERS = 12


@dataclass(frozen=True)
class Contribution:
    """What a part of the arithmetic costs.

    Attributes:
        part: What is in real numbers again: a name of ``PARTS`` or ``TOGETHER``, or ``other
            operators``.
        layer: Whose, if not of all.
        measured: The rest in integers, next to the float model.
        removed: Share of the loss that is gone; negative if the loss is larger.
    """

    part: str
    layer: str | None
    measured: Measured
    removed: float | None

    @property
    def name(self) -> str:
        """For people."""
        return self.part if self.layer is None else f"{self.part} of {self.layer}"

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "part": self.part,
            "layer": self.layer,
            "removed": self.removed,
            **self.measured.document(),
        }


@dataclass(frozen=True)
class Contributions:
    """Where the integer program leaves the float model, and why.

    Attributes:
        samples: That were looked at.
        shipped: The integer program as it is.
        parts: Each switched back in turn; empty if integers cannot be told apart.
        twin: Smallest share, over layers, of the program's spikes that its twin repeats.
        unknown: Why there are no parts.
    """

    samples: int
    shipped: Measured
    parts: tuple[Contribution, ...]
    twin: float | None
    unknown: str = ""

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "samples": self.samples,
            "shipped": self.shipped.document(),
            "parts": [c.document() for c in self.parts],
            "twin": self.twin,
        }

    @property
    def worst(self) -> Contribution | None:
        """The part of all layers that removes most of the loss."""
        found = [c for c in self.parts if c.layer is None and c.removed is not None]
        return max(found, key=lambda c: c.removed or 0.0, default=None)

    @property
    def worst_layer(self) -> Contribution | None:
        """The layer whose weights remove most of it."""
        found = [c for c in self.parts if c.layer is not None and c.removed is not None]
        return max(found, key=lambda c: c.removed or 0.0, default=None)


def contributions(
    artifact: Artifact,
    data: Data,
    steps: int,
    progress: Callable[[float], None] = lambda _: None,
) -> Contributions:
    """Switch parts of an artifact's arithmetic back on samples.

    Args:
        artifact: Whose.
        data: Samples.
        steps: T.
        progress: Called with the share of the work that was done since.
    """
    order = tuple(e.name for e in artifact.manifest.outputs)
    program = IntegerRunner(artifact.graph(), artifact.manifest.inputs, order)
    reference = FloatRunner(float_graph(artifact.model()), program.spikes)
    ctx = relower(artifact)
    runners: dict[str, Runner] = {"shipped": program}
    keys: dict[str, tuple[str, str | None]] = {}
    if ctx is not None:
        layers = _layers(artifact, reference.graph)
        switched: list[tuple[str, str | None]] = [("other operators", None)]
        switched += [(part, None) for part in (*PARTS, "neurons")]
        switched += [(WEIGHTS, name) for name in layers if len(layers) > 1]
        for part, layer in switched:
            if layer is None:
                graph = twin(ctx, reference.graph, TOGETHER.get(part, (part,)))
            else:
                graph = twin(ctx, reference.graph, (), (layer,))
            grid = () if part == INPUTS else artifact.manifest.inputs
            key = f"{part}:{layer or ''}"
            runners[key] = FloatRunner(graph, program.spikes, grid)
            keys[key] = (part, layer)
    work = len(data) * (len(runners) + 1)
    found = measure(
        reference, program.outputs[0], runners, data, steps, lambda n: progress(n / work)
    )
    loss, base = found["shipped"].loss, found.get("other operators:", found["shipped"]).loss
    parts = []
    for key, (part, layer) in keys.items():
        start = loss if part == "other operators" else base
        removed = (start - found[key].loss) / loss if loss else None
        parts.append(Contribution(part, layer, found[key], removed))
    repeated = None if ctx is None else _repeated(runners, program, data, steps)
    unknown = "" if ctx is not None else _unknown(artifact)
    return Contributions(len(data), found["shipped"], tuple(parts), repeated, unknown)


def _unknown(artifact: Artifact) -> str:
    """Why integers cannot be told apart."""
    profile = artifact.manifest.profile
    if PROFILES[profile].exact:
        return f"profile {profile} rounds weights, decays and thresholds to fit each other"
    return "compiling the model again gives other integers than the artifact's"


def twin(
    ctx: Context, real: Graph, switched: Collection[str], layers: Collection[str] = ()
) -> Graph:
    """The network in float64 as its integers compute it.

    Args:
        ctx: Of its lowering.
        real: The float model.
        switched: Parts in real numbers, of all layers.
        layers: Whose weights are in real numbers, too.
    """
    assert ctx.fake_quantized is not None, "the network was lowered"
    graph = ctx.fake_quantized.copy()
    for node in list(graph):
        if isinstance(node.op, ops.Neuron):
            lowering = ctx.neurons.get(node.name)
            kernel = None if lowering is None else lowering.kernel(switched)
            if kernel is not None:
                graph.replace(replace(node, op=ops.Neuron(kernel, node.op.shape)))
        elif WEIGHTS in switched or node.name in layers:
            graph.replace(replace(node, op=real[node.name].op))
    return graph


def _layers(artifact: Artifact, real: Graph) -> list[str]:
    """Layers with weights, in their order; of many, those with the largest errors."""
    errors = {x.name: x.facts.get("rms_error") for x in artifact.manifest.layers}
    names = [n for n in weighted_names(real) if n in errors]

    def error(name: str) -> float:
        found = errors[name]
        return found if isinstance(found, float) else 0.0

    chosen = set(sorted(names, key=error, reverse=True)[:MOST_LAYERS])
    return [n for n in names if n in chosen]


def _repeated(
    runners: dict[str, Runner], program: IntegerRunner, data: Data, steps: int
) -> float | None:
    """Smallest share of the program's spikes that the twin repeats."""
    few = data.first(8)
    want, have = program.run(few, steps)[1], runners["other operators:"].run(few, steps)[1]
    shares = [float(((want[k] != 0) == (have[k] != 0)).mean()) for k in want if k in have]
    return min(shares, default=None)
