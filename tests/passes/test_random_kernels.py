"""Random kernels: proven ranges contain every run, and integers follow the float model."""

import json
import random

import numpy as np
import pytest
import safetensors.numpy

from snnc.backends.float_sim import FloatSimulator
from snnc.backends.numpy.arithmetic import FUNCTIONS, SHIFTS
from snnc.backends.numpy.simulator import Simulator
from snnc.graph import Graph, Value
from snnc.interval import Interval, RangeOverflowError
from snnc.intops import IntNeuron
from snnc.kernel import ROUNDINGS, Const, Kernel, Line, State
from snnc.ops import Input, Linear, Neuron, Output, TimeStack
from snnc.params import Param
from snnc.passes import Context, run_passes
from snnc.passes.kernel_ranges import kernel_ranges
from snnc.passes.pipeline import integer_pipeline
from snnc.storage import dump_graph
from snnc.types import TensorType
from tests.kerneltext import kernel
from tests.realgraphs import param

COMPARISONS = ("ge", "gt", "le", "lt", "eq", "ne")


def random_integer_kernel(r: random.Random) -> Kernel:
    """Any straight-line code of small integers, with one to three states."""
    inputs = [f"x{i}" for i in range(r.randint(1, 2))]
    names = [f"v{i}" for i in range(r.randint(1, 3))]
    choices = (0, 1, 2, 3, 5, -1, -2, 7, 10, -8, 14, 15, 16)
    consts = [Const(f"c{i}", Param(np.int64(r.choice(choices)))) for i in range(4)]
    fixed = [c.name for c in consts]
    numbers, predicates = [*inputs, *names, *fixed], []
    lines = [Line("l", "add", (inputs[0], names[0]))]

    def pick() -> str:
        return r.choice(numbers)

    for i in range(r.randint(4, 14)):
        name, kind = f"l{i}", r.randint(0, 8 if predicates else 5)
        if kind == 0:
            lines += [Line(f"{name}m", "mul", (r.choice(fixed), pick()))]
            lines += [Line(name, "rsh", (f"{name}m",), 4, r.choice(ROUNDINGS))]
        elif kind in (1, 2):
            lines += [Line(name, r.choice(("add", "sub", "maximum", "minimum")), (pick(), pick()))]
        elif kind == 3:
            fn = r.choice(("neg", "copy", "wrap"))
            lines += [Line(name, fn, (pick(),), r.choice((2, 5, 24)) if fn == "wrap" else 0)]
        elif kind in (4, 5):
            pair = r.choice(
                ((pick(), r.choice(fixed)), (r.choice(fixed), pick()), (pick(), pick()))
            )
            lines += [Line(name, r.choice(COMPARISONS), pair)]
        elif kind == 6:
            fn = r.choice(("and", "or", "not"))
            count = 1 if fn == "not" else 2
            lines += [Line(name, fn, tuple(r.choice(predicates) for _ in range(count)))]
        else:
            lines += [Line(name, "select", (r.choice(predicates), pick(), pick()))]
        (predicates if kind in (4, 5, 6) else numbers).append(name)
    ends = [line.name for line in lines]
    states = tuple(State(n, r.choice(ends), Param(np.int64(r.randint(-3, 3)))) for n in names)
    return Kernel(tuple(inputs), states, tuple(consts), tuple(lines), (lines[-1].name,))


