"""Codes that answer for each other's rounding: GPTQ, and coordinate descent behind it.

The error of a row ``w`` with codes ``q`` is ``e H e'`` with ``e = w - s q`` and the Hessian
``H = E[n n']`` of the layer's inputs.  With ``H = V V'``, V upper triangular, it is the square of
``e V``, whose entry k depends on the codes up to k only: each code is rounded to what makes its
entry smallest, given those before it (Frantar et al. 2023, in the form of a triangular solve; the
factor of the inverse that is usual there is ``V**-1``).  Columns with the largest ``H_kk`` come
first, while later ones can still make up for them.

All decisions are the same on every machine: see ``passes/exact_product.py``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snnc.passes.exact_product import product

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Share of the mean diagonal that is added to it: what was never seen still costs something.
DAMPING = 0.01
#: Columns that are worked on between two matrix products.
BLOCK = 128
#: Rows of a trailing matrix that are updated together; what is above its diagonal is not needed.
STRIPE = 512
#: Most sweeps of coordinate descent; it usually stops earlier.
SWEEPS = 6


class Compensation:
    """GPTQ with one Hessian, which is factored once for all tries.

    Args:
        hessian: (columns, columns), symmetric and not negative.
    """

    def __init__(self, hessian: Floats) -> None:
        self.hessian = damped(hessian)
        self._order = np.argsort(-np.diag(self.hessian), kind="stable")
        self._factor = upper_factor(self.hessian[self._order][:, self._order])

    def codes(self, rows: Floats, scales: Floats, bits: int | Ints) -> Ints:
        """Codes of each row that minimise ``(w - s q) H (w - s q)'``, column after column.

        Args:
            rows: (rows, columns) weights.
            scales: (rows,) of one step each.
            bits: Of a code with its sign; (columns,) if they are not the same for all.
        """
        order, factor, count = self._order, self._factor, rows.shape[1]
        top = _tops(bits, count)[order]
        w = np.ascontiguousarray(rows[:, order].T)  # a column of weights is contiguous
        carried, codes = np.zeros_like(w), np.zeros_like(w)
        for start in range(0, count, BLOCK):
            stop = min(start + BLOCK, count)
            errors = np.zeros((stop - start, len(rows)))
            for k in range(start, stop):
                target = w[k] + carried[k] / factor[k, k]
                codes[k] = np.clip(np.rint(target / scales), -top[k], top[k])
                errors[k - start] = w[k] - codes[k] * scales
                carried[k + 1 : stop] += factor[k, k + 1 : stop, None] * errors[k - start]
            if stop < count:
                carried[stop:] += product(factor[start:stop, stop:].T, errors)
        out = np.empty_like(rows, np.int64)
        out[:, order] = codes.T.astype(np.int64)
        return out

    def improved(self, rows: Floats, scales: Floats, bits: int | Ints, codes: Ints) -> Ints:
        """Improve codes one column at a time, all others fixed, until nothing changes.

        With ``e = w - s q``, the error ``e H e'`` as a function of code k alone is a parabola with
        its least at ``s q_k = w_k + sum_{j != k} e_j H_jk / H_kk``; of integers, the nearest is
        best (cyclic coordinate descent for layers, as in QuantEase, Behdin et al. 2023).  The error
        under the damped Hessian never grows.
        """
        top, h = _tops(bits, rows.shape[1]), self.hessian
        found = codes.astype(np.float64)
        slope = product(rows - found * scales[:, None], h)
        for _ in range(SWEEPS):
            changes = 0
            for k in range(rows.shape[1]):
                error = rows[:, k] - found[:, k] * scales
                target = rows[:, k] + (slope[:, k] - error * h[k, k]) / h[k, k]
                best = np.clip(np.rint(target / scales), -top[k], top[k])
                moved = np.flatnonzero(best != found[:, k])
                if len(moved):
                    step = (found[moved, k] - best[moved]) * scales[moved]
                    slope[moved] += step[:, None] * h[k]
                    found[moved, k] = best[moved]
                    changes += len(moved)
            if not changes:
                break
        return found.astype(np.int64)


def _tops(bits: int | Ints, count: int) -> Ints:
    """The largest code of each column."""
    return np.broadcast_to((1 << (np.asarray(bits, np.int64) - 1)) - 1, (count,))


def damped(hessian: Floats) -> Floats:
    """The Hessian with ``DAMPING`` of its mean diagonal added; 1 where nothing was ever seen."""
    mean = float(np.diag(hessian).mean()) or 1.0
    return hessian + np.eye(len(hessian)) * (DAMPING * mean)


def upper_factor(a: Floats) -> Floats:
    """The upper triangular V with ``a = V V'`` of a positive definite matrix."""
    return lower_factor(a[::-1, ::-1])[::-1, ::-1]


def lower_factor(a: Floats) -> Floats:
    """The lower triangular L with ``a = L L'`` (Cholesky), blocked."""
    a, count = a.copy(), len(a)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        for k in range(start, stop):
            a[k, k] = np.sqrt(a[k, k])
            a[k + 1 :, k] /= a[k, k]
            a[k + 1 :, k + 1 : stop] -= a[k + 1 :, k, None] * a[k + 1 : stop, k]
        panel = a[stop:, start:stop]
        for top in range(stop, count, STRIPE):
            end = min(top + STRIPE, count)
            part = panel[top - stop : end - stop]
            a[top:end, stop:end] -= product(part, panel[: end - stop].T)
    out: Floats = np.tril(a)
    return out


def row_errors(rows: Floats, scales: Floats, codes: Ints, hessian: Floats) -> Floats:
    """``(w - s q) H (w - s q)'`` of each row."""
    error = rows - codes * scales[:, None]
    out: Floats = (product(error, hessian) * error).sum(1)
    return out
