# mypy: disable-error-code="import-not-found,import-untyped,misc"
# (Lava, and the files that stand beside this one in an artifact, are not installed in snnc)
"""This network in processes of lava-nc itself: LIF, LIFReset, Dense, Sparse, DelaySparse, Reset.

Every connection takes a step of Lava, so a population of phase L computes step t of the program in
step t + L of Lava; sources have phase 0.  Samples of ``steps`` steps follow one another without
gaps: ``LIFReset`` starts every population anew at its own first step, and ``Reset`` empties the
connections whose values a later step of the program would read in the next sample.

To use the network inside a Lava program of your own::

    sys.path.insert(0, "path/to/this/folder")
    import stock                             # before lava, on Python 3.11 and later
    network = stock.build(steps=16)
    source.s_out.connect(port)               # for port in network.inputs["x"]
    network.outputs["lif2"].connect(sink.a_in)      # network.phases["lif2"] steps later
    monitor.probe(network.processes["lif1"].v, 16)  # membranes, in the units of the program
    source.run(RunSteps(16 * samples + network.latency), Loihi2SimCfg(select_tag="fixed_pt"))

A value of the program that some neurons of a layer carry in processes of their own (because of
their decays) has several ports: ``lif1 group 0``, ``lif1 group 1`` and so on, with the neurons'
numbers in ``network.neurons``.
"""

from __future__ import annotations

import python311  # isort: skip  # noqa: F401  (must come before lava)

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lava.proc.dense.process import Dense
from lava.proc.io.reset import Reset
from lava.proc.lif.process import LIF, LIFReset
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix
from simulator import read_safetensors

Array = npt.NDArray[Any]
Record = dict[str, Any]
FOLDER = Path(__file__).resolve().parent

#: Neurons that never fire have a threshold above the largest voltage.
WIDTH = 8


@dataclass
class Network:
    """The processes, connected.

    Attributes:
        steps: Of one sample.
        latency: How many steps of Lava the last population runs behind.
        processes: Populations, delay lines and connections, by name.
        resets: What empties connections between samples.
        inputs: Source -> ports to connect it to: integers, flat, in row-major order.
        outputs: Population -> port that carries its spikes.
        sums: What the host reads of weights without neurons -> ports that add up to it.
        offsets: The same -> what the host adds to it at every step.
        phases: Population or sum -> steps of Lava that it runs behind.
        neurons: Population -> which elements of the layer it computes.
    """

    steps: int
    latency: int
    processes: dict[str, Any] = field(default_factory=dict)
    resets: list[Any] = field(default_factory=list)
    inputs: dict[str, list[Any]] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    sums: dict[str, list[Any]] = field(default_factory=dict)
    offsets: dict[str, Array] = field(default_factory=dict)
    phases: dict[str, int] = field(default_factory=dict)
    neurons: dict[str, Array] = field(default_factory=dict)


def build(folder: Path = FOLDER, steps: int | None = None) -> Network:
    """Make and connect the Lava processes of an emitted folder.

    Args:
        folder: Where network.json and network.safetensors are.
        steps: Steps of one sample (default: as the model was traced); after that many steps all
            state starts anew.
    """
    document = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    tensors = read_safetensors(folder / "network.safetensors")
    if steps is None:
        steps = int(json.loads((folder / "graph.json").read_text(encoding="utf-8"))["steps"])
    network = Network(steps, document["latency"])
    for source in document["sources"]:
        network.inputs[source["name"]] = []
    for p in document["populations"]:
        network.phases[p["name"]] = p["phase"]
        network.neurons[p["name"]] = tensors[p["index"]].astype(np.int64)
        if p["kind"] == "tap":
            network.sums[p["name"]] = []
            continue
        process = _population(p, tensors, steps)
        network.processes[p["name"]] = process
        network.outputs[p["name"]] = process.s_out
    for entry in document["back"].values():
        for name in entry["populations"]:
            if entry["offset"] is not None:
                network.offsets[name] = tensors[entry["offset"]].astype(np.int64)
    for line in document["lines"]:
        _add(network, line, _line(line, tensors, _size(network, document, line["src"])))
    for c in document["connections"]:
        process = _connection(c, tensors)
        _add(network, c, process)
        if c["dst"] in network.sums:
            network.sums[c["dst"]].append(process.a_out)
        else:
            process.a_out.connect(network.processes[c["dst"]].a_in)
    return network


def _add(network: Network, record: Record, process: Any) -> None:
    """Connect what a connection reads, and empty it between samples."""
    network.processes[record["name"]] = process
    src = record["src"]
    if src in network.inputs:
        network.inputs[src].append(process.s_in)
    elif src in network.outputs:
        network.outputs[src].connect(process.s_in)
    else:
        network.processes[src].a_out.connect(process.s_in)
    for offset in sorted({c % network.steps for c in record["clears"]}):
        reset = Reset(reset_value=0, interval=network.steps, offset=offset)
        reset.connect_var(process.a_buff)
        network.resets.append(reset)


def _population(p: Record, tensors: dict[str, Array], steps: int) -> Any:
    shape = (p["size"],)
    if p["kind"] == "or":  # every spike exceeds a threshold of 0, and nothing stays
        return LIF(shape=shape, du=4095, dv=0, vth=0, name=p["name"])
    return LIFReset(
        shape=shape,
        du=p["du"],
        dv=p["dv"],
        vth=p["vth"],
        bias_mant=tensors[p["bias_mant"]].astype(int),
        bias_exp=tensors[p["bias_exp"]].astype(int),
        reset_interval=steps,
        reset_offset=p["phase"] + 1,  # Lava counts steps from 1
        name=p["name"],
    )


def _size(network: Network, document: Record, src: str) -> int:
    if src in network.inputs:
        return int(next(s["size"] for s in document["sources"] if s["name"] == src))
    process = network.processes[src]
    port = process.s_out if src in network.outputs else process.a_out
    return int(port.shape[0])


def _line(line: Record, tensors: dict[str, Array], size: int) -> Any:
    """Ones, as two halves; every output has a delay of its own."""
    source, hops = tensors[line["source"]].astype(int), tensors[line["hops"]].astype(int)
    rows = np.arange(len(source))
    shape = (len(source), size)
    weights = csr_matrix((np.full(len(rows), 2), (rows, source)), shape)
    options = {"num_message_bits": line["bits"], "num_weight_bits": WIDTH, "weight_exp": -1}
    options |= {"sign_mode": SignMode.MIXED, "name": line["name"]}
    if (hops == 1).all():
        return Sparse(weights=weights, **options)
    delays = csr_matrix((hops - 1, (rows, source)), shape)
    return DelaySparse(weights=weights, delays=delays, max_delay=int(hops.max()) - 1, **options)


def _connection(c: Record, tensors: dict[str, Array]) -> Any:
    options = {"num_message_bits": c["bits"], "num_weight_bits": WIDTH, "name": c["name"]}
    options |= {"weight_exp": c["exponent"], "sign_mode": SignMode.MIXED}
    if "dense" in c:
        return Dense(weights=tensors[c["dense"]].astype(int), **options)
    parts = (tensors[c[key]].astype(int) for key in ("values", "cols", "starts"))
    weights = csr_matrix(tuple(parts), tuple(c["shape"]))
    return Sparse(weights=weights, **options)
