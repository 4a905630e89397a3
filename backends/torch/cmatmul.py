"""Products of computed matrices as C functions: many small ones, of which one factor is sparse.

A row of the first factor adds rows of the second, four at a time unless all four factors are 0;
as many lanes take part as the proven range of the sums allows.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from snnc.backends.torch import machine
from snnc.backends.torch.attention import Matmul
from snnc.backends.torch.ckernel import TYPES, rounded
from snnc.backends.torch.program import Program, Record, aligned

#: Elements of the second factor that lie in the cache while rows are added, and rows together.
_HELD, _ROWS = 1 << 14, 4


class NativeMatmul:
    """``rsh(a @ b, shift, rounding)`` of a node whose sums fit 32 bits.

    Args:
        program: The stored program.
        node: The node of it.
        module: Its module.
    """

    def __init__(self, program: Program, node: Record, module: Matmul) -> None:
        self.module = module
        shapes = [program.types[e["src"]][e["out"]]["shape"] for e in node["inputs"]]
        self.rows, self.inner = shapes[0][-2:]
        self.columns = shapes[1][-1]
        self.axes = max(map(len, shapes))
        self._built: dict[tuple[torch.dtype, torch.dtype], machine.Function] = {}

    def __getstate__(self) -> dict[str, Any]:
        """A copy builds its own."""
        return {**self.__dict__, "_built": {}}

    def possible(self) -> bool:
        """Whether it is worth it."""
        sizes = self.rows, self.inner, self.columns
        return self.module.bound < 1 << 30 and all(sizes) and sizes[1] * sizes[2] <= _HELD

    def __call__(self, *operands: Tensor) -> Tensor:
        """The product of (N, ..., rows, inner) by (N, ..., inner, columns)."""
        a, b = (aligned(x, self.axes) for x in operands)
        first = [max(n, m) for n, m in zip(a.shape[:-2], b.shape[:-2], strict=True)]
        y = torch.empty((*first, self.rows, self.columns), dtype=self.module.word)
        given = [x.expand(*first, *x.shape[-2:]) for x in (a, b)]
        run = self._run(a.dtype, b.dtype)
        sizes = [*first[1:], *given[0].stride(), *given[1].stride()]
        places = machine.pointers([*given, y])

        def part(start: int, end: int) -> None:
            run([start, end, *sizes], places)

        machine.parallel(part, first[0], prod(first) * self.rows * self.inner)
        return y

    def _run(self, a: torch.dtype, b: torch.dtype) -> machine.Function:
        if (a, b) not in self._built:
            self._built[a, b] = machine.build(self._source(TYPES[a], TYPES[b]))
        return self._built[a, b]

    def _source(self, a: str, b: str) -> str:
        """``run``: first and last, other extents in front, strides of a and b; a, b, result."""
        m, rows, inner, columns = self.module, self.rows, self.inner, self.columns
        batch = self.axes - 1  # axes in front of the matrices, the first of them N
        whole = -(-inner // _ROWS) * _ROWS
        kind = "int16_t" if m.bound < 1 << 14 else "int32_t"
        strides = 2 + batch - 1, 2 + batch - 1 + batch + 2
        at = [" + ".join(f"i{k} * d[{s + k}]" for k in range(batch)) for s in strides]
        steps = [(f"d[{s + batch}]", f"d[{s + batch + 1}]") for s in strides]
        place = "i0"
        out = ["#include <stdint.h>", "void run(const int64_t *d, void *const *p) {"]
        out.append(f"{kind} w[{whole}][{columns}];")
        out.append("for (int64_t i0 = d[0]; i0 < d[1]; i0++)")
        for k in range(1, batch):
            out.append(f"for (int64_t i{k} = 0; i{k} < d[{1 + k}]; i{k}++)")
            place = f"({place}) * d[{1 + k}] + i{k}"
        out += [
            "{",
            f"const {a} *x = (const {a} *)p[0] + {at[0]};",
            f"const {b} *z = (const {b} *)p[1] + {at[1]};",
            f"{TYPES[m.word]} *y = ({TYPES[m.word]} *)p[2] + ({place}) * {rows * columns};",
            f"for (int k = 0; k < {inner}; k++) for (int n = 0; n < {columns}; n++)",
            f"w[k][n] = ({kind})z[k * {steps[1][0]} + n * {steps[1][1]}];",
            f"for (int k = {inner}; k < {whole}; k++) for (int n = 0; n < {columns}; n++)",
            "w[k][n] = 0;",
            f"for (int m = 0; m < {rows}; m++, x += {steps[0][0]}, y += {columns}) {{",
            f"{kind} sum[{columns}] = {{0}}, f[{whole}] = {{0}};",
            f"for (int k = 0; k < {inner}; k++) f[k] = ({kind})x[k * {steps[0][1]}];",
            f"for (int k = 0; k < {whole}; k += {_ROWS}) {{",
            f"const {kind} f0 = f[k], f1 = f[k + 1], f2 = f[k + 2], f3 = f[k + 3];",
            "if (!(f0 | f1 | f2 | f3)) continue;",
            f"const {kind} *w0 = w[k], *w1 = w[k + 1], *w2 = w[k + 2], *w3 = w[k + 3];",
            "#pragma GCC ivdep",
            f"for (int n = 0; n < {columns}; n++) sum[n] += ({kind})(({kind})(f0 * w0[n])",
            f"+ ({kind})(f1 * w1[n]) + ({kind})(f2 * w2[n]) + ({kind})(f3 * w3[n]));",
            "}",
            f"for (int n = 0; n < {columns}; n++) {{ const int64_t s = sum[n];",
            f"y[n] = ({TYPES[m.word]})({rounded('s', m.shift, m.rounding, 64)}); }}",
        ]
        return "\n".join([*out, "}", "}", "}", ""])
