"""Turns what populations read into delay lines and connections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from snnc.backends.lava.stock.matrix import Ints, Matrix
from snnc.backends.lava.stock.neurons import NotStockError
from snnc.backends.lava.stock.plan import Connection, Line
from snnc.backends.lava.stock.retime import Route, route
from snnc.backends.lava.stock.weights import legal

#: Steps that one delay process can wait; longer lines are several in a row.
LONGEST_LINE = 62


@dataclass
class _Bundle:
    """Matrices that share a route but for how long they are kept."""

    kept: list[int] = field(default_factory=list)
    matrices: list[Matrix] = field(default_factory=list)


class Wiring:
    """Collects what is read, then builds.

    Args:
        phases: Of sources and populations.
        fresh: Makes a name that is not taken.
    """

    def __init__(self, phases: dict[str, int], fresh: Callable[[str], str]) -> None:
        self.phases, self.fresh = phases, fresh
        self.bundles: dict[tuple[str, str, Route, bool, int], _Bundle] = {}
        self.lines: dict[tuple[object, ...], Line] = {}
        self.connections: list[Connection] = []

    def add(self, src: str, dst: str, delay: int, matrix: Matrix, bits: int) -> None:
        """``dst`` receives ``matrix`` times what ``src`` sent ``delay`` steps ago."""
        if not len(matrix.values):
            return
        way = route(self.phases[src], self.phases[dst], delay)
        shared = Route(0, way.line, way.clears, way.drop_weights)
        bundle = self.bundles.setdefault((src, dst, shared, way.kept > 0, bits), _Bundle())
        bundle.kept.append(way.kept)
        bundle.matrices.append(matrix)

    def finish(self) -> tuple[list[Line], list[Connection]]:
        """The lines and the connections."""
        for (src, dst, way, waits, bits), bundle in self.bundles.items():
            try:
                self._wire(src, dst, way, waits, bits, bundle)
            except NotStockError as e:
                raise NotStockError(f"{src} -> {dst}: {e}", e.nearest) from e
        return list(self.lines.values()), self.connections

    def _wire(
        self, src: str, dst: str, way: Route, waits: bool, bits: int, bundle: _Bundle
    ) -> None:
        carrier = src
        if waits:
            carrier, matrix = self._kept(src, bundle, way.clears, bits)
        else:
            (matrix,) = bundle.matrices
        if way.line:
            every = np.arange(matrix.shape[1])
            hops = np.full(matrix.shape[1], way.line)
            carrier = self._line(carrier, every, hops, bits, ())
        clears = way.clears if way.drop_weights else ()
        for part in legal(matrix):
            name = self.fresh(f"{src} -> {dst} ({len(self.connections)})")
            self.connections.append(
                Connection(name, carrier, dst, part.matrix, part.exponent, bits, clears)
            )

    def _kept(
        self, src: str, bundle: _Bundle, clears: tuple[int, ...], bits: int
    ) -> tuple[str, Matrix]:
        """A line of the columns that are used, and the matrix behind it."""
        source: list[Ints] = []
        hops: list[Ints] = []
        total: Matrix | None = None
        width = sum(len(np.unique(m.cols)) for m in bundle.matrices)
        start = 0
        for kept, matrix in zip(bundle.kept, bundle.matrices, strict=True):
            used = np.unique(matrix.cols)
            cols = np.searchsorted(used, matrix.cols) + start
            shape = (matrix.shape[0], width)
            moved = Matrix.of(shape, matrix.rows, cols, matrix.values)
            total = moved if total is None else total + moved
            source.append(used)
            hops.append(np.full(len(used), kept))
            start += len(used)
        assert total is not None, "a bundle of nothing"
        line = self._line(src, np.concatenate(source), np.concatenate(hops), bits, clears)
        return line, total

    def _line(self, src: str, source: Ints, hops: Ints, bits: int, clears: tuple[int, ...]) -> str:
        if int(hops.max()) > LONGEST_LINE + 1:
            why = f"a delay of {int(hops.max())} steps"
            raise NotStockError(why, f"delays of up to {LONGEST_LINE} steps")
        key = (src, source.tobytes(), hops.tobytes(), clears)
        if key not in self.lines:
            name = self.fresh(f"line {len(self.lines)} of {src}")
            self.lines[key] = Line(name, src, source, hops, bits, clears)
        return self.lines[key].name
