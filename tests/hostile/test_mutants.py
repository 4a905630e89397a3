"""Damaged files of every kind are refused with a code, or read; nothing else happens.

The campaign of 20,000 is ``python -m tests.hostile.mutants 2000``, or ``pytest -m slow`` here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.mutants import Kind, forked, harm, kinds

#: Mutants of each kind; those that compile or copy an artifact take longer.
COUNTS = {"graph": 40, "manifest": 40, "program": 40}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    return kinds(tmp_path_factory.mktemp("good"))


def test_500_mutants(good: dict[str, Kind], tmp_path: Path) -> None:
    total = 0
    for name, kind in good.items():
        seeds = range(COUNTS.get(name, 60))
        found = forked(name, kind, seeds, tmp_path)
        assert harm(found) == [], name
        assert len(found) == len(seeds)
        total += len(found)
    assert total >= 500


def test_good_files_are_read(good: dict[str, Kind], tmp_path: Path) -> None:
    for kind in good.values():
        kind.read(kind.good, tmp_path)


@pytest.mark.slow
def test_20_000_mutants(good: dict[str, Kind], tmp_path: Path) -> None:
    for name, kind in good.items():
        for start in range(100_000, 102_000, 100):
            assert harm(forked(name, kind, range(start, start + 100), tmp_path)) == [], name
