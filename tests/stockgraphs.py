"""Random integer graphs of LIF populations, and what Lava's stock processes make of a plan."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.lava.stock.plan import Connection, Line, Population, StockPlan
from snnc.graph import Edge, Graph, Value
from snnc.intops import (
    IntConcat,
    IntConv,
    IntDelayLinear,
    IntInput,
    IntLinear,
    IntMaxPool,
    IntNeuron,
    IntOutput,
    IntReshape,
    IntSlice,
    IntSum,
    IntSumPool,
    IntTimeStack,
    IntTimeSum,
)
from snnc.kernel import Const, Kernel, State
from snnc.kernel import Line as Step
from snnc.params import Param
from snnc.types import Clock
from tests.intgraphs import proven, simulator

Ints = npt.NDArray[np.int64]
Rng = np.random.Generator
ONE = Param(np.array(1.0))


def integers(data: Any) -> Param:
    return Param(np.asarray(data, np.int32))


def lif(rng: Rng, size: int, current: bool, readout: bool = False) -> Kernel:
    """The chip's neuron; some populations have a threshold or a decay for each neuron."""
    per = (size,) if rng.random() < 0.2 else ()
    keep = 4096 - rng.choice([0, 1, 300, 2048, 4095], per)
    numbers: dict[str, Any] = {
        "keep_v": keep,
        "theta": 64 * rng.integers(1, 60, (size,) if rng.random() < 0.2 else ()).clip(0, 60),
        "bias": 64 * rng.integers(-3, 9, size),
        "zero": 0,
        "top": (1 << 23) - 1,
        "bottom": 1 - (1 << 23),
    }
    body = [Step("a", "shl", ("x",), shift=6)]
    states = []
    drive = "a"
    if current:
        numbers["keep_u"] = 4096 - rng.choice([300, 4000])
        body += [
            Step("m_u", "mul", ("keep_u", "u")),
            Step("d_u", "rsh", ("m_u",), shift=12, rounding="trunc"),
            Step("u0", "add", ("d_u", "a")),
        ]
        states.append(State("u", "u0", integers(0)))
        drive = "u0"
    body += [
        Step("m_v", "mul", ("keep_v", "v")),
        Step("d_v", "rsh", ("m_v",), shift=12, rounding="trunc"),
        Step("v0", "add", ("d_v", drive)),
        Step("biased", "add", ("v0", "bias")),
        Step("low", "maximum", ("biased", "bottom")),
        Step("high", "minimum", ("low", "top")),
    ]
    output = "high"
    if not readout:
        body.append(Step("s", "gt", ("high", "theta")))
        body.append(Step("after", "select", ("s", "zero", "high")))
        output = "s"
    states.append(State("v", "high" if readout else "after", integers(0)))
    used = {a for line in body for a in line.args}
    consts = tuple(Const(n, integers(v)) for n, v in numbers.items() if n in used)
    return Kernel(("x",), tuple(states), consts, tuple(body), (output,))


def weights(rng: Rng, *shape: int) -> Param:
    odd = (
        rng.integers(-127, 128, shape) if rng.random() < 0.5 else 2 * rng.integers(-127, 128, shape)
    )
    return integers(odd if rng.random() < 0.9 else 300 * np.sign(odd))


