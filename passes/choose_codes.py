"""Choose the integer codes of weights by the method that the user wants.

Weights that share row scales, because one neuron adds them up, are chosen together.  ``auto`` tries
several methods and keeps what changes the network's outputs least on the calibration data, every
later layer still in real numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.diagnostics import Loc, fail, warning
from snnc.graph import Graph, Node
from snnc.params import Param
from snnc.passes.base import Context
from snnc.passes.calibration import (
    FEW_SAMPLES,
    Calibration,
    InputStatistics,
    JointStatistics,
    counted,
    statistics,
)
from snnc.passes.compensate import compensated, shifted
from snnc.passes.correct_codes import threshold_factors, together
from snnc.passes.kept_choices import KeptChoices
from snnc.passes.output_error import OutputErrors
from snnc.passes.parts import Chosen, Part, of_codes
from snnc.passes.quantized_value import Root
from snnc.passes.row_blocks import MadeRows, beside
from snnc.passes.row_scale import quantized, row_scales
from snnc.passes.weight_grid import bits_of, grid_of
from snnc.passes.weight_rows import Weighted, with_rows
from snnc.quantization import CALIBRATED, KEPT, METHODS, USUAL, Plan

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

#: With so many bits or fewer, ``auto`` also tries to correct biases.
BIAS_BITS = 4
#: With so many bits or fewer, ``auto`` also tries to correct thresholds.
THRESHOLD_BITS = 3
#: … unless that takes more products of weights and inputs than this, for each of its tries.
THRESHOLD_WORK = 1 << 34


@dataclass
class Chooser:
    """Chooses codes for one network.

    Attributes:
        plan: What the user wants.
        real: The network in real numbers.
        calibration: Data; None if no method needs them.
        ctx: Takes warnings and facts.
        reused: Choices to follow, made earlier.
    """

    plan: Plan
    real: Graph
    calibration: Calibration | None
    ctx: Context
    reused: KeptChoices | None = None
    _seen: dict[tuple[str, bool], InputStatistics] = field(default_factory=dict)
    _errors: OutputErrors | None = None

    def __post_init__(self) -> None:
        if not self.plan.calibrated or self.reused is not None:
            return
        if self.calibration is None:
            text = f"method {self.plan.method!r} needs calibration data"
            if self.plan.method not in ("gptq", "auto"):
                text = f"a method in {self.plan.file} needs calibration data"
            raise fail("E332", text, help="give --calibration DATA.npz, some training samples")
        if (given := self.calibration.given) < FEW_SAMPLES:
            text = f"{counted(given)} few, {FEW_SAMPLES} and more are usual"
            hint = "integers may suit these samples more than the task: give more"
            self.ctx.emit(warning("W332", text, help=hint))

    def method(self, names: list[str]) -> str:
        """The method of layers that share row scales."""
        methods = {name: self.plan.of(name).method or self.plan.method for name in names}
        if len(set(methods.values())) > 1:
            text = f"{self.plan.file} gives {' and '.join(names)} different methods"
            why = "they feed one neuron and share the scale of each row"
            raise fail("E331", text, None, why, help="give them the same method")
        return methods[names[0]]

    def table_method(self, name: str, loc: Loc | None) -> str:
        """The method of a table whose rows are read, not weighted: nothing arrives to look at."""
        own = self.plan.of(name).method
        if own in CALIBRATED:
            text = f"{self.plan.file} gives {name} the method {own!r}"
            why = "its rows are taken as they are; there are no inputs that they are weighted with"
            hint = f"choose {', '.join(m for m in METHODS if m not in CALIBRATED)}"
            raise fail("E331", text, loc, why, help=hint)
        method = own or self.plan.method
        return method if method in METHODS and method not in CALIBRATED else "mse"

    def choose(self, fake: Graph, parts: list[Part], neuron: Node | None) -> Chosen:
        """Codes for layers that share row scales.

        Args:
            fake: The network with the weights of earlier layers quantized.
            parts: The layers, the main one first.
            neuron: What they feed, if it is a neuron.
        """
        method = self.method([p.name for p in parts])
        grid = self._grid(parts)
        if self.reused is not None:
            return self._kept(self.reused.follow(parts), parts)
        if grid is not None:
            return self._kept(grid, parts)
        if method in ("max", "percentile", "mse"):
            return self._kept(self._plain(parts, method), parts)
        counts = [self._statistics(fake, p.root) for p in parts]
        if any(s is None for s in counts):  # a transposed convolution
            return self._kept(self._plain(parts, "mse"), parts)
        seen = [s for s in counts if s is not None]
        if silent := [p for p, s in zip(parts, seen, strict=True) if not s.hessian.any()]:
            names = " and ".join(p.name for p in silent)
            text = f"nothing but zeros reaches {names} on the calibration data"
            hint = "calibrate with samples that the network answers to"
            self.ctx.emit(warning("W333", text, silent[0].root.node.loc, help=hint))
            return self._kept(self._plain(parts, "mse"), parts)
        joint = self._joint(fake, parts, seen)
        best = compensated(parts, _stacked(parts), seen, joint)
        if method == "auto":
            found = [best, self._plain(parts, "mse")]
            if any(p.root.op.bias is not None for p in parts):
                found.append(compensated(parts, _stacked(parts), seen, joint, centred=True))
            best = self._least(fake, parts, neuron, seen, found)
        return self._kept(best, parts)

    def _grid(self, parts: list[Part]) -> Chosen | None:
        """The integers that the weights are already, if they are and the bits hold them."""
        found = grid_of(beside([_finer(p.rows, p.finer) for p in parts]))
        if found is None:
            self._lost_grid(parts)
            return None
        scales, stacked = found
        codes, start = [], 0
        for part in parts:
            count = part.rows.shape[1]
            codes.append(stacked[:, start : start + count])
            start += count
        wanted = [bits_of(c) for c in codes]
        if any(w > p.bits for w, p in zip(wanted, parts, strict=True)):
            names = " and ".join(p.name for p in parts)
            most = max(wanted)
            text = f"{names}: the weights are integers of {most} bits, which are rounded to fewer"
            hint = f"give {most} bits to keep them as they were trained"
            self.ctx.emit(warning("W343", text, parts[0].root.node.loc, help=hint))
            return None
        return of_codes(KEPT, scales, parts, codes)

    def _lost_grid(self, parts: list[Part]) -> None:
        """Say of weights that are integers why they cannot stay so."""
        for part in parts:
            if len(parts) == 1 and np.unique(part.root.units).size == 1:
                continue  # rows that are on no grid either way
            if grid_of(part.root.rows.changed(partial(_without_units, part.root))) is None:
                continue
            text = f"{part.name}: the weights are integers already, but are rounded again"
            why = "its inputs have different units"
            hint = "more bits lose less: compare with snnc verify"
            if len(parts) > 1:
                why = f"{' and '.join(p.name for p in parts)} feed one neuron with different scales"
                hint = "train them with one scale for each row"
            self.ctx.emit(warning("W343", text, part.root.node.loc, why, help=hint))

    def _kept(self, chosen: Chosen, parts: list[Part]) -> Chosen:
        if self.plan != USUAL or chosen.method == KEPT:
            for part in parts:
                tried = {"tried": chosen.tried} if chosen.tried else {}
                self.ctx.note(part.name, method=chosen.method, **tried)
        if self.plan.calibrated or self.ctx.placed is not None:
            self.ctx.choices.keep(chosen, parts)
        return chosen

    def _plain(self, parts: list[Part], method: str) -> Chosen:
        scales = row_scales(_stacked(parts), min(p.bits for p in parts), method)
        codes = [quantized(p.rows, scales.floats / (1 << p.finer), p.bits) for p in parts]
        return of_codes(method, scales, parts, codes)

    def _least(
        self,
        fake: Graph,
        parts: list[Part],
        neuron: Node | None,
        seen: list[InputStatistics],
        found: list[Chosen],
    ) -> Chosen:
        """The candidate that changes the outputs least, of some and what corrects them."""
        bits = min(p.bits for p in parts)
        if bits <= BIAS_BITS and any(p.root.op.bias is not None for p in parts):
            found += [self._corrected(parts, seen, c) for c in (found[0], found[-1])]
        if bits <= THRESHOLD_BITS and neuron is not None and self._work() <= THRESHOLD_WORK:
            some = (found[0], found[-1])
            found += [c for c in map(self._raised(fake, parts, neuron), some) if c]
        errors = self._errors_of(fake, parts, found)
        best = min(range(len(found)), key=errors.__getitem__)
        tried = ", ".join(f"{c.method} {e:.3g}" for c, e in zip(found, errors, strict=True))
        return replace(found[best], tried=tried)

    def _corrected(self, parts: list[Part], seen: list[InputStatistics], chosen: Chosen) -> Chosen:
        """The same codes with biases that keep the mean of what the layers hand on together."""
        before = [s for p in parts if (s := self._statistics(self.real, p.root)) is not None]
        found = shifted(chosen, parts, before, seen)
        return replace(found, method=f"{chosen.method} + bias")

    def _raised(
        self, fake: Graph, parts: list[Part], neuron: Node
    ) -> Callable[[Chosen], Chosen | None]:
        """A function that corrects the thresholds of a choice, if that is possible."""
        calibration = self.calibration
        assert calibration is not None, "checked before"

        def scaled(chosen: Chosen, factor: Floats) -> Chosen:
            scales = replace(chosen.scales, peak=chosen.scales.peak / factor)
            codes = [
                replace(c, factor=factor, bias=None if c.bias is None else c.bias / factor)
                for c in chosen.parts
            ]
            name = f"{chosen.method} + threshold"
            return Chosen(name, scales, tuple(codes))

        def raised(chosen: Chosen) -> Chosen | None:
            def network(factor: Floats) -> Graph:
                return _with(fake, parts, scaled(chosen, factor))

            roots = [p.root for p in parts]
            factor = threshold_factors(calibration, self.real, network, neuron, roots)
            return None if factor is None else scaled(chosen, factor)

        return raised

    def _errors_of(self, fake: Graph, parts: list[Part], found: list[Chosen]) -> list[float]:
        """Of the network's outputs with each choice."""
        assert self.calibration is not None, "checked before"
        if self._errors is None:
            self._errors = OutputErrors(self.calibration, self.real)
        errors: list[float] = []
        count = together([p.root for p in parts])
        for start in range(0, len(found), count):
            graphs = [_with(fake, parts, chosen) for chosen in found[start : start + count]]
            errors += self._errors.of(graphs, [p.name for p in parts])
        return errors

    def _work(self) -> int:
        """About how many products running the network on the data takes."""
        assert self.calibration is not None, "checked before"
        weights = sum(n.op.weight.size for n in self.real if isinstance(n.op, Weighted))
        return weights * self.real.steps * self.calibration.samples

    def _joint(
        self, fake: Graph, parts: list[Part], seen: list[InputStatistics]
    ) -> JointStatistics | None:
        """What arrives at several layers together, if they compute at the same times."""
        if len(parts) == 1:
            return None
        assert self.calibration is not None, "checked before"
        found = JointStatistics(seen)
        watch = {p.root.node.name: found.adder(i) for i, p in enumerate(parts)}
        self.calibration.watched(fake, watch)
        return found if found.complete else None

    def _statistics(self, graph: Graph, root: Root) -> InputStatistics | None:
        """What arrives at a layer; each is looked at once."""
        assert self.calibration is not None, "checked before"
        key = (root.node.name, graph is self.real)
        if key not in self._seen:
            found = statistics(root.op, root.units, root.shape)
            if found is None:
                return None
            self.calibration.watched(graph, {root.node.name: found.add})
            self._seen[key] = found
        return self._seen[key]


