# mypy: disable-error-code="import-not-found,misc"
# (Lava, and the files that stand beside this one in an artifact, are not installed in snnc)
"""What every Lava process of this network does in a step, and how the network is built.

A process computes a few nodes of the integer program with the simulator beside this file, so its
integers are the simulator's by construction.  Processes talk by Lava ports, once per port and
step, without a pipeline delay: a step's spikes cross the whole network in that step.

Time is cut into samples of ``steps`` steps without gaps.  A network that feeds itself runs many
samples side by side, whose values share a message; in a program of yours, a message is that of one
sample, on ports of the layer's shape.  The first step of a sample starts from
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
import traceback
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from job import Array, Job, Wire, job_of, shared
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.process.process import AbstractProcess
from simulator import Record, Simulator, read_safetensors

FOLDER = Path(__file__).resolve().parent
#: Samples that run side by side, and numbers in a message: a channel of Lava has shared memory for
#: 64 messages, of which some machines (containers) have 64 MB in all.
MOST_SAMPLES, MOST_NUMBERS = 64, 1 << 14


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
        turn, t = divmod(now, job.steps)
        if t == 0:
            self._part = job.part.begin(job.batch, job.steps, job.words)
            self._past = {
                w.port: deque([w.at_rest(job.batch)] * w.delay, w.delay)
                for w in job.outputs
                if w.delay
            }
        for wire in job.outputs:
            if wire.delay:  # before anything is received: loops run over delayed values
                self._send(wire, self._past[wire.port][0])
        for clock, active in (("once", t == 0), ("step", True), ("end", t == job.steps - 1)):
            values = self._fed(clock, turn, t)
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
                    rest = wire.at_rest(job.batch)
                    self._send(wire, self._part.values[wire.key] if known else rest)
        for wire in job.outputs:
            if wire.delay:
                self._past[wire.port].append(self._part.values[wire.key])
        if t == job.steps - 1:
            self._record(turn)
        job.progress[0] = now + 1

    def _later_loops(self) -> None:
        loops = self._job.part.loops
        for loop in range(2, loops.count + 1):
            for _ in range(loops.steps(loop, self._job.steps)):
                self._part.phase(f"step{loop}", {})
            self._part.phase(f"end{loop}", {})

    def _receive(self, wire: Wire) -> Array:
        value = getattr(self, wire.port).recv()
        return np.asarray(value, np.int64).reshape(self._job.batch, *wire.shape)

    def _send(self, wire: Wire, value: Array) -> None:
        port = getattr(self, wire.port)
        port.send(value.reshape(self._job.port(wire.shape)))

    def _fed(self, clock: str, turn: int, t: int) -> dict[str, Array]:
        """What a source gives out; nothing in other processes."""
        values, n = {}, self._job.batch
        for name, samples in self._job.feed.items():
            if self._job.part.inputs[name][1] == clock:
                # the last turn may have fewer samples left: it repeats one
                now = np.minimum(np.arange(turn * n, turn * n + n), len(samples) - 1)
                x = samples[now, t] if clock == "step" else samples[now]
                values[name] = np.asarray(x, np.int64)
        return values

    def _record(self, turn: int) -> None:
        """Keep what is wanted of the samples that end."""
        first = turn * self._job.batch
        for name, store in self._job.results.items():
            some = store[first : first + self._job.batch]
            some[:] = self._part.values[name, 0][: len(some)]
        for word, store in self._job.words.items():
            some = store[first : first + self._job.batch]
            some[:] = np.stack(self._part.records[word], 1)[: len(some)]


@dataclass
class Network:
    """The processes of the network, connected.

    Attributes:
        processes: By name, as in ``layers.json``.
        jobs: What they do, in the same order.
        inputs: Input name -> ports to connect a source to (empty if the network feeds itself).
        outputs: Output name -> port that carries it.
        total: Lava's steps for all samples that the network feeds itself.
    """

    processes: dict[str, AbstractProcess]
    jobs: dict[str, Job]
    inputs: dict[str, list[Any]]
    outputs: dict[str, Any]
    total: int

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
        job = jobs[entry["name"]] = job_of(document, tensors, entry, nodes, steps)
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
    turns = _run_together(list(jobs.values()), feed)
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
    return Network(processes, jobs, inputs, outputs, turns * steps)


def _run_together(jobs: list[Job], feed: dict[str, Array] | None) -> int:
    """How often all steps run: samples go side by side, as many as messages may carry."""
    samples = 0 if feed is None else len(next(iter(feed.values())))
    if not samples:
        return 0
    sizes = [math.prod(w.shape) for job in jobs for w in (*job.inputs, *job.outputs)]
    most = max(1, min(MOST_SAMPLES, MOST_NUMBERS // max(1, *sizes)))
    turns: int = math.ceil(samples / most)
    for job in jobs:
        job.together = math.ceil(samples / turns)
    return turns


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
