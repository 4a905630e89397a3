"""What the options of all formats have in common: text to typed values, all problems at once."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from snnc.diagnostics import CompileError, Diagnostic, error


def pairs_of(text: str) -> dict[str, str]:
    """Keys and values of ``key=value,key=value``.

    >>> pairs_of("reset=subtract, dt=1e-3,")
    {'reset': 'subtract', 'dt': '1e-3'}
    """
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    return {key.strip(): value.strip() for key, _, value in pairs}


class OptionProblems:
    """What is wrong with the options of a format.

    Args:
        title: Of the format, for messages.
        code: Of its errors.
    """

    def __init__(self, title: str, code: str) -> None:
        self.title, self.code = title, code
        self.found: list[Diagnostic] = []

    def add(self, text: str, help: str | None = None) -> None:
        """Note any problem."""
        self.found.append(error(self.code, text, help=help))

    def unknown(self, key: str, known: Collection[str], what: str = "option") -> None:
        """Note a name that is not known."""
        self.add(f"unknown {self.title} {what} {key!a:.60}", f"known: {', '.join(known)}")

    def wrong(self, key: str, value: object, why: str = "", help: str | None = None) -> None:
        """Note a value that an option cannot have."""
        self.add(f"{self.title} option {key} is {value}{why}", help)

    def typed(
        self, values: Mapping[str, Any], known: Collection[str], numbers: Mapping[str, type]
    ) -> dict[str, Any]:
        """Values that are given, not None, as texts or as the ``numbers`` that they shall be."""
        kept: dict[str, Any] = {}
        for key, value in values.items():
            if key not in known:
                self.unknown(key, sorted(known))
            elif value is not None:
                kept[key] = self.number(key, value, numbers[key]) if key in numbers else str(value)
        return kept

    def number(self, key: str, value: Any, kind: type[int | float]) -> int | float:
        """A number of that type; any, if the value is not one."""
        try:
            return kind(value)
        except (TypeError, ValueError):
            self.wrong(key, f"{value!a:.60}", ", which is not a number")
            return kind(0)

    def one_of(self, key: str, value: str, choices: Collection[str]) -> None:
        """Check a choice."""
        if value not in choices:
            self.wrong(key, f"{value!a:.60}", help=f"possible: {', '.join(choices)}")

    def grid(self, low: float, high: float, step: float, needed: bool = False) -> None:
        """Check the range of the inputs and their grid; 0: none, unless it is needed."""
        numbers = (low, high, step)
        if not all(map(math.isfinite, numbers)) or low > high or step < 0 or (needed and not step):
            self.add(f"the range of the inputs is {numbers}")

    def stop(self) -> None:
        """Raise CompileError if anything is wrong."""
        if self.found:
            raise CompileError(self.found)
