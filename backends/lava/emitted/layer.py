# mypy: disable-error-code="import-not-found,misc"
# (Lava, and the files that stand beside this one in an artifact, are not installed in snnc)
"""What every Lava process of this network does in a step, and how the network is built.

A process computes a few nodes of the integer program with the simulator beside this file, so its
integers are the simulator's by construction.  Processes talk by Lava ports, once per port and
step, without a pipeline delay: a step's spikes cross the whole network in that step.

Time is cut into samples of ``steps`` steps without gaps.  The first step of a sample starts from
the initial state; values that are known once per sample are computed at its first or last step:

* a port of clock ``once`` carries the same value at every step of a sample;
* a port of clock ``end`` carries zeros, and the value at the last step of a sample.

Loops over time behind the first run as a whole at the last step, in one process; what they give is
carried as a port of clock ``end`` does, and their sequences are in ``Network.results`` alone.

To use the network inside a Lava program of your own::

    sys.path.insert(0, "path/to/this/folder")
    import layer                            # before lava, on Python 3.11 and later
    network = layer.build(steps=16)
    source.s_out.connect(port)              # for port in network.inputs["x"]
    network.outputs["y"].connect(sink.a_in)
    source.run(RunSteps(16 * samples), Loihi2SimCfg())
"""

from __future__ import annotations

import python311  # isort: skip  # noqa: F401  (must come before lava)

import json
import math
import mmap
import traceback
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.process.process import AbstractProcess
from simulator import Record, Simulator, read_safetensors

Array = npt.NDArray[Any]
FOLDER = Path(__file__).resolve().parent


@dataclass
class Wire:
    """One port of a process, in the terms of its part of the program."""

    port: str
    key: tuple[str, int]
    clock: str
    shape: tuple[int, ...]
    delay: int = 0
    init: Array | None = None

    def at_rest(self) -> Array:
        """The value before the first one."""
        start = np.zeros(self.shape, np.int64) if self.init is None else self.init
        return np.broadcast_to(start, self.shape)


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


class LayerProcess(AbstractProcess):
    """A part of the network; subclasses declare the ports."""

    def __init__(self, job: Job) -> None:
        super().__init__(job=job)


