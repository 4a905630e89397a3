"""lava-dl networks: every layer and neuron computes what the sources of lava-dl and Lava say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.intops import IntOutput
from tests.netfiles import compiled, cuba, dense, program, read, simulator, write_net

Ints = npt.NDArray[np.int64]
RNG = np.random.default_rng


# ---- references, written from lava-nc 0.10.0 proc/lif/models.py and lava-dl slayer/neuron/alif.py


def decayed(x: Ints, decay: Any) -> Ints:
    product = x * (4096 - np.asarray(decay))
    return np.sign(product) * (np.abs(product) >> 12)


def lif(
    a: Ints, du: Any, dv: Any, threshold: Any, bias: Any = 0, ge: bool = False, refractory: int = 1
) -> Mapping[str, Ints]:
    """Lava's LIF on synaptic sums (T, n): current, voltage before and after the reset, spikes."""
    u = v = np.zeros(a.shape[1:], np.int64)
    since = np.full(a.shape[1:], 64)
    rows: dict[str, list[Ints]] = {"u": [], "v": [], "v1": [], "s": []}
    for now in a:
        u = decayed(u, du) + 64 * now
        u = np.where(u > 1 << 23, u - (1 << 24), u)
        u = np.where(u <= -(1 << 23), u + (1 << 24), u)
        v1 = np.clip(decayed(v, dv) + u + 64 * np.asarray(bias), 1 - (1 << 23), (1 << 23) - 1)
        ready = since >= refractory
        s = ((v1 >= 64 * threshold) if ge else (v1 > 64 * threshold)) & ready
        v = np.where(s | ~ready, 0, v1)
        since = np.where(s, 1, since + 1)
        for name, value in (("u", u), ("v", v), ("v1", v1), ("s", s)):
            rows[name].append(value.astype(np.int64))
    return {k: np.stack(x) for k, x in rows.items()}


def spikes(steps: int, *shape: int, rate: float = 0.4, seed: int = 0) -> Ints:
    return (RNG(seed).random((steps, *shape)) < rate).astype(np.int64)


def even(*shape: int, seed: int = 0, largest: int = 127) -> npt.NDArray[np.float32]:
    return 2 * RNG(seed).integers(-largest - 1, largest + 1, shape).astype(np.float32)


def run(path: Path, x: Ints, options: str = "", record: str = "") -> tuple[Ints, Ints]:
    """The output and a word of one sample (T, ...), equal in floats and integers."""
    graph = read(path, options).graph
    integers = program(graph)
    op = integers["output"].op
    assert isinstance(op, IntOutput)
    outputs, words = simulator(integers).run(x[None], record=[record] if record else [])
    real, _ = FloatSimulator(graph).run(x[None].astype(float))
    assert np.array_equal(outputs["output"] * op.scale.data, real["output"])
    return outputs["output"][0], words[record][0] if record else outputs["output"][0]


# ---- neurons


@pytest.mark.parametrize("seed", range(6))
def test_cuba_neurons_wrap_and_saturate_as_in_lava(seed: int, tmp_path: Path) -> None:
    rng = RNG(seed)
    du, dv = ([0, 1, 410, 4095, 4096][(seed + i) % 5] for i in (0, 2))
    if seed > 3:
        du, dv = rng.integers(0, 4097, 5), rng.integers(0, 4097, 5)
    threshold, bias = int(rng.integers(1, 131071)), rng.integers(-4096, 4096, 5)
    weight = np.where(rng.random((5, 900)) < 0.9, 254, -256) * np.array([[1], [-1], [1], [0], [1]])
    weight[4] = even(900, seed=seed)
    neuron = cuba(du, dv, threshold)
    path = write_net(tmp_path / "a.net", dense(weight, neuron, bias=bias.astype(np.float32)))
    x = spikes(60, 900, rate=0.8, seed=seed)
    want = lif(x @ weight.T.astype(np.int64), du, dv, threshold, bias)
    sim = compiled(path)
    outputs, words = sim.run(x[None], record=sim.words())
    assert np.array_equal(outputs["output"][0], want["s"])
    for word in words:
        assert np.array_equal(words[word][0], want[word.rpartition(".")[2]]), word
    assert np.array_equal(run(path, x)[0], want["s"])
    if seed == 0:  # the test is not one of small numbers
        assert (np.abs(np.diff(want["u"], axis=0)) > 1 << 23).any()
        assert (np.abs(want["v1"]) == (1 << 23) - 1).any()


@pytest.mark.parametrize("refractory", [1, 2, 5])
def test_refractory_periods_and_the_two_comparisons(refractory: int, tmp_path: Path) -> None:
    weight = np.array([[2.0, 4.0]])
    path = write_net(tmp_path / "a.net", dense(weight, cuba(4096, 0, 6) | {"refDelay": refractory}))
    x = spikes(80, 2, rate=0.7)
    for compare in ("gt", "ge"):
        want = lif(x @ weight.T.astype(int), 4096, 0, 6, 0, compare == "ge", refractory)["s"]
        assert want.sum() > 3
        assert np.array_equal(run(path, x, f"compare={compare}")[0], want)


