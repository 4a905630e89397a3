"""Populations as machine code: all steps of a neuron in one pass, its states in the cache.

As tensor operations a neuron takes a pass through memory for every line of its kernel.  Where a
C compiler is found, each kernel is compiled once the network has run about as long as that takes;
what arrives from a layer with weights is scaled on the way.  Every word stays the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from snnc.backends.torch import machine
from snnc.backends.torch.ckernel import Fold, Population, ctype, expressible, source
from snnc.backends.torch.layers import DelayLinear, Linear, Weighted
from snnc.backends.torch.neuron import Neuron
from snnc.backends.torch.program import Program, Record
from snnc.backends.torch.windows import Convolution, TransposedConvolution

#: Updates of neurons that take tensor operations about as long as compiling takes, and what each
#: step of a population costs besides, in updates.
PAYS, STEP = 1 << 24, 1 << 13
_TYPES = {torch.int8: "int8_t", torch.int32: "int32_t", torch.int64: "int64_t"}
_TYPES |= {torch.float32: "float", torch.float64: "double"}
_INTEGERS: dict[str, type[np.signedinteger]] = {"int32_t": np.int32, "int64_t": np.int64}
_FOLDED = (Linear, DelayLinear, Convolution, TransposedConvolution)
#: The axes of a population in the order in which its neurons lie in memory.
Order = tuple[int, ...]


class Layers(Protocol):
    """What is seen of the network."""

    program: Program
    names: list[str]
    layers: nn.ModuleList


class NativePopulation:
    """A neuron that is compiled for the types that arrive.

    Args:
        program: The stored program.
        node: The node of it.
        neuron: Its module.
        folds: Layers of which it gets the bare sums, by the number of the input.
    """

    def __init__(
        self, program: Program, node: Record, neuron: Neuron, folds: dict[int, Weighted]
    ) -> None:
        kernel = node["attributes"]["kernel"]
        self.neuron, self.shape, self.folds = neuron, neuron.shape, folds
        self.size = prod(self.shape)
        values = {c["name"]: program.const(c) for c in kernel["consts"]}
        self.scalars = {n: int(x.reshape(())) for n, x in values.items() if x.size == 1}
        self.arrays = {n: x for n, x in values.items() if n not in self.scalars}
        for port, layer in folds.items():
            if layer.bias is not None:
                bias = layer.bias.numpy().reshape(-1, *[1] * (layer.weight.ndim - 2))
                self.arrays[f"bias of {port}"] = bias
        self.tables = {t["name"]: program.constant(t).reshape(-1) for t in kernel["tables"]}
        self._placed: dict[Order, tuple[list[Tensor], list[int]]] = {}
        self._built: dict[tuple[torch.dtype, ...], machine.Function] = {}

    def __getstate__(self) -> dict[str, Any]:
        """A copy builds and lays out its own."""
        return {**self.__dict__, "_placed": {}, "_built": {}}

    def possible(self) -> bool:
        """Whether C can express it."""
        if (
            not self.size
            or not self.neuron.outputs
            or any(len(x) == 0 for x in self.tables.values())
        ):
            return False
        flat = all(x.ndim <= len(self.shape) for x in self.arrays.values())
        return flat and expressible(self._population([torch.int64] * len(self.neuron.inputs)))

    def __call__(
        self, arriving: list[Tensor], states: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Outputs and new states of one step; all are (N, *shape)."""
        batch = len((arriving or states)[0])
        shape = (batch, *self.shape)
        if all(x.shape == shape and x.is_contiguous() for x in (*arriving, *states)):
            return self._dense(arriving, states, shape)
        steps = [x[None] for x in arriving]
        order = self.order(steps)
        room, _ = self.room(order, 1, batch, ())
        after = self.advance(order, steps, states, room, {})
        return [y[0] for y in room], after

    def _dense(
        self, arriving: list[Tensor], states: list[Tensor], shape: tuple[int, ...]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The same of what lies densely: calls take longer than the work."""
        outputs = [torch.empty(shape, dtype=w) for w in self.neuron.words]
        after = [torch.empty(shape, dtype=k) for k in self.neuron.kept]
        run, batch, size = self._run(tuple(x.dtype for x in arriving)), shape[0], self.size
        strides = [0, size] * len(arriving) + [size] * len(states)
        places = [x.data_ptr() for x in (*arriving, *states, *after, *outputs)]
        places += [0] * len(states) + self._behind(tuple(range(len(self.shape))))
        if batch * size < machine.ELEMENTS:
            run([1, 0, batch, batch, *strides], places)
        else:
            self._share(run, 1, batch, strides, places)
        return outputs, after

    def order(self, arriving: list[Tensor]) -> Order:
        """The order in which to lay everything: that of the first input (T, N, ...)."""
        return _order(self._full(arriving[0])) if arriving else tuple(range(len(self.shape)))

    def room(
        self, order: Order, steps: int, batch: int, wanted: Iterable[int]
    ) -> tuple[list[Tensor], dict[int, Tensor]]:
        """For the outputs (T, N, *shape), and for wanted states after every step, by number."""
        n, first = self.neuron, (steps, batch)
        kept = {i: self._empty(first, order, n.kept[i]) for i in wanted}
        return [self._empty(first, order, w) for w in n.words], kept

    def advance(
        self,
        order: Order,
        arriving: list[Tensor],
        states: list[Tensor],
        outputs: list[Tensor],
        kept: dict[int, Tensor],
    ) -> list[Tensor]:
        """Run some steps.

        Args:
            order: Of all.
            arriving: (T, N, ...) of every input, with steps and samples at any distance.
            states: (N, *shape) before the first of them.
            outputs: Steps of the ``room``, to be written.
            kept: The same of states.

        Returns:
            The states after the last step.
        """
        steps, batch = outputs[0].shape[:2] if outputs else (1, len(states[0]))
        given = [_laid(self._full(x), order, 2) for x in arriving]
        before = [_laid(x, order, 1) for x in states]
        after = [self._empty((batch,), order, k) for k in self.neuron.kept]
        run = self._run(tuple(x.dtype for x in given))
        strides = [n for x in given for n in x.stride()[:2]] + [x.stride(0) for x in before]
        places = machine.pointers([*given, *before, *after, *outputs])
        places += machine.pointers(kept.get(i) for i in range(len(states)))
        self._share(run, steps, batch, strides, places + self._behind(order))
        return after

    def _share(
        self, run: machine.Function, steps: int, batch: int, strides: list[int], places: list[int]
    ) -> None:
        """Call it on parts of the batch, in threads if there is much."""

        def part(first: int, last: int) -> None:
            run([steps, first, last, batch, *strides], places)

        machine.parallel(part, batch, steps * batch * self.size)

    def _run(self, arriving: tuple[torch.dtype, ...]) -> machine.Function:
        if arriving not in self._built:
            self._built[arriving] = machine.build(source(self._population(list(arriving))))
        return self._built[arriving]

    def _population(self, arriving: list[torch.dtype]) -> Population:
        n = self.neuron
        bounds = dict(n.bounds)
        folds = {}
        for port, layer in self.folds.items():
            bias = "" if layer.bias is None else f"bias of {port}"
            folds[n.inputs[port]] = Fold(layer.shift, bias, _TYPES[layer.summed])
        for name, x in self.arrays.items():
            bounds.setdefault(name, (int(x.min()), int(x.max())))
        return Population(
            size=self.size,
            lines=n.lines,
            bounds=bounds,
            inputs=[(i, _TYPES[k]) for i, k in zip(n.inputs, arriving, strict=True)],
            folds=folds,
            states=[
                (s, _TYPES[k], after) for s, k, after in zip(n.states, n.kept, n.next, strict=True)
            ],
            outputs=[(o, _TYPES[w]) for o, w in zip(n.outputs, n.words, strict=True)],
            scalars=self.scalars,
            arrays=[(name, ctype(bounds[name])) for name in self.arrays],
            tables={name: len(x) for name, x in self.tables.items()},
        )

    def _full(self, x: Tensor) -> Tensor:
        """One value of every neuron, of what may be broadcast."""
        axes = len(self.shape)
        if x.ndim < axes + 2:
            x = x.reshape(*x.shape[:2], *[1] * (axes + 2 - x.ndim), *x.shape[2:])
        return x.expand(*x.shape[:2], *self.shape)

    def _empty(self, first: tuple[int, ...], order: Order, kind: torch.dtype) -> Tensor:
        x = torch.empty((*first, *(self.shape[i] for i in order)), dtype=kind)
        return _back(x, order, len(first))

    def _behind(self, order: Order) -> list[int]:
        """Where constants and tables lie, those with a value of every neuron in an order."""
        if order not in self._placed:
            kinds = dict(self._population([torch.int64] * len(self.neuron.inputs)).arrays)
            laid = {
                n: np.broadcast_to(x, self.shape).transpose(order) for n, x in self.arrays.items()
            }
            found = [
                torch.from_numpy(np.array(x, _INTEGERS[kinds[n]], order="C"))
                for n, x in laid.items()
            ]
            self._placed[order] = found, machine.pointers([*found, *self.tables.values()])
        return self._placed[order][1]


class Natives:
    """The populations of a network that are compiled, from when that pays.

    Attributes:
        after: Updates of neurons before it pays.
        populations: By name.
        folded: Layers whose bare sums they take, and the population that takes them.
    """

    def __init__(self, network: Layers, after: int = PAYS) -> None:
        self.after, self._done = after, 0
        self.populations: dict[str, NativePopulation] = {}
        self.folded: dict[str, str] = {}
        modules = dict(zip(network.names, network.layers, strict=True))
        program, readers = network.program, _readers(network.program)
        for node in program.nodes:
            neuron = modules[node["name"]]
            if not isinstance(neuron, Neuron):
                continue
            folds = {
                port: layer
                for port, edge in enumerate(node["inputs"])
                if type(layer := modules[edge["src"]]) in _FOLDED
                and isinstance(layer, Weighted)
                and readers[edge["src"]] == 1
                and not edge["delay"]
                and program.clock[edge["src"]] == program.clock[node["name"]]
                and layer.shape == neuron.shape
            }
            found = NativePopulation(program, node, neuron, folds)
            if found.possible():
                self.populations[node["name"]] = found
                self.folded |= {node["inputs"][port]["src"]: node["name"] for port in folds}

    def pay(self, batch: int, steps: int) -> bool:
        """Whether a run is worth it, with all that there have been."""
        sizes = [p.size for p in self.populations.values()]
        self._done += steps * sum(batch * size + STEP for size in sizes)
        return (
            min(batch, steps, len(sizes)) > 0 and self._done >= self.after and machine.available()
        )


def _readers(program: Program) -> dict[str, int]:
    """How many operands each node is."""
    count = dict.fromkeys(program.clock, 0)
    for node in program.nodes:
        for edge in node["inputs"]:
            count[edge["src"]] += 1
    return count


def _order(x: Tensor) -> Order:
    """The order in which the elements of a sample lie, if they lie densely; else row by row."""
    shape, strides = x.shape[2:], x.stride()[2:]
    long = [i for i, n in enumerate(shape) if n > 1]
    order = sorted(long, key=lambda i: -strides[i]) + [i for i, n in enumerate(shape) if n <= 1]
    distance = 1
    for i in reversed(order):
        if shape[i] > 1 and strides[i] != distance:
            return tuple(range(len(shape)))
        distance *= shape[i]
    return tuple(order)


def _laid(x: Tensor, order: Order, first: int) -> Tensor:
    """The same elements, those of a sample densely in an order; ``first`` axes are before them."""
    turned = x.permute(*range(first), *(first + i for i in order))
    distance = 1
    for axis in range(x.ndim - 1, first - 1, -1):
        if turned.shape[axis] > 1 and turned.stride(axis) != distance:
            return _back(turned.contiguous(), order, first)
        distance *= turned.shape[axis]
    return x


def _back(x: Tensor, order: Order, first: int) -> Tensor:
    """A tensor whose axes lie in an order, with them in their own."""
    inverse = [0] * len(order)
    for place, axis in enumerate(order):
        inverse[axis] = place
    return x.permute(*range(first), *(first + i for i in inverse))
