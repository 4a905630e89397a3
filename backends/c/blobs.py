"""Large tables as string literals, which compilers read some ten times as fast as lists of numbers.

A blob is a union of rows of bytes, each one literal within the 4,095 characters that C99 grants,
and of the table's words.  The bytes are those of a little-endian processor; a compiler for another
one stops at an ``#error``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

#: Bytes from which on a table is a blob.
SMALLEST = 1 << 20
_LINE, _LINES = 64, 63
_ROW = _LINE * _LINES
#: Rows whose text is made at once.
_ROWS = 64

#: ``\ooo`` of every byte.
_OCTAL = np.array(
    [[92, 48 + (b >> 6), 48 + (b >> 3) % 8, 48 + b % 8] for b in range(256)], np.uint8
)

#: What stands before the first blob.
ORDER = """#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "large tables are stored for little-endian processors"
#endif
"""


def padded(size: int) -> int:
    """Bytes of a blob for so many bytes of words."""
    return -(-size // _ROW) * _ROW


def declaration(name: str, ctype: str, size: int, width: int, place: str) -> list[str]:
    """Lines that declare a blob of ``size`` words of ``width`` bytes and name its words.

    ``place`` is an attribute that says where it lies, or nothing.
    """
    rows = -(-size * width // _ROW)
    return [
        f"union {name}_blob {{",
        f"    unsigned char bytes[{rows}][{_ROW}];",
        f"    {ctype} words[{rows * _ROW // width}];",
        "};",
        f"extern {place}const union {name}_blob {name}_blob;",
        f"#define {name} ({name}_blob.words)",
    ]


def definition(name: str, values: npt.NDArray[Any]) -> Iterator[bytes]:
    """Text that defines a blob, part after part."""
    yield f"const union {name}_blob {name}_blob = {{{{\n".encode()
    raw = values.astype(values.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8)
    step = _ROW * _ROWS
    for start in range(0, raw.size, step):
        part = raw[start : start + step]
        if rest := -part.size % _ROW:
            part = np.append(part, np.zeros(rest, np.uint8))
        lines = part.reshape(-1, _LINES, _LINE)
        text = np.empty((len(lines), _LINES, 4 * _LINE + 4), np.uint8)
        text[:, :, 0] = ord('"')
        text[:, :, 1 : 4 * _LINE + 1] = _OCTAL[lines].reshape(len(lines), _LINES, 4 * _LINE)
        text[:, :, 4 * _LINE + 1] = ord('"')
        text[:, :, 4 * _LINE + 2] = ord(" ")
        text[:, -1, 4 * _LINE + 2] = ord(",")
        text[:, :, 4 * _LINE + 3] = ord("\n")
        yield text.tobytes()
    yield b"}};\n"