def extremes(k: Kernel, lo: list[int], hi: list[int], steps: int) -> dict[str, tuple[int, int]]:
    """Smallest and largest value of every name in 64 runs: random, extreme, alternating, held."""
    rng, kind = np.random.default_rng(0), np.arange(64) % 4
    state = {s.name: np.full(64, int(s.init.data)) for s in k.states}
    held = [rng.integers(a, b + 1, 64) for a, b in zip(lo, hi, strict=True)]
    seen: dict[str, tuple[int, int]] = {}

    def note(values: dict[str, np.ndarray]) -> None:
        for name, v in values.items():
            a, b = seen.get(name, (1 << 62, -(1 << 62)))
            seen[name] = min(a, int(v.min())), max(b, int(v.max()))

    for t in range(steps):
        env = {c.name: np.full(64, int(c.values.data)) for c in k.consts} | state
        for i, name in enumerate(k.inputs):
            ways = [rng.integers(lo[i], hi[i] + 1, 64), rng.choice([lo[i], hi[i]], 64)]
            ways += [np.where((np.arange(64) // 4 + t) % 2, lo[i], hi[i]), held[i]]
            env[name] = np.choose(kind, ways)
        for line in k.body:
            args = [env[a] for a in line.args]
            if line.fn in SHIFTS:
                env[line.name] = SHIFTS[line.fn](args[0], line.shift, line.rounding)
            else:
                env[line.name] = FUNCTIONS[line.fn](*args)
        state = {s.name: env[s.next] for s in k.states}
        note(env)
        note(state)
    return seen


@pytest.mark.parametrize("seed", range(60))
def test_ranges_of_any_kernel_contain_what_happens(seed: int) -> None:
    r = random.Random(seed)
    k = random_integer_kernel(r)
    lo, hi = ([r.randint(a, b) for _ in k.inputs] for a, b in ((-4, 0), (1, 6)))
    limit = r.choice((1, 2, 5, 63, 64, 65, 70))
    inputs = [Interval.of([a], [b]) for a, b in zip(lo, hi, strict=True)]
    try:
        found = kernel_ranges(k, inputs, (1,), limit)
    except RangeOverflowError:
        return  # refused, not wrong
    for name, (a, b) in extremes(k, lo, hi, 100 if found.bounded else limit).items():
        low, high = found.env[name].bounds
        assert low <= a, name
        assert b <= high, name


def random_real_kernel(r: random.Random, rng: np.random.Generator, size: int) -> Kernel:
    """Coupled leaky states with resets of every kind; scale-free."""
    consts: dict[str, object] = {}

    def c(lo: float, hi: float) -> str:
        consts[name := f"p{len(consts)}"] = rng.uniform(lo, hi, size if r.random() < 0.4 else ())
        return name

    inputs, names = ["x", "y"][: r.randint(1, 2)], ["v", "u", "w"][: r.randint(1, 3)]
    flag = r.random() < 0.4
    rows = []
    for i, n in enumerate(names):
        leak = f"{c(0.2, 0.95)} * {n}"
        if flag and r.random() < 0.5:
            leak = r.choice((f"({leak}) * (1 - p)", f"where(p, 0.0, {leak})"))
        sources = [*inputs, *(f"{m}1" for m in names[:i])]
        drawn = r.sample(sources, r.randint(1, len(sources)))
        total = leak + "".join(f" {r.choice('++-')} {c(0.3, 1.5)} * {z}" for z in drawn)
        rows.append(f"{n}1 = {total}" if r.random() < 0.7 else f"{n}1 = maximum({total}, -1.0)")
    last, spikes = f"{names[-1]}1", []
    for i in range(r.randint(1, 3)):
        compare = r.choice((">=", ">"))
        form = r.choice(
            (
                f"{r.choice(names)}1 {compare} {c(0.4, 1.2)}",
                f"{last} - {c(0.4, 1.2)} - {c(0.05, 0.3)} * {r.choice(names)} {compare} 0",
                f"-{last} {'<=' if compare == '>=' else '<'} {c(-1.2, -0.4)}",
            )
        )
        rows.append(f"s{i} = {form}")
        spikes.append(f"s{i}")
    for n in names:
        s = r.choice(spikes)
        nested = f"where({s}, where({r.choice(spikes)}, 0.0, 0.5 * {n}1), {n}1)"
        resets = (f"{n}1 - {c(0.3, 1)} * {s}", f"{n}1 * (1 - {s})", f"{n}1", nested)
        rows.append(f"{n}' = {r.choice((*resets, f'where({s}, {c(-0.3, 0.3)}, {n}1)'))}")
    rows += [f"p' = {r.choice(spikes)}"] * flag
    init = {f"init_{n}": rng.uniform(-0.3, 0.3, size) for n in names if r.random() < 0.4}
    return kernel("\n".join(rows), outputs=" ".join(spikes), **consts, **init)


@pytest.mark.parametrize("seed", range(16))
def test_any_scale_free_kernel_follows_the_float_model(seed: int) -> None:
    r, rng, size = random.Random(seed), np.random.default_rng(seed), 12
    k = random_real_kernel(r, rng, size)
    g = Graph("g", 16)
    for name in k.inputs:
        g.add(name, Input(TensorType((10,)), 0.0, 1.0, 1.0))
        w = rng.normal(size=(size, 10)) * 0.3 + 0.05
        g.add(f"fc.{name}", Linear(param(w), param(rng.normal(size=size) * 0.05)), name)
    g.add("n", Neuron(k, (size,)), *(f"fc.{name}" for name in k.inputs))
    for i, out in enumerate(k.outputs):
        g.add(f"stack.{out}", TimeStack(), Value("n", i))
        g.add(out, Output(), f"stack.{out}")
    ctx = Context()
    program = run_passes(g, integer_pipeline(r.choice((2, 4, 8, 16))), ctx)
    text, blob = dump_graph(program)
    sim = Simulator(json.loads(text), safetensors.numpy.load(blob))
    x = {n: rng.integers(0, 2, (30, 32, 10)) for n in k.inputs}
    found, words = sim.run(x, record=sim.words())
    assert ctx.fake_quantized is not None
    expected = FloatSimulator(ctx.fake_quantized).run(x)[0]
    for name in found:
        assert np.mean(found[name] != expected[name]) < 5e-3, name
    op = program["n"].op
    assert isinstance(op, IntNeuron)
    for s in (*op.kernel.states, *op.kernel.body):
        if (word := f"n.{s.name}") in words:
            assert s.lo <= words[word].min(), word
            assert words[word].max() <= s.hi, word
