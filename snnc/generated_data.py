"""Samples from a generator of the user's: ``--calibration data.py:samples``.

The generator yields batches as an ``.npz`` would hold them: ``x``, ``(x, y)``, or a dict of arrays
by the names of inputs.  It is run twice, and must give the same both times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.data import Data, as_data, load_data
from snnc.diagnostics import fail
from snnc.manifest import InputEntry
from snnc.own_code import call, is_source

Array = npt.NDArray[Any]

#: Samples that are taken; a generator may go on for ever.
MOST = 4096
_CONTRACT = "function() yields batches: x, (x, y), or dicts of arrays by the names of the inputs"


def samples_of(path: Path, inputs: tuple[InputEntry, ...]) -> tuple[Data, str, str]:
    """Samples of a file or a generator, the name of the source, and a hash of what it holds.

    Raises:
        CompileError: As ``load_data``; E112 if the user's code fails, E345 if it gives something
            else every time.
    """
    if not is_source(str(path)):
        data = load_data(path, inputs)
        return data, path.name, hashlib.sha256(path.read_bytes()).hexdigest()
    source = str(path)
    found, again = (
        call(source, "--calibration", _CONTRACT, lambda made: _taken(made, inputs))
        for _ in range(2)
    )
    digest = _digest(found)
    if _digest(again) != digest:
        text = f"{source} gives other samples every time it is called"
        raise fail("E345", text, help="seed its random numbers: np.random.default_rng(0)")
    labels = found.pop("y", None)
    name = f"{Path(source.rpartition(':')[0]).name}:{source.rpartition(':')[2]}"
    return as_data(found, inputs, labels), name, digest


def _taken(made: Any, inputs: tuple[InputEntry, ...]) -> dict[str, Array]:
    """The first samples by name, batches joined."""
    if not isinstance(made, Iterable) or isinstance(made, Mapping | np.ndarray):
        raise fail("E112", f"the function gives {type(made).__name__}, no batches", help=_CONTRACT)
    parts: dict[str, list[Array]] = {}
    count = 0
    for batch in made:
        for name, array in _named(batch, inputs).items():
            parts.setdefault(name, []).append(array[: MOST - count])
        count = sum(map(len, next(iter(parts.values()), [])))
        if count >= MOST:
            break
    if not parts:
        raise fail("E421", "the function yields no samples", help=_CONTRACT)
    return {name: np.concatenate(arrays) for name, arrays in sorted(parts.items())}


def _named(batch: Any, inputs: tuple[InputEntry, ...]) -> dict[str, Array]:
    first = inputs[0].name
    if isinstance(batch, Mapping):
        found = {str(k): np.asarray(a) for k, a in batch.items()}
        return {first if k == "x" and len(inputs) == 1 else k: a for k, a in found.items()}
    if isinstance(batch, tuple):
        if len(batch) != 2:
            raise fail("E112", f"a batch is a tuple of {len(batch)}", help=_CONTRACT)
        return {first: np.asarray(batch[0]), "y": np.asarray(batch[1])}
    return {first: np.asarray(batch)}


def _digest(arrays: Mapping[str, Array]) -> str:
    """Of names, types, shapes and values."""
    found = hashlib.sha256()
    for name, array in arrays.items():
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
