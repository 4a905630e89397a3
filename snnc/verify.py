"""Verify an artifact: float model ↔ integer program ↔ every backend, on the user's data.

The integer program is run by the definition (``backends/numpy/simulator.py``).  With the float
model it agrees statistically: accuracy, labels and spikes are compared.  With every backend it
agrees exactly: each spike, each state word after each step and each output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from snnc.artifact import Artifact
from snnc.backends import folder_of, load_backend
from snnc.backends.float_sim import FloatSimulator
from snnc.compare import Comparison, batches
from snnc.data import Data, check_any
from snnc.diagnostics import CompileError, fail
from snnc.encode import Clipped
from snnc.graph import Graph
from snnc.intops import IntNeuron
from snnc.ops import Input, Output
from snnc.passes.base import run_passes
from snnc.passes.pipeline import real_pipeline
from snnc.types import SPIKE, Clock
from snnc.verification import Report, Tally, mismatches

Array = npt.NDArray[Any]

#: Samples that a slow backend gets unless the user says otherwise.
DEFAULT_SAMPLES: dict[str, int] = {"lava": 50, "lava-stock": 50}

#: Memory for the words of one batch.
BATCH_BYTES = 256 << 20


@dataclass(frozen=True)
class _Float:
    """A float model to compare with: its simulator and the spikes it shares with the program."""

    simulator: FloatSimulator
    words: dict[str, str]

    @classmethod
    def of(cls, graph: Graph, spikes: dict[str, str]) -> _Float:
        simulator = FloatSimulator(graph)
        known = set(simulator.words())
        return cls(simulator, {layer: w for layer, w in spikes.items() if w in known})


def verify(
    artifact: Artifact,
    data: Data,
    backends: Iterable[str] | None = None,
    *,
    model: Graph | None = None,
    samples: int | None = None,
    steps: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Compare on data.

    Args:
        artifact: What to verify.
        data: Checked samples, with labels if accuracy shall be known.
        backends: Which; all that the artifact holds if None.
        model: Float model; the artifact's own if None.
        samples: How many for every backend; None: all, and ``DEFAULT_SAMPLES`` for slow ones.
        steps: T of a network without per-step input.
        progress: Called with the number of samples done since.

    Raises:
        CompileError: For unfit data or models and unknown backends.  Mismatches (E410, E411)
            and missing tools (E6xx) are in the report.
    """
    names = (
        artifact.manifest.targets if backends is None else tuple(map(artifact.backend, backends))
    )
    if backends is None:  # formats for exchange have nothing to compare
        names = tuple(name for name in names if load_backend(name).runs)
    for name in names:
        artifact.check_backend(name)
    if model is not None:
        check_model(model, artifact)
    check_any(data, "x")
    data = data.first(samples)
    encoded, found = artifact.encode_data(data.first(0))
    count = artifact.steps_of(encoded, steps)
    found += artifact.check_steps(count)
    program = artifact.graph()
    spikes = spike_words(program)
    floats = {"spikes": _Float.of(float_graph(model or artifact.model()), spikes)}
    if (fakequant := artifact.fakequant()) is not None:
        floats["quantized_spikes"] = _Float.of(fakequant, spikes)
    comparisons = {name: Comparison(name) for name in names}
    limits = {
        n: len(data) if samples else DEFAULT_SAMPLES.get(n.partition(":")[0], len(data))
        for n in names
    }
    clipped = Clipped(artifact.manifest.inputs)
    tally = Tally(artifact.manifest.outputs, spikes)
    for start, stop in batches(len(data), batch_size(program, count)):
        part = data.part(start, stop)
        encoded = clipped.encode(part)
        expected = artifact.simulator.run(encoded, count, artifact.simulator.words())
        tally.add_integer(expected, artifact.decode(expected[0], count), part.labels)
        grid = {e.name: encoded[e.name] * e.scale for e in artifact.manifest.inputs}
        for kind, reference in floats.items():
            words = tuple(reference.words.values())
            seen = grid if kind == "quantized_spikes" else part.dense
            real, kept = reference.simulator.run(seen, count, words)
            tally.add_float(kind, real, {k: kept[w] for k, w in reference.words.items() if kept})
        for name, comparison in comparisons.items():
            if comparison.error is None and (start < limits[name] or not len(data)):
                _compare(artifact, comparison, part.first(limits[name] - start), expected, count)
        progress(stop - start)
    report = tally.report(len(data), count, comparisons)
    report.diagnostics = [
        *mismatches(report, program),
        *data.diagnostics,
        *found,
        *clipped.warnings(),
    ]
    return report


def spike_words(program: Graph) -> dict[str, str]:
    """The spikes of a program: by layer (or by word, if a layer has several), the word."""
    found: dict[str, str] = {}
    for node in program:
        if isinstance(node.op, IntNeuron) and node.type.clock.kind is Clock.STEP:
            outputs = zip(node.op.kernel.outputs, node.types, strict=True)
            words = dict.fromkeys(f"{node.name}.{o}" for o, t in outputs if t.dtype == SPIKE)
            found |= {node.name if len(words) == 1 else word: word for word in words}
    return found


def check_model(model: Graph, artifact: Artifact) -> None:
    """Raise CompileError E412 unless a float model has the artifact's inputs and outputs."""
    manifest = artifact.manifest
    want = {(e.name, e.shape, e.clock) for e in manifest.inputs}
    want |= {(e.name, e.shape, e.clock) for e in manifest.outputs}
    nodes = [n for n in model.nodes if isinstance(n.op, Input | Output)]
    have = {(n.name, n.type.shape, str(n.type.clock)) for n in nodes}
    if want != have:
        text = "the model has other inputs or outputs than the artifact"
        sides = (f"artifact: {sorted(want)}", f"model: {sorted(have)}")
        raise fail("E412", text, None, *sides, help="compare with the model that was compiled")


def float_graph(model: Graph) -> Graph:
    """The float model with its neurons raised, so that its spikes have the program's names."""
    return run_passes(model, real_pipeline())


def _compare(
    artifact: Artifact,
    comparison: Comparison,
    part: Data,
    expected: tuple[dict[str, Array], dict[str, Array]],
    steps: int,
) -> None:
    """Run one batch on a backend and compare it with the first samples of what is expected."""
    encoded, _ = artifact.encode_data(part)
    size = len(part)
    outputs, words = ({k: a[:size] for k, a in arrays.items()} for arrays in expected)
    sequences = [e.name for e in artifact.manifest.outputs if e.sequence]
    try:
        backend = load_backend(comparison.backend)
        result = backend.run(
            artifact.folder / folder_of(comparison.backend), encoded, steps, tuple(words)
        )
    except CompileError as e:
        comparison.error = e
        return
    comparison.add((outputs, words), result, sequences)


def batch_size(program: Graph, steps: int) -> int:
    """Samples whose words, as the definition and a backend give them, fit ``BATCH_BYTES``."""
    values = sum(t.size for n in program for t in n.types)
    states = sum(
        n.type.size * len(n.op.kernel.states) for n in program if isinstance(n.op, IntNeuron)
    )
    return max(1, BATCH_BYTES // (2 * 8 * max(steps, 1) * max(values + states, 1)))
