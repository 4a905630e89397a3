"""Indented C text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class CWriter:
    """Collects lines.

    >>> w = CWriter()
    >>> with w.block("if (x)"):
    ...     w("y = 1;")
    >>> print(w.text, end="")
    if (x) {
        y = 1;
    }
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0

    def __call__(self, *lines: str) -> None:
        """Append lines at the current depth."""
        self._lines += [f"{'    ' * self._depth}{line}" if line else "" for line in lines]

    @contextmanager
    def block(self, head: str, tail: str = "") -> Iterator[None]:
        """``head { … } tail``."""
        self(f"{head} {{")
        self._depth += 1
        yield
        self._depth -= 1
        self("}" + tail)

    @contextmanager
    def loop(self, index: str, count: int | str) -> Iterator[None]:
        """``for`` over ``0 … count-1`` with an index of type size_t."""
        bound = f"{count}u" if isinstance(count, int) else count
        with self.block(f"for (size_t {index} = 0u; {index} < {bound}; {index}++)"):
            yield

    @property
    def text(self) -> str:
        """Everything so far."""
        return "\n".join(self._lines) + "\n" if self._lines else ""
