"""Transformations of the graph. Every pass is listed here, by its command-line name."""

from snnc.passes.base import Context, Observer, Pass, run_passes
from snnc.passes.fit_loihi import FitLoihi
from snnc.passes.fold_norm import FoldNorm
from snnc.passes.prove_ranges import ProveRanges
from snnc.passes.prune_dead import PruneDead
from snnc.passes.quantize import Quantize
from snnc.passes.raise_neurons import RaiseNeurons
from snnc.passes.sink_mean import SinkMean

PASSES: dict[str, type[Pass]] = {
    p.name: p
    for p in (PruneDead, FoldNorm, SinkMean, RaiseNeurons, FitLoihi, Quantize, ProveRanges)
}

__all__ = [
    "PASSES",
    "Context",
    "FitLoihi",
    "FoldNorm",
    "Observer",
    "Pass",
    "ProveRanges",
    "PruneDead",
    "Quantize",
    "RaiseNeurons",
    "SinkMean",
    "run_passes",
]
