"""Operators that add or rearrange the elements of one sample."""

from __future__ import annotations

import torch
from torch import Tensor

from snnc.backends.torch.operator import Function, Operator
from snnc.backends.torch.program import Program, Record, aligned, magnitude, word
from snnc.backends.torch.rescale import Rescale
from snnc.backends.torch.windows import padded


class Sum(Function):
    """Sum of the operands, in a type that holds all partial sums."""

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        sides = [magnitude(program.operand_bounds(node, i)) for i in range(len(node["inputs"]))]
        self.summed = word((-sum(sides), sum(sides)))

    def forward(self, *operands: Tensor) -> Tensor:
        total = operands[0].to(self.summed)
        for x in operands[1:]:
            total = total + x.to(self.summed)
        return total.to(self.word)


class Same(Function):
    """The operand: what only changes the clock, or is an output."""

    def forward(self, *operands: Tensor) -> Tensor:
        return operands[0]


class Reshape(Function):
    """The elements in another shape, row-major."""

    def forward(self, *operands: Tensor) -> Tensor:
        return operands[0].reshape(len(operands[0]), *self.shape)


class Transpose(Function):
    """Axis i of the result is axis ``perm[i]`` of the operand."""

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        self.perm = (0, *(p + 1 for p in node["attributes"]["perm"]))

    def forward(self, *operands: Tensor) -> Tensor:
        return operands[0].permute(self.perm)


class Take(Function):
    """Elements ``index`` of one axis; also slices, which are no copies where they run forward."""

    index: Tensor

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        a, edge = node["attributes"], node["inputs"][0]
        self.axis = a["axis"] + 1
        extent = program.types[edge["src"]][edge["out"]]["shape"][a["axis"]]
        self.places = None if "index" in a else range(extent)[a["start"] : a["stop"] : a["step"]]
        places = torch.tensor(self.places or [], dtype=torch.int64)
        self.keep("index", program.tensor(a["index"]) if "index" in a else places)

    def forward(self, *operands: Tensor) -> Tensor:
        (x,), places = operands, self.places
        if places is None or places.step < 0:
            return x.index_select(self.axis, self.index)
        return x[(slice(None),) * self.axis + (slice(places.start, places.stop, places.step),)]


class Concat(Function):
    """The operands one after the other along one axis."""

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        self.axis = node["attributes"]["axis"] + 1

    def forward(self, *operands: Tensor) -> Tensor:
        return torch.cat([x.to(self.word) for x in operands], self.axis)


class Expand(Function):
    """Repeat along new axes in front, and along axes of extent 1."""

    def forward(self, *operands: Tensor) -> Tensor:
        return aligned(operands[0], len(self.shape)).expand(len(operands[0]), *self.shape)


class Upsample(Function):
    """Each element ``factor`` times along each of the last axes."""

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        self.factor = tuple(node["attributes"]["factor"])

    def forward(self, *operands: Tensor) -> Tensor:
        y = operands[0]
        for axis, factor in enumerate(self.factor, y.ndim - len(self.factor)):
            y = y.repeat_interleave(factor, axis)
        return y


class Pad(Function):
    """Zeros around the elements."""

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        a = node["attributes"]
        self.before, self.after = tuple(a["before"]), tuple(a["after"])

    def forward(self, *operands: Tensor) -> Tensor:
        return padded(operands[0], self.before, self.after)


#: The operators, by name.
TENSORS: dict[str, type[Operator]] = {
    "IntRescale": Rescale,
    "IntSum": Sum,
    "IntReshape": Reshape,
    "IntTranspose": Transpose,
    "IntSlice": Take,
    "IntTake": Take,
    "IntConcat": Concat,
    "IntExpand": Expand,
    "IntPad": Pad,
    "IntUpsample": Upsample,
    "IntRepeat": Same,
    "IntHold": Same,
    "IntOutput": Same,
}
