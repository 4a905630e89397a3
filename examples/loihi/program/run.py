"""A Lava program of your own around a compiled network: your input, your probes.

python -m examples.loihi.digits mlp digits
snnc compile digits/model.pt --target lava --lava-mode stock -o net
~/.cache/snnc/lava/bin/python examples/loihi/program/run.py net/lava-stock digits/test.npz

The network is a folder with a module ``stock``, whose ``build`` gives connected Lava processes.
Here a process of ours sends digits, Lava's own sink takes the scores and a monitor the membranes.
(Lava runs all Python files beside one that defines processes: keep yours in a folder of its own.)
"""

# ruff: noqa: E402  (what to import depends on the command line)

from __future__ import annotations

import sys
from pathlib import Path

folder, data = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(folder))
import stock  # isort: skip  # before lava, on Python 3.11 and later

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.io.sink import RingBuffer
from lava.proc.monitor.process import Monitor

DIGITS = 10


class Digits(AbstractProcess):
    """Sends the spikes of one digit after another: a row of ``spikes`` in every step."""

    def __init__(self, spikes: np.ndarray) -> None:
        super().__init__(spikes=spikes)
        self.s_out = OutPort(shape=spikes.shape[1:])


@implements(proc=Digits, protocol=LoihiProtocol)
@requires(CPU)
class DigitsModel(PyLoihiProcessModel):
    """How ``Digits`` runs on a CPU."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def run_spk(self) -> None:
        """One step; behind the last digit there is silence."""
        spikes, now = self.proc_params["spikes"], self.time_step - 1
        self.s_out.send(spikes[now] if now < len(spikes) else 0 * spikes[0])


def main() -> None:
    """Classify some digits, and show a membrane."""
    with np.load(data) as test:
        x, y = test["x"][:DIGITS], test["y"][:DIGITS]
    steps = x.shape[1]
    network = stock.build(folder, steps)
    total = DIGITS * steps + network.latency
    # input: the first layer's connections take integers, flat
    source = Digits(x.reshape(DIGITS * steps, -1).astype(np.int32))
    for port in next(iter(network.inputs.values())):
        source.s_out.connect(port)
    # scores: what the last weights send; their step 0 arrives some steps later
    ((name, ports),) = network.sums.items()
    sink = RingBuffer(shape=ports[0].shape, buffer=total)
    for port in ports:
        port.connect(sink.a_in)
    # membranes: of the first population, in the integers of the program
    first = next(iter(network.outputs))
    monitor = Monitor()
    monitor.probe(network.processes[first].v, total)

    source.run(RunSteps(total), Loihi2SimCfg(select_tag="fixed_pt"))
    seen = sink.data.get()[:, network.phases[name] :].T
    membranes = monitor.get_data()[network.processes[first].name]["v"]
    source.stop()

    values = seen[: DIGITS * steps].reshape(DIGITS, steps, -1) + network.offsets[name]
    scores = values.sum(1)
    print("labels   ", *y)
    print("predicted", *scores.argmax(1))
    print("scores of the first digit:", *scores[0].astype(int))
    start = network.phases[first]
    print(f"membrane of neuron 0 of {first}, first digit:")
    print(*membranes[start : start + steps, 0].astype(int))


if __name__ == "__main__":
    main()
