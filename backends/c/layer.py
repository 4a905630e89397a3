"""What one layer adds to the network: its section of ``snn.c``."""

from __future__ import annotations

from dataclasses import dataclass, field

from snnc.backends.c.buffers import Buffer
from snnc.backends.c.joins import room
from snnc.backends.c.names import comment
from snnc.backends.c.plan import Plan, counter, phase
from snnc.backends.c.tables import Tables
from snnc.backends.c.words import SIZES, index_type
from snnc.backends.c.writer import CWriter
from snnc.graph import Node
from snnc.intops import IntNeuron
from snnc.printer import kernel_lines
from snnc.types import Clock


@dataclass
class Layer:
    """The section being written.

    Attributes:
        data: Declarations of static arrays.
        code: Functions ``event`` and ``tick``.
        reset: Statements that establish the initial state.
        trace: Statements that bring copies of words for verification up to date.
        states: Arrays of a population's states, by name.
        also: Further functions of the layer, by the clock at which they run.
        arrays: Type and size of every static variable, by name.
    """

    plan: Plan
    tables: Tables
    node: Node
    data: CWriter = field(default_factory=CWriter)
    code: CWriter = field(default_factory=CWriter)
    reset: CWriter = field(default_factory=CWriter)
    trace: CWriter = field(default_factory=CWriter)
    states: dict[str, Buffer] = field(default_factory=dict)
    also: dict[Clock, str] = field(default_factory=dict)
    arrays: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Static memory that is written."""
        return sum(SIZES[ctype] * size for ctype, size in self.arrays.values())

    def id(self, part: str) -> str:
        """Identifier of a part."""
        return self.plan.id(self.node, part)

    @property
    def prefix(self) -> str:
        """How every identifier of the layer begins."""
        return self.id("x")[:-1]

    @property
    def steps(self) -> str:
        """The variable that counts the steps done of the loop in which the layer runs."""
        return counter(phase(self.plan.graph, self.node))

    @property
    def tick(self) -> str:
        """Name of the function that advances this layer."""
        return self.id("tick")

    def array(self, name: str, ctype: str, size: int, note: str = "") -> None:
        """Declare a static array."""
        self.data(f"SNN_STATE {ctype} {name}[{size}];{' ' + comment(note) if note else ''}")
        self.arrays[name] = ctype, size

    def counter(self, name: str, note: str = "") -> None:
        """Declare a static number."""
        self.data(f"SNN_STATE uint32_t {name};{' ' + comment(note) if note else ''}")
        self.arrays[name] = "uint32_t", 1

    def output(self, out: int = 0) -> Buffer:
        """Declare and return the array of an output, with its spike list if it has one."""
        buffer = self.plan.value(self.node.name, out)
        self.declare(buffer)
        return buffer

    def declare(self, buffer: Buffer) -> None:
        """Declare an array, with its spike list if it has one."""
        lo, hi = buffer.bounds
        if buffer.only_listed:
            self.data("#ifdef SNN_TRACE")
        self.array(buffer.name, buffer.ctype, buffer.size, f"in [{lo}, {hi}]")
        if buffer.only_listed:
            self.data("#endif")
            del self.arrays[buffer.name]
        if buffer.ids:
            size = buffer.size + room(self.plan, buffer)
            self.array(buffer.ids, index_type(buffer.size), size, "spikes of the last step")
            self.counter(f"{buffer.ids}_n")

    def list_spikes(self, buffer: Buffer) -> None:
        """Bring the spike list of ``buffer`` up to date."""
        self.code(*self.listing(buffer))

    def listing(self, buffer: Buffer) -> list[str]:
        """The statement that brings the spike list of ``buffer`` up to date, if it has one."""
        if not buffer.ids:
            return []
        bits = 16 if index_type(buffer.size) == "uint16_t" else 32
        call = f"snn_list_{bits}({buffer.name}, {buffer.size}u, {buffer.ids})"
        return [f"{buffer.ids}_n = {call};"]

    def header(self) -> list[str]:
        """Comment lines that say what the layer is."""
        index = self.plan.index[self.node.name]
        types = ", ".join(map(str, self.node.types))
        lines = [comment(f"---- layer {index}: {self.node.name}")]
        lines.append(comment(f"{type(self.node.op).__name__}, {types}"))
        if str(self.node.loc) != self.node.name:
            lines.append(comment(str(self.node.loc)))
        if isinstance(self.node.op, IntNeuron):
            lines += [comment(line) for line in kernel_lines(self.node.op.kernel)]
        return lines


def load(buffer: Buffer, index: str, word: str) -> str:
    """Element of an array, in ``word``."""
    text = f"{buffer.name}[{index}]"
    return text if buffer.ctype == word else f"({word}){text}"


def store(buffer: Buffer, index: str, value: str, word: str) -> str:
    """Assignment of an expression of type ``word`` to an element."""
    inner = value if value.isidentifier() else f"({value})"
    cast = value if buffer.ctype == word else f"({buffer.ctype}){inner}"
    return f"{buffer.name}[{index}] = {cast};"
