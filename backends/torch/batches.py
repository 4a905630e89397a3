"""Runs arrays of NumPy through an integer network, in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snnc.backends.torch.inputs import taken
from snnc.backends.torch.network import IntegerNetwork

Arrays = dict[str, npt.NDArray[Any]]
#: Gives the samples of an input from a first to behind a last one.
Take = Callable[[int, int], Tensor]

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
    device = next((b.device for b in network.buffers()), torch.device("cpu"))
    whole, samples, count = _taken(network, inputs, steps, device)
    batch = _batch(network, count)
    found: list[tuple[Arrays, Arrays]] = []
    for start in range(0, max(samples, 1), batch):
        given = {name: take(start, start + batch).to(device) for name, take in whole.items()}
        results = network(given, count, words)
        outputs, records = ({k: x.cpu().numpy() for k, x in kind.items()} for kind in results)
        found.append((outputs, records))
    if len(found) == 1:
        return found[0]
    outputs, records = (
        {k: np.concatenate([part[i][k] for part in found]) for k in found[0][i]} for i in (0, 1)
    )
    return outputs, records


def _taken(
    network: IntegerNetwork, inputs: Arrays, steps: int | None, device: torch.device
) -> tuple[dict[str, Take], int, int]:
    """What gives the samples of every input from one to another; the numbers of samples and steps.

    Once a network is compiled, its inputs are checked and narrowed by a compiled function, too.
    """
    program, found = network.program, dict[str, Take]()
    fast = network.natives is not None and network.natives.paid and device.type == "cpu"
    samples, count = program.check(inputs, steps, not fast)
    try:
        for name, (_, clock, lo, hi) in program.inputs.items() if fast else ():
            x = taken(inputs[name], network.words[name], (lo, hi), clock == "step")
            if x is not None:
                found[name] = partial(_cut, x)
    except OSError as e:
        network.stop_compiling(e)
    if fast and len(found) < len(inputs):
        program.check(inputs, steps)
    for name, array in inputs.items():
        found.setdefault(name, partial(_narrow, array, network.words[name]))
    return found, samples, count


def _cut(x: Tensor, first: int, last: int) -> Tensor:
    return x[first:last]


def _batch(network: IntegerNetwork, steps: int) -> int:
    """Samples whose values fit."""
    types = network.program.types.values()
    size = sum(prod(t["shape"]) for outputs in types for t in outputs)
    return int(max(1, ELEMENTS // (max(1, steps) * max(1, size))))


def _narrow(x: npt.NDArray[Any], kind: torch.dtype, first: int, last: int) -> Tensor:
    """In the type in which the network keeps this input."""
    x = x[first:last]
    ready = x.dtype == _KINDS[kind] and x.flags.carray  # dense, aligned and writeable
    if not ready or kind == torch.int64:  # in which it might be given out again
        x = np.array(x, _KINDS[kind], order="C")
    return torch.from_numpy(x)
