"""Families of networks compile, stay in their proven ranges, and are exact.

All of them, a few minutes: ``pytest tests/examples/test_families.py -m slow``; with trained
weights: ``python -m examples.families --train``.
"""

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from examples.families.catalogue import FILES, families
from examples.families.family import Family, wake
from examples.families.measure import Row, measure
from examples.models import spike
from tests.marks import quick_first

ALL = {f.name: f for f in families()}
QUICK = ("A ASN", "C mean over T", "D complex state", "E VGG at one time step (IIR-SNN)")


def row(family: Family) -> Row:
    return measure(family, family.awake()[0], None)


@pytest.mark.parametrize("name", quick_first(ALL, *QUICK))
def test_family_is_exact_and_within_its_proven_ranges(name: str) -> None:
    found = row(ALL[name])
    if found.blocked:
        pytest.xfail(found.blocked)
    assert not found.problems
    assert found.proven[1] > 0
    assert found.exact == {"numpy": True, "c": True}


def test_names_are_unique_and_every_file_is_listed() -> None:
    assert len(ALL) == len(families())
    folder = Path(__file__).parents[2] / "examples" / "families"
    with_rows = {p.stem for p in folder.glob("*.py") if "\nFAMILIES = [" in p.read_text()}
    assert with_rows == set(FILES)


def test_every_file_is_short() -> None:
    for path in (Path(__file__).parents[2] / "examples" / "families").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 300, path


class Quiet(torch.nn.Module):
    """A population whose currents have a mean."""

    def __init__(self, mean: float) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(4, 8)
        torch.nn.init.constant_(self.fc.bias, mean)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, total = torch.zeros(x.size(0), 8), torch.zeros(x.size(0), 8)
        for t in range(x.shape[1]):
            v = 0.5 * v + self.fc(x[:, t])
            s = spike(v - 1)
            v = v * (1 - s)
            total = total + s
        return total


@pytest.mark.parametrize(("mean", "rate"), [(-20.0, "0.00%"), (20.0, "100.00%"), (0.0, "")])
def test_a_population_that_never_or_always_fires_is_a_problem(mean: float, rate: str) -> None:
    family = Family("quiet", lambda: Quiet(mean), lambda: torch.randn(8, 5, 4), {"time_axis": 1})
    found = row(family)
    silent = [p for p in found.problems if "fires" in p]
    assert len(silent) == bool(rate)
    assert all(p.endswith(f"fires {rate} of the time") for p in silent)


def test_waking_reaches_populations_behind_normalization() -> None:
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 6, bias=False), torch.nn.BatchNorm1d(6), torch.nn.ReLU()
    )
    net = torch.nn.Sequential(net, torch.nn.Linear(6, 5)).eval()
    x = torch.randn(256, 4) * 1e-3
    wake(net, (x,), 2.0)
    current = net[0][1](net[0][0](x))
    torch.testing.assert_close(current.std(0), torch.full((6,), 2.0), atol=0.05, rtol=0)
    assert abs(net(x).std().item() - 2) < 0.2


def test_outputs_far_from_the_quantized_model_are_a_problem() -> None:
    family = ALL["A ASN"]
    assert not Row(family, outputs=0.01).problems
    assert Row(family, outputs=0.2).problems
