# mypy: disable-error-code="import-not-found"
# (what stands beside this file in an artifact is not installed in snnc)
"""What one Lava process does: its part of the program, and what its ports carry."""

from __future__ import annotations

import json
import math
import mmap
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from simulator import Record, Simulator

Array = npt.NDArray[Any]


@dataclass
class Wire:
    """One port of a process, in the terms of its part of the program."""

    port: str
    key: tuple[str, int]
    clock: str
    shape: tuple[int, ...]
    delay: int = 0
    init: Array | None = None

    def at_rest(self, batch: int) -> Array:
        """The value before the first one, (N, ...)."""
        start = np.zeros(self.shape, np.int64) if self.init is None else self.init
        return np.broadcast_to(start, (batch, *self.shape))


def shared(shape: tuple[int, ...]) -> Array:
    """Zeros in memory that this process shares with the workers that it forks later.

    Nothing is left of it when they have ended, however they end.
    """
    size = 8 * math.prod(shape)
    return np.frombuffer(mmap.mmap(-1, max(size, 8)), np.int64)[: size // 8].reshape(shape)


@dataclass
class Job:
    """The task of one process.

    Attributes:
        part: The nodes of this process as a program; what enters by a port is an input of it.
        steps: Steps of one sample.
        feed: For a source: input name -> samples, (N, T, ...) or (N, ...).
        results: Output name -> where to put it, (N, ...); shared memory.
        words: Word -> where to put it, (N, T, ...); shared memory.
        progress: One counter of finished steps, shared with the supervisor.
        together: Samples that run side by side: every message carries a value of each.  0: one
            sample at a time, in messages without an axis for them.
    """

    name: str
    part: Simulator
    inputs: list[Wire]
    outputs: list[Wire]
    steps: int
    feed: dict[str, Array] = field(default_factory=dict)
    results: dict[str, Array] = field(default_factory=dict)
    words: dict[str, Array] = field(default_factory=dict)
    progress: Array = field(default_factory=lambda: shared((1,)))
    together: int = 0

    @property
    def batch(self) -> int:
        """Samples at a time."""
        return max(self.together, 1)

    def port(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the messages that carry values of a shape; Lava has no scalars."""
        return (self.together, *shape) if self.together else shape or (1,)


def job_of(
    document: Record,
    tensors: dict[str, Array],
    entry: Record,
    nodes: dict[str, Record],
    steps: int,
) -> Job:
    """Cut the nodes of one process out of the program."""
    own = set(entry["nodes"])
    renamed: dict[tuple[str, int, int, str], str] = {}
    records: list[Record] = []
    inputs: list[Wire] = []
    for port in entry["inputs"]:
        type_ = nodes[port["src"]]["types"][port["out"]]
        name, init = _unused(f"<{port['port']}>", own), _init(port, nodes)
        renamed[_key(port, init)] = name
        if port["delay"]:
            type_ = _with_first(type_, 0 if init is None else tensors[init["tensor"]])
        shape = tuple(type_["shape"])
        inputs.append(Wire(port["port"], (name, 0), type_["clock"], shape))
        records.append(_input_record(name, type_))
    for name in entry["nodes"]:
        edges = [_rewired(e, renamed, own) for e in nodes[name]["inputs"]]
        records.append({**nodes[name], "inputs": edges})
    part = Simulator({**document, "steps": steps, "max_steps": 0, "nodes": records}, tensors)
    outputs = []
    for port in entry["outputs"]:
        type_ = nodes[port["src"]]["types"][port["out"]]
        init, delay, key = _init(port, nodes), port["delay"], (port["src"], port["out"])
        if port["src"] not in own:  # a sequence that passes through, already delayed
            key, delay = (renamed[_key(port, init)], 0), 0
        value = None if init is None else part.param(init)
        shape = tuple(type_["shape"])
        outputs.append(Wire(port["port"], key, type_["clock"], shape, delay, value))
    return Job(entry["name"], part, inputs, outputs, steps)


def _init(port: Record, nodes: dict[str, Record]) -> Any:
    """The stored initial value of a port's delayed edge."""
    if port["init_of"] is None:
        return None
    name, operand = port["init_of"]
    return nodes[name]["inputs"][operand]["init"]


def _key(edge: Record, init: Any) -> tuple[str, int, int, str]:
    return edge["src"], edge["out"], edge["delay"], json.dumps(init) if edge["delay"] else ""


def _rewired(edge: Record, renamed: dict[tuple[str, int, int, str], str], own: set[str]) -> Record:
    if edge["src"] in own:
        return edge
    return {"src": renamed[_key(edge, edge["init"])], "out": 0, "delay": 0, "init": None}


def _with_first(type_: Record, first: Array | int) -> Record:
    """A type that also holds what arrives before the first delayed value."""
    dtype = type_["dtype"]
    if dtype.get("lo") is None:
        return type_
    lo, hi = min(dtype["lo"], int(np.min(first))), max(dtype["hi"], int(np.max(first)))
    return {**type_, "dtype": {**dtype, "lo": lo, "hi": hi}}


def _unused(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "'"
    return name


def _input_record(name: str, type_: Record) -> Record:
    lo, hi = type_["dtype"].get("lo"), type_["dtype"].get("hi")
    attributes = {"shape": type_["shape"], "clock": type_["clock"], "lo": lo, "hi": hi}
    return {
        "name": name,
        "op": "IntInput",
        "attributes": attributes,
        "types": [type_],
        "inputs": [],
    }
