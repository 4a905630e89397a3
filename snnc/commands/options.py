"""Options that every command has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from snnc.diagnostics import fail

F = TypeVar("F", bound=Callable[..., Any])

pass_console = click.pass_obj


def common(command: F) -> F:
    """Add ``--json``, ``--quiet`` and ``--debug``; ``snnc.cli.run`` reads them."""
    for flags, text in (
        (("--debug",), "Show Python's traceback of an internal error."),
        (("-q", "--quiet"), "No progress."),
        (("--json",), "Print one JSON document on stdout, also for errors."),
    ):
        command = click.option(*flags, is_flag=True, expose_value=False, help=text)(command)
    return command


def names(text: str) -> tuple[str, ...]:
    """Split a comma list.

    >>> names("numpy, c,")
    ('numpy', 'c')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


def sizes(text: str) -> tuple[int, ...]:
    """Split a shape.

    >>> sizes("1,28, 28")
    (1, 28, 28)

    Raises:
        CompileError: E003 unless all parts are positive numbers.
    """
    parts = names(text)
    if all(p.isascii() and p.isdigit() and 0 < int(p) < 1 << 31 for p in parts):
        return tuple(map(int, parts))
    text = f"--input {text} is no shape"
    raise fail("E003", text, help="give the sizes of one sample at one step: --input 1,28,28")
