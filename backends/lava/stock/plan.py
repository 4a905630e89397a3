"""The parts of a network on stock processes."""

from __future__ import annotations

from dataclasses import dataclass, field

from snnc.backends.lava.stock.matrix import Ints, Matrix
from snnc.graph import Graph


@dataclass(frozen=True)
class Source:
    """Integers that come from outside: output ``out`` of ``node``, which the host computes."""

    name: str
    node: str
    out: int
    size: int
    lo: int
    hi: int

    @property
    def bits(self) -> int:
        """Of a message, 1 for spikes."""
        return message_bits(self.lo, self.hi)


@dataclass(frozen=True)
class Population:
    """One LIF process: some or all neurons of a node; or a tap, which only adds up.

    Attributes:
        name: Of the process.
        node: The neuron or the maximum pool that it computes, or the value that a tap shows.
        out: Of the node.
        index: Which of the node's elements, in row-major order.
        kind: ``lif``; ``or``: fires if anything arrives; ``tap``: no process, only a sum.
        du: Decay of the current, less one.
        dv: Decay of the voltage.
        vth: Threshold in 64ths.
        bias_mant: Per neuron.
        bias_exp: Per neuron.
        words: Recorded words of the node: name -> ``u``, ``v`` or ``s``.
        fires: Whether its output is its spikes; otherwise it is its voltage.
        peak: Largest magnitude of what arrives in a step.
    """

    name: str
    node: str
    out: int
    index: Ints
    kind: str = "lif"
    du: int = 4095
    dv: int = 0
    vth: int = 0
    bias_mant: Ints | None = None
    bias_exp: Ints | None = None
    words: dict[str, str] = field(default_factory=dict)
    fires: bool = True
    peak: int = 0

    @property
    def size(self) -> int:
        """Number of neurons."""
        return len(self.index)


@dataclass(frozen=True)
class Line:
    """A delay line: output i is value ``source[i]`` of ``src``, ``hops[i]`` Lava steps later."""

    name: str
    src: str
    source: Ints
    hops: Ints
    bits: int
    clears: tuple[int, ...] = ()


@dataclass(frozen=True)
class Connection:
    """Weights, one Lava step: ``matrix << exponent``; entries are even, from -256 to 254."""

    name: str
    src: str
    dst: str
    matrix: Matrix
    exponent: int
    bits: int
    clears: tuple[int, ...] = ()


@dataclass(frozen=True)
class StockPlan:
    """A network on stock processes, with what the host computes before and after.

    Attributes:
        sources: What goes in.
        populations: Producers mostly before their consumers.
        lines: Delay lines.
        connections: Weights.
        phases: By population, how many steps after the program it runs.
        front: Computes the sources from the inputs.
        outputs: Source, or input of ``back`` that the front computes -> output of ``front``.
        back: Computes the outputs; its inputs are values of populations, taps and the front.
        taken: Input of ``back`` -> populations that carry it, or nothing if the front does.
        offsets: Input of ``back`` -> what the host adds to what a tap shows.
        notes: What a user should know.
    """

    sources: tuple[Source, ...]
    populations: tuple[Population, ...]
    lines: tuple[Line, ...]
    connections: tuple[Connection, ...]
    phases: dict[str, int]
    front: Graph
    outputs: dict[str, str]
    back: Graph
    taken: dict[str, tuple[str, ...]]
    offsets: dict[str, Ints]
    notes: tuple[str, ...] = ()

    @property
    def latency(self) -> int:
        """Lava steps by which the last population runs behind the program."""
        return max(self.phases.values(), default=0)

    @property
    def processes(self) -> int:
        """Number of Lava processes, without those that feed and record."""
        neurons = len([p for p in self.populations if p.kind != "tap"])
        clears = [x.clears for x in self.lines] + [c.clears for c in self.connections]
        return neurons + len(clears) + sum(map(len, clears))


def message_bits(lo: int, hi: int) -> int:
    """Bits of a message that carries values of this range.

    >>> message_bits(0, 1), message_bits(0, 255), message_bits(-1, 1)
    (1, 8, 2)
    """
    sign = 1 if lo < 0 else 0
    return max(abs(lo), abs(hi), 1).bit_length() + sign
