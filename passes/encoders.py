"""Encoders as graphs: what makes spikes of a static value, or of the changes of a signal.

``x`` is relative to ``max``, steps count from 0.  All but ``direct`` and the Gaussians of
``population`` give the same spikes in floats and in integers on inputs of ``k / 2**n`` and
``k / (2**n - 1)`` of up to 12 bits: such a value lies on a threshold exactly, or not at all.

======================  ===========================================================================
direct                  x itself, at every step
rate                    a spike with probability x, by a hash: ``RateCode``
sigma-delta             integrate and fire: ``v += x; s = [v >= 1]; v -= s``, from v = 1/2, so that
                        there are round(T x) spikes in T steps
latency                 one spike at step round(W (1 - x)) of W; none if that is not below W
phase                   bit t mod B of x, the highest first; 1 is all ones
population              P neurons per feature: ``exp(-(x - c)**2 / (2 sigma**2))``, centres c spread
                        evenly over [0, 1], sigma = width / (P - 1); then another code
delta                   a spike where the signal has moved by a threshold since the last one, up
                        and down; the reference moves by the threshold
======================  ===========================================================================

References: rate, latency and delta: Auge et al., "A survey of encoding techniques for signal
processing in SNNs" (2021); phase: Kim et al. (2018), "Deep neural networks with weighted spikes";
population: Bohte et al. (2002).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnc.diagnostics import Loc, fail
from snnc.encoder_choice import EncoderChoice
from snnc.graph import Graph, Value
from snnc.kernel import Const, Kernel, Line, State
from snnc.ops import Concat, Neuron, Pointwise, RateCode, Repeat, Reshape, StepTable
from snnc.params import Param

Shape = tuple[int, ...]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Site:
    """Where an encoder goes: its nodes are called ``name.…``, and follow ``value``."""

    graph: Graph
    name: str
    loc: Loc
    choice: EncoderChoice

    def add(self, part: str, op: Neuron | RateCode | Reshape, *inputs: str | Value) -> str:
        """Add a node; returns its name."""
        name = self.graph.fresh(f"{self.name}.{part}")
        return self.graph.add(name, op, *inputs, loc=self.loc).name

    def shape(self, value: str) -> Shape:
        """Shape of a value."""
        return self.graph[value].type.shape


def _const(name: str, value: float | Floats) -> Const:
    return Const(name, Param(np.asarray(value, np.float64)))


def _state(name: str, following: str, start: float = 0.0) -> State:
    return State(name, following, Param(np.asarray(start, np.float64)))


def _ones(shape: Shape) -> Shape:
    """Shape of one value for all elements: it has as many axes."""
    return (1,) * len(shape)


def direct(site: Site, x: str) -> str:
    """The value itself, at every step."""
    name = site.graph.fresh(f"{site.name}.direct")
    return site.graph.add(name, Repeat(), x, loc=site.loc).name


def rate(site: Site, x: str) -> str:
    """Spikes by a hash of step and element."""
    op = RateCode(site.choice.count("seed"), site.choice.number("max"))
    return site.add("rate", op, x)


def sigma_delta(site: Site, x: str) -> str:
    """Integrate and fire, reset by subtraction."""
    top, start = site.choice.number("max"), site.choice.number("start")
    kernel = Kernel(
        inputs=("x",),
        states=(_state("v", "rest", start * top),),
        consts=(_const("top", top),),
        body=(
            Line("sum", "add", ("v", "x")),
            Line("s", "ge", ("sum", "top")),
            Line("sent", "mul", ("s", "top")),
            Line("rest", "sub", ("sum", "sent")),
        ),
        outputs=("s",),
    )
    return site.add("sigma_delta", Neuron(kernel, site.shape(x)), x)


def latency(site: Site, x: str) -> str:
    """The first step at which the value and a ramp reach 1: round(W (1 - x))."""
    steps = site.choice.count("steps") or site.graph.steps
    rows = max(steps, site.graph.steps)
    # 1 less the value halfway between those of two steps: (2 t + 1) / (2 W); nothing from W on
    odd, top = 2.0 * np.arange(rows) + 1.0, site.choice.number("max")
    odd[steps:] = -2.0 * steps
    ramp = (top * odd / (2.0 * steps)).reshape(rows, *_ones(site.shape(x)))
    table = site.graph.fresh(f"{site.name}.ramp")
    site.graph.add(table, StepTable(Param(ramp)), loc=site.loc)
    kernel = Kernel(
        inputs=("x", "ramp"),
        states=(_state("done", "past"),),
        consts=(_const("top", top),),
        body=(
            Line("height", "add", ("x", "ramp")),
            Line("reached", "ge", ("height", "top")),
            Line("first", "not", ("done",)),
            Line("s", "and", ("reached", "first")),
            Line("past", "or", ("done", "reached")),
        ),
        outputs=("s",),
    )
    return site.add("latency", Neuron(kernel, site.shape(x)), x, table)


def phase(site: Site, x: str) -> str:
    """Double what is left and send what is above 1; a clock of one neuron starts anew."""
    bits, top = site.choice.count("bits"), site.choice.number("max")
    clock = Kernel(
        inputs=(),
        states=(_state("k", "next"),),
        consts=(_const("one", 1.0), _const("last", bits - 1.0), _const("zero", 0.0)),
        body=(
            Line("start", "lt", ("k", "one")),
            Line("inside", "lt", ("k", "last")),
            Line("more", "add", ("k", "one")),
            Line("next", "where", ("inside", "more", "zero")),
        ),
        outputs=("start",),
    )
    start = site.add("phase.clock", Neuron(clock, _ones(site.shape(x))))
    kernel = Kernel(
        inputs=("x", "start"),
        states=(_state("rest", "left"),),
        consts=(_const("half", 0.5), _const("zero", 0.0), _const("top", top)),
        body=(
            Line("anew", "ge", ("start", "half")),
            Line("old", "where", ("anew", "x", "rest")),
            Line("now", "maximum", ("old", "zero")),
            Line("twice", "add", ("now", "now")),
            Line("s", "ge", ("twice", "top")),
            Line("sent", "mul", ("s", "top")),
            Line("left", "sub", ("twice", "sent")),
        ),
        outputs=("s",),
    )
    return site.add("phase", Neuron(kernel, site.shape(x)), x, start)


def population(site: Site, x: str) -> str:
    """Gaussian receptive fields along a new last axis, which is joined with the features."""
    count, top = site.choice.count("neurons"), site.choice.number("max")
    shape = site.shape(x)
    wide = site.add("features", Reshape((*shape, 1)), x)
    centres: Floats = top * np.arange(float(count)) / (count - 1.0)
    sigma = site.choice.number("width") * top / (count - 1.0)
    # the proof does not see that a square is positive, or that a table's slopes meet: clamps say so
    kernel = Kernel(
        inputs=("x",),
        states=(),
        consts=(
            *(_const("centre", centres), _const("slope", 0.5**0.5 / sigma)),
            *(_const("zero", 0.0), _const("one", 1.0)),
        ),
        body=(
            Line("away", "sub", ("x", "centre")),
            Line("scaled", "mul", ("away", "slope")),
            Line("square", "mul", ("scaled", "scaled")),
            Line("minus", "neg", ("square",)),
            Line("power", "minimum", ("minus", "zero")),
            Line("bell", "exp", ("power",)),
            Line("low", "maximum", ("bell", "zero")),
            Line("field", "minimum", ("low", "one")),
        ),
        outputs=("field",),
    )
    fields = site.add("population", Neuron(kernel, (*shape, count)), wide)
    flat = site.add("fields", Reshape((*shape[:-1], shape[-1] * count)), fields)
    code = str(site.choice.options["code"])
    inner = EncoderChoice(code, code, options={**site.choice.options, "max": 1.0})
    return BUILDERS[code](Site(site.graph, site.name, site.loc, inner), flat)


def delta(site: Site, x: str) -> str:
    """Send on delta: spikes up along the first half of the first axis, down along the second.

    A reference that moves never passes the signal; minimum and maximum say so to the proof.
    """
    threshold = site.choice.number("threshold")
    kernel = Kernel(
        inputs=("x",),
        states=(_state("sent", "after"),),
        consts=(_const("step", threshold), _const("back", -threshold)),
        body=(
            Line("change", "sub", ("x", "sent")),
            Line("up", "ge", ("change", "step")),
            Line("down", "le", ("change", "back")),
            Line("rise", "add", ("sent", "step")),
            Line("high", "minimum", ("rise", "x")),
            Line("risen", "where", ("up", "high", "sent")),
            Line("fall", "sub", ("sent", "step")),
            Line("low", "maximum", ("fall", "x")),
            Line("after", "where", ("down", "low", "risen")),
        ),
        outputs=("up", "down"),
    )
    name = site.add("delta", Neuron(kernel, site.shape(x)), x)
    both, join = (name, Value(name, 1)), site.graph.fresh(f"{site.name}.events")
    op = Pointwise("sub") if site.choice.count("signed") else Concat(0)
    return site.graph.add(join, op, *both, loc=site.loc).name


#: How each encoder is built: from the value that it reads to the one that the network reads.
BUILDERS: dict[str, Callable[[Site, str], str]] = {
    "direct": direct,
    "rate": rate,
    "sigma-delta": sigma_delta,
    "latency": latency,
    "phase": phase,
    "population": population,
    "delta": delta,
}


def source_shape(choice: EncoderChoice, shape: Shape, loc: Loc) -> Shape:
    """Shape of what the encoder reads, if the network reads ``shape``.

    Raises:
        CompileError: E232 if no shape gives that.
    """
    if choice.kind == "population":
        count = choice.count("neurons")
        if not shape or shape[-1] % count:
            text = f"population with {count} neurons per feature cannot give the shape {shape}"
            why = "the last axis must be a multiple of the number of neurons: feature by feature"
            raise fail("E232", text, loc, why, help="choose neurons=… of the training")
        return (*shape[:-1], shape[-1] // count)
    if choice.kind == "delta" and not choice.count("signed"):
        if not shape or shape[0] % 2:
            text = f"delta cannot give the shape {shape}"
            why = "spikes up are the first half of the first axis, spikes down the second"
            raise fail("E232", text, loc, why, help="for one channel of -1, 0 and 1: signed=1")
        return (shape[0] // 2, *shape[1:])
    return shape
