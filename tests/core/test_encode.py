import numpy as np
import pytest

from snnc.diagnostics import CompileError
from snnc.encode import classes, decode_outputs, encode_input
from snnc.manifest import InputEntry, OutputEntry

GREY = InputEntry("x", (), "once", 0, 255, 1 / 255, "N")
SIGNED = InputEntry("x", (), "once", -4, 4, 0.5, "N")


def test_a_grid_survives_exactly() -> None:
    n, clipped = encode_input(np.arange(256) / 255, GREY)
    assert n.tolist() == list(range(256))
    assert clipped == 0


def test_rounds_half_to_even_and_clips() -> None:
    n, clipped = encode_input(np.array([0.25, 0.75, -0.25, -0.75, 9.0, -1e300]), SIGNED)
    assert n.tolist() == [0, 2, 0, -2, 4, -4]
    assert clipped == 2


def test_float32_and_integers_agree_with_float64() -> None:
    x = np.arange(256, dtype=np.float32) / np.float32(255)
    assert encode_input(x, GREY)[0].tolist() == list(range(256))
    spikes = InputEntry("s", (), "step", 0, 1, 1.0, "NT")
    for dtype in (np.uint8, np.int64, bool, np.float32):
        assert encode_input(np.array([0, 1, 1], dtype), spikes)[0].tolist() == [0, 1, 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_refuses_values_without_an_integer(bad: float) -> None:
    with pytest.raises(CompileError, match=r"index \[1\]") as e:
        encode_input(np.array([0.0, bad]), GREY)
    assert e.value.diagnostics[0].code == "E424"


def test_decodes_scalar_row_and_mean_scales() -> None:
    raw = {"a": np.array([[2, 4]]), "b": np.array([[2, 4]]), "c": np.array([[2, 4]])}
    entries = (
        OutputEntry("a", (2,), "end", False, (0.5,), (), False),
        OutputEntry("b", (2,), "end", False, (0.5, 2.0), (2,), False),
        OutputEntry("c", (2,), "end", False, (1.0,), (), True),
    )
    real = decode_outputs(raw, entries, 4)
    assert [real[k].tolist() for k in "abc"] == [[[1.0, 2.0]], [[1.0, 8.0]], [[0.5, 1.0]]]


def test_class_is_the_first_largest_output() -> None:
    assert classes(np.array([[1, 3, 3], [5, 5, 0]]), False).tolist() == [1, 0]  # type: ignore[union-attr]
    spikes = np.array([[[1, 0], [0, 1], [0, 1]]])
    assert classes(spikes, True).tolist() == [1]  # type: ignore[union-attr]
    assert classes(np.zeros((2, 1)), False) is None
    assert classes(np.zeros((2, 3, 4)), False) is None
