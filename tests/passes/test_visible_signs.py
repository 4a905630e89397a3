"""Differences from extremes keep their value, and show their sign."""

import itertools

import numpy as np
import pytest

from snnc.kernel import Const, Kernel, Line
from snnc.params import Param
from snnc.passes.visible_signs import visible_signs


def kernel(fn: str, args: tuple[str, str], difference: tuple[str, str]) -> Kernel:
    body = (Line("m", fn, args), Line("zero", "sub", difference))
    return Kernel(("x", "y"), (), (Const("k", Param(np.array(2.0))),), body, ("zero",))


def value(k: Kernel, x: float, y: float) -> float:
    env = {"x": x, "y": y} | {c.name: float(c.values.data) for c in k.consts}
    functions = {"sub": lambda a, b: a - b, "maximum": max, "minimum": min}
    for line in k.body:
        env[line.name] = functions[line.fn](*(env[a] for a in line.args))
    return env[k.outputs[0]]


@pytest.mark.parametrize("fn", ["maximum", "minimum"])
@pytest.mark.parametrize("args", [("x", "y"), ("y", "x"), ("x", "x"), ("x", "k")])
def test_value_is_kept_and_the_sign_is_written(fn: str, args: tuple[str, str]) -> None:
    for difference in (("x", "m"), ("m", "x")):
        old = kernel(fn, args, difference)
        new = visible_signs(old)
        assert new.body[-1].fn in ("maximum", "minimum")
        for x, y in itertools.product((-2.0, 0.0, 1.0, 3.0), repeat=2):
            assert value(new, x, y) == value(old, x, y)


def test_other_differences_stay() -> None:
    old = kernel("maximum", ("y", "k"), ("x", "m"))
    assert visible_signs(old) is old
