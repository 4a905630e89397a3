"""Integer arithmetics of other tools for LIF neurons, from their published equations.

Each function runs the same network, ``v' = beta v + W s + b``, a spike where ``v >= 1`` that costs
1, in the integers of one tool, and returns the spikes of every layer.  Where a tool can do less
(no bias, reset to zero only), a second form has what it lacks.  What would only hurt it is left
out: Xylo's synaptic current, and the step of delay that a second layer takes there.

* Rockpool (``transform/quantize_methods.py`` of 3.1.0) and Xylo: 8-bit weights with one scale for
  all hidden layers (or one for each neuron), thresholds of 16 bits, decays ``v -= v >> dash`` with
  ``dash = round(log2(tau / dt))`` and a linear tail, saturation at 16 bits, several spikes a step.
  As shipped, one scale for all hidden layers also scales the output biases, and with one for each
  neuron hidden biases are rounded without any.
* lava-dl (``slayer/utils/quantize.py``, ``neuron/cuba.py``) and Loihi: weights in steps of 2/64
  from -256/64 to 254/64, states in steps of 2**-12, decays of 12 bits that round toward zero,
  ``v > 1``.
* snn-mlir (arXiv:2606.09213): 8-bit weights with a power of two for a layer, states in steps of
  2**-12, decays of 12 bits that round down, ``v > 1``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
#: Updates a membrane: state and input current to spikes and the new state.
Step = Callable[[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Net:
    """Weights (rows, columns) and biases of every layer, and the decay of all."""

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    beta: float


def run(weights: tuple[Array, ...], steps: list[Step], x: Array) -> list[Array]:
    """Spikes (N, T, rows) of every layer on spikes (N, T, columns).

    Currents are whole numbers in float64, or float64 numbers: both are exact enough.
    """
    found = []
    for w, step in zip(weights, steps, strict=True):
        v = np.zeros((len(x), len(w)), np.int64 if np.issubdtype(w.dtype, np.integer) else float)
        spikes = []
        for t in range(x.shape[1]):
            current = x[:, t].astype(np.float64) @ w.T.astype(np.float64)
            s, v = step(v, current.astype(v.dtype))
            spikes.append(s)
        x = np.stack(spikes, 1)
        found.append(x)
    return found


def float_lif(net: Net, x: Array, hard: bool = False) -> list[Array]:
    """The model itself; ``hard``: reset to zero."""

    def step(b: Array) -> Step:
        def update(v: Array, current: Array) -> tuple[Array, Array]:
            v = net.beta * v + current + b
            s = (v >= 1).astype(np.int64)
            return s, np.where(s != 0, 0.0, v) if hard else v - s

        return update

    return run(net.weights, [step(b) for b in net.biases], x)


def rockpool(net: Net, x: Array, channel: bool = False, shipped: bool = True) -> list[Array]:
    """8-bit weights by ``global_quantize`` or ``channel_quantize``, and the steps of Xylo."""
    last = len(net.weights) - 1
    hidden = [*net.weights[:last], *(b[:, None] for b in net.biases[:last])]
    common = 127 / max(float(np.abs(a).max()) for a in hidden)
    out = 127 / max(float(np.abs(a).max()) for a in (net.weights[last], net.biases[last]))
    weights, steps = [], []
    dash = round(float(np.log2(-1 / np.log(net.beta))))
    for i, (w, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        scale: Array = np.full(len(w), common if i < last else out)
        if channel:
            scale = 127 / np.abs(w).max(1)
        own = scale
        if shipped and not channel:
            own = np.full(len(w), common)
        elif shipped and i < last:
            own = np.ones(len(w))
        bias = _whole(b * own)
        weights.append(_whole(w * scale[:, None]))
        steps.append(_xylo(bias, _whole(scale), dash, 31 if i < last else 1))
    return run(tuple(weights), steps, x)


def _xylo(bias: Array, threshold: Array, dash: int, most: int) -> Step:
    def update(v: Array, current: Array) -> tuple[Array, Array]:
        fall = v >> dash
        fall = np.where(fall == 0, np.sign(v), fall)
        v = np.clip(v - fall + current + bias, -(1 << 15), (1 << 15) - 1)
        n = np.where(v >= threshold, np.minimum(v // np.maximum(threshold, 1), most), 0)
        return n, v - n * threshold

    return update


def lava_dl(net: Net, x: Array, shipped: bool = True) -> list[Array]:
    """Steps of 2/64 and the states of Loihi; as shipped without bias and with reset to zero."""
    weights = tuple(np.clip(2 * _whole(w * 32), -256, 254) for w in net.weights)
    keep = 4096 - round(4096 * (1 - net.beta))

    def step(b: Array) -> Step:
        bias = np.zeros(len(b), np.int64) if shipped else _whole(b * 4096)

        def update(v: Array, current: Array) -> tuple[Array, Array]:
            v = np.sign(v) * ((np.abs(v) * keep) >> 12) + 64 * current + bias
            s = (v > 4096).astype(np.int64)
            return s, np.where(s != 0, 0, v) if shipped else v - 4096 * s

        return update

    return run(weights, [step(b) for b in net.biases], x)


def snn_mlir(net: Net, x: Array, shipped: bool = True) -> list[Array]:
    """A power of two for each layer; as shipped with reset to zero."""
    keep = round(4096 * net.beta)
    weights, steps = [], []

    def step(bias: Array, shift: int) -> Step:
        def update(v: Array, current: Array) -> tuple[Array, Array]:
            v = ((keep * v) >> 12) + ((current + bias) << shift)
            s = (v > 4096).astype(np.int64)
            return s, np.where(s != 0, 0, v) if shipped else v - 4096 * s

        return update

    for w, b in zip(net.weights, net.biases, strict=True):
        room = min(127 / max(w.max(), 1e-9), 128 / max(-w.min(), 1e-9))
        e = min(int(np.floor(np.log2(room))), 12)
        weights.append(np.rint(w * 2.0**e).astype(np.int64))
        steps.append(step(np.rint(b * 2.0**e).astype(np.int64), 12 - e))
    return run(tuple(weights), steps, x)


def _whole(x: Array) -> Array:
    return np.round(x).astype(np.int64)


#: By name; those "as shipped" first.
PEERS: dict[str, Callable[[Net, Array], list[Array]]] = {
    "Rockpool global, as shipped": rockpool,
    "Rockpool channel, as shipped": lambda net, x: rockpool(net, x, channel=True),
    "Rockpool global, biases right": lambda net, x: rockpool(net, x, shipped=False),
    "Rockpool channel, biases right": lambda net, x: rockpool(net, x, True, False),
    "lava-dl, as shipped": lava_dl,
    "lava-dl, with bias and subtraction": lambda net, x: lava_dl(net, x, shipped=False),
    "snn-mlir, as shipped": snn_mlir,
    "snn-mlir, with subtraction": lambda net, x: snn_mlir(net, x, shipped=False),
}
