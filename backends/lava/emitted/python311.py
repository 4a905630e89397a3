"""Lets lava-nc 0.10.0 be imported on Python 3.11 and later; import this module first.

``lava.magma.compiler.var_model`` gives instances of the dataclass ``ByteEncoder`` as defaults of
dataclass fields.  Since Python 3.11 a default must be hashable.  Lava only ever reads these
defaults, so hashing them by identity is enough; nothing else of Lava is touched.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any


def allow() -> None:
    """Import the one module that does not load otherwise."""
    if sys.version_info < (3, 11):  # noqa: UP036  (the artifact runs there too)
        return
    original = dataclasses.dataclass

    def dataclass(cls: Any = None, /, **options: Any) -> Any:
        if cls is None:
            return lambda cls: dataclass(cls, **options)
        made = original(cls, **options)
        if (cls.__module__, cls.__name__) == ("lava.magma.compiler.var_model", "ByteEncoder"):
            made.__hash__ = object.__hash__
        return made

    dataclasses.dataclass = dataclass
    try:
        import lava.magma.compiler.var_model  # type: ignore[import-not-found]  # noqa: F401
    finally:
        dataclasses.dataclass = original


allow()