def drive(rng: Rng, g: Graph, value: str, rows: int, delay: int) -> str:
    """Weighted spikes: ``rows`` numbers, ``delay`` steps late."""
    (size,) = g[value].type.shape
    name = g.fresh(f"w{len(g)}")
    kind = rng.integers(4)
    if kind == 0 and rows == size:
        return value if not delay else g.add(name, IntReshape((size,)), Value(value, 0, delay)).name
    if kind == 1:
        columns = int(rng.integers(1, 2 * size))
        index, late = rng.integers(0, size, columns), rng.integers(0, 4, columns)
        op = IntDelayLinear(weights(rng, rows, columns), integers(index), integers(late))
        return g.add(name, op, Value(value, 0, delay)).name
    if kind == 2 and size % 4 == 0 and rows % 4 == 0:
        image = g.add(f"{name}.image", IntReshape((1, 4, size // 4)), Value(value, 0, delay)).name
        maximum = rng.integers(2) and value.startswith("n")  # of spikes
        pool = IntMaxPool if maximum else IntSumPool
        source = image
        if size >= 8 and rng.random() < 0.5:
            source = g.add(f"{name}.pool", pool((2, 2), (1, 1), (0, 0)), image).name
        conv = IntConv(weights(rng, 2, 1, 3, 2), None, 0, (1, 1), (1, 1), (1, 1))
        made = g.add(f"{name}.conv", conv, source)
        flat = g.add(f"{name}.flat", IntReshape((made.type.size,)), made.name).name
        if made.type.size >= rows:
            return g.add(name, IntSlice(0, 0, rows), flat).name
        value, size, delay = flat, made.type.size, 0
    bias = integers(rng.integers(-2, 5, rows)) if not delay and rng.random() < 0.3 else None
    return g.add(name, IntLinear(weights(rng, rows, size), bias), Value(value, 0, delay)).name


def random_network(seed: int) -> Graph:
    """Populations that read several earlier ones, some late, and feed some back."""
    rng = np.random.default_rng(seed)
    g = Graph(f"stock{seed}", 5)
    spikes = rng.random() < 0.7
    size = int(rng.integers(1, 4)) * 4
    values = [g.add("x", IntInput((size,), Clock.STEP, 0, 1 if spikes else 5, 1.0)).name]
    for i in range(int(rng.integers(1, 5))):
        rows = int(rng.integers(1, 4)) * 4
        current = rng.random() < 0.3
        sources = rng.choice(values, min(len(values), int(rng.integers(1, 3))), replace=False)
        if len(sources) > 1 and rng.random() < 0.3:
            sources = [g.add(f"both{i}", IntConcat(0), *map(str, sources)).name]
        parts = [drive(rng, g, str(s), rows, int(rng.integers(4)) // 2) for s in sources]
        if current and any(getattr(g[p].op, "bias", None) is not None for p in parts):
            current = False
        add = g.add(f"sum{i}", IntSum(), *parts)
        made = g.add(f"n{i}", IntNeuron(lif(rng, rows, current), (rows,)), add.name)
        if rng.random() < 0.5:  # feedback, to itself or further back
            late = int(rng.integers(1, 5))
            targets = [n for n in g.nodes if isinstance(n.op, IntSum)]
            target = targets[rng.integers(len(targets))]
            op = IntLinear(weights(rng, target.type.shape[0], rows))
            back = g.add(g.fresh(f"back{i}"), op, Value(made.name, 0, late)).name
            g.connect(Edge(back, target.name, len(g.in_edges(target.name))))
        values.append(made.name)
    last = values[-1]
    head = g.add("head", IntLinear(weights(rng, 3, g[last].type.shape[0])), last).name
    for name, source, op in (
        ("y", head, IntTimeSum()),
        ("z", last, IntTimeStack()),
    ):
        g.add(name, IntOutput(ONE), g.add(f"{name}.over", op, source).name)
    return proven(g, 64)


def long_network() -> Graph:
    """Two populations that read images of 12 spikes."""
    rng = np.random.default_rng(0)
    g = Graph("long", 50)
    last = g.add("image", IntInput((12,), Clock.STEP, 0, 1, 1.0)).name
    for i in range(2):
        fc = g.add(f"fc{i}", IntLinear(weights(rng, 12, 12)), last).name
        last = g.add(f"n{i}", IntNeuron(lif(rng, 12, current=False), (12,)), fc).name
    g.add("out", IntOutput(ONE), g.add("sum", IntTimeSum(), last).name)
    return proven(g, 64)


class Emulator:
    """Steps of Lava, process by process, as ``notes`` on lava-nc 0.10.0 measured them."""

    def __init__(self, plan: StockPlan, steps: int) -> None:
        self.plan, self.steps, self.now = plan, steps, 0
        self.state = {p.name: np.zeros((2, p.size), np.int64) for p in plan.populations}
        self.lines = {x.name: deque[Ints]() for x in plan.lines}
        self.pending = {c.name: np.zeros(c.matrix.shape[0], np.int64) for c in plan.connections}
        self.dense = {c.name: c.matrix.dense() for c in plan.connections}
        for x in plan.lines:
            self.lines[x.name] = deque(
                np.zeros(len(x.source), np.int64) for _ in range(x.hops.max())
            )

    def step(self, fed: dict[str, Ints]) -> dict[str, Ints]:
        """What every population shows: spikes, or a tap's sum."""
        sent = dict(fed)
        for x in self.plan.lines:
            sent[x.name] = self.lines[x.name][0]
        arrived = {p.name: np.zeros(p.size, np.int64) for p in self.plan.populations}
        for c in self.plan.connections:
            arrived[c.dst] += self.pending[c.name]
        shown = {}
        for p in self.plan.populations:
            shown[p.name] = arrived[p.name] if p.kind == "tap" else self._fires(p, arrived[p.name])
        sent |= shown
        for x in self.plan.lines:
            self._delay(x, sent[x.src])
        for c in self.plan.connections:
            total = self.dense[c.name] @ sent[c.src]
            self.pending[c.name] = total << c.exponent if c.exponent > 0 else total >> -c.exponent
        for x in (*self.plan.lines, *self.plan.connections):
            if self.now % self.steps in {c % self.steps for c in x.clears}:
                self._clear(x)
        self.now += 1
        return shown

    def _fires(self, p: Population, a: Ints) -> Ints:
        if p.kind == "lif" and self.now % self.steps == self.plan.phases[p.name] % self.steps:
            self.state[p.name][:] = 0
        u, v = self.state[p.name]
        u = _rz(u * (4096 - p.du - 1)) + (a << 6)
        u = np.where(u > 1 << 23, u - (1 << 24), np.where(u <= -1 << 23, u + (1 << 24), u))
        bias = 0 if p.bias_mant is None or p.bias_exp is None else p.bias_mant << p.bias_exp
        v = np.clip(_rz(v * (4096 - p.dv)) + u + bias, 1 - (1 << 23), (1 << 23) - 1)
        fires = (v > p.vth << 6).astype(np.int64)
        self.state[p.name] = np.stack([u, np.where(fires, 0, v)])
        return fires if p.fires else v

    def _delay(self, x: Line, value: Ints) -> None:
        queue = self.lines[x.name]
        queue.popleft()
        queue.append(np.zeros(len(x.source), np.int64))
        for i, (place, hops) in enumerate(zip(x.source, x.hops, strict=True)):
            queue[hops - 1][i] += value[place]

    def _clear(self, x: Line | Connection) -> None:
        if isinstance(x, Connection):
            self.pending[x.name][:] = 0
        else:
            for row in self.lines[x.name]:
                row[:] = 0


def _rz(x: Ints) -> Ints:
    found: Ints = np.sign(x) * (np.abs(x) >> 12)
    return found


def emulated(plan: StockPlan, x: Ints, static: bool = False) -> dict[str, Ints]:
    """Outputs of a network of one input (N, T, ...), as ``Simulator.run`` gives them."""
    samples, steps = x.shape[:2]
    values, _ = simulator(plan.front).run(x[:, 0] if static else x, steps)
    fed = {name: values[out] for name, out in plan.outputs.items()}
    rows = {name: v.reshape(samples * steps, -1) for name, v in fed.items()}
    rows = {s.name: rows[s.name] for s in plan.sources}
    machine, shown = Emulator(plan, steps), []
    for t in range(samples * steps + plan.latency):
        inputs = {n: v[t] if t < len(v) else 0 * v[0] for n, v in rows.items()}
        shown.append(machine.step(inputs))
    back = simulator(plan.back)
    read = {}
    for name, carriers in plan.taken.items():
        shape = back.inputs[name][0]
        found = np.zeros((samples, steps, int(np.prod(shape))), np.int64)
        for p in (p for p in plan.populations if p.name in carriers):
            phase = plan.phases[p.name]
            seen = np.stack([s[p.name] for s in shown[phase : phase + samples * steps]])
            found[..., p.index] = seen.reshape(samples, steps, -1)
        found += plan.offsets.get(name, 0)
        read[name] = found.reshape(samples, steps, *shape) if carriers else fed[name]
    return back.run(read, steps)[0]
