"""Which parameters of a test run always, and which only in the campaigns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def quick_first(names: Iterable[str], *quick: str) -> list[Any]:
    """Parameters of a test: those that are named run always, the others with ``-m slow``."""
    return [n if n in quick else pytest.param(n, marks=pytest.mark.slow) for n in names]
