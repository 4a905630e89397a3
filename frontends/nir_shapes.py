"""What the axes of a NIR network mean: the shape of every value of one sample at one step.

Files of different ages count differently: some inputs have a batch or time axis in front, some
Flatten nodes count the batch axis as torch does.  Every reading is tried from the inputs on; the
one in which all layers fit is taken, and among several the one that contradicts the fewest shapes
that the file declares.  Whatever was needed is a warning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from snnc.diagnostics import Diagnostic, error, warning
from snnc.frontends.nir_file import RawNode
from snnc.frontends.nir_graph import Network, order
from snnc.frontends.nir_layers import Link, UnsupportedError, chain, declared
from snnc.frontends.nir_neurons import NEURONS, fitted, parameters
from snnc.types import TensorType

Shape = tuple[int, ...]

#: Most axes, and most elements of a value.
MAX_RANK, MAX_SIZE = 8, 1 << 27


@dataclass
class Shapes:
    """A reading of the network.

    Attributes:
        arriving: Shape of what arrives at a node, by name; for a network input, its own.
        links: Operators of every layer.
        diagnostics: Why it fails (errors), or what is odd (warnings).
    """

    arriving: dict[str, Shape] = field(default_factory=dict)
    links: dict[str, tuple[Link, ...]] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def find_shapes(net: Network) -> Shapes:
    """The best reading of the network; its diagnostics have errors if none fits.

    Errors are E202 for what does not fit and E210 for what has no operator.
    """
    claims = [declared(net.nodes[n]) or () for n in net.inputs]
    most = min([len(c) for c in claims] or [0])
    flat = any(n.kind == "Flatten" for n in net.nodes.values())
    readings = [
        _Reading(net, skipped, counted)
        for skipped in range(max(1, min(most, 3)))
        for counted in ((False, True) if flat else (False,))
    ]
    best: _Reading | None = None
    for reading in readings:
        reading.run()
        if best is None or reading.faults < best.faults:
            best = reading
        if best.faults == (0, 0):
            break
    assert best is not None, "there is always a reading"
    return best.result()


class _Reading:
    """Shapes if ``skipped`` leading axes are not features and Flatten counts the batch or not."""

    def __init__(self, net: Network, skipped: int, counted: bool) -> None:
        self.net, self.skipped, self.counted = net, skipped, counted
        self.arriving: dict[str, Shape] = {}
        self.leaving: dict[str, Shape] = {}
        self.links: dict[str, tuple[Link, ...]] = {}
        self.errors: dict[str, Diagnostic] = {}
        self.odd: dict[str, Diagnostic] = {}

    @property
    def faults(self) -> tuple[int, int]:
        """How many nodes do not fit, and how many declared shapes are contradicted."""
        return len(self.errors), len(self.odd)

    def run(self) -> None:
        names = order(self.net)
        while True:  # more than once: what comes back in a loop is known later
            known = len(self.leaving)
            for name in names:
                if name not in self.errors:
                    self.visit(name, self.net.nodes[name])
            if len(self.leaving) == known:
                break
        for name in names:
            if name not in self.leaving and name not in self.errors and not self.blamed(name):
                self.reject(name, "its shape depends on itself alone")

    def blamed(self, name: str) -> bool:
        """Whether a node without a shape stands behind one that is reported."""
        seen, todo = set(), [name]
        while todo:
            for source in self.net.sources(todo.pop()):
                if source in self.errors:
                    return True
                if source not in seen:
                    seen.add(source)
                    todo.append(source)
        return False

    def reject(self, name: str, why: str, code: str = "E202") -> None:
        node = self.net.nodes[name]
        self.errors[name] = error(code, f"{name} ({node.kind}): {why}", node.loc)

    def visit(self, name: str, node: RawNode) -> None:
        if name in self.net.inputs:
            claim = declared(node)
            shape = (claim or ())[self.skipped :] or (1,)
            if claim is None or len(shape) > MAX_RANK or min(shape) < 1:
                self.reject(name, f"its shape is {claim}")
                return
        else:
            shapes = {s: self.leaving[s] for s in self.net.sources(name) if s in self.leaving}
            if not shapes:
                return
            if len(set(shapes.values())) > 1:
                self.reject(name, f"adds values of different shapes: {shapes}"[:300])
                return
            shape = next(iter(shapes.values()))
        if name in self.leaving and self.arriving.get(name) == shape:
            return
        self.arriving[name] = shape
        try:
            self.leaving[name] = self.through(name, node, shape)
        except UnsupportedError as e:
            self.reject(name, str(e), "E210")
        except ValueError as e:
            self.reject(name, str(e))

    def through(self, name: str, node: RawNode, shape: Shape) -> Shape:
        """The shape that leaves a node."""
        if node.kind in ("Input", "Output"):
            self.compare(name, node, shape)
        if node.kind in NEURONS:
            for parameter, value in parameters(node).items():
                try:
                    fitted(value, shape)
                except ValueError as e:
                    raise ValueError(f"{parameter}: {e}") from None
            return shape
        self.links[name] = chain(node, shape, self.counted)
        for link in self.links[name]:
            types = [TensorType(shape)]
            types += [TensorType(link.constant.shape)] if link.constant else []
            shape = link.op.infer(tuple(types))[0].shape
        if not 0 < math.prod(shape) <= MAX_SIZE:
            raise ValueError(f"a value of shape {shape} is too large, or nothing")
        return shape

    def compare(self, name: str, node: RawNode, shape: Shape) -> None:
        claim = declared(node)
        if claim is None or _squeezed(claim) == _squeezed(shape):
            return
        if self.skipped and _squeezed(claim[self.skipped :]) == _squeezed(shape):
            return
        text = f"{name} ({node.kind}) declares shape {claim}, what arrives has shape {shape}"
        self.odd[name] = warning("W140", text, node.loc)

    def result(self) -> Shapes:
        if self.errors:
            return Shapes(diagnostics=list(self.errors.values()))
        found = list(self.odd.values())
        for name in self.net.inputs if self.skipped else ():
            claim = declared(self.net.nodes[name]) or ()
            text = f"{name} has shape {claim}: its first {self.skipped} axes are not features"
            found.append(warning("W140", f"{text}, but batch or time", self.net.nodes[name].loc))
        if self.counted:
            text = "Flatten counts the batch axis in this file, as torch does"
            found.append(warning("W140", text))
        return Shapes(self.arriving, self.links, found)


def _squeezed(shape: Shape) -> Shape:
    return tuple(n for n in shape if n != 1)
