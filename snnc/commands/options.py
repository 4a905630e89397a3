"""Options that every command has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from snnc.diagnostics import fail
from snnc.events import Binning

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


def event_options(command: F) -> F:
    """Add ``--dt``, ``--bins`` and ``--sensor``, for data that are event lists."""
    for flags, kind, text in (
        (("--sensor",), str, "Events: polarities, rows, columns behind a flat input: 2,34,34."),
        (("--bins",), click.IntRange(1, 1 << 31), "Events: number of steps."),
        (("--dt",), click.IntRange(1, 1 << 62), "Events: length of a step, in units of t."),
    ):
        command = click.option(*flags, type=kind, help=text)(command)
    return command


def binning_of(dt: int | None, bins: int | None, sensor: str | None) -> Binning:
    """How events become steps, as the user says."""
    return Binning(dt or 0, bins or 0, sizes(sensor, "--sensor") if sensor else ())


def names(text: str) -> tuple[str, ...]:
    """Split a comma list.

    >>> names("numpy, c,")
    ('numpy', 'c')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


def sizes(text: str, flag: str = "--input") -> tuple[int, ...]:
    """Split a shape.

    >>> sizes("1,28, 28")
    (1, 28, 28)

    Raises:
        CompileError: E003 unless all parts are positive numbers.
    """
    parts = names(text)
    if all(p.isascii() and p.isdigit() and 0 < int(p) < 1 << 31 for p in parts):
        return tuple(map(int, parts))
    text = f"{flag} {text} is no shape"
    raise fail("E003", text, help=f"give the sizes of one sample at one step: {flag} 1,28,28")
