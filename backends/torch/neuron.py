"""Neurons: their kernel as a list of tensor operations, in the cheapest type that is exact."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from snnc.backends.torch import arithmetic
from snnc.backends.torch.program import ANY, Bounds, Program, Record, aligned, magnitude, word

Act = Callable[..., Tensor]

#: Functions of values of any type.
PLAIN: dict[str, Act] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "neg": torch.neg,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "gt": arithmetic.gt,
    "lt": arithmetic.lt,
    "ge": arithmetic.ge,
    "le": arithmetic.le,
    "ne": arithmetic.ne,
    "eq": arithmetic.eq,
    "and": arithmetic.both,
    "or": arithmetic.either,
    "not": arithmetic.zero,
    "select": arithmetic.chosen,
    "copy": arithmetic.same,
}
#: Functions of int64.
WHOLE: dict[str, Act] = {
    "div": arithmetic.rdiv,
    "isqrt": arithmetic.isqrt,
    "lookup": arithmetic.entry,
}

#: Functions of what is proven to be 0 or 1.
BINARY: dict[str, Act] = {"and": torch.mul, "or": torch.maximum, "not": arithmetic.inverse}

#: The same functions, where the first operand may be overwritten: memory is what takes the time.
OVERWRITING: dict[Act, Act] = {
    torch.add: torch.Tensor.add_,
    torch.sub: torch.Tensor.sub_,
    torch.mul: torch.Tensor.mul_,
    torch.neg: torch.Tensor.neg_,
    torch.addcmul: torch.Tensor.addcmul_,
}


class Neuron(nn.Module):
    """A population: integer constants as buffers, and the kernel over inputs and states.

    Attributes:
        base: Type in which it computes: int32, float64 or int64.
        states: Names of its states, in order.
    """

    def __init__(self, program: Program, node: Record, base: torch.dtype | None = None) -> None:
        super().__init__()
        kernel, self.shape = node["attributes"]["kernel"], tuple(node["attributes"]["shape"])
        self.inputs: list[str] = kernel["inputs"]
        self.states: list[str] = [s["name"] for s in kernel["states"]]
        self.next: list[str] = [s["next"] for s in kernel["states"]]
        self.outputs: list[str] = kernel["outputs"]
        self.kept = [
            word((s["lo"], s["hi"])) if s["lo"] is not None else torch.int64
            for s in kernel["states"]
        ]
        self.words = [word(program.bounds(node, i)) for i in range(len(self.outputs))]
        self._lines = _live(kernel)
        self._uses = _uses(kernel, self._lines)
        self._bounds = _bounds(program, node)
        self._binary = {n for n, b in self._bounds.items() if b[0] >= 0 and b[1] <= 1}
        self._const = {c["name"] for c in (*kernel["consts"], *kernel["tables"])}
        self._named = [(name, f"const_{name}") for name in sorted(self._const)]
        self._axes = len(self.shape) + 1
        self._products = shifted_products(self._lines, self._uses)
        self._scaled = {y["args"][0]: y for y in self._lines if self._is_scaled(y)}
        self.base = base or self._cheapest()
        for s in kernel["states"]:
            self.register_buffer(f"init_{s['name']}", program.tensor(s["init"]))
        for c in (*kernel["consts"], *kernel["tables"]):
            value = program.constant(c)
            table = c in kernel["tables"]
            self.register_buffer(f"const_{c['name']}", value if table else value.to(self.base))
        self._absorbed = self._only_selected() if self.base != torch.int64 else set()
        acts = [a for line in self._lines if (a := self._act(line))]
        self._acts = [(name, act, args, act) for name, act, args in acts]
        self._overwrite(program, node)

    @property
    def lines(self) -> list[Record]:
        """Lines of the kernel that an output or a state needs."""
        return self._lines

    @property
    def bounds(self) -> dict[str, Bounds]:
        """Proven ranges of all names."""
        return self._bounds

    def start(self, batch: int) -> list[Tensor]:
        """The states before the first step."""
        found = []
        for name, kept in zip(self.states, self.kept, strict=True):
            init = self.get_buffer(f"init_{name}").to(kept)
            found.append(init.expand(batch, *self.shape))
        return found

    def forward(
        self, inputs: list[Tensor], states: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Outputs and new states of one step; all are (N, *shape)."""
        outputs, kept = self.step(inputs, states)
        shape = ((inputs or states)[0].shape[0], *self.shape)
        full = [_full(x, w, shape) for x, w in zip(outputs, self.words, strict=True)]
        return full, [_full(x, k, shape) for x, k in zip(kept, self.kept, strict=True)]

    def step(self, inputs: list[Tensor], states: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """The same as they are computed: of any type, and broadcasting to (N, *shape)."""
        env = self.given(inputs, states)
        fresh = torch.is_grad_enabled()  # gradients need what overwriting would destroy
        for name, act, args, over in self._acts:
            env[name] = (act if fresh else over)(*[env[a] for a in args])
        return [env[n] for n in self.outputs], [env[n] for n in self.next]

    def given(self, inputs: list[Tensor], states: list[Tensor]) -> dict[str, Tensor]:
        """What the kernel computes with, by name: constants, inputs and states."""
        env: dict[str, Tensor] = {n: self._buffers[k] for n, k in self._named}  # type: ignore[misc]
        for name, x in zip(self.inputs, inputs, strict=True):
            x = x if x.ndim == self._axes else aligned(x, self._axes - 1)
            env[name] = x if x.dtype == self.base else x.to(self.base)
        for name, x in zip(self.states, states, strict=True):
            env[name] = x if x.dtype == self.base else x.to(self.base)
        return env

    def _overwrite(self, program: Program, node: Record) -> None:
        """Let lines write into their first operand where that is of their shape and never read."""
        shapes = {c: tuple(self.get_buffer(f"const_{c}").shape) for c in self._const}
        for edge, name in zip(node["inputs"], self.inputs, strict=True):
            shapes[name] = (1, *program.types[edge["src"]][edge["out"]]["shape"])
        shapes |= dict.fromkeys(self.states, (1, *self.shape))
        kept = {*self.outputs, *self.next, *shapes}
        kept |= {
            n for line in self._lines if line["fn"] == "copy" for n in (line["name"], *line["args"])
        }
        last = {a: i for i, (_, _, args, _) in enumerate(self._acts) for a in args}
        for i, (name, act, args, _) in enumerate(self._acts):
            sides = [shapes[a] for a in args if a not in self._tables()]
            shapes[name] = tuple(np.broadcast_shapes(*sides))
            first = args[0]
            ends = first not in kept and last[first] == i and args.count(first) == 1
            if act in OVERWRITING and ends and sides[0] == shapes[name]:
                self._acts[i] = (name, act, args, OVERWRITING[act])

    def _cheapest(self) -> torch.dtype:
        """The first type in which every line is exact; scaled products are in float64."""
        for dtype in (torch.int32, torch.float64):
            room = arithmetic.ROOM[dtype]
            if all(
                magnitude(b) < room
                for name, b in self._bounds.items()
                if name not in self._scaled and name not in self._tables()
            ):
                return dtype
        return torch.int64

    def _tables(self) -> set[str]:
        return {line["args"][1] for line in self._lines if line["fn"] == "lookup"}

    def _is_scaled(self, line: Record) -> bool:
        """Whether a shift is of a product by a constant that nothing else reads, and is small."""
        if line["fn"] != "rsh" or not 0 < line["shift"] <= 48:
            return False
        if (product := self._products.get(line["args"][0])) is None:
            return False
        constants = [a for a in product["args"] if a in self._const]
        small = magnitude(self._bounds[product["name"]]) < arithmetic.FLOAT_ROOM
        return len(constants) == 1 and small and magnitude(self._bounds[constants[0]]) < 1 << 52

    def _act(self, line: Record) -> tuple[str, Act, list[str]] | None:
        """What a line does, and on which names; None if the next one does it."""
        name, fn, args = line["name"], line["fn"], line["args"]
        if name in self._scaled or name in self._absorbed:
            return None
        if fn == "rsh" and args[0] in self._scaled:
            return name, *self._scale(line)
        if fn == "rsh" and self._float_shift(line):
            self._keep(f"{name}_factor", torch.ones((), dtype=torch.int64), line)
            return name, self._shifted(f"{name}_factor", line["rounding"]), args
        if fn in ("rsh", "shl", "wrap"):
            return name, self._wide(fn, line["shift"], line["rounding"]), args
        if fn in WHOLE:
            return name, partial(_of_integers, WHOLE[fn], self.base), args
        if self.base != torch.int64:
            if fn == "select" and (added := self._added(args)):
                return name, torch.addcmul, [args[2], args[0], added]
            if fn in ("ge", "le") and (act := self._against_constant(fn, args)):
                return name, act, [args[1] if args[0] in self._const else args[0]]
        return name, self._trusted(fn, args), args

    def _scale(self, line: Record) -> tuple[Act, list[str]]:
        product = self._products[line["args"][0]]
        (constant,) = (a for a in product["args"] if a in self._const)
        (other,) = (a for a in product["args"] if a not in self._const)
        key = f"{line['name']}_factor"
        self._keep(key, self.get_buffer(f"const_{constant}").long(), line)
        return self._shifted(key, line["rounding"]), [other]

    def _keep(self, key: str, multiplier: Tensor, line: Record) -> None:
        found = arithmetic.factor(multiplier, line["shift"], line["rounding"])
        self.register_buffer(key, found, persistent=False)

    def _shifted(self, key: str, rounding: str) -> Act:
        factor = self._derived(key)
        if factor.ndim == 0:
            return partial(_scaled, self.base, rounding, float(factor))
        return partial(self._scaled_by, key, rounding)

    def _scaled_by(self, key: str, rounding: str, x: Tensor) -> Tensor:
        return arithmetic.rounded(x.double() * self._derived(key), rounding).to(self.base)

    def _float_shift(self, line: Record) -> bool:
        small = magnitude(self._bounds[line["args"][0]]) < arithmetic.FLOAT_ROOM
        return self.base == torch.float64 and small and 0 < line["shift"] <= 48

    def _wide(self, fn: str, shift: int, rounding: str) -> Act:
        """A shift in the base type, or a word that wraps."""
        if fn == "rsh":
            return partial(_shifted_right, shift, rounding)
        return partial(_wrapped if fn == "wrap" else _shifted_left, shift)

    def _derived(self, key: str) -> Tensor:
        found = self._buffers[key]  # much faster than get_buffer
        assert found is not None, "it was registered as a tensor"
        return found

    def _added(self, args: list[str]) -> str | None:
        """What is added to ``b`` in ``select(c, b + k, b)``, if c is 0 or 1."""
        line = next((y for y in self._lines if y["name"] == args[1]), None)
        if line is None or line["fn"] != "add" or args[0] not in self._binary:
            return None
        others = [a for a in line["args"] if a != args[2]]
        return others[0] if len(others) == 1 else None

    def _only_selected(self) -> set[str]:
        """Sums that a selection makes by itself, and nothing else reads."""
        chosen = [y["args"] for y in self._lines if y["fn"] == "select" and self._added(y["args"])]
        return {args[1] for args in chosen if self._uses[args[1]] == 1}

    def _against_constant(self, fn: str, args: list[str]) -> Act | None:
        """A comparison with a constant, which is moved by one beforehand."""
        constant = next((a for a in args if a in self._const), None)
        if constant is None or set(args) <= self._const:
            return None
        above = (fn == "ge") == (args[1] == constant)  # x >= constant
        key, step = f"const_{constant}{'_below' if above else '_above'}", -1 if above else 1
        moved = self.get_buffer(f"const_{constant}") + step
        self.register_buffer(key, moved, persistent=False)
        return partial(self._above if above else self._below, key)

    def _above(self, key: str, x: Tensor) -> Tensor:
        return arithmetic.gt(x, self._derived(key))

    def _below(self, key: str, x: Tensor) -> Tensor:
        return arithmetic.gt(self._derived(key), x)

    def _trusted(self, fn: str, args: list[str]) -> Act:
        """The function, without making 0 and 1 of what is proven to be that."""
        if fn == "select" and args[0] in self._binary:
            return arithmetic.select
        if set(args) <= self._binary and fn in ("and", "or", "not"):
            return BINARY[fn]
        return PLAIN[fn]


def _of_integers(act: Act, base: torch.dtype, *xs: Tensor) -> Tensor:
    return act(*(x.long() for x in xs)).to(base)


def _scaled(base: torch.dtype, rounding: str, by: float, x: Tensor) -> Tensor:
    # in place where x is not that of another: memory is what takes the time
    y = x * by if x.dtype == torch.float64 else x.double().mul_(by)
    return arithmetic.rounded(y, rounding).to(base)


def _shifted_right(shift: int, rounding: str, x: Tensor) -> Tensor:
    return arithmetic.rsh(x, shift, rounding)


def _shifted_left(shift: int, x: Tensor) -> Tensor:
    return (x.long() << shift).to(x.dtype)


def _wrapped(bits: int, x: Tensor) -> Tensor:
    return arithmetic.wrap(x.long(), bits).to(x.dtype)


def _full(x: Tensor, kind: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """A value of a type and shape; calls that change nothing would take as long as arithmetic."""
    x = x if x.dtype == kind else x.to(kind)
    return x if x.shape == shape else x.expand(shape)


def _live(kernel: Record) -> list[Record]:
    """Lines that an output or a state needs, in order."""
    wanted = {*kernel["outputs"], *(s["next"] for s in kernel["states"])}
    found = []
    for line in reversed(kernel["body"]):
        if line["name"] in wanted:
            wanted |= set(line["args"])
            found.append(line)
    return found[::-1]


def _uses(kernel: Record, lines: list[Record]) -> dict[str, int]:
    count: dict[str, int] = {}
    read = [a for line in lines for a in line["args"]]
    for name in (*read, *kernel["outputs"], *(s["next"] for s in kernel["states"])):
        count[name] = count.get(name, 0) + 1
    return count


def shifted_products(lines: list[Record], uses: dict[str, int]) -> dict[str, Record]:
    """The products, by name, that nothing but one shift reads: it may multiply by itself."""
    read = {y["args"][0] for y in lines if y["fn"] == "rsh"}
    return {
        y["name"]: y
        for y in lines
        if y["fn"] == "mul" and y["name"] in read and uses[y["name"]] == 1
    }


def _bounds(program: Program, node: Record) -> dict[str, Bounds]:
    """Proven ranges of all names of a kernel, of those lines that count."""
    kernel, found = node["attributes"]["kernel"], {}
    for port, name in enumerate(kernel["inputs"]):
        found[name] = program.operand_bounds(node, port)
    for c in (*kernel["consts"], *kernel["tables"]):
        values = program.const(c)
        found[c["name"]] = int(values.min(initial=0)), int(values.max(initial=0))
    for item in (*kernel["states"], *_live(kernel)):
        found[item["name"]] = ANY if item["lo"] is None else (item["lo"], item["hi"])
    return found
