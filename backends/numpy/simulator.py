"""The definition of the integer operators, as a bit-exact simulator that needs NumPy alone.

This file and those with the operators (``SOURCES`` in ``backend.py``) are part of the compiler and
are copied into every artifact: what runs there is what every other backend is compared with.  It
reads the integer program that ``snnc`` writes (``graph.json`` and ``tensors.safetensors``) and
knows nothing else of ``snnc``.

Values are arrays with the batch first, of int64 or what holds no less: flags, and int32 for sums
and words of neurons whose proven range it holds.  All other arithmetic is that of int64.  Matrix
products run in floating point where the proven ranges make that exact (below 2**24 in float32,
2**53 in float64, several sums in one float64 as ``packing.py`` proves), else in int64; so do decays
of neurons whose result is proven in ``fusion.py`` to be the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from snnc.backends.numpy.arithmetic import Reach
from snnc.backends.numpy.execution import Run
from snnc.backends.numpy.neuron import Neuron
from snnc.backends.numpy.packing import Packed
from snnc.backends.numpy.program import Array, Record
from snnc.backends.numpy.schedule import Group, schedule
from snnc.backends.numpy.steps import Loops

#: Rows (steps times samples) and elements of all values together that are worked on at a time.
BLOCK_ROWS, BLOCK_ELEMENTS = 1024, 1 << 23


def read_safetensors(path: Path) -> dict[str, Array]:
    """Read a safetensors file: u64 header size, JSON header, raw little-endian data."""
    dtypes = {"I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "F32": "<f4", "F64": "<f8"}
    dtypes |= {"U8": "<u1", "U16": "<u2", "U32": "<u4", "U64": "<u8"}
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header, body = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(body[slice(*t["data_offsets"])], dtypes[t["dtype"]]).reshape(t["shape"])
        for name, t in header.items()
    }


class Simulator:
    """Runs an integer program on batches.

    Attributes:
        inputs: Name -> (shape, clock, lo, hi) of every network input.
        outputs: Names of the network outputs.
        sequences: Of them, those that have a value for every step.
        steps: Default number of steps for a network without per-step input.
    """

    def __init__(self, document: Record, tensors: dict[str, Array]) -> None:
        if document["format"] != "snnc.graph/1":
            raise ValueError(f"cannot read format {document['format']!r}")
        self._tensors = tensors
        self.steps: int = document["steps"]
        self.max_steps: int = document["max_steps"]
        self.nodes: list[Record] = document["nodes"]
        self.clock = {n["name"]: n["types"][0]["clock"] for n in self.nodes}
        self.types = {n["name"]: n["types"] for n in self.nodes}
        self.loops = Loops.of(document)
        self._schedules: dict[str, tuple[Group, ...]] = {}
        self.inputs: dict[str, tuple[tuple[int, ...], str, int, int]] = {}
        for n in self.nodes:
            if n["op"] == "IntInput":
                a = n["attributes"]
                self.inputs[n["name"]] = (tuple(a["shape"]), a["clock"], a["lo"], a["hi"])
        self.outputs = [n["name"] for n in self.nodes if n["op"] == "IntOutput"]
        ops = {n["name"]: n["op"] for n in self.nodes}
        self.sequences = [
            n["name"]
            for n in self.nodes
            if n["op"] == "IntOutput" and ops[n["inputs"][0]["src"]] == "IntTimeStack"
        ]
        self.sums: dict[str, type[np.int32]] = {}
        self.packed: dict[str, Packed] = {}
        self.exact: dict[str, Array] = {}
        for n in self.nodes:
            if "weight" in n["attributes"]:
                self._load_weight(n)
        self.neurons: dict[str, Neuron] = {
            n["name"]: Neuron.of(
                n["attributes"]["kernel"], map(self.reach, n["inputs"]), self.const
            )
            for n in self.nodes
            if n["op"] == "IntNeuron"
        }

    @classmethod
    def load(cls, folder: Path) -> Simulator:
        """Read ``graph.json`` and ``tensors.safetensors``."""
        document = json.loads((folder / "graph.json").read_text(encoding="utf-8"))
        return cls(document, read_safetensors(folder / "tensors.safetensors"))

    def words(self) -> list[str]:
        """Names of everything ``record`` can hold: ``node.output`` and ``node.state`` words."""
        names = []
        for n in self.nodes:
            if n["op"] == "IntNeuron" and self.clock[n["name"]].startswith("step"):
                k = n["attributes"]["kernel"]
                names += [f"{n['name']}.{o}" for o in dict.fromkeys(k["outputs"])]
                names += [f"{n['name']}.{s['name']}" for s in k["states"]]
            elif n["op"] in ("IntTimeSum", "IntTimeMean", "IntTimeMax"):
                names.append(f"{n['name']}.acc")
        return list(dict.fromkeys(names))

    def run(
        self, x: Array | dict[str, Array], steps: int | None = None, record: Iterable[str] = ()
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Run a batch of independent samples from the initial state.

        Args:
            x: Integers, (N, T, ...) for a per-step input or (N, ...) for a static one; a dict
                by input name if there are several.
            steps: T, needed only without a per-step input (default: as the model was traced).
            record: Words of ``words()`` to keep; each becomes (N, T, ...) with the T of its own
                loop. A state is recorded after the step.

        Returns:
            Outputs by name, (N, ...) or (N, T, ...) for a sequence, and the records.
        """
        arrays = x if isinstance(x, dict) else dict.fromkeys(self.inputs, x)
        batch, steps = self.check(arrays, steps)
        run = self.begin(batch, steps, record)
        static = {k: a for k, a in arrays.items() if self.inputs[k][1] == "once"}
        run.phase("once", static)
        given = {k: a for k, a in arrays.items() if k not in static}
        size = self._block_size(batch)
        for t in range(0, steps, size):
            now = range(t, min(t + size, steps))
            run.block("step", {k: [a[:, i] for i in now] for k, a in given.items()}, len(now))
        run.phase("end", {})
        for loop in range(2, self.loops.count + 1):
            count = self.loops.steps(loop, steps)
            for t in range(0, count, size):
                run.block(f"step{loop}", {}, min(size, count - t))
            run.phase(f"end{loop}", {})
        records = {k: np.stack(v, 1) for k, v in run.records.items() if v}
        return {name: run.values[name, 0] for name in self.outputs}, records

    def run_until(
        self, x: Array | dict[str, Array], steps: int | None, output: str, limits: Array
    ) -> tuple[dict[str, Array], Array]:
        """Run every sample until an output of one number reaches the limit of its step.

        Args:
            x: As ``run``.
            steps: T, after which every sample stops.
            output: Name of that output.
            limits: (T,).

        Returns:
            Outputs as ``run`` gives them for the number of steps at which each sample stopped, and
            these numbers, (N,).
        """
        arrays = x if isinstance(x, dict) else dict.fromkeys(self.inputs, x)
        batch, steps = self.check(arrays, steps)
        if self.loops.count > 1 or any(n["op"] == "IntTimeStack" for n in self.nodes):
            raise ValueError("a sample stops early only in a network of one loop without sequences")
        run = self.begin(batch, steps)
        static = {k: a for k, a in arrays.items() if self.inputs[k][1] == "once"}
        run.phase("once", static)
        used = np.zeros(batch, np.int64)
        found: dict[str, Array] = {}
        for t in range(steps):
            run.phase("step", {k: a[:, t] for k, a in arrays.items() if k not in static})
            if t + 1 < self.loops.fewest:
                continue
            run.phase("end", {})
            sure = run.values[output, 0].reshape(batch) >= limits[t]
            stops = (used == 0) & (sure | (t + 1 == steps))
            used[stops] = t + 1
            for name in self.outputs:
                y = run.values[name, 0]
                now = stops.reshape(batch, *[1] * (y.ndim - 1))
                found[name] = np.where(now, y, found.get(name, y))
            if used.all():
                break
        return found, used

    def begin(self, batch: int, steps: int, record: Iterable[str] = ()) -> Run:
        """A run in its initial state, to be driven phase by phase as ``run`` does."""
        wanted = set(record)
        if unknown := wanted - set(self.words()):
            raise ValueError(f"no word is named {sorted(unknown)[0]!r}")
        return Run(self, batch, steps, wanted)

    def check(
        self, arrays: dict[str, Array], steps: int | None, values: bool = True
    ) -> tuple[int, int]:
        """Number of samples and of steps; TypeError or ValueError if the inputs do not fit.

        ``values``: whether to look at every one of them, which takes a while.
        """
        if set(arrays) != set(self.inputs):
            raise ValueError(f"inputs are {sorted(self.inputs)}, got {sorted(arrays)}")
        batches, lengths = set(), set()
        for name, (shape, clock, lo, hi) in self.inputs.items():
            a = arrays[name]
            head = ("N",) if clock == "once" else ("N", "T")
            if not np.issubdtype(a.dtype, np.integer):
                raise TypeError(f"input {name!r} must be integers, got {a.dtype}")
            if a.ndim != len(head) + len(shape) or a.shape[len(head) :] != shape:
                raise ValueError(f"input {name!r} must be {(*head, *shape)}, got {a.shape}")
            if values and a.size and (a.min() < lo or a.max() > hi):
                found = f"{a.min()}..{a.max()}"
                raise ValueError(f"input {name!r} must be in [{lo}, {hi}], got {found}")
            batches.add(a.shape[0])
            lengths |= {a.shape[1]} if clock == "step" else set()
        if len(batches) != 1 or len(lengths | ({steps} - {None})) > 1:
            raise ValueError(f"batch sizes {sorted(batches)}, steps {sorted(lengths)} and {steps}")
        count = lengths.pop() if lengths else self.steps if steps is None else steps
        if self.max_steps and count > self.max_steps:
            raise ValueError(f"ranges are proven for {self.max_steps} steps at most, got {count}")
        if count < self.loops.fewest:
            raise ValueError(f"the network needs {self.loops.fewest} steps, got {count}")
        return batches.pop(), count

    def param(self, value: Any) -> Array:
        """The int64 array of a stored parameter."""
        return self._tensors[value["tensor"]].reshape(value["shape"]).astype(np.int64)

    def const(self, const: Record) -> Array:
        """A kernel constant, looked up if it is a table."""
        values = self.param(const["values"])
        return values if const["index"] is None else values[self.param(const["index"])]

    def schedule(self, clock: str) -> tuple[Group, ...]:
        """What a phase of this clock evaluates, in order."""
        if clock not in self._schedules:
            self._schedules[clock] = schedule(self.nodes, self.clock, clock)
        return self._schedules[clock]

    def _block_size(self, batch: int) -> int:
        """Steps at a time: enough rows for a fast matrix product, few enough for the cache."""
        elements: int = sum(prod(t["shape"]) for types in self.types.values() for t in types)
        return max(1, min(BLOCK_ROWS // max(batch, 1), BLOCK_ELEMENTS // max(batch * elements, 1)))

    def reach(self, edge: Record) -> Reach:
        """Least and largest number that an edge carries, if that is proven."""
        t = self.types[edge["src"]][edge["out"]]["dtype"]
        if t.get("lo") is None:
            return None
        found = [t["lo"], t["hi"]]
        if edge["delay"] or edge["init"] is not None:
            found += [0] if edge["init"] is None else self.param(edge["init"]).reshape(-1).tolist()
        return min(found), max(found)

    def _load_weight(self, node: Record) -> None:
        """Keep the weight in the cheapest form in which products with it are exact."""
        name, a, (edge,) = node["name"], node["attributes"], node["inputs"]
        w = self.param(a["weight"])
        reach = self.reach(edge)
        if node["op"] == "IntEmbedding" or reach is None:
            self.exact[name] = w
            return
        rows = int(np.abs(w).reshape(len(w), -1).sum(1).max(initial=0))
        bound = max(1, rows) * max(abs(end) for end in reach)
        if "shift" in a:
            bias = 0 if a["bias"] is None else int(np.abs(self.param(a["bias"])).max(initial=0))
            if (bound << a["shift"]) + bias < 1 << 31:
                self.sums[name] = np.int32
        if packed := Packed.of(w, bound):
            self.packed[name] = packed
            return
        kind = np.float32 if bound < 1 << 24 else np.float64 if bound < 1 << 53 else np.int64
        # BLAS multiplies few rows faster if the matrix lies in memory with the inputs first
        first = w.ndim == 2 and kind is not np.int64
        self.exact[name] = w.astype(kind, order="F" if first else "C")
