"""A sample of the zoo in every run, and all of it as a campaign."""

from __future__ import annotations

import pytest

from tests.frontends.zoo.catalogue import cases
from tests.frontends.zoo.examine import examine

# the libraries' own deprecation warnings are not ours
pytestmark = pytest.mark.filterwarnings("ignore")

SAMPLE = (
    *("adaptive/ASN-SNN", "attention/SpikingAttention", "learned/LIF", "family/FixedDelay"),
    *("loops/table per step", "snntorch/Leaky", "snntorch/RLeaky", "spikingjelly/EIFNode"),
    *("spikingjelly/LIFNode multi-step", "spikingjelly/PSN multi-step", "blocks/whole block"),
)
ALL = {case.name: case for case in cases()}


@pytest.mark.parametrize("name", SAMPLE)
def test_sample_of_the_zoo(name: str) -> None:
    if name not in ALL:
        pytest.skip("its library is not installed")
    outcome = examine(ALL[name], compile_too=False)
    assert outcome.as_expected, outcome


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_zoo(name: str) -> None:
    outcome = examine(ALL[name])
    assert outcome.as_expected, outcome
