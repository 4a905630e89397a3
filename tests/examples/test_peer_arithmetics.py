"""Arithmetics of other tools: steps worked out by hand, and what a tool cannot get wrong."""

import numpy as np
import pytest

from examples.benchmarks.peer_arithmetics import PEERS, Net, float_lif, lava_dl, rockpool, snn_mlir


def one(weight: float, bias: float, beta: float) -> Net:
    return Net((np.array([[weight]]), np.array([[1.0]])), (np.array([bias]), np.zeros(1)), beta)


def constant(steps: int) -> np.ndarray:
    return np.ones((1, steps, 1))


def test_a_decay_of_snn_mlir_rounds_down_and_compares_strictly() -> None:
    # 0.5 = 64/128: v = 2048, then (2048 * 2048 >> 12) + 2048 = 3072, 3584, ... below 4096 for ever
    assert snn_mlir(one(0.5, 0.0, 0.5), constant(30))[0].sum() == 0
    # 1.0 = 64/64: v = 4096 is no spike, v = 6144 is one, and the rest is lost
    assert snn_mlir(one(1.0, 0.0, 0.5), constant(4))[0].ravel().tolist() == [0, 1, 0, 1]


def test_weights_of_lava_dl_are_steps_of_a_32nd_and_bias_is_lost() -> None:
    # 0.51 becomes 32/64: v = 2048, 3072, ...; with bias 0.02 and 0.51 in float it spikes in step 5
    assert lava_dl(one(0.51, 0.02, 0.5), constant(30))[0].sum() == 0
    assert float_lif(one(0.51, 0.02, 0.5), constant(30))[0].sum() > 0
    assert lava_dl(one(3.0, 0.0, 0.5), constant(3))[0].ravel().tolist() == [1, 1, 1]


def test_decays_of_xylo_are_powers_of_two() -> None:
    # beta 0.9 is tau 9.5, dash 3: 7/8.  0.2 of 1 is 127 of 635: 127, 239, 337, 422, 497, 562, 619
    spikes = rockpool(one(0.2, 0.0, 0.9), constant(12), channel=True)[0].ravel()
    assert spikes.tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    # several spikes in one step: 3 of 1
    assert rockpool(one(3.0, 0.0, 0.9), constant(1), channel=True)[0].item() == 3


def test_scales_of_each_neuron_leave_hidden_biases_behind() -> None:
    net = Net((np.array([[0.1]]), np.array([[0.1]])), (np.array([0.4]), np.array([0.4])), 0.9)
    lost, kept = (rockpool(net, constant(5), True, shipped) for shipped in (True, False))
    assert [s.sum() for s in lost] == [0, 1]  # 0.4 of 1 in the third step; the input never comes
    assert kept[0].sum() == 2


@pytest.mark.parametrize("name", PEERS)
def test_all_are_near_the_float_model(name: str) -> None:
    rng = np.random.default_rng(0)
    weights = tuple(rng.normal(0.05, 0.3, s) for s in ((30, 20), (10, 30)))
    net = Net(weights, (rng.normal(0, 0.05, 30), rng.normal(0, 0.05, 10)), 0.875)
    x = (rng.random((20, 25, 20)) < 0.3).astype(float)
    want, have = float_lif(net, x), PEERS[name](net, x)
    assert [a.shape for a in want] == [b.shape for b in have]
    assert 0.6 < (want[0] == have[0]).mean() < 1
