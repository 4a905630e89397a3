"""States that turn into each other are bounded, tightly and for all T."""

import numpy as np
import pytest

from snnc.interval import Interval
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param
from snnc.passes.kernel_ranges import kernel_ranges
from snnc.passes.linear_ranges import linear_ranges
from snnc.rounding import rsh

ZERO = Param(np.zeros((), np.int64))


def rotation(cos: float, sin: float, reset: str = "sub") -> Kernel:
    """``(x, y)`` turned and shrunk, plus an input; x loses 1000 where it is at least 1000."""
    consts = {"c": round(cos * 65536), "s": round(sin * 65536), "theta": 1000, "zero": 0}
    body = [("cx", "mul", "c", "x"), ("sy", "mul", "s", "y")]
    body += [("sx", "mul", "s", "x"), ("cy", "mul", "c", "y")]
    lines = [Line(n, f, (a, b)) for n, f, a, b in body]
    lines += [Line("dx", "sub", ("cx", "sy")), Line("dy", "add", ("sx", "cy"))]
    lines += [Line(f"r{n}", "rsh", (f"d{n}",), 16, "half_away") for n in "xy"]
    lines += [Line("u", "add", ("rx", "i")), Line("fires", "ge", ("u", "theta"))]
    lines += [Line("less", "sub", ("u", "theta"))]
    branch = "less" if reset == "sub" else "zero"
    lines += [Line("kept", "select", ("fires", branch, "u"))]
    return Kernel(
        ("i",),
        (State("x", "kept", ZERO), State("y", "ry", ZERO)),
        tuple(Const(k, Param(np.array(v))) for k, v in consts.items()),
        tuple(lines),
        ("fires",),
    )


@pytest.mark.parametrize(("cos", "sin"), [(0.8, 0.5), (0.1, -0.9), (-0.6, 0.6)])
def test_rotation_is_bounded_for_all_steps_and_never_leaves_it(cos: float, sin: float) -> None:
    kernel = rotation(cos, sin)
    found = kernel_ranges(kernel, [Interval.of(-500, 500)], (), 4096)
    assert found.bounded
    rng, x, y = np.random.default_rng(0), 0, 0
    c, s = round(cos * 65536), round(sin * 65536)
    most = 0
    for t in range(20000):
        towards = 1 if x * cos >= y * sin else -1
        i = 500 * towards if t % 2 else int(rng.integers(-500, 501))
        u = rsh(c * x - s * y, 16, "half_away") + i
        x, y = u - 1000 * (u >= 1000), rsh(s * x + c * y, 16, "half_away")
        for name, value in (("x", x), ("y", y)):
            lo, hi = found.env[name].bounds
            assert lo <= value <= hi
        most = max(most, abs(x))
    assert found.env["x"].bounds[1] < 16 * most  # a proof, and not just some large number


def direct(kernel: Kernel) -> dict[str, Interval] | None:
    init = {s.name: Interval.exactly(s.init) for s in kernel.states}
    leaves = {c.name: Interval.exactly(c.values) for c in kernel.consts}
    return linear_ranges(kernel, {**leaves, "i": Interval.of(-1, 1)}, init)


def test_growing_rotation_is_not_bounded() -> None:
    assert direct(rotation(0.8, 0.5)) is not None
    assert direct(rotation(0.8, 0.7)) is None


def test_reset_to_a_value_is_not_taken_for_linear() -> None:
    assert direct(rotation(0.8, 0.5, "zero")) is None
