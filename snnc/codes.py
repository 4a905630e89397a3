"""The catalogue of diagnostics: what each code means and what to do. A code is never reused."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from snnc.diagnostics import Diagnostic, Severity


@dataclass(frozen=True, slots=True)
class Code:
    """An entry: ``exit`` replaces the exit code of the family."""

    title: str
    why: str
    fix: str
    exit: int | None = None


#: What the first digit of a code means, and the exit code of its errors.
FAMILIES: dict[str, tuple[str, int]] = {
    "0": ("use of the command", 2),
    "1": ("reading and tracing a model", 3),
    "2": ("operators and neuron kernels", 4),
    "3": ("numbers", 5),
    "4": ("artifacts, data and verification", 3),
    "5": ("limits of a target", 6),
    "6": ("missing tools", 8),
    "9": ("bugs of snnc", 1),
}


@functools.cache
def catalogue() -> dict[str, Code]:
    """Every code, from ``codes.toml``."""
    text = Path(__file__).with_name("codes.toml").read_text(encoding="utf-8")
    return {code: Code(**entry) for code, entry in tomllib.loads(text).items()}


def exit_of(code: str) -> int:
    """Exit code of an error.

    >>> exit_of("E201"), exit_of("E410"), exit_of("E320")
    (4, 7, 2)
    """
    entry = catalogue().get(code)
    if entry is not None and entry.exit is not None:
        return entry.exit
    return FAMILIES.get(code[1:2], ("", 1))[1]


def exit_code(diagnostics: Iterable[Diagnostic]) -> int:
    """Exit code of a command: that of its first error, 0 if there is none."""
    errors = (d for d in diagnostics if d.severity is Severity.ERROR)
    first = next(errors, None)
    return 0 if first is None else exit_of(first.code)
