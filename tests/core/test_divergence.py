"""Divergence of spikes, counted by hand and against SciPy's definition of the distance."""

import numpy as np
import pytest

from snnc.divergence import Divergence, DivergenceCount, OutputError, Place


def counted(real: object, found: object, size: int = 100) -> Divergence:
    real, found = np.asarray(real), np.asarray(found)
    count = DivergenceCount()
    for start in range(0, len(real), size):
        count.add(real[start : start + size], found[start : start + size])
    value = count.value
    assert value is not None
    return value


def test_every_number_of_a_small_case() -> None:
    real = np.zeros((2, 3, 4))
    found = np.zeros((2, 3, 4))
    real[0, 0, 0] = real[1, 1, 2] = real[1, 2, 3] = 1
    found[0, 0, 0] = found[1, 1, 2] = found[1, 2, 0] = found[0, 2, 1] = 1
    d = counted(real, found)
    assert d.agreement == 1 - 3 / 24
    assert d.f1 == 2 * 2 / (2 * 2 + 1 + 2)
    assert d.rate_change == pytest.approx(4 / 3 - 1)
    assert d.first == Place(0, 2, (1,))
    assert d.samples_different == 2
    # rates of the neurons, in spikes of 6 steps: 1, 0, 1, 1 become 2, 1, 1, 0
    assert d.emd == pytest.approx(np.abs(np.array([0, 0, 0, 1])).sum() / 6 / 4)


def test_batches_change_nothing() -> None:
    rng = np.random.default_rng(0)
    real, found = (rng.random((2, 9, 5, 3, 2)) < 0.3).astype(int)
    assert counted(real, found, 2) == counted(real, found)


def test_the_distance_is_that_of_the_histograms() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(1)
    real, found = rng.random((6, 8, 30)) < 0.2, rng.random((6, 8, 30)) < 0.3
    d = counted(real, found)
    wanted = stats.wasserstein_distance(real.mean((0, 1)), found.mean((0, 1)))
    assert d.emd == pytest.approx(wanted)


def test_the_first_is_by_step_then_sample() -> None:
    real, found = np.zeros((3, 4, 2)), np.zeros((3, 4, 2))
    found[0, 3, 0] = found[2, 1, 1] = found[1, 1, 0] = 1
    assert counted(real, found, 1).first == counted(real, found).first == Place(1, 1, (0,))
    assert counted(real, real).first is None
    assert counted(real, real).f1 == 1


def test_an_output_error_of_one_is_as_wrong_as_a_constant() -> None:
    error = OutputError()
    real = np.array([1.0, 2.0, 6.0])
    error.add(real[:2], np.full(2, 3.0))
    error.add(real[2:], np.full(1, 3.0))
    assert error.value == pytest.approx(1.0)
    assert OutputError().value is None


def test_an_error_of_one_sample_is_said_to_be() -> None:
    error = OutputError()
    real = np.arange(40.0).reshape(10, 4)
    found = real.copy()
    found[7, 2] += 3
    found[8] += 0.01
    error.add(real[:6], found[:6])
    error.add(real[6:], found[6:])
    drift = error.drift
    assert (drift.samples, drift.worst) == (1, 7)
    assert drift.error == pytest.approx(np.sqrt((9 + 4e-4) / 40) / real.std())
