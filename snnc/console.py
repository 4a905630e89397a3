"""What the user sees: results on stdout, progress and diagnostics on stderr, or one JSON document.

A terminal gets colour and a moving progress line (``NO_COLOR`` is honoured); a file or a pipe
gets plain text.  Names from models are shown with their control characters escaped and are never
taken for markup.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from snnc.diagnostics import Diagnostic, Severity

SCHEMA = "snnc.result/1"
_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.REMARK: "36"}

#: Invisible or order-changing characters, by Unicode category.
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def visible(text: str) -> str:
    r"""Escape control, formatting and other invisible characters.

    >>> print(visible("a\x1b[31mb\u202ec"))
    a\x1b[31mb\u202ec
    """
    return "".join(
        c
        if unicodedata.category(c) not in _HIDDEN
        else c.encode("unicode_escape").decode()
        if not 0xD800 <= ord(c) <= 0xDFFF
        else f"\\u{ord(c):04x}"
        for c in text
    )


def describe(diagnostic: Diagnostic) -> dict[str, object]:
    """A diagnostic as JSON."""
    loc = diagnostic.loc
    return {
        "severity": str(diagnostic.severity),
        "code": f"SNNC-{diagnostic.code}",
        "message": diagnostic.message,
        "loc": loc and {"path": loc.path, "file": loc.file, "line": loc.line},
        "notes": list(diagnostic.notes),
        "help": diagnostic.help,
    }


@dataclass
class Console:
    """Where a command writes.

    Attributes:
        json: Print one JSON document on stdout, and nothing else there.
        quiet: No progress.
        debug: Show Python's traceback of an internal error.
        command: Name of the running command.
        result: What the command found, for JSON.
        diagnostics: Everything that was reported.
    """

    json: bool = False
    quiet: bool = False
    debug: bool = False
    command: str = ""
    result: dict[str, object] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def say(self, text: str = "") -> None:
        """Print a result."""
        if not self.json:
            _write(sys.stdout, text + "\n")

    def note(self, text: str) -> None:
        """Print progress."""
        if not self.quiet and not self.json:
            _write(sys.stderr, text + "\n")

    def stage(self, name: str, text: str, seconds: float) -> None:
        """Report a finished stage."""
        mark = _paint(sys.stderr, "✓", "32")
        self.note(f"  {visible(name):<16} {mark} {visible(text):<30} {seconds:6.2f} s")

    def report(self, *found: Diagnostic) -> None:
        """Print diagnostics and keep them for the JSON document."""
        self.diagnostics += found
        for diagnostic in found:
            if self.quiet and diagnostic.severity is Severity.REMARK:
                continue
            if not self.json:
                _write(sys.stderr, _diagnostic_text(diagnostic) + "\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; columns whose cells are numbers align to the right."""
        if self.json or not rows:
            return
        cells = [[visible(cell) for cell in row] for row in rows]
        right = [all(_is_number(row[i]) for row in cells) for i in range(len(columns))]
        if _colourful(sys.stdout):
            _rich_table(columns, cells, right)
        else:
            _write(sys.stdout, _plain_table(columns, cells, right))

    @contextlib.contextmanager
    def progress(self, text: str, total: float) -> Iterator[Callable[[float], None]]:
        """Show how much of ``total`` is done; the value is called with the work done since."""
        if self.quiet or self.json or not _colourful(sys.stderr):
            yield lambda _: None
            return
        from rich.console import Console as RichConsole
        from rich.progress import Progress

        with Progress(console=RichConsole(stderr=True), transient=True) as bar:
            task = bar.add_task(_escape_markup(visible(text)), total=total)
            yield lambda done: bar.advance(task, done)

    def finish(self, exit_code: int) -> None:
        """Print the JSON document, if one was asked for."""
        if not self.json:
            return
        errors = any(d.severity is Severity.ERROR for d in self.diagnostics)
        document: dict[str, object] = {
            "schema": SCHEMA,
            "command": self.command,
            "status": "error" if errors or exit_code else "ok",
            "exit": exit_code,
            **self.result,
            "diagnostics": [describe(d) for d in self.diagnostics],
        }
        _write(sys.stdout, json.dumps(document, indent=1, allow_nan=False) + "\n")


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # The reader has left (``| head``): the rest is for nobody, also at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _colourful(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _paint(stream: TextIO, text: str, colour: str) -> str:
    if not _colourful(stream) or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def _diagnostic_text(d: Diagnostic) -> str:
    head = _paint(sys.stderr, f"{d.severity}[SNNC-{d.code}]", f"1;{_COLOURS[d.severity]}")
    lines = [f"{head}: {visible(d.message)}"]
    lines += [f"  --> {visible(str(d.loc))}"] if d.loc else []
    lines += [f"  note: {visible(note)}" for note in d.notes]
    lines += [f"  help: {visible(d.help)}"] if d.help else []
    return "\n".join(lines)


def _is_number(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell[0] in "-+."


def _plain_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]
) -> str:
    widths = [max(len(r[i]) for r in (columns, *rows)) for i in range(len(columns))]
    lines = []
    for row in (columns, *rows):
        cells = [
            c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)
        ]
        lines.append(("  " + "  ".join(cells)).rstrip() + "\n")
    return "".join(lines)


def _rich_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]
) -> None:
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name, is_right in zip(columns, right, strict=True):
        table.add_column(name, justify="right" if is_right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    RichConsole().print(table)


def _escape_markup(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def number(value: float | None, digits: int = 2, percent: bool = False) -> str:
    """A number for a table, blank if there is none; a share is 100 % only if it is all.

    >>> number(0.95, percent=True), number(0.999999, percent=True), number(1.0, percent=True)
    ('95.00 %', '99.99 %', '100.00 %')
    >>> number(1.3, percent=True), number(-1e-9, percent=True)  # an error may be more than all
    ('130.00 %', '0.00 %')
    """
    if value is None:
        return ""
    if not percent:
        return f"{value:z.{digits}f}"
    shown = 100 * value if value >= 1 else min(100 * value, 100 - 10.0**-digits)
    return f"{shown:z.{digits}f} %"
