"""A population that can be trained through: its kernel, line by line, on integers in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from snnc.backends.torch import arithmetic
from snnc.backends.torch.neuron import PLAIN, Act, Neuron
from snnc.backends.torch.program import ANY, Bounds, Program, Record, magnitude
from snnc.finetuning.ckernel import Kernel, Shift
from snnc.finetuning.compiled import CompiledKernel
from snnc.finetuning.gradients import ROOM, compared, exactly, looked_up, shifted
from snnc.kernel import PREDICATES

#: What training may let values grow by, beyond the ranges that were proven before it: they are
#: proven again as it goes on.
GROWTH = 4


def _either(a: Tensor, b: Tensor) -> Tensor:
    return a + b - a * b


def _equal(a: Tensor, b: Tensor) -> Tensor:
    return (a == b).to(a.dtype)


def _divided(a: Tensor, b: Tensor) -> Tensor:
    return exactly(a / b, arithmetic.rdiv(a.detach().long(), b.detach().long()))


def _root(x: Tensor) -> Tensor:
    return exactly(x.clamp(min=1).sqrt(), arithmetic.isqrt(x.detach().long()))


#: Functions of integers in float64; those of 0 and 1 take what ``truth`` makes of them.
ACTS: dict[str, Act] = {
    **{name: PLAIN[name] for name in ("add", "sub", "mul", "neg", "maximum", "minimum", "copy")},
    "gt": lambda a, b: compared(a, b, strict=True),
    "ge": lambda a, b: compared(a, b, strict=False),
    "lt": lambda a, b: compared(-a, -b, strict=True),
    "le": lambda a, b: compared(-a, -b, strict=False),
    "eq": _equal,
    "ne": lambda a, b: 1 - _equal(a, b),
    "and": lambda a, b: _truth(a) * _truth(b),
    "or": lambda a, b: _either(_truth(a), _truth(b)),
    "not": lambda a: 1 - _truth(a),
    "select": lambda c, a, b: b + _truth(c) * (a - b),
    "div": _divided,
    "isqrt": _root,
    "lookup": looked_up,
}


def _truth(a: Tensor) -> Tensor:
    """1 where a is not 0; the gradient is that of a, which mostly is 0 or 1 itself."""
    return exactly(a, (a.detach() != 0).to(a.dtype))


class TrainedNeuron(Neuron):
    """A population whose words are those of the program, and whose inputs get gradients.

    Args:
        program: The program before its ranges were proven.
        node: The population.
        proven: Ranges of its lines, as they are before training.
    """

    def __init__(self, program: Program, node: Record, proven: dict[str, Bounds]) -> None:
        super().__init__(program, node, torch.int64)
        for c in self._const:
            key = f"const_{c}"
            self.register_buffer(key, self.get_buffer(key).double())
        self.base, self.proven = torch.float64, proven
        self.words = [self.base] * len(self.words)
        self.kept = [self.base] * len(self.kept)
        self._ones = {y["name"] for y in self._lines if y["fn"] in PREDICATES}
        self._native: CompiledKernel | None = None
        self._full_consts: list[Tensor] = []

    def wide(self) -> list[str]:
        """Lines whose values float64 may not hold."""
        known = (y["name"] for y in self._lines if y["name"] not in self._products)
        return [n for n in known if magnitude(self.proven.get(n, (0, 0))) * GROWTH >= ROOM]

    def compile(self, least: int = 1) -> None:
        """Let a C compiler make one pass of all lines from now on, if it can express them.

        Args:
            least: Lines for which that pays.

        Raises:
            OSError: There is no compiler, or it fails.
        """
        kernel = self._kernel()
        if len(kernel.lines) < least or not kernel.expressible(self._ones):
            return
        flat = all(self.get_buffer(f"const_{c}").ndim <= len(self.shape) for c in kernel.consts)
        narrow = any(bool((self.get_buffer(f"const_{c}").abs() < 1).any()) for c in kernel.widths())
        if flat and not narrow:
            self._native = CompiledKernel(kernel)

    @property
    def compiled(self) -> bool:
        """Whether C makes its steps."""
        return self._native is not None

    def refresh(self) -> None:
        """Take the constants of now for all steps to come."""
        if self._native is not None:
            consts = (self.get_buffer(f"const_{c}") for c in self._native.kernel.consts)
            self._full_consts = [c.expand(self.shape).reshape(-1) for c in consts]

    def advance(
        self, arriving: list[Tensor], states: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]] | None:
        """Outputs (T, N, *shape) of inputs (T, N, ...) and states after them, if it is compiled."""
        if self._native is None:
            return None
        steps, batch = arriving[0].shape[:2]
        behind = len(self.shape)
        full = []
        for x in arriving:
            y = x.reshape(*x.shape[:2], *[1] * (behind + 2 - x.ndim), *x.shape[2:])
            full.append(y.expand(steps, batch, *self.shape).reshape(steps, batch, -1).double())
        flat = [x.expand(batch, *self.shape).reshape(batch, -1).double() for x in states]
        outputs, after = self._native.advance(full, self._full_consts, flat)
        shape = (batch, *self.shape)
        return [y.reshape(steps, *shape) for y in outputs], [x.reshape(shape) for x in after]

    def forward(
        self, inputs: list[Tensor], states: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Outputs and new states of one step; all are (N, *shape)."""
        found = self.advance([x[None] for x in inputs], states)
        if found is None:
            return super().forward(inputs, states)
        return [y[0] for y in found[0]], found[1]

    def _kernel(self) -> Kernel:
        lines = [y for y in self._lines if y["name"] not in self._products]
        shifts = {}
        for line in lines:
            if line["fn"] == "rsh" and (shift := self._factors(line))[2]:
                read, factor, _ = shift
                shifts[line["name"]] = Shift(read, factor, line["shift"], line["rounding"])
        states = tuple(zip(self.states, self.next, strict=True))
        used = {a for line in lines for a in line["args"]} | {*self.outputs, *self.next}
        used |= {x for s in shifts.values() for x in (s.read, s.factor or s.read)}
        consts = tuple(sorted(self._const & used))
        return Kernel(tuple(self.inputs), consts, states, tuple(self.outputs), tuple(lines), shifts)

    def step(self, inputs: list[Tensor], states: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        env = self.given(inputs, states)
        for line in self._lines:
            if line["name"] not in self._products:
                env[line["name"]] = self._line(line, env)
        return [env[n] for n in self.outputs], [env[n] for n in self.next]

    def _line(self, line: Record, env: dict[str, Tensor]) -> Tensor:
        fn, args = line["fn"], line["args"]
        if fn == "rsh":
            return self._shift(line, env)
        if fn == "shl":
            y: Tensor = env[args[0]] * (1 << line["shift"])
            return y
        if fn == "wrap" and line["shift"]:
            x = env[args[0]]
            return exactly(x, arithmetic.wrap(x.detach().long(), line["shift"]))
        if fn == "select" and args[0] in self._ones:
            return env[args[2]] + env[args[0]] * (env[args[1]] - env[args[2]])
        found: Tensor = ACTS[fn](*(env[a] for a in args))
        return found

    def _shift(self, line: Record, env: dict[str, Tensor]) -> Tensor:
        """A rounding shift, of a product if nothing else reads that."""
        a, b, small = self._factors(line)
        by = 1.0 if b is None else env[b]
        return shifted(env[a], by, line["shift"], line["rounding"], small)

    def _factors(self, line: Record) -> tuple[str, str | None, bool]:
        """What is shifted, times what, and whether float64 rounds that exactly."""
        (read,) = line["args"]
        a, b = self._products[read]["args"] if read in self._products else (read, None)
        if a in self._const:
            a, b = b, a
        bound = magnitude(self.proven.get(read, ANY)) * GROWTH
        small = bound < arithmetic.FLOAT_ROOM and (b is None or b in self._const)
        return a, b, small and line["shift"] <= 48
