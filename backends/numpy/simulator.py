"""The definition of the integer operators, as a bit-exact simulator that needs NumPy alone.

This file and those with the operators (``SOURCES`` in ``backend.py``) are part of the compiler and
are copied into every artifact: what runs there is what every other backend is compared with.  It
reads the integer program that ``snnc`` writes (``graph.json`` and ``tensors.safetensors``) and
knows nothing else of ``snnc``.

Values are int64 arrays with the batch first.  Matrix products run in floating point where the
proven ranges make that exact (below 2**24 in float32, 2**53 in float64), else in int64.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from snnc.backends.numpy.arithmetic import evaluate
from snnc.backends.numpy.attention import ATTENTION
from snnc.backends.numpy.layers import LAYERS
from snnc.backends.numpy.norms import NORMS
from snnc.backends.numpy.program import Array, Operator, Record
from snnc.backends.numpy.reductions import REDUCTIONS
from snnc.backends.numpy.steps import AT_STEP, COLLECTORS, SEQUENCES, Loops
from snnc.backends.numpy.tensors import TENSORS


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
        self.exact: dict[str, Array] = {
            n["name"]: self._weights(n) for n in self.nodes if "weight" in n["attributes"]
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
        for t in range(steps):
            run.phase("step", {k: a[:, t] for k, a in arrays.items() if k not in static})
        run.phase("end", {})
        for loop in range(2, self.loops.count + 1):
            for _ in range(self.loops.steps(loop, steps)):
                run.phase(f"step{loop}", {})
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

    def begin(self, batch: int, steps: int, record: Iterable[str] = ()) -> _Run:
        """A run in its initial state, to be driven phase by phase as ``run`` does."""
        wanted = set(record)
        if unknown := wanted - set(self.words()):
            raise ValueError(f"no word is named {sorted(unknown)[0]!r}")
        return _Run(self, batch, steps, wanted)

    def check(self, arrays: dict[str, Array], steps: int | None) -> tuple[int, int]:
        """Number of samples and of steps; TypeError or ValueError if the inputs do not fit."""
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
            if a.size and (a.min() < lo or a.max() > hi):
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

    def _weights(self, node: Record) -> Array:
        """The weight in the cheapest type in which ``weight @ x`` is exact."""
        w = self.param(node["attributes"]["weight"])
        (edge,) = node["inputs"]
        t = self.types[edge["src"]][edge["out"]]["dtype"]
        if node["op"] == "IntEmbedding" or t.get("lo") is None:
            return w
        init = 0 if edge["init"] is None else int(np.abs(self.param(edge["init"])).max(initial=0))
        largest = max(abs(t["lo"]), abs(t["hi"]), init)
        bound = max(1, int(np.abs(w).reshape(len(w), -1).sum(1).max(initial=0))) * largest
        return w.astype(np.float32 if bound < 1 << 24 else np.float64) if bound < 1 << 53 else w


class _Run:
    """Values and states of one batch while it runs."""

    def __init__(self, sim: Simulator, batch: int, steps: int, wanted: set[str]) -> None:
        self.sim, self.batch, self.steps = sim, batch, steps
        self.values: dict[tuple[str, int], Array] = {}
        self.state: dict[str, Array] = {}
        self.records: dict[str, list[Array]] = {name: [] for name in sorted(wanted)}
        self._stacks: dict[str, list[Array]] = {}
        self._done: dict[str, int] = {}  # steps of every loop, by its clock
        self._history: dict[tuple[str, int], list[Array]] = {}
        self._longest: dict[tuple[str, int], int] = {}
        for node in sim.nodes:
            further = int(sim.param(node["attributes"]["delay"]).max()) if _waits(node) else 0
            for e in node["inputs"]:
                if e["delay"] + further:
                    key = (e["src"], e["out"])
                    self._longest[key] = max(e["delay"] + further, self._longest.get(key, 0))
        self._consts: dict[str, dict[str, Array]] = {}
        self._start()

    def phase(self, clock: str, inputs: dict[str, Array]) -> None:
        """Evaluate the nodes of one clock, in order; ``step`` once per step."""
        now = self._done.get(clock, 0)
        for node in self.sim.nodes:
            name, op = node["name"], node["op"]
            own = self.sim.clock[name] == clock
            if op in COLLECTORS or op in SEQUENCES:
                if clock == self._clock_of_operand(node):
                    self._collect(node, now)
                elif own:
                    self.values[name, 0] = self._collected(node, now)
            elif own:
                if op == "IntInput":
                    self.values[name, 0] = inputs[name].astype(np.int64)
                elif op == "IntNeuron":
                    self._neuron(node)
                else:
                    operands = [
                        self._columns(node) if _waits(node) else self._operand(e)
                        for e in node["inputs"]
                    ]
                    if op in AT_STEP:
                        y = AT_STEP[op](self.sim, node, operands, now)
                        shape = (self.batch, *node["types"][0]["shape"])
                        self.values[name, 0] = np.broadcast_to(y, shape)
                    else:
                        self.values[name, 0] = OPERATORS[op](self.sim, node, operands)
        if clock.startswith("step"):
            self._done[clock] = now + 1
            for key, longest in self._longest.items():
                if self.sim.clock[key[0]] == clock:
                    self._history[key] = [*self._history.get(key, []), self.values[key]][-longest:]

    def latest(self) -> dict[str, Array]:
        """What the sequences got in the last step, which are then forgotten; for streams."""
        found = {}
        nodes = {n["name"]: n for n in self.sim.nodes}
        for name in self.sim.sequences:
            stack = self._stacks.get(nodes[name]["inputs"][0]["src"], [])
            if stack:
                found[name] = stack[-1]
        self._stacks.clear()
        return found

    def _start(self) -> None:
        for node in (n for n in self.sim.nodes if n["op"] == "IntNeuron"):
            name, kernel = node["name"], node["attributes"]["kernel"]
            shape = (self.batch, *node["attributes"]["shape"])
            self._consts[name] = {c["name"]: self.sim.const(c) for c in kernel["consts"]}
            self._consts[name] |= {c["name"]: self.sim.const(c) for c in kernel["tables"]}
            for s in kernel["states"]:
                init = self.sim.param(s["init"])
                self.state[f"{name}.{s['name']}"] = np.broadcast_to(init, shape)

    def _operand(self, edge: Record) -> Array:
        key = (edge["src"], edge["out"])
        if not edge["delay"]:
            return self.values[key]
        past = self._history.get(key, [])
        if len(past) >= edge["delay"]:
            return np.asarray(past[-edge["delay"]])
        shape = self.sim.types[edge["src"]][edge["out"]]["shape"]
        init = 0 if edge["init"] is None else self.sim.param(edge["init"])
        return np.broadcast_to(np.asarray(init, np.int64), (self.batch, *shape))

    def _columns(self, node: Record) -> Array:
        """The operand of a layer with delays: what each of its columns reads, some steps ago."""
        (edge,), a = node["inputs"], node["attributes"]
        index, delay = self.sim.param(a["index"]), self.sim.param(a["delay"])
        columns = np.zeros((self.batch, len(index)), np.int64)
        for lag in np.unique(delay):
            x = self._operand({**edge, "delay": edge["delay"] + int(lag)})
            now = np.flatnonzero(delay == lag)
            columns[:, now] = x.reshape(self.batch, -1)[:, index[now]]
        return columns

    def _neuron(self, node: Record) -> None:
        name, kernel = node["name"], node["attributes"]["kernel"]
        shape = (self.batch, *node["attributes"]["shape"])
        env = dict(self._consts[name])
        for name_in, edge in zip(kernel["inputs"], node["inputs"], strict=True):
            x = self._operand(edge)  # of fewer axes: aligned right, behind the batch
            env[name_in] = x.reshape(len(x), *[1] * (len(shape) - x.ndim), *x.shape[1:])
        env |= {s["name"]: self.state[f"{name}.{s['name']}"] for s in kernel["states"]}
        for line in kernel["body"]:
            env[line["name"]] = evaluate(line, [env[a] for a in line["args"]])
        noted = {s["name"] for s in kernel["states"]}  # as a word: after the step
        for i, out in enumerate(kernel["outputs"]):
            self.values[name, i] = np.broadcast_to(env[out], shape)
            if out not in noted:
                self._note(f"{name}.{out}", self.values[name, i])
                noted.add(out)
        for s in kernel["states"]:
            self.state[f"{name}.{s['name']}"] = np.broadcast_to(env[s["next"]], shape)
        for s in kernel["states"]:
            self._note(f"{name}.{s['name']}", self.state[f"{name}.{s['name']}"])

    def _note(self, word: str, value: Array) -> None:
        if word in self.records:
            self.records[word].append(value)

    def _clock_of_operand(self, node: Record) -> str:
        found: str = self.sim.clock[node["inputs"][0]["src"]]
        return found

    def _collect(self, node: Record, now: int) -> None:
        """Take the value of step ``now``, unless it is warm-up."""
        name, op = node["name"], node["op"]
        key = f"{name}.acc"
        late = now < node["attributes"].get("start", 0)
        if op == "IntTimeStack" or op in SEQUENCES:
            if not late:
                self._stacks.setdefault(name, []).append(self._operand(node["inputs"][0]))
            return
        old = self.state.get(key)
        if late:
            x = self._zeros(node)
        elif old is None or op == "IntTimeLast":
            x = self._operand(node["inputs"][0])
        elif op == "IntTimeMax":
            x = np.maximum(old, self._operand(node["inputs"][0]))
        else:
            x = old + self._operand(node["inputs"][0])
        if not late:
            self.state[key] = x
        self._note(key, x)

    def _zeros(self, node: Record) -> Array:
        return np.zeros((self.batch, *node["types"][0]["shape"]), np.int64)

    def _collected(self, node: Record, now: int) -> Array:
        """The value of a collector after its loop, or of a sequence at step ``now``."""
        name, op = node["name"], node["op"]
        stack = self._stacks.get(name, [])
        if op in SEQUENCES:
            return SEQUENCES[op](self.sim, node, stack, now)
        if op == "IntTimeStack":
            empty = np.zeros((self.batch, 0, *node["types"][0]["shape"]), np.int64)
            return np.stack(stack, 1) if stack else empty
        total = self.state.get(f"{name}.acc", self._zeros(node))
        done = self._done.get(self._clock_of_operand(node), 0)
        return COLLECTORS[op](node, total, done)


def _waits(node: Record) -> bool:
    """Whether a layer reads its input some steps ago, column by column."""
    return bool(node["op"] == "IntDelayLinear")


#: Operators without state, by name.
OPERATORS: dict[str, Operator] = {**LAYERS, **NORMS, **ATTENTION, **TENSORS, **REDUCTIONS}
