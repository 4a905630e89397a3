"""What a generated file holds: text, bytes, or parts that are made while it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator


class Streamed:
    """A file too large for memory: its parts are made again whenever it is read."""

    def __init__(self, parts: Callable[[], Iterable[bytes | memoryview]]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes | memoryview]:
        return iter(self._parts())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Streamed) and b"".join(self) == b"".join(other)

    __hash__ = None  # type: ignore[assignment]  # equal by content, which may be large


Content = str | bytes | Streamed


def parts_of(content: Content) -> Iterator[bytes | memoryview]:
    """Bytes of a file, part after part; text is UTF-8 with Unix line ends.

    >>> list(parts_of("a")), list(parts_of(Streamed(lambda: iter([b"a", b"b"]))))
    ([b'a'], [b'a', b'b'])
    """
    if isinstance(content, Streamed):
        yield from content
    else:
        yield content.encode() if isinstance(content, str) else content
