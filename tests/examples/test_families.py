"""Families of networks compile, stay in their proven ranges, and are exact.

All of them, a few minutes: ``pytest tests/examples/test_families.py -m slow``; with trained
weights: ``python -m examples.families --train``.
"""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from examples.families.catalogue import FILES, families
from examples.families.family import Family
from examples.families.measure import Row, measure
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
