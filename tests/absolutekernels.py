"""Networks of neurons whose kernels are not scale-free: several units, powers, products."""

from __future__ import annotations

import numpy as np

from snnc.graph import Graph, Value
from snnc.kernel import Kernel
from snnc.ops import Input, Linear, Neuron, Output, TimeStack
from snnc.types import TensorType
from tests.kerneltext import kernel
from tests.realgraphs import param

SIZE, STEPS = 12, 48

#: Kernels with several units: timers, counts, products, powers.
KERNELS: dict[str, Kernel] = {
    "quadratic": kernel(
        "v1 = v + 0.5 * (0.3 * (v + 0.2) * (v - 0.6) + x)\ns = v1 >= 1.0\nv' = where(s, -0.1, v1)"
    ),
    "Izhikevich": kernel(
        """
        v1 = v + 0.5 * (0.04 * square(v) + 5.0 * v + 140.0 - u + 12.0 * x)
        u1 = u + 0.01 * (0.2 * v - u)
        s = v1 >= 30.0
        v' = where(s, -65.0, maximum(v1, -90.0))
        u' = where(s, u1 + 8.0, u1)
        """,
        init_v=-65.0,
        init_u=-13.0,
    ),
    "refractory timer": kernel(
        """
        v1 = where(r > 0, 0.0, 0.9 * v + x)
        s = v1 >= 1.0
        v' = where(s, 0.0, v1)
        r' = where(s, 5.0, maximum(r - 1.0, 0.0))
        """
    ),
    "counts, half even": kernel(
        "v1 = 0.25 * v + x\nc = round(minimum(maximum(v1, 0.0), 4.0))\nv' = v1 - c", outputs="c"
    ),
    "counts, half up": kernel(
        "v1 = 0.25 * v + x\nc = floor(minimum(maximum(v1, 0.0), 4.0) + 0.5)\nv' = v1 - c",
        outputs="c",
    ),
    "several spikes a step": kernel(
        """
        v1 = 0.9 * v + x
        c = where(v1 > 0, floor(v1 / theta), 0.0)
        v' = maximum(v1 - c * theta, -theta)
        """,
        outputs="c",
        theta=0.7,
    ),
    "counts, toward zero": kernel(
        "v1 = 0.9 * v + x\nc = trunc(v1 / theta)\nv' = v1 - c * theta", outputs="c", theta=0.7
    ),
    "conductances": kernel(
        """
        g1 = 0.8 * g + relu(x)
        h1 = 0.9 * h + relu(-x)
        v1 = v + 0.2 * (g1 * (1.5 - v) + h1 * (-0.5 - v) - v)
        s = v1 > 0.4
        v' = where(s, 0.0, v1)
        g' = g1
        h' = h1
        """
    ),
    "adaptive threshold of another scale": kernel(
        """
        v1 = 0.9 * v + x
        s = v1 >= 0.01 * a + 1.0
        v' = where(s, 0.0, v1)
        a' = 0.95 * a + 30.0 * s
        """
    ),
    "one spike in three": kernel(
        """
        v1 = 0.5 * v + x
        c = v1 >= 0.5
        n1 = n + c
        s = n1 >= 3.0
        n' = where(s, 0.0, n1)
        v' = v1 * (1 - c)
        """
    ),
    "cube": kernel("v1 = 0.9 * v - 0.1 * pow(v, 3.0) + x\ns = abs(v1) >= 0.9\nv' = v1 * (1 - s)"),
    "exponential": kernel(
        """
        v1 = v + 0.2 * (x - v + 0.3 * exp((v - 0.8) / 0.3))
        s = v1 >= 1.0
        v' = where(s, 0.0, v1)
        """
    ),
    "gates": kernel(
        """
        v1 = sigmoid(2.0 * u) * v + tanh(x)
        s = v1 >= 0.8
        v' = where(s, 0.0, v1)
        u' = 0.5 * u + softplus(x) - s
        """
    ),
    "divided by its own activity": kernel(
        """
        v1 = 0.9 * v + x / (0.5 + a)
        s = v1 >= 0.8
        v' = where(s, 0.0, v1)
        a' = maximum(0.9 * a + s, 0.0)
        """
    ),
    "exclusive or": kernel(
        """
        v1 = 0.5 * v * minimum(v, 1.0) + x
        s = xor(v1 >= 0.5, v1 >= 1.0)
        v' = where(s, 0.0, v1)
        """
    ),
}


def network(*kernels: Kernel, seed: int = 0) -> Graph:
    """Spikes into one weighted layer per neuron; every output of every neuron is a sequence."""
    rng = np.random.default_rng(seed)
    g = Graph("g", STEPS)
    g.add("x", Input(TensorType((10,)), 0.0, 1.0, 1.0))
    for n, k in enumerate(kernels):
        w = rng.normal(size=(SIZE, 10)) * 0.35 + 0.1
        g.add(f"fc{n}", Linear(param(w), param(rng.normal(size=SIZE) * 0.05)), "x")
        g.add(f"n{n}", Neuron(k, (SIZE,)), f"fc{n}")
        for i, out in enumerate(k.outputs):
            g.add(f"stack{n}.{out}", TimeStack(), Value(f"n{n}", i))
            g.add(f"out{n}.{out}", Output(), f"stack{n}.{out}")
    return g
