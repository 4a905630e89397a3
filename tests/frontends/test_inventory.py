"""Every neuron class of the installed libraries is in the zoo, or is listed here with a reason."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

#: Library → module whose names are its neurons, file of the zoo.
LIBRARIES = {
    "snntorch": ("snntorch", "snntorch_nets.py"),
    "spikingjelly": ("spikingjelly.activation_based.neuron", "spikingjelly_nets.py"),
    "norse": ("norse.torch", "norse_nets.py"),
    "sinabs": ("sinabs.layers", "sinabs_nets.py"),
}

_ABSTRACT = "a base class: it has no step of its own"
_MODEL = "a network or a container, not a neuron"
_ENCODER = "turns values into spike trains in front of the network"
_RANDOM = "draws random numbers (E134)"
_REARRANGES = "rearranges or pools, without a state"

#: Classes that are no rows of the zoo, and why.
LEFT_OUT: dict[str, dict[str, str]] = {
    "snntorch": {"LIF": _ABSTRACT, "SpikingNeuron": _ABSTRACT},
    "spikingjelly": {
        **dict.fromkeys(
            (
                *("AdaptBaseNode", "BaseNode", "ILCBaseNode", "MPBNBaseNode", "NoisyBaseNode"),
                *("NoisyILCBaseNode", "NoisyNonSpikingBaseNode", "NonSpikingBaseNode"),
                "SimpleBaseNode",
            ),
            _ABSTRACT,
        ),
    },
    "norse": {
        **dict.fromkeys(("ConvNet", "ConvNet4", "MobileNetV2", "VGG"), _MODEL),
        **dict.fromkeys(("RecurrentSequential", "LConv2d"), _MODEL),
        **dict.fromkeys(("PoissonEncoder", "SignedPoissonEncoder"), _RANDOM),
        **dict.fromkeys(
            (
                *("ConstantCurrentLIFEncoder", "PopulationEncoder", "SpikeLatencyEncoder"),
                "SpikeLatencyLIFEncoder",
            ),
            _ENCODER,
        ),
        "LIFCorrelation": "a learning rule: its state correlates every pair of neurons",
        "RegularizationCell": "accumulates a loss of training; spikes pass unchanged",
        "SpikesToTimesDecoder": "turns whole spike trains into times behind the network",
        **dict.fromkeys(
            (
                *("ParameterizedSpatialReceptiveField2d", "SampledSpatialReceptiveField2d"),
                "SpatialReceptiveField2d",
            ),
            "a convolution with generated weights",
        ),
        "TemporalReceptiveField": "copies of its input in front of LIBoxCell, which is a row",
    },
    "sinabs": {
        "StatefulLayer": _ABSTRACT,
        **dict.fromkeys(("Img2SpikeLayer", "Sig2SpikeLayer"), _RANDOM),
        **dict.fromkeys(
            (
                *("ChannelShift", "Cropping2dLayer", "FlattenTime", "UnflattenTime", "Merge"),
                "Repeat",
            ),
            _REARRANGES,
        ),
        "SpikingMaxPooling2dLayer": "counts over its first axis, which is the batch as well",
    },
}


def classes(library: str) -> Iterator[str]:
    """Names of the public modules of a library's neuron namespace."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        namespace = importlib.import_module(LIBRARIES[library][0])
    for name, value in vars(namespace).items():
        public = not name.startswith("_") and inspect.isclass(value)
        if public and issubclass(value, nn.Module) and value.__module__.startswith(library):
            yield name


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_neuron_is_a_row_or_left_out_for_a_reason(library: str) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: see tests/frontends/zoo/requirements.txt")
    source = (Path(__file__).parent / "zoo" / LIBRARIES[library][1]).read_text(encoding="utf-8")
    used = set(re.findall(r"\w+", source))
    found, left_out = set(classes(library)), set(LEFT_OUT[library])
    assert found - used - left_out == set(), "neither in the zoo nor left out for a reason"
    assert left_out <= found, "left out, but not in the library"
    assert not left_out & used, "left out, but in the zoo"