def test_exponents_of_weights_and_graded_spikes(tmp_path: Path) -> None:
    weight, second = even(4, 6), even(3, 4, seed=1)
    graded = cuba(3000, 2500, 900) | {"gradedSpike": True, "wgtExp": 2}
    path = write_net(tmp_path / "a.net", dense(weight, graded), dense(second, cuba(4096, 9, 9000)))
    x = spikes(50, 6)
    first = lif(4 * x @ weight.T.astype(np.int64), 3000, 2500, 900)
    payload = np.where(first["s"], first["v1"], 0)
    drive = payload @ second.T.astype(np.int64)  # in units of 2**-12, then shifted by 6 bits
    drive = np.sign(drive) * (np.abs(drive) >> 6)
    v, out = np.zeros(3, np.int64), []
    for a in drive:
        v = np.clip(decayed(v, 9) + a, 1 - (1 << 23), (1 << 23) - 1)
        out.append(v > 64 * 9000)
        v = np.where(out[-1], 0, v)
    assert 5 < np.sum(out) < 140
    assert np.array_equal(run(path, x)[0], np.array(out))


def test_a_power_of_two_of_a_norm(tmp_path: Path) -> None:
    weight, bias = even(4, 6), np.array([3.0, -2.0, 5.0, 0.0])
    neuron = cuba(4096, 300, 40) | {"weight_exp": 2}
    path = write_net(tmp_path / "a.net", dense(weight, neuron, bias=bias))
    x = spikes(50, 6)
    a = 64 * (x @ weight.T.astype(np.int64)) + 64 * bias.astype(int)
    v, out = np.zeros(4, np.int64), []
    for now in np.sign(a) * (np.abs(a) >> 2):
        v = decayed(v, 300) + now
        out.append(v > 64 * 40)
        v = np.where(out[-1], 0, v)
    assert np.sum(out) > 10
    assert np.array_equal(run(path, x)[0], np.array(out))


def test_adaptive_neurons(tmp_path: Path) -> None:
    weight, bias = even(5, 6), np.array([3.0, -2.0, 5.0, 0.0, 1.0])
    neuron = {"type": "ALIF", "iDecay": 1024, "vDecay": 400, "thDecay": 300, "refDecay": 700}
    neuron |= {"vThMant": 100, "vThStep": 30, "refDelay": 1, "gradedSpike": False}
    path = write_net(tmp_path / "a.net", dense(weight, neuron, bias=bias))
    x = spikes(100, 6)
    u, v, r = (np.zeros(5, np.int64) for _ in range(3))
    th, out = np.full(5, 6400), []
    for now in x @ weight.T.astype(np.int64) + bias.astype(int):
        u = decayed(u, 1024) + 64 * now
        v = decayed(v, 400) + u
        r = decayed(r, 700)
        th = decayed(th - 6400, 300) + 6400
        s = v >= th + r
        r = np.where(s, r + 2 * th, r)
        th = np.where(s, th + 64 * 30, th)
        out.append(s)
    assert 10 < np.sum(out) < 400
    assert np.array_equal(run(path, x)[0], np.array(out))


def test_encoding_neurons_read_real_numbers(tmp_path: Path) -> None:
    """lava-dl rounds the input to multiples of 1/32; then all is in integers."""
    entry = {"type": "input", "shape": np.array([4]), "weight": [76.0], "bias": [-7.0]}
    path = write_net(tmp_path / "a.net", {**entry, "neuron": cuba(4096, 123, 80)}, steps=9)
    model = read(path)
    x = np.array([-1.0, 0.25, 0.7, 1.0])
    artifact = simulator(program(model.graph))
    n = np.rint(x * 32).astype(np.int64)
    outputs, words = artifact.run(
        np.repeat(n[None, None], 9, 1), record=["layer0.neuron.v", "layer0.neuron.s"]
    )
    v, want = np.zeros(4, np.int64), []
    for _ in range(9):
        v = decayed(v, 123) + 2 * (76 * n - 7 * 32)
        want.append(v > 64 * 80)
        v = np.where(want[-1], 0, v)
    assert np.array_equal(words["layer0.neuron.s"][0], np.array(want))
    assert np.array_equal(outputs["output"][0], np.array(want))
    assert 0 < np.sum(want) < 36
    assert model.graph.steps == 9


def test_neurons_that_shall_not_fire_show_their_voltage(tmp_path: Path) -> None:
    weight = even(3, 6)
    path = write_net(tmp_path / "a.net", dense(weight, cuba(0, 100, (1 << 18) - 1)))
    x = spikes(30, 6)
    want = lif(x @ weight.T.astype(np.int64), 0, 100, 1 << 30)["v1"]
    assert np.array_equal(run(path, x)[0], want)


# ---- layers


