"""The golden fixture: texts that a change must not alter unseen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The tests say nothing about speed, and machines are busy.
settings.register_profile("snnc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("snnc")

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden texts")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with ``tests/golden/<test file>/<name>``; a missing one is a failure."""
    folder = GOLDEN / request.path.stem.removeprefix("test_")

    def compare(name: str, text: str) -> None:
        path = folder / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"no golden text {path}: run pytest --update-golden and review it"
        assert text == path.read_text(encoding="utf-8")

    return compare
