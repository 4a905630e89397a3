"""Samples from a generator of the user's: ``--calibration data.py:samples``.

The generator yields batches as an ``.npz`` would hold them: ``x``, ``(x, y)``, or a dict of arrays
by the names of inputs; a loader of torch gives that.  It is run twice, and must give the same both
times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.data import Data, as_data, check_array, load_data
from snnc.diagnostics import fail, stop_on_errors
from snnc.manifest import InputEntry
from snnc.own_code import call, is_source

Array = npt.NDArray[Any]

#: Samples that are taken; a generator may go on for ever.
MOST = 4096
_SEEDED = "seed its random numbers, np.random.default_rng(0), and let torch's loaders not shuffle"
_CONTRACT = "function() yields batches: x, (x, y), or dicts of arrays by the names of the inputs"


def samples_of(path: Path, inputs: tuple[InputEntry, ...]) -> tuple[Data, str, str]:
    """Samples of a file or a generator, the name of the source, and a hash of what it holds.

    Raises:
        CompileError: As ``load_data``; E112 if the user's code fails, E345 if it gives something
            else every time.
    """
    if path.suffix == ".py":
        hint = f"name a function in it: {path}:FUNCTION"
        raise fail("E112", f"{path.name} is code, and not data", help=hint)
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
        raise fail("E345", text, help=_SEEDED)
    labels = found.pop("y", None)
    name = f"{Path(source.rpartition(':')[0]).name}:{source.rpartition(':')[2]}"
    return as_data(found, inputs, labels), name, digest


def _taken(made: Any, inputs: tuple[InputEntry, ...]) -> dict[str, Array]:
    """The first samples by name, batches joined."""
    if not isinstance(made, Iterable) or isinstance(made, Mapping | np.ndarray):
        raise fail("E112", f"the function gives {type(made).__name__}, no batches", help=_CONTRACT)
    parts: dict[str, list[Array]] = {}
    count = empty = 0
    for number, batch in enumerate(made, 1):
        arrays = _named(batch, inputs)
        _check(number, arrays, parts, inputs)
        found = len(next(iter(arrays.values())))
        if not found and (empty := empty + 1) > MOST:
            raise fail(
                "E421", f"the function yields {MOST:,} batches of no samples", help=_CONTRACT
            )
        for name, array in arrays.items():
            parts.setdefault(name, []).append(array[: MOST - count])
        count += found
        if count >= MOST:
            break
    if not parts:
        raise fail("E421", "the function yields no samples", help=_CONTRACT)
    return {name: np.concatenate(arrays) for name, arrays in sorted(parts.items())}


def _check(
    number: int,
    arrays: Mapping[str, Array],
    before: Mapping[str, list[Array]],
    inputs: tuple[InputEntry, ...],
) -> None:
    """Refuse a batch (E421, E422) that fits neither the network nor the batches before it."""
    where = f"batch {number} of the generator"
    entries = {entry.name: entry for entry in inputs}
    found = [
        replace(d, message=f"{where}: {d.message}")
        for name, array in arrays.items()
        if name in entries
        for d in check_array(array, entries[name])
    ]
    stop_on_errors(found)
    if not arrays:
        raise fail("E421", f"{where} holds nothing", help=_CONTRACT)
    if before and arrays.keys() != before.keys():
        texts = [" and ".join(sorted(names)) for names in (arrays, before)]
        text = f"{where} holds {texts[0]}, those before it {texts[1]}"
        raise fail("E421", text, help="yield the same arrays in every batch")
    lengths = {name: len(a) if a.ndim else 0 for name, a in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{length} of {name}" for name, length in lengths.items())
        text = f"{where} holds different numbers of samples: {told}"
        raise fail("E421", text, help="yield one label per sample")
    for name, parts in before.items():
        if arrays[name].shape[1:] != parts[0].shape[1:]:
            text = f"{where}: {name} is {arrays[name].shape}, in those before it {parts[0].shape}"
            raise fail("E421", text, help="yield batches of one shape, but for their samples")


def _named(batch: Any, inputs: tuple[InputEntry, ...]) -> dict[str, Array]:
    first = inputs[0].name
    if isinstance(batch, Mapping):
        found = {str(k): np.asarray(a) for k, a in batch.items()}
        return {first if k == "x" and len(inputs) == 1 else k: a for k, a in found.items()}
    if isinstance(batch, tuple) or _is_pair(batch):
        if len(batch) != 2:
            raise fail("E112", f"a batch is a tuple of {len(batch)}", help=_CONTRACT)
        return {first: np.asarray(batch[0]), "y": np.asarray(batch[1])}
    return {first: np.asarray(batch)}


def _is_pair(batch: Any) -> bool:
    """Whether a list is no array: torch's loaders give samples and labels so."""
    if (
        not isinstance(batch, list)
        or len(batch) != 2
        or not all(hasattr(x, "shape") for x in batch)
    ):
        return False
    return tuple(batch[0].shape) != tuple(batch[1].shape)


def _digest(arrays: Mapping[str, Array]) -> str:
    """Of names, types, shapes and values."""
    found = hashlib.sha256()
    for name, array in arrays.items():
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