def test_layers_of_images(tmp_path: Path) -> None:
    from torch import from_numpy
    from torch.nn.functional import conv2d

    weight = even(6, 2, 3, 3, seed=2)
    head = even(8, 6 * 3 * 4, seed=3)
    neuron = cuba(4096, 256, 200)
    conv = {"type": "conv", "weight": weight[..., None], "groups": 2, "neuron": neuron}
    conv |= {"stride": [1, 2], "padding": [1, 2], "dilation": [2, 1], "shape": np.array([6, 6, 4])}
    pool = {"type": "pool", "weight": np.full((1, 1, 2, 1, 1), 44.0), "stride": [2, 1]}
    layers = [
        {"type": "input", "shape": np.array([4, 8, 6])},
        conv,
        {**pool, "neuron": neuron},
        {"type": "flatten", "shape": np.array([72, 1, 1])},
        dense(head, cuba(4096, 0, 250)),
        {"type": "average", "shape": np.array([4, 1, 1])},
    ]
    path = write_net(tmp_path / "a.net", *layers)
    x = spikes(20, 4, 8, 6)
    a = conv2d(from_numpy(x).double(), from_numpy(weight).double(), None, (1, 2), (1, 2), (2, 1), 2)
    s = lif(a.numpy().astype(np.int64), 4096, 256, 200)["s"]
    pooled = 44 * (s[:, :, 0::2] + s[:, :, 1::2])
    s = lif(pooled, 4096, 256, 200)["s"].reshape(20, -1)
    s = lif(s @ head.T.astype(np.int64), 4096, 0, 250)["s"]
    assert 10 < s.sum() < 150
    assert np.array_equal(run(path, x)[0], s.reshape(20, 4, 2).sum(2))


def test_layers_without_neurons_give_weighted_sums(tmp_path: Path) -> None:
    path = write_net(tmp_path / "a.net", dense(even(3, 6)))
    x = spikes(7, 6)
    assert np.array_equal(run(path, x)[0], x @ even(3, 6).T.astype(np.int64))
    assert np.array_equal(run(path, x, "readout=sum")[0], (x @ even(3, 6).T).sum(0))


def test_recurrence_reads_the_spikes_of_the_step_before(tmp_path: Path) -> None:
    weight, back = even(5, 6), even(5, 5, seed=4)
    layer = {"type": "dense_rec", "weight": weight, "weight_rec": back}
    path = write_net(tmp_path / "a.net", {**layer, "neuron": cuba(1000, 100, 200)})
    x = spikes(60, 6)
    u, v, s, want = *(np.zeros(5, np.int64) for _ in range(3)), []
    for now in x:
        u = decayed(u, 1000) + 64 * (weight.astype(int) @ now + back.astype(int) @ s)
        v = decayed(v, 100) + u
        s = (v > 12800).astype(np.int64)
        v = np.where(s, 0, v)
        want.append(s)
    assert 10 < np.sum(want) < 290
    assert np.array_equal(run(path, x)[0], np.array(want))


def late(s: Ints, delays: Any) -> Ints:
    """Every element (T, n) later by its delay."""
    out = np.zeros_like(s)
    for i, d in enumerate(np.broadcast_to(delays, s.shape[1:])):
        out[d:, i] = s[: len(s) - d, i]
    return out


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("last", [[2.0], [0.0, 5.5, 3.0]])
def test_delays_of_axons(shift: int, last: list[float], tmp_path: Path) -> None:
    weight, second = even(5, 6), even(3, 5, seed=4)
    delays = np.array([0.9, 3.0, 1.2, 3.0, 0.0])
    path = write_net(
        tmp_path / "a.net",
        dense(weight, cuba(4096, 0, 100), delay=delays),
        dense(second, cuba(4096, 100, 100), delay=np.array(last)),
    )
    x = spikes(40, 6)
    s = lif(x @ weight.T.astype(np.int64), 4096, 0, 100)["s"]
    s = late(s, np.floor(delays).astype(int) + shift)
    s = lif(s @ second.T.astype(np.int64), 4096, 100, 100)["s"]
    assert s.sum() > 10
    want = late(s, np.floor(last).astype(int) + shift)
    assert np.array_equal(run(path, x, f"delay_shift={shift}")[0], want)


def test_delays_of_synapses(tmp_path: Path) -> None:
    weight, second = even(5, 6), even(3, 5, seed=4)
    delays = RNG(0).integers(0, 4, (3, 5))
    first = dense(weight, cuba(4096, 0, 100))
    path = write_net(tmp_path / "a.net", first, dense(second, cuba(), delay=delays))
    x = spikes(40, 6)
    s = lif(x @ weight.T.astype(np.int64), 4096, 0, 100)["s"]
    a = np.stack([(late(s, d) * w.astype(int)).sum(1) for d, w in zip(delays, second, strict=True)])
    assert np.array_equal(run(path, x)[0], lif(a.T, 4096, 0, 10)["s"])
