"""Collect what the page shows, as plain values: nothing here knows HTML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.artifact import Artifact, read_regular
from snnc.contributions import Contributions, contributions
from snnc.data import Data
from snnc.encode import classes
from snnc.energy import Estimate, Figure, digital, figures, loihi, quantized_ann, verdict
from snnc.graph import Graph
from snnc.intops import IntInput, IntOutput
from snnc.layers import output_table
from snnc.manifest import LayerEntry, Manifest
from snnc.measure import FloatRunner, IntegerRunner
from snnc.operations import Counts, count, footprint, packed
from snnc.page.charts import (
    Confusion,
    Histogram,
    Network,
    Raster,
    confusion,
    histogram,
    network,
    raster,
)
from snnc.passes.choose_codes import weighted_names
from snnc.types import Int
from snnc.verification import Report
from snnc.verify import float_graph, verify

Array = npt.NDArray[Any]

#: Samples that operations are counted on, and that ranges are observed on.
COUNTED = 32
#: Samples that parts are switched back on.
EXPLAINED = 64
#: Most layers with a histogram, and with a raster; most classes of a table.
MOST_HISTOGRAMS, MOST_RASTERS, MOST_CLASSES = 24, 12, 40
#: Bits of the words of computers.
WORDS = (8, 16, 32, 64)


@dataclass(frozen=True)
class Span:
    """A proven interval, what was seen of it, and the word that holds it.

    Attributes:
        layer: Whose.
        word: A state, or ``sum``.
        lo: Smallest proven value.
        hi: Largest.
        bits: For all of them, with the sign.
        seen: Smallest and largest on the data; None if it was not looked at.
        seen_bits: For those.
        word_bits: Of the smallest word of a computer that holds it.
    """

    layer: str
    word: str
    lo: int
    hi: int
    bits: int
    seen: tuple[int, int] | None
    seen_bits: int | None
    word_bits: int

    @property
    def headroom(self) -> int:
        """Bits of the word that no input ever needs."""
        return self.word_bits - self.bits


@dataclass(frozen=True)
class Size:
    """Files of a folder of the artifact."""

    folder: str
    files: int
    bytes: int


@dataclass
class Page:
    """Everything on the page.  What needs data is None or empty without them."""

    manifest: Manifest
    tree: str
    layers: tuple[LayerEntry, ...]
    network: Network
    spans: list[Span]
    histograms: list[Histogram]
    sizes: list[Size]
    footprint: int
    packed: int
    mapping: str = ""
    data: str = ""
    report: Report | None = None
    why: Contributions | None = None
    rasters: list[Raster] = field(default_factory=list)
    sample: int = 0
    confusion: Confusion | None = None
    counts: Counts | None = None
    estimates: list[Estimate] = field(default_factory=list)
    verdict: str = ""
    figures: dict[str, Figure] = field(default_factory=dict)


def gather(
    artifact: Artifact,
    data: Data | None = None,
    name: str = "",
    backends: tuple[str, ...] = ("numpy",),
    steps: int | None = None,
    sample: int = 0,
    explain: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> Page:
    """Collect what a page of an artifact shows.

    Args:
        artifact: Which.
        data: Samples; None for a page without behaviour.
        name: Of their file.
        backends: That are compared with the program.
        steps: T of a network without per-step input.
        sample: Whose spikes are drawn.
        explain: Whether to switch parts of the arithmetic back.
        progress: Called with what is done next.
    """
    program, manifest = artifact.graph(), artifact.manifest
    shown = tuple(n.name for n in program if not isinstance(n.op, IntInput | IntOutput))
    layers = tuple(x for x in manifest.layers if x.name in shown)
    edges = [(e.src, e.dst, e.delay) for e in program.edges]
    page = Page(
        manifest,
        manifest.tree,
        layers,
        network([x.name for x in layers], edges),
        [],
        _histograms(artifact),
        _sizes(manifest),
        footprint(program),
        packed(program),
        _mapping(artifact),
    )
    seen: dict[str, tuple[int, int]] = {}
    if data is not None and len(data):
        progress("verify")
        page.data = name
        page.report = verify(artifact, data, backends, samples=len(data), steps=steps)
        progress("spikes")
        seen = _behaviour(page, artifact, program, data, page.report.steps, sample)
        if explain and page.report.samples:
            progress("explain")
            page.why = contributions(artifact, data.first(EXPLAINED), page.report.steps)
    page.spans = _spans(layers, seen)
    return page


def _behaviour(
    page: Page, artifact: Artifact, program: Graph, data: Data, steps: int, sample: int
) -> dict[str, tuple[int, int]]:
    """What the network does on data; returns the interval of every word that was seen."""
    order = tuple(e.name for e in artifact.manifest.outputs)
    integers = IntegerRunner(program, artifact.manifest.inputs, order)
    real = FloatRunner(float_graph(artifact.model()), integers.spikes)
    page.sample = sample
    one = data.part(page.sample, page.sample + 1)
    want, have = real.run(one, steps)[1], integers.run(one, steps)[1]
    shared = [layer for layer in have if layer in want][:MOST_RASTERS]
    page.rasters = [raster(layer, want[layer][0], have[layer][0]) for layer in shared]
    page.confusion = _confusion(artifact, integers, data, steps)
    few = data.first(COUNTED)
    encoded = integers.encoded(few)
    page.counts = count(program, integers.simulator, encoded, steps)
    page.estimates = [digital(page.counts), quantized_ann(page.counts)]
    if artifact.manifest.profile == "loihi":
        page.estimates.append(loihi(page.counts))
    page.verdict = verdict(page.counts)
    used = dict.fromkeys(u for e in page.estimates for u in e.used)
    page.figures = {name: figures()[name] for name in used}
    words = integers.simulator.run(encoded, steps, integers.simulator.words())[1]
    return {name: (int(a.min()), int(a.max())) for name, a in words.items() if a.size}


def _confusion(
    artifact: Artifact, integers: IntegerRunner, data: Data, steps: int
) -> Confusion | None:
    entry = output_table(integers.program, tuple(e.name for e in artifact.manifest.outputs))[0]
    if data.labels is None or len(entry.shape) != 1 or not 2 <= entry.shape[0] <= MOST_CLASSES:
        return None
    found = []
    for start in range(0, len(data), 256):
        part = data.part(start, start + 256)
        raw, _ = integers.simulator.run(integers.encoded(part), steps)
        chosen = classes(artifact.decode(raw, steps)[entry.name], entry.sequence)
        if chosen is None:
            return None
        found.append(chosen)
    return confusion(np.asarray(data.labels), np.concatenate(found), entry.shape[0])


def _spans(layers: tuple[LayerEntry, ...], seen: dict[str, tuple[int, int]]) -> list[Span]:
    found = []
    for layer in layers:
        words = [(w, w.name, seen.get(f"{layer.name}.{w.name}")) for w in layer.words]
        if not words and layer.range is not None and layer.range.bits > 1 and _sums(layer):
            words = [(layer.range, "sum", None)]
        for word, name, interval in words:
            bits = None if interval is None else Int(*interval).width
            held = next((b for b in WORDS if b >= word.bits), WORDS[-1])
            found.append(Span(layer.name, name, word.lo, word.hi, word.bits, interval, bits, held))
    return found


def _sums(layer: LayerEntry) -> bool:
    """Whether a layer makes new numbers, and does not only hand some on."""
    return bool(layer.weights) or layer.op in ("IntTimeSum", "IntRescale", "IntSum", "IntMatMul")


def _histograms(artifact: Artifact) -> list[Histogram]:
    fake = artifact.fakequant()
    if fake is None:
        return []
    real, program = float_graph(artifact.model()), artifact.graph()
    bits = {x.name: x.weight_bits for x in artifact.manifest.layers}
    found = []
    for name in weighted_names(real)[:MOST_HISTOGRAMS]:
        ops = [g[name].op for g in (real, fake, program) if name in g]
        weights = [getattr(op, "weight", None) for op in ops]
        if len(ops) < 3 or any(w is None for w in weights):
            continue
        before, after, codes = (w.data for w in weights if w is not None)
        if before.shape == after.shape:
            found.append(histogram(name, before, after, codes, bits.get(name) or 8))
    return found


def _sizes(manifest: Manifest) -> list[Size]:
    found: dict[str, Size] = {}
    for name, entry in manifest.files.items():
        folder = name.partition("/")[0]
        old = found.get(folder, Size(folder, 0, 0))
        found[folder] = Size(folder, old.files + 1, old.bytes + entry.size)
    return list(found.values())


def _mapping(artifact: Artifact) -> str:
    """The placement on the cores of a chip, if the artifact has one."""
    names = [n for n in artifact.manifest.files if n.endswith("/mapping.txt")]
    texts = [read_regular(artifact.folder, n).decode("utf-8", "replace") for n in sorted(names)]
    return "\n".join(texts)
