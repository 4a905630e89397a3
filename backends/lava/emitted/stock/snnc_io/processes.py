"""Processes that feed and record the network, much faster than Lava's own on a CPU.

Lava runs every Python file that lies beside this one, so keep this folder as it is.
"""

# mypy: disable-error-code="import-not-found,misc,no-untyped-def,no-untyped-call"

# The next import also lets Lava be imported on Python 3.11 and later: it must come first.
import python311  # isort: skip  # noqa: F401

import traceback

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Feed(AbstractProcess):
    """Sends row t of ``data`` in step t, zeros behind the last; ``progress`` counts steps."""

    def __init__(self, data, progress):
        super().__init__(data=data, progress=progress)
        self.s_out = OutPort(shape=data.shape[1:])


class Recorder(AbstractProcess):
    """Puts what arrives in step t into row t of ``data``."""

    def __init__(self, data, progress):
        super().__init__(data=data, progress=progress)
        self.a_in = InPort(shape=data.shape[1:])


class Probe(AbstractProcess):
    """Puts what a variable holds after step t into row t of ``data``."""

    def __init__(self, data, progress):
        super().__init__(data=data, progress=progress)
        self.state = RefPort(shape=data.shape[1:])


class _Model(PyLoihiProcessModel):
    """Shares memory with the program that runs the network."""

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self._data, self._progress = proc_params["data"], proc_params["progress"]

    def _guarded(self, step):
        """One step. Lava would swallow an exception and hang, so it is printed first."""
        try:
            step(self.time_step - 1)
            self._progress[0] = self.time_step
        except BaseException:
            traceback.print_exc()
            raise


@implements(proc=Feed, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FeedModel(_Model):
    """Sends."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def run_spk(self):
        self._guarded(self._send)

    def _send(self, now):
        rest = np.zeros(self._data.shape[1:], np.int32)
        self.s_out.send(self._data[now] if now < len(self._data) else rest)


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecorderModel(_Model):
    """Receives."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def run_spk(self):
        self._guarded(self._keep)

    def _keep(self, now):
        self._data[now] = self.a_in.recv()


@implements(proc=Probe, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ProbeModel(_Model):
    """Reads, after every step."""

    state: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, int)

    def post_guard(self):
        return True

    def run_post_mgmt(self):
        self._guarded(self._keep)

    def _keep(self, now):
        self._data[now] = self.state.read()