class LayerModel(PyLoihiProcessModel):
    """Runs the part of the program that belongs to one process."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._job: Job = proc_params["job"]
        self._part: Any = None
        self._past: dict[str, deque[Array]] = {}

    def run_spk(self) -> None:
        """One step."""
        self._guarded(self.time_step - 1)

    def _guarded(self, now: int) -> None:
        """Lava would swallow an exception and hang, so it is printed first."""
        try:
            self._step(now)
        except BaseException:
            traceback.print_exc()
            raise

    def _step(self, now: int) -> None:
        job = self._job
        sample, t = divmod(now, job.steps)
        if t == 0:
            self._part = job.part.begin(1, job.steps, job.words)
            self._past = {
                w.port: deque([w.at_rest()] * w.delay, w.delay) for w in job.outputs if w.delay
            }
        for wire in job.outputs:
            if wire.delay:  # before anything is received: loops run over delayed values
                self._send(wire, self._past[wire.port][0])
        for clock, active in (("once", t == 0), ("step", True), ("end", t == job.steps - 1)):
            values = self._fed(clock, sample, t)
            for wire in job.inputs:
                if wire.clock == clock:
                    values[wire.key[0]] = self._receive(wire)
            if active:
                self._part.phase(clock, values)
            if active and clock == "end":
                self._later_loops()
            for wire in job.outputs:
                if wire.clock.rstrip("0123456789") == clock and not wire.delay:
                    known = clock != "end" or active
                    self._send(wire, self._part.values[wire.key][0] if known else wire.at_rest())
        for wire in job.outputs:
            if wire.delay:
                self._past[wire.port].append(self._part.values[wire.key][0])
        if t == job.steps - 1:
            self._record(sample)
        job.progress[0] = now + 1

    def _later_loops(self) -> None:
        loops = self._job.part.loops
        for loop in range(2, loops.count + 1):
            for _ in range(loops.steps(loop, self._job.steps)):
                self._part.phase(f"step{loop}", {})
            self._part.phase(f"end{loop}", {})

    def _receive(self, wire: Wire) -> Array:
        value = getattr(self, wire.port).recv()
        return np.asarray(value, np.int64).reshape(1, *wire.shape)

    def _send(self, wire: Wire, value: Array) -> None:
        port = getattr(self, wire.port)
        port.send(value.reshape(wire.shape or (1,)))

    def _fed(self, clock: str, sample: int, t: int) -> dict[str, Array]:
        """What a source gives out; nothing in other processes."""
        values = {}
        for name, samples in self._job.feed.items():
            if self._job.part.inputs[name][1] == clock:
                x = samples[sample, t] if clock == "step" else samples[sample]
                values[name] = np.asarray(x, np.int64)[None]
        return values

    def _record(self, sample: int) -> None:
        """Keep what is wanted of a sample that ends."""
        for name, store in self._job.results.items():
            store[sample] = self._part.values[name, 0][0]
        for word, store in self._job.words.items():
            store[sample] = np.stack(self._part.records[word], 1)[0]


@dataclass
class Network:
    """The processes of the network, connected.

    Attributes:
        processes: By name, as in ``layers.json``.
        jobs: What they do, in the same order.
        inputs: Input name -> ports to connect a source to (empty if the network feeds itself).
        outputs: Output name -> port that carries it.
    """

    processes: dict[str, AbstractProcess]
    jobs: dict[str, Job]
    inputs: dict[str, list[Any]]
    outputs: dict[str, Any]

    @property
    def results(self) -> dict[str, Array]:
        """Outputs after a run: by name, (N, ...), or (N, T, ...) for a sequence."""
        return {name: x for job in self.jobs.values() for name, x in job.results.items()}

    @property
    def words(self) -> dict[str, Array]:
        """Recorded words after a run: by name, (N, T, ...)."""
        return {name: x for job in self.jobs.values() for name, x in job.words.items()}


def build(
    folder: Path = FOLDER,
    steps: int | None = None,
    feed: dict[str, Array] | None = None,
    record: Iterable[str] = (),
) -> Network:
    """Make and connect the Lava processes of an emitted folder.

    Args:
        folder: Where graph.json, tensors.safetensors and layers.json are.
        steps: Steps of one sample; every ``steps`` steps all state starts anew.
        feed: Inputs, (N, T, ...) or (N, ...): then the network has source processes of its own.
            and keeps its results in ``Network.results``.  Otherwise connect your own processes
            to ``inputs`` and ``outputs``.
        record: Words to keep in ``Network.words``; only together with ``feed``.
    """
    from snnc_layers.processes import PROCESSES  # needs LayerProcess of this module

    document = json.loads((folder / "graph.json").read_text(encoding="utf-8"))
    entries = json.loads((folder / "layers.json").read_text(encoding="utf-8"))["processes"]
    wanted = set(record)
    tensors = read_safetensors(folder / "tensors.safetensors")
    nodes = {n["name"]: n for n in document["nodes"]}
    sources = {e["name"]: e["nodes"][0] for e in entries if _is_source(e, nodes)}
    steps = document["steps"] if steps is None else steps
    jobs: dict[str, Job] = {}
    for entry in entries:
        if entry["name"] in sources and feed is None:
            continue
        job = jobs[entry["name"]] = _job(document, tensors, entry, nodes, steps)
        if feed is None:
            continue
        if entry["name"] in sources:
            job.feed = {sources[entry["name"]]: feed[sources[entry["name"]]]}
        samples = len(next(iter(feed.values())))
        shapes = {
            node["name"]: _result_shape(node, nodes, job.part, steps)
            for node in _outputs(entry, nodes)
        }
        job.results = {name: shared((samples, *shape)) for name, shape in shapes.items()}
        for word in wanted.intersection(job.part.words()):
            owner = _owner(word, entry, nodes)
            count = _steps_of(owner, job.part, steps)
            job.words[word] = shared((samples, count, *owner["types"][0]["shape"]))
    processes = {name: PROCESSES[name](job) for name, job in jobs.items()}
    inputs: dict[str, list[Any]] = {}
    outputs: dict[str, Any] = {}
    for entry in entries:
        for wire in entry["inputs"] if entry["name"] in processes else ():
            port = getattr(processes[entry["name"]], wire["port"])
            if wire["process"] in processes:
                getattr(processes[wire["process"]], wire["sender"]).connect(port)
            else:
                inputs.setdefault(sources[wire["process"]], []).append(port)
        for node in _outputs(entry, nodes):
            if (port := _result_port(node, entry, nodes)) is not None:
                outputs[node["name"]] = getattr(processes[entry["name"]], port)
    return Network(processes, jobs, inputs, outputs)


def _outputs(entry: Record, nodes: dict[str, Record]) -> list[Record]:
    return [nodes[n] for n in entry["nodes"] if nodes[n]["op"] == "IntOutput"]


def _steps_of(node: Record, part: Simulator, steps: int) -> int:
    """Steps of the loop that a node belongs to."""
    digits = node["types"][0]["clock"].lstrip("stepnd")
    count: int = part.loops.steps(int(digits or 1), steps)
    return count


def _result_shape(
    output: Record, nodes: dict[str, Record], part: Simulator, steps: int
) -> tuple[int, ...]:
    source = nodes[output["inputs"][0]["src"]]
    shape = tuple(output["types"][0]["shape"])
    if source["op"] != "IntTimeStack":
        return shape
    return (_steps_of(output, part, steps) - source["attributes"]["start"], *shape)


def _result_port(output: Record, entry: Record, nodes: dict[str, Record]) -> str | None:
    """The port that carries an output; a sequence of a later loop has none."""
    source = nodes[output["inputs"][0]["src"]]
    if source["op"] == "IntTimeStack":
        if output["types"][0]["clock"] != "end":
            return None
        name = source["inputs"][0]["src"]
    else:
        name = output["name"]
    ports = [p["port"] for p in entry["outputs"] if p["src"] == name]
    return str(ports[-1])


def _owner(word: str, entry: Record, nodes: dict[str, Record]) -> Record:
    return nodes[next(n for n in entry["nodes"] if n == word.rpartition(".")[0])]


def _is_source(entry: Record, nodes: dict[str, Record]) -> bool:
    return bool(nodes[entry["nodes"][0]]["op"] == "IntInput")


def _job(
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
        name = _unused(f"<{port['port']}>", own)
        renamed[_key(port, _init(port, nodes))] = name
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