def _finer(rows: MadeRows, bits: int) -> MadeRows:
    """Rows times a power of two."""
    return rows.changed(lambda block, _: np.ldexp(block, bits)) if bits else rows


def _without_units(root: Root, block: Floats, some: slice) -> Floats:
    columns = root.columns(some)
    return np.divide(block, np.where(columns == 0, 1.0, columns), out=block)


def _stacked(parts: list[Part]) -> MadeRows:
    """Weights side by side, each scaled up by what it is finer, so that none is clipped.

    A layer of more bits than the least is finer for that alone.
    """
    least = min(p.bits for p in parts)
    return beside([_finer(p.rows, p.finer - (p.bits - least)) for p in parts])


def _with(fake: Graph, parts: list[Part], chosen: Chosen) -> Graph:
    """The network with the weights that were chosen, in real numbers."""
    graph = fake.copy()
    for part, own in zip(parts, chosen.parts, strict=True):
        root = part.root
        scales = chosen.scales.floats / (1 << part.finer) / part.ratio
        back = MadeRows(root.rows.shape, partial(_scaled, own.codes, scales))
        back = back.changed(partial(_without_units, root))
        bias = None if own.bias is None else Param(own.bias)
        node = graph[root.node.name]
        graph.replace(replace(node, op=with_rows(root.op, back, bias)))
    return graph


def _scaled(codes: Ints, scales: Floats, start: int, stop: int) -> Floats:
    found: Floats = codes[start:stop] * scales[start:stop, None]
    return found


def weighted_names(graph: Graph) -> list[str]:
    """Layers that a plan can name."""
    kinds = (*get_args(Weighted), ops.Embedding, ops.TimeMix)
    return [n.name for n in graph if isinstance(n.op, kinds)]
