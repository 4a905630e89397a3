"""Open an HDF5 file that somebody else wrote, and read its texts."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from typing import Any, TypeVar

from snnc.diagnostics import CompileError, fail
from snnc.frontends.hdf5_walk import Walk, check_name

T = TypeVar("T")


def read_walked(
    data: bytes, name: str, texts: frozenset[str], again: str, read: Callable[[Any, Any], T]
) -> T:
    """What ``read(h5py, file)`` gives for a file that has been walked.

    Args:
        data: The file.
        name: Of the file, for messages.
        texts: Names of datasets that may hold text.
        again: How to write such a file properly, for messages.
        read: Takes what it needs from the open file.

    Raises:
        CompileError: E103 damaged, E140 to E145 what ``hdf5_walk`` refuses, and what ``read``
            raises.
    """
    h5py = importlib.import_module("h5py")
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            Walk(h5py, len(data), texts, again).group(file, "", 0)
            return read(h5py, file)
    except (CompileError, MemoryError):
        raise
    except RecursionError as e:
        raise fail("E143", f"{name} is nested too deeply") from e
    except Exception as e:  # h5py passes on what libhdf5 finds in damaged files as any of these
        text = f"{name} is damaged: {type(e).__name__}: {e}"
        raise fail("E103", text[:400], help="copy the file again, or export it again") from e


def plain_text(value: object, path: str) -> str:
    """A text of the file; CompileError E145 unless it can be printed."""
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
    check_name(text, path)
    return text
