"""What the user passes for a module's inputs: a tensor, several, or one dict of tensors."""

from __future__ import annotations

from typing import Any


def parts(data: Any, keys: tuple[str, ...] = ()) -> tuple[Any, ...]:
    """The inputs one by one; those of a dict in the order of ``keys``, else in its own."""
    if isinstance(data, dict):
        return tuple(data[k] for k in keys or data)
    return tuple(data) if isinstance(data, tuple | list) else (data,)


def keys_of(data: Any) -> tuple[Any, ...]:
    """The keys of an example that is a dict, which ``forward`` takes as its one argument."""
    return tuple(data) if isinstance(data, dict) else ()
