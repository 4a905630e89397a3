"""Populations as machine code: all steps of a neuron in one pass, its states in the cache.

As tensor operations a neuron takes a pass through memory for every line of its kernel.  Where a
C compiler is found, each kernel is compiled once the network has run about as long as that takes;
what arrives from a layer with weights is scaled on the way.  If that layer reads few spikes, its
sums are made there, too (``events``), and a population that reads its own late spikes through such
a layer runs by itself.  Every word stays the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snnc.backends.torch import machine
from snnc.backends.torch.ckernel import TYPES, Fold, Population, ctype, expressible, source
from snnc.backends.torch.events import COUNT, SLACK, Rows, packed, units_of
from snnc.backends.torch.layers import Weighted
from snnc.backends.torch.neuron import Neuron
from snnc.backends.torch.program import Program, Record

_INTEGERS: dict[str, type[np.signedinteger]] = {"int32_t": np.int32, "int64_t": np.int64}
#: Spikes that are listed at a time, at most, if a sample has not more; and how many updates of
#: neurons take as long as one with its sums, about.
LISTED, ADDED = 1 << 19, 4
#: Spikes per input from which a product of bytes is faster than sums of rows, and samples, about,
#: whose spikes are counted.
DENSE, COUNTED = 0.4, 32
#: Numbers of inputs.
Ports = frozenset[int]
#: The axes of a population in the order in which its neurons lie in memory.
Order = tuple[int, ...]


class NativePopulation:
    """A neuron that is compiled for the types that arrive.

    Args:
        program: The stored program.
        node: The node of it.
        neuron: Its module.
        folds: Layers of which it gets the bare sums, by the number of the input.
        rows: How those of them can be added that read spikes, by the number of the input.
    """

    def __init__(
        self,
        program: Program,
        node: Record,
        neuron: Neuron,
        folds: dict[int, Weighted],
        rows: dict[int, Rows],
    ) -> None:
        kernel = node["attributes"]["kernel"]
        self.neuron, self.shape, self.folds, self.rows = neuron, neuron.shape, folds, rows
        self.size = prod(self.shape)
        self.units = units_of(self.shape[-1], [r.fan_in for r in rows.values()]) if rows else 0
        values = {c["name"]: program.const(c) for c in kernel["consts"]}
        self.scalars = {n: int(x.reshape(())) for n, x in values.items() if x.size == 1}
        self.arrays = {n: x for n, x in values.items() if n not in self.scalars}
        for port, layer in folds.items():
            if layer.bias is not None:
                bias = layer.bias.numpy().reshape(-1, *[1] * (layer.weight.ndim - 2))
                self.arrays[f"bias of {port}"] = bias
        self.tables = {t["name"]: program.constant(t).reshape(-1) for t in kernel["tables"]}
        self._placed: dict[Order, tuple[list[Tensor], list[int]]] = {}
        self._built: dict[tuple[tuple[torch.dtype, ...], Ports], machine.Function] = {}
        self._packed: dict[int, Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        """A copy builds and lays out its own."""
        return {**self.__dict__, "_placed": {}, "_built": {}, "_packed": {}}

    @property
    def own(self) -> Ports:
        """Inputs of rows that read its own outputs of the step before."""
        return frozenset(i for i, rows in self.rows.items() if rows.own >= 0)

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

    def sparse(self, port: int, x: Tensor) -> bool:
        """Whether few of the spikes (T, N, ...) that a layer reads are there.

        They are counted, of a part of the samples if there are many.
        """
        if port not in self.rows:
            return False
        some = x[:, :: max(1, x.shape[1] // COUNTED)]
        return spikes_of(some) <= DENSE * some.numel()

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
        added: Ports = frozenset(),
        begun: bool = False,
    ) -> list[Tensor]:
        """Run some steps.

        Args:
            order: Of all; row by row if sums are added here.
            arriving: (T, N, ...) of every input, with steps and samples at any distance.
            states: (N, *shape) before the first of them.
            outputs: Steps of the ``room``, to be written.
            kept: The same of states.
            added: Inputs whose sums are to be added: what arrives is what their layers read, of
                its own outputs nothing that counts.
            begun: Whether the outputs follow those of the step before.

        Returns:
            The states after the last step.
        """
        steps, batch = outputs[0].shape[:2] if outputs else (1, len(states[0]))
        given = [
            _rows(x) if i in added else _laid(self._full(x), order, 2)
            for i, x in enumerate(arriving)
        ]
        before = [_laid(x, order, 1) for x in states]
        after = [self._empty((batch,), order, k) for k in self.neuron.kept]
        run = self._run(tuple(x.dtype for x in given), added)
        strides = [n for x in given for n in x.stride()[:2]] + [x.stride(0) for x in before]
        places = machine.pointers([*given, *before, *after, *outputs])
        places += machine.pointers(kept.get(i) for i in range(len(states)))
        places += self._behind(order)
        if added:
            self._add(run, (steps, batch), [*strides, begun], places, added)
        else:
            self._share(run, steps, batch, strides, places)
        return after

    def _share(
        self, run: machine.Function, steps: int, batch: int, strides: list[int], places: list[int]
    ) -> None:
        """Call it on parts of the batch, in threads if there is much."""

        def part(first: int, last: int) -> None:
            run([steps, first, last, batch, *strides], places)

        machine.parallel(part, batch, steps * batch * self.size)

    def _add(
        self,
        run: machine.Function,
        sizes: tuple[int, int],
        strides: list[int],
        places: list[int],
        added: Ports,
    ) -> None:
        """The same where sums are added: every part of the batch lists its spikes."""
        (steps, batch), rows = sizes, self.size // self.shape[-1]
        longest = {i: rows * self.rows[i].fan_in * self.rows[i].repeats for i in added}
        others = [longest[i] * steps for i in added - self.own]
        group = max(1, LISTED // max(others, default=1))
        tables = {i: self._table(i) for i in sorted(added)}

        def part(first: int, last: int) -> None:
            some = min(group, last - first)
            behind: list[Tensor] = []
            for i, table in tables.items():
                lists = 1 if i in self.own else some * steps
                room = torch.empty(lists * longest[i] + SLACK, dtype=torch.int16)
                starts = torch.empty(some * steps * rows + 1, dtype=torch.int64)
                behind += [table, room, starts]
            at = [*places, *machine.pointers(behind)]
            run([steps, first, last, batch, *strides[:-1], some, strides[-1]], at)

        inputs = sum(longest[i] for i in added)
        machine.parallel(part, batch, steps * batch * (self.size * ADDED + inputs))

    def _table(self, port: int) -> Tensor:
        """The packed weights of an input that is added by rows."""
        if port not in self._packed:
            weight = self.folds[port].weight
            self._packed[port] = packed(weight, self.rows[port].offset, self.units)
        return self._packed[port]

    def _run(
        self, arriving: tuple[torch.dtype, ...], added: Ports = frozenset()
    ) -> machine.Function:
        key = arriving, added
        if key not in self._built:
            self._built[key] = machine.build(source(self._population(list(arriving), added)))
        return self._built[key]

    def _population(self, arriving: list[torch.dtype], added: Ports = frozenset()) -> Population:
        n = self.neuron
        bounds = dict(n.bounds)
        folds = {}
        for port, layer in self.folds.items():
            bias = "" if layer.bias is None else f"bias of {port}"
            folds[n.inputs[port]] = Fold(layer.shift, bias, TYPES[layer.summed])
        for name, x in self.arrays.items():
            bounds.setdefault(name, (int(x.min()), int(x.max())))
        return Population(
            size=self.size,
            lines=n.lines,
            bounds=bounds,
            inputs=[(i, TYPES[k]) for i, k in zip(n.inputs, arriving, strict=True)],
            folds=folds,
            states=[
                (s, TYPES[k], after) for s, k, after in zip(n.states, n.kept, n.next, strict=True)
            ],
            outputs=[(o, TYPES[w]) for o, w in zip(n.outputs, n.words, strict=True)],
            scalars=self.scalars,
            arrays=[(name, ctype(bounds[name])) for name in self.arrays],
            tables={name: len(x) for name, x in self.tables.items()},
            rows={n.inputs[i]: self.rows[i] for i in sorted(added)},
            units=self.units,
            out=self.shape[-1] if added else 0,
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


def spikes_of(x: Tensor) -> int:
    """The sum of values from 0 to 127 (T, N, ...)."""
    x = _rows(x)
    found = torch.zeros(1, dtype=torch.int64)
    sizes = [*x.shape[:2], *x.stride()[:2], prod(x.shape[2:])]
    machine.build(COUNT)(sizes, machine.pointers([x, found]))
    return int(found)


def _rows(x: Tensor) -> Tensor:
    """Spikes (T, N, ...), those of a step of a sample densely."""
    x = x.to(torch.int8)
    return x if x[0, 0].is_contiguous() else x.contiguous()


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
