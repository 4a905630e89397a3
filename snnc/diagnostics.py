"""Locations, diagnostics and the one exception that carries them to the user."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class Severity(enum.StrEnum):
    """How bad it is."""

    ERROR = "error"
    WARNING = "warning"
    REMARK = "remark"


@dataclass(frozen=True, slots=True)
class Loc:
    """Where a node came from: its path in the user's model and, if known, the source line.

    >>> str(Loc.fused(Loc("conv1", "model.py", 42), Loc("bn1", "model.py", 43)))
    'conv1+bn1 (model.py:42)'
    """

    path: str
    file: str | None = None
    line: int | None = None

    @staticmethod
    def fused(*locs: Loc) -> Loc:
        """Join the locations of a node made from several, at the first one's line."""
        paths = dict.fromkeys(part for loc in locs for part in loc.path.split("+"))
        return Loc("+".join(paths), locs[0].file, locs[0].line)

    def __str__(self) -> str:
        return f"{self.path} ({self.file}:{self.line})" if self.file else self.path


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message about one place: what, where, why (``notes``) and what to do (``help``)."""

    severity: Severity
    code: str
    message: str
    loc: Loc | None = None
    notes: tuple[str, ...] = ()
    help: str | None = None

    def __str__(self) -> str:
        lines = [f"{self.severity}[SNNC-{self.code}]: {self.message}"]
        lines += [f"  --> {self.loc}"] if self.loc else []
        lines += [f"  note: {note}" for note in self.notes]
        lines += [f"  help: {self.help}"] if self.help else []
        return "\n".join(lines)


class CompileError(Exception):
    """The user's input cannot be processed as asked. Carries at least one error diagnostic."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        assert self.diagnostics, "a CompileError needs a diagnostic"
        super().__init__("\n".join(map(str, self.diagnostics)))


def error(
    code: str, message: str, loc: Loc | None = None, *notes: str, help: str | None = None
) -> Diagnostic:
    """Build an error diagnostic; ``code`` is like ``E201``."""
    return Diagnostic(Severity.ERROR, code, message, loc, notes, help)


def warning(
    code: str, message: str, loc: Loc | None = None, *notes: str, help: str | None = None
) -> Diagnostic:
    """Build a warning diagnostic; ``code`` is like ``W311``."""
    return Diagnostic(Severity.WARNING, code, message, loc, notes, help)


def remark(code: str, message: str, loc: Loc | None = None, *notes: str) -> Diagnostic:
    """Build a remark: a decision of the compiler that a user may ask about."""
    return Diagnostic(Severity.REMARK, code, message, loc, notes)


def fail(
    code: str, message: str, loc: Loc | None = None, *notes: str, help: str | None = None
) -> CompileError:
    """Build the exception for a single error, to be raised by the caller."""
    return CompileError([error(code, message, loc, *notes, help=help)])


def stop_on_errors(found: Sequence[Diagnostic]) -> None:
    """Raise CompileError with all that was found, if an error is among it."""
    if any(d.severity is Severity.ERROR for d in found):
        raise CompileError(found)
