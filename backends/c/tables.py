"""Constant tables at their smallest integer type: ``tables.h`` declares, ``weights.c`` defines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.c import blobs
from snnc.backends.c.words import SIZES, stored
from snnc.content import Streamed

_PER_LINE = 16
_ALIGNED = [
    "#if defined(__GNUC__) /* at a cache line: vectors do not cross two */",
    "#define SNN_LINE __attribute__((aligned(64)))",
    "#else",
    "#define SNN_LINE",
    "#endif",
    "",
]


@dataclass(frozen=True, slots=True)
class Table:
    """A named constant vector."""

    name: str
    ctype: str
    values: npt.NDArray[Any]
    origin: str
    aligned: bool = False

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return blobs.padded(self.values.nbytes) if self.is_blob else self.values.nbytes

    @property
    def is_blob(self) -> bool:
        """Whether it is written as string literals."""
        return self.values.nbytes >= blobs.SMALLEST


@dataclass
class Tables:
    """The tables of one network, in order of definition."""

    entries: list[Table] = field(default_factory=list)
    _known: dict[str, Table] = field(default_factory=dict)

    def add(
        self,
        name: str,
        values: npt.NDArray[Any],
        origin: str,
        ctype: str | None = None,
        aligned: bool = False,
    ) -> Table:
        """Define a table in row-major order, at its smallest type unless ``ctype`` names one.

        ``origin`` is a comment, already escaped.  Defining a table again gives the first one.
        An ``aligned`` table starts at a cache line, if the compiler can do that.
        """
        ctype = ctype or stored((int(values.min()), int(values.max())))
        flat = np.ascontiguousarray(values, ctype.removesuffix("_t")).reshape(-1)
        if known := self._known.get(name):
            assert known.ctype == ctype, "equal values"
            assert np.array_equal(known.values, flat), "equal values"
            return known
        table = Table(name, ctype, flat, origin, aligned)
        self.entries.append(table)
        self._known[name] = table
        return table

    @property
    def bytes(self) -> int:
        """Read-only memory that the tables take."""
        return sum(t.bytes for t in self.entries)

    def header(self) -> str:
        """Return ``tables.h``."""
        lines = ["#ifndef SNN_TABLES_H", "#define SNN_TABLES_H", "", "#include <stdint.h>", ""]
        if any(t.aligned for t in self.entries):
            lines += _ALIGNED
        for t in self.entries:
            lines.append(t.origin)
            place = "SNN_LINE " if t.aligned else ""
            if t.is_blob:
                lines += blobs.declaration(t.name, t.ctype, t.values.size, SIZES[t.ctype], place)
            else:
                lines.append(f"extern {place}const {t.ctype} {t.name}[{t.values.size}];")
        return "\n".join([*lines, "", "#endif", ""])

    def definitions(self) -> str | Streamed:
        """Return ``weights.c``, in parts if it has blobs."""
        if any(t.is_blob for t in self.entries):
            return Streamed(lambda: definition_parts(self.entries))
        return b"".join(definition_parts(self.entries)).decode()


def definition_parts(entries: list[Table]) -> Iterator[bytes]:
    """``weights.c``, part after part."""
    yield b'#include "tables.h"\n'
    if any(t.is_blob for t in entries):
        yield f"\n{blobs.ORDER}".encode()
    for t in entries:
        yield b"\n"
        if t.is_blob:
            yield from blobs.definition(t.name, t.values)
        else:
            yield definition(t.name, t.ctype, t.values).encode()


def definition(name: str, ctype: str, values: npt.NDArray[Any]) -> str:
    """Definition of a constant array."""
    # INT64_MIN has no literal; every other value prints as itself.
    words = list(map(str, values.reshape(-1).tolist()))
    if ctype in ("int32_t", "int64_t"):
        words = [_wide(int(w)) for w in words]
    if ctype == "uint32_t":
        words = [f"{w}u" for w in words]
    rows = (", ".join(words[i : i + _PER_LINE]) for i in range(0, len(words), _PER_LINE))
    body = ",\n    ".join(rows)
    return f"const {ctype} {name}[{values.size}] = {{\n    {body}}};\n"


def _wide(value: int) -> str:
    if value == -(1 << 63):
        return "(-INT64_C(9223372036854775807) - 1)"
    if value == -(1 << 31):
        return "(-INT32_C(2147483647) - 1)"
    return str(value) if abs(value) < 1 << 31 else f"INT64_C({value})"
