"""C identifiers, comments and string literals for names that come from a model.

A model's names are data of an unknown author.  Identifiers are built from the layer's index, so
they are unique and never keywords; names appear only inside comments and strings, escaped so
that they can neither end the comment or string nor form a trigraph.
"""

from __future__ import annotations

import re

_LONGEST = 24
_PLAIN = re.compile(r"[A-Za-z0-9 _.,:;+=<>()\[\]{}@#'&|^~!$`/-]")


def slug(name: str) -> str:
    """Return at most 24 characters of ``[a-z0-9_]`` that remind of ``name``.

    >>> slug("Conv-1.weight"), slug("*/ int"), slug("")
    ('conv_1_weight', '___int', 'x')
    """
    return re.sub(r"[^a-z0-9_]", "_", name.lower())[:_LONGEST] or "x"


def layer(index: int, part: str) -> str:
    """Return the identifier of a part of a layer.

    >>> layer(7, "event")
    'l0007_event'
    """
    return f"l{index:04d}_{slug(part)}"


def escaped(text: str, limit: int = 200) -> str:
    r"""Return ``text`` for use inside a comment or string literal: the rest is octal.

    >>> print(escaped('a*/"??/'), escaped("a * b"))
    a\052/\042\077\077/ a * b
    """
    raw = text.encode("utf-8", "backslashreplace")
    kept = ""
    for i, b in enumerate(raw[:limit]):
        # a star between blanks is a product in a kernel and cannot end a comment
        is_product = raw[max(i - 1, 0) : i + 2] == b" * "
        kept += chr(b) if is_product or _PLAIN.fullmatch(chr(b)) else f"\\{b:03o}"
    return kept + ("..." if len(raw) > limit else "")


def comment(text: str) -> str:
    """Return a one-line comment."""
    return f"/* {escaped(text)} */"


def string(text: str) -> str:
    """Return a string literal."""
    return f'"{escaped(text)}"'
