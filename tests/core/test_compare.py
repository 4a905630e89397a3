from typing import Any

import numpy as np

from snnc.compare import Comparison, batches

Arrays = dict[str, Any]


def run() -> tuple[Arrays, Arrays]:
    """Outputs of 4 samples, and two words of a layer over 3 steps."""
    words = {"lif.s": np.zeros((4, 3, 2), np.int64), "lif.v": np.full((4, 3, 2), 7)}
    return {"y": np.arange(8).reshape(4, 2)}, words


def compared(found: tuple[Arrays, Arrays]) -> Comparison:
    comparison = Comparison("c")
    comparison.add(run(), found, ())
    return comparison


def test_equal_integers_are_equal_in_any_type() -> None:
    outputs, words = run()
    c = compared(
        ({"y": outputs["y"].astype(np.int16)}, {k: v.astype(np.int8) for k, v in words.items()})
    )
    assert c.equal
    assert c.words_compared == 4 * 2 + 2 * (4 * 3 * 2)
    assert c.first_difference is None


def test_the_first_difference_is_by_sample_then_step_then_word() -> None:
    outputs, words = run()
    words["lif.v"][2, 0, 1] = -1
    words["lif.s"][1, 2, 0] = 1
    words["lif.v"][1, 1, 1] = 9
    words["lif.v"][1, 2, 0] = 5
    outputs["y"][1, 0] = 99
    d = (c := compared((outputs, words))).first_difference
    assert d is not None
    assert (d.sample, d.step, d.layer, d.word, d.index) == (1, 1, "lif", "lif.v", (1,))
    assert (d.expected, d.found) == (7, 9)
    assert d.around == (("lif.s", 0, 0), ("lif.v", 7, 9))
    assert c.samples_different == 2
    assert c.equal is False


def test_a_state_comes_before_the_output_it_spoils() -> None:
    outputs, words = run()
    outputs["y"][0, 1] = 99
    words["lif.v"][0, 2, 0] = 0
    d = compared((outputs, words)).first_difference
    assert d is not None
    assert d.word == "lif.v"


def test_an_output_alone_has_no_step() -> None:
    outputs, words = run()
    outputs["y"][3, 1] = 99
    d = compared((outputs, words)).first_difference
    assert d is not None
    assert (d.sample, d.step, d.layer, d.word, d.index) == (3, None, "y", "y", (1,))


def test_samples_count_across_batches() -> None:
    outputs, words = run()
    c = compared(run())
    outputs["y"][1, 0] = 99
    c.add(run(), (outputs, words), ())
    assert c.first_difference is not None
    assert c.first_difference.sample == 5
    assert (c.samples, c.samples_different) == (8, 1)


def test_missing_words_wrong_shapes_and_reals_are_faults() -> None:
    outputs, words = run()
    del words["lif.s"]
    words["lif.v"] = words["lif.v"][:, :2]
    c = compared(({"y": outputs["y"].astype(float)}, words))
    assert c.equal is False
    assert [f.split(" ")[0] for f in c.faults] == ["lif.s", "lif.v", "y"]


def test_one_flipped_bit_anywhere_is_found() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        outputs, words = run()
        arrays = [outputs["y"], words["lif.s"], words["lif.v"]]
        array = arrays[rng.integers(3)]
        array.reshape(-1)[rng.integers(array.size)] ^= 1 << int(rng.integers(8))
        assert compared((outputs, words)).equal is False


def test_empty_runs_compare() -> None:
    c = Comparison("c")
    c.add(({"y": np.zeros((0, 2), int)}, {}), ({"y": np.zeros((0, 2), int)}, {}), ())
    assert c.equal
    assert list(batches(0, 10)) == [(0, 0)]
