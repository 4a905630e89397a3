"""Runs arrays of NumPy through an integer network, in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from snnc.backends.torch.network import IntegerNetwork

Arrays = dict[str, npt.NDArray[Any]]

#: Elements of all values of all steps that are kept at once.
ELEMENTS = 1 << 26
_KINDS: dict[torch.dtype, type[np.signedinteger[Any]]] = {
    torch.int8: np.int8,
    torch.int32: np.int32,
    torch.int64: np.int64,
}


def run(
    network: IntegerNetwork, inputs: Arrays, steps: int | None = None, record: Iterable[str] = ()
) -> tuple[Arrays, Arrays]:
    """As ``Simulator.run``: check the inputs, run them, give outputs and records as int64.

    Raises:
        TypeError: Inputs are not integers.
        ValueError: They do not fit the network, or a word is unknown.
    """
    words = list(record)
    if unknown := set(words) - set(network.program.words()):
        raise ValueError(f"no word is named {sorted(unknown)[0]!r}")
    samples, count = network.program.check(inputs, steps)
    device = next((b.device for b in network.buffers()), torch.device("cpu"))
    batch = _batch(network, count)
    found: list[tuple[Arrays, Arrays]] = []
    for start in range(0, max(samples, 1), batch):
        given = {
            name: torch.from_numpy(_narrow(x[start : start + batch], network.words[name])).to(
                device
            )
            for name, x in inputs.items()
        }
        results = network(given, count, words)
        outputs, records = ({k: x.cpu().numpy() for k, x in kind.items()} for kind in results)
        found.append((outputs, records))
    if len(found) == 1:
        return found[0]
    whole, kept = (
        {k: np.concatenate([part[i][k] for part in found]) for k in found[0][i]} for i in (0, 1)
    )
    return whole, kept


def _batch(network: IntegerNetwork, steps: int) -> int:
    """Samples whose values fit."""
    types = network.program.types.values()
    size = sum(prod(t["shape"]) for outputs in types for t in outputs)
    return int(max(1, ELEMENTS // (max(1, steps) * max(1, size))))


def _narrow(x: npt.NDArray[Any], kind: torch.dtype) -> npt.NDArray[Any]:
    """In the type in which the network keeps this input, as torch takes it."""
    ready = x.dtype == _KINDS[kind] and x.flags.c_contiguous and x.flags.writeable
    if ready and kind != torch.int64:  # in which it might be given out again
        return x
    return np.array(x, _KINDS[kind], order="C")
