"""The pipelines: which passes run, in which order, and why."""

from __future__ import annotations

from snnc.passes.base import Pass
from snnc.passes.drop_clamps import DropClamps
from snnc.passes.fit_loihi import FitLoihi
from snnc.passes.fold_constants import FoldConstants
from snnc.passes.fold_norm import FoldNorm
from snnc.passes.follow_trained import FollowTrained
from snnc.passes.merge_delays import MergeDelays
from snnc.passes.prove_ranges import ProveRanges
from snnc.passes.prune_dead import PruneDead
from snnc.passes.quantize import Quantize
from snnc.passes.raise_neurons import RaiseNeurons
from snnc.passes.rounding_errors import RoundingErrors
from snnc.passes.sink_mean import SinkMean
from snnc.passes.step_gains import StepGains
from snnc.profile import PROFILES
from snnc.quantization import USUAL, Plan


def real_pipeline(exact: bool = False) -> tuple[Pass, ...]:
    """From a traced graph to layers and neurons, still in real numbers.

    ``exact`` profiles take delays as edges, not as a part of layers.
    """
    return (
        PruneDead(),  # what no output needs must not make the model unsupported
        FoldConstants(),
        FoldNorm(),  # before raising: what cannot be folded is taken in by the neurons
        SinkMean(),  # a bias behind a mean would need the number of steps
        *(() if exact else (MergeDelays(),)),  # behind folding, which goes through sums of layers
        StepGains(),  # before raising: a population's update has no gains per step then
        RaiseNeurons(),
    )


def integer_pipeline(
    bits: int = 8,
    input_bits: int = 8,
    profile: str = "default",
    max_steps: int = 0,
    stock: bool = False,
    plan: Plan = USUAL,
) -> tuple[Pass, ...]:
    """From a traced graph to proven integers; ``stock``: which Lava's own processes compute.

    ``plan`` says how integers of weights are chosen.
    """
    exact = profile in PROFILES and PROFILES[profile].exact
    return (
        *real_pipeline(exact),
        FollowTrained(),
        *((FitLoihi(bits, input_bits, stock),) if exact else ()),  # before: what is exact stays so
        Quantize(bits, input_bits, profile, plan),
        PruneDead(),
        ProveRanges(max_steps),
        DropClamps(),
        RoundingErrors(),
    )
