"""Run LIF processes of lava-nc on synaptic sums; for the Python of the Lava environment.

``python stock_lif.py IN.npz OUT.npz``: ``a`` (K, n, T) are the sums of K populations, with the
parameters ``du``, ``dv``, ``vth`` (K,) and ``bias`` (K, n); out come ``s``, ``u`` and ``v``.
"""

import sys

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIF
from lava.proc.monitor.process import Monitor


def simulate(a, du, dv, vth, bias):
    """Spikes, currents and voltages (n, T) of one population."""
    size, steps = a.shape
    source, sink = Source(data=a), Sink(shape=(size,), buffer=steps)
    lif = LIF(shape=(size,), du=int(du), dv=int(dv), vth=int(vth), bias_mant=bias, bias_exp=6)
    source.s_out.connect(lif.a_in)
    lif.s_out.connect(sink.a_in)
    current, voltage = Monitor(), Monitor()
    current.probe(lif.u, steps)
    voltage.probe(lif.v, steps)
    source.run(RunSteps(steps), Loihi2SimCfg(select_tag="fixed_pt"))
    try:
        words = current.get_data()[lif.name]["u"].T, voltage.get_data()[lif.name]["v"].T
        return sink.data.get(), *words
    finally:
        source.stop()


if __name__ == "__main__":
    job = np.load(sys.argv[1])
    keys = ("a", "du", "dv", "vth", "bias")
    rows = [simulate(*args) for args in zip(*(job[k] for k in keys), strict=True)]
    s, u, v = (np.stack(x).astype(np.int64) for x in zip(*rows, strict=True))
    np.savez(sys.argv[2], s=s, u=u, v=v)
