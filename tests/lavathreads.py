"""Runs emitted Lava folders in one process, each process of a network on a thread.

LAVA_PYTHON tests/lavathreads.py FOLDER...    each with net/, in.npz and asked.json; writes out.npz

Lava compiles the network, builds its process models and they compute, as ever; only the runtime
that would start a process of the operating system for each, and messages through shared memory,
give way to threads and queues.  Processes wait for nothing but messages, so the order in which
threads run decides nothing.  Needs no snnc.
"""

# mypy: ignore-errors
# (it is run by the Python of the Lava environment; Lava has no types)

from __future__ import annotations

import json
import queue
import sys
import threading
from pathlib import Path

import numpy as np

#: What is the same file in every folder may stay loaded; this is not.
OWN = ("snnc_layers", "snnc_layers.processes")
#: In place of a message, when another thread has failed.
FAILED = object()


class Channel:
    """One end of a queue, as a port of a process model sees it."""

    def __init__(self, name, kind, messages):
        self.name, self.kind, self.messages = name, kind, messages

    def send(self, value):
        """Lava, too, casts to the type of the sender's port, and keeps a copy."""
        self.messages.put(np.array(value, self.kind))

    def recv(self):
        found = self.messages.get()
        if found is FAILED:
            raise SystemExit
        return found


def models(network):
    """The process models of a network, connected, and all their queues."""
    from lava.magma.compiler.compiler import Compiler
    from lava.magma.core.process.ports.ports import create_port_id
    from lava.magma.core.run_configs import Loihi2SimCfg

    first = next(iter(network.processes.values()))
    compiled = Compiler().compile(first, Loihi2SimCfg(select_tag="fixed_pt"))
    queues = []
    for channel in compiled.channel_builders:
        source, target = channel.src_port_initializer, channel.dst_port_initializer
        queues.append(queue.SimpleQueue())
        kind = np.dtype(source.d_type)
        sender, receiver = (Channel(p.name, kind, queues[-1]) for p in (source, target))
        compiled.proc_builders[channel.src_process].set_csp_ports([sender])
        builder = compiled.proc_builders[channel.dst_process]
        builder.set_csp_ports([receiver])
        builder.add_csp_port_mapping(create_port_id(channel.src_process.id, source.name), receiver)
    return [builder.build() for builder in compiled.proc_builders.values()], queues


def run_all(network, steps):
    """Let every model make its steps; raises what one of them raised."""
    found, queues = models(network)
    failures = []

    def work(model):
        try:
            for _ in range(steps):
                model.time_step += 1
                model.run_spk()
        except SystemExit:
            pass
        except BaseException as e:
            failures.append(e)
            for messages in queues:
                messages.put(FAILED)

    threads = [threading.Thread(target=work, args=(m,), daemon=True) for m in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def run(folder):
    """One network on its inputs."""
    for name in OWN:
        sys.modules.pop(name, None)
    sys.path.insert(0, str(folder / "net"))
    import layer
    from arrays import write_results

    asked = json.loads((folder / "asked.json").read_text())
    with np.load(folder / "in.npz") as data:
        inputs = dict(data)
    layer.MOST_SAMPLES = asked["together"]
    network = layer.build(folder / "net", asked["steps"], inputs, asked["words"])
    run_all(network, network.total)
    results = {name: network.results[name] for name in asked["outputs"]}
    write_results(folder / "out.npz", results, {w: network.words[w] for w in asked["words"]})
    sys.path.pop(0)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        run(Path(name))
