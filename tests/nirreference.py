"""The equations of NIR once more, for tests: plain NumPy, a step at a time, nothing of snnc.

A network is evaluated from its outputs back.  Edges that carry the value of the step before are
named by the caller; neurons take forward Euler steps, fire above the threshold, and are set to
``v_reset`` in the same step.

Equations: NIR 1.0, https://neuroir.org/docs/primitives.html.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Nodes = Mapping[str, Mapping[str, Any]]
Wires = Sequence[tuple[str, str]]


def flat(nodes: Nodes, edges: Wires) -> tuple[dict[str, Mapping[str, Any]], list[tuple[str, str]]]:
    """Sub-graphs replaced by their nodes, as ``name.node``."""
    found: dict[str, Mapping[str, Any]] = {}
    wires: list[tuple[str, str]] = []

    def add(nodes: Nodes, edges: Wires, before: str) -> None:
        for name, node in nodes.items():
            if node["type"] == "NIRGraph":
                add(node["nodes"], node["edges"], f"{before}{name}.")
            else:
                found[before + name] = node
        wires.extend(
            (end(a, nodes, before, "Output"), end(b, nodes, before, "Input")) for a, b in edges
        )

    def end(name: str, nodes: Nodes, before: str, port: str) -> str:
        outer, _, rest = name.partition(".")
        if outer in nodes and nodes[outer]["type"] == "NIRGraph":
            inner = nodes[outer]["nodes"]
            rest = rest or next(n for n, v in inner.items() if v["type"] == port)
            return end(rest, inner, f"{before}{outer}.", port)
        return before + (name if name in nodes else f"{name}.{port.lower()}")

    add(nodes, edges, "")
    return found, wires


class Reference:
    """A network with its state.

    Args:
        nodes: As ``tests.nirfiles.write_nir`` takes them.
        edges: Pairs of names.
        dt: Length of a step.
        late: Flat edges that carry the value of the step before.
    """

    def __init__(
        self, nodes: Nodes, edges: Wires, dt: float, late: Collection[tuple[str, str]] = ()
    ) -> None:
        self.nodes, wires = flat(nodes, edges)
        self.dt, self.late = dt, set(late)
        self.before: dict[str, list[str]] = {}
        for a, b in dict.fromkeys(wires):
            self.before.setdefault(b, []).append(a)
        self.past: dict[str, list[Any]] = {name: [] for name in self.nodes}
        self.state: dict[str, dict[str, Any]] = {name: {} for name in self.nodes}
        self.now: dict[str, Any] = {}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs (T, …) from inputs (T, …)."""
        ends = [n for n, node in self.nodes.items() if node["type"] == "Output"]
        ends = [n for n in ends if not any(n in sources for sources in self.before.values())]
        found: dict[str, list[Any]] = {n: [] for n in ends}
        for values in zip(*inputs.values(), strict=True):
            self.now = dict(zip(inputs, values, strict=True))
            for name in ends:
                found[name].append(self.value(name))
            for name, node in self.nodes.items():  # what a later step will ask for
                if any(a == name for a, _ in self.late):
                    self.past[name].append(self.value(name))
                if node["type"] == "Delay":
                    self.past[name].append(self.arriving(name))
        shapes = {name: np.shape(v[-1]) for name, v in found.items()}
        return {n: np.array([np.broadcast_to(x, shapes[n]) for x in v]) for n, v in found.items()}

    def value(self, name: str) -> Any:
        """What leaves a node in this step."""
        if name not in self.now:
            node = self.nodes[name]
            if node["type"] == "Delay":
                self.now[name] = self.delayed(name, np.asarray(node["delay"]))
            else:
                rule = getattr(self, "_" + node["type"].lower())
                self.now[name] = rule(node, self.arriving(name), self.state[name])
        return self.now[name]

    def arriving(self, name: str) -> Any:
        """The sum of what arrives at a node in this step."""
        total: Any = 0.0
        for source in self.before.get(name, ()):
            if (source, name) in self.late:
                total = total + (self.past[source][-1] if self.past[source] else 0.0)
            else:
                total = total + self.value(source)
        return total

    def delayed(self, name: str, delay: Array) -> Any:
        steps = np.round(delay / self.dt).astype(int)
        past = self.past[name]
        if not steps.any():
            return self.arriving(name)
        shape = np.shape(past[0]) if past else steps.shape
        steps = np.broadcast_to(steps, shape) if len(shape) >= steps.ndim else steps
        found = np.zeros(shape)
        for k in np.unique(steps):
            if k == 0:
                found[steps == 0] = np.broadcast_to(self.arriving(name), shape)[steps == 0]
            elif k <= len(past):
                found[steps == k] = np.broadcast_to(past[-k], shape)[steps == k]
        return found

    # ---- layers

    def _input(self, p: Any, x: Any, state: Any) -> Any:
        return x

    _output = _input

    def _linear(self, p: Any, x: Any, state: Any) -> Any:
        w = np.asarray(p["weight"], np.float64)
        w = w.reshape(w.shape[-2:])
        return w @ (np.zeros(w.shape[1]) if np.ndim(x) == 0 else x)

    def _affine(self, p: Any, x: Any, state: Any) -> Any:
        return self._linear(p, x, state) + np.asarray(p["bias"], np.float64)

    def _scale(self, p: Any, x: Any, state: Any) -> Any:
        return (np.asarray(p["scale"], np.float64) * x).reshape(np.shape(x))

    def _flatten(self, p: Any, x: Any, state: Any) -> Any:
        first, last = int(p.get("start_dim", 0)), int(p.get("end_dim", -1)) % x.ndim
        return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])

    def _conv2d(self, p: Any, x: Any, state: Any) -> Any:
        w = np.asarray(p["weight"], np.float64)
        stride, dilation = pair(p.get("stride", 1)), pair(p.get("dilation", 1))
        groups, padding = int(p.get("groups", 1)), p.get("padding", 0)
        reach = [d * (k - 1) for d, k in zip(dilation, w.shape[2:], strict=True)]
        padding = {"same": [r // 2 for r in reach], "valid": [0, 0]}.get(str(padding)) or pair(
            padding
        )
        x = np.pad(x, [(0, 0), *((n, n) for n in padding)])
        size = [(n - r - 1) // s + 1 for n, r, s in zip(x.shape[1:], reach, stride, strict=True)]
        y = np.zeros((len(w), *size))
        per = len(w) // groups
        for out, i, j in np.ndindex(*y.shape):
            for channel, a, b in np.ndindex(*w.shape[1:]):
                source = out // per * w.shape[1] + channel
                row, column = i * stride[0] + a * dilation[0], j * stride[1] + b * dilation[1]
                y[out, i, j] += w[out, channel, a, b] * x[source, row, column]
        return y + np.broadcast_to(
            np.asarray(p.get("bias", 0.0), float).reshape(-1, 1, 1), (len(w), 1, 1)
        )

    def _conv1d(self, p: Any, x: Any, state: Any) -> Any:
        row = {k: v if isinstance(v, str) else (int(k != "padding"), int(v)) for k, v in p.items()
               if k in ("stride", "padding", "dilation")}  # fmt: skip
        wide = {**p, **row, "weight": np.asarray(p["weight"])[:, :, None]}
        if row.get("padding") == "same":
            wide["padding"] = (0, (np.shape(p["weight"])[2] - 1) // 2)
        return self._conv2d(wide, x[:, None], state)[:, 0]

    def _sumpool2d(self, p: Any, x: Any, state: Any) -> Any:
        kernel = pair(p["kernel_size"])
        stride, padding = pair(p.get("stride", kernel)), pair(p.get("padding", 0))
        x = np.pad(x, [(0, 0), *((n, n) for n in padding)])
        size = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:], kernel, stride, strict=True)]
        y = np.zeros((len(x), *size))
        for i, j in np.ndindex(*size):
            a, b = i * stride[0], j * stride[1]
            y[:, i, j] = x[:, a : a + kernel[0], b : b + kernel[1]].sum((1, 2))
        return y

    def _avgpool2d(self, p: Any, x: Any, state: Any) -> Any:
        return self._sumpool2d(p, x, state) / np.prod(pair(p["kernel_size"]))

    # ---- neurons

    def _threshold(self, p: Any, x: Any, state: Any) -> Any:
        return (x > np.asarray(p["threshold"])).astype(float)

    def _i(self, p: Any, x: Any, state: Any) -> Any:
        state["v"] = state.get("v", 0.0) + self.dt * number(p, "r", 1.0, x) * x
        return state["v"]

    def _if(self, p: Any, x: Any, state: Any) -> Any:
        return self.fire(p, self._i(p, x, state), state)

    def _li(self, p: Any, x: Any, state: Any, tau: str = "tau") -> Any:
        v = state.get("v", 0.0)
        leak = number(p, "v_leak", 0.0, x) - v + number(p, "r", 1.0, x) * x
        state["v"] = v + self.dt / number(p, tau, 0.0, x) * leak
        return state["v"]

    def _lif(self, p: Any, x: Any, state: Any) -> Any:
        return self.fire(p, self._li(p, x, state), state)

    def _cubali(self, p: Any, x: Any, state: Any) -> Any:
        current = state.get("current", 0.0)
        change = -current + number(p, "w_in", 1.0, x) * x
        state["current"] = current + self.dt / number(p, "tau_syn", 0.0, x) * change
        return self._li(p, state["current"], state, "tau_mem")

    def _cubalif(self, p: Any, x: Any, state: Any) -> Any:
        return self.fire(p, self._cubali(p, x, state), state)

    def fire(self, p: Any, v: Any, state: Any) -> Any:
        spikes = v > number(p, "v_threshold", 0.0, v)
        state["v"] = np.where(spikes, number(p, "v_reset", 0.0, v), v)
        return spikes.astype(float)


def number(p: Any, name: str, default: float, x: Any) -> Any:
    """A parameter, without axes of length 1 that its neuron does not have."""
    value = np.asarray(p.get(name, default), np.float64)
    while value.ndim > np.ndim(x) and len(value) == 1:
        value = value[0]
    return value


def pair(value: Any) -> list[int]:
    """Two integers; one stands for both."""
    found = [int(n) for n in np.asarray(value).reshape(-1)]
    return list(itertools.islice(itertools.cycle(found), 2))
