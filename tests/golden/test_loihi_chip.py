"""The arithmetic of the chip: a record of Loihi 1, and a convolutional network made for it.

Data: bamsumit/slayerPytorch (GPL-3.0, therefore not in this repository) and DVS128 Gesture
(CC BY 4.0), ``loihi1_hw_trace``, ``loihi_gesture_net`` and ``dvs_gesture6`` in the folder that
SNNC_DATA names.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import snnc
from snnc.artifact import Artifact
from tests.lavaenv import needs_lava
from tests.netfiles import Layer, compiled, cuba, write_net
from tests.realdata import gesture, real_files

Ints = npt.NDArray[np.int64]

#: Both networks have the same neurons.
NEURON = cuba(i_decay=1024, v_decay=128, threshold=80)


def table(name: str) -> npt.NDArray[np.float64]:
    """A file of the record."""
    return np.loadtxt(real_files("loihi1_hw_trace") / f"{name}.txt", ndmin=2)


def raster(name: str, size: int) -> Ints:
    """Recorded spikes: (T, neurons)."""
    rows, found = table(name).astype(int), np.zeros((500, size), np.int64)
    found[rows[:, 1], rows[:, 0]] = 1
    return found


def recorded_net(folder: Path) -> Path:
    """The trainer's weights, in steps of two as the chip stores weights of both signs."""
    weights = [np.rint(table(f"w{i}learned").reshape(n, -1) * 2) * 2 for i, n in ((1, 25), (2, 1))]
    layers = [{"type": "dense", "weight": w, "neuron": NEURON} for w in weights]
    return write_net(folder / "trace.net", *layers)


def test_spikes_and_voltages_of_loihi_1(tmp_path: Path) -> None:
    """Every spike and every recorded voltage, but those of the last step, which are missing."""
    sim = compiled(recorded_net(tmp_path), "delay_shift=1")
    _, words = sim.run(raster("loihiInputSpikes", 250)[None], record=sim.words())
    hidden, output = words["layer0.neuron.s"][0], words["layer1.neuron.s"][0]
    truth = raster("loihiHiddenSpikes", 25)
    assert truth.sum() > 500
    assert np.array_equal(hidden, truth)
    assert np.argwhere(output).tolist() == [[57, 0], [60, 0]]
    assert table("loihiOutputSpikes")[:, 1].tolist() == [57, 60]
    for name, layer, neuron, lag in (
        ("loihiHiddenVoltage", 0, 0, 1),
        ("loihiHiddenVoltage23", 0, 23, 1),
        ("loihiHiddenVoltage24", 0, 24, 1),
        ("loihiOutputVoltage", 1, 0, 1),
    ):
        voltage = words[f"layer{layer}.neuron.v"][0, :, neuron]
        fired = words[f"layer{layer}.neuron.s"][0, :, neuron]
        read = np.where(fired, 128, voltage)  # a neuron that fired is read as a mark of 128
        recorded = table(name).astype(np.int64).reshape(-1)
        assert np.array_equal(recorded, read[lag : lag + len(recorded)]), name


@needs_lava
def test_spikes_of_loihi_1_on_stock_lava(tmp_path: Path) -> None:
    """What `snnc compile --target lava --lava-mode stock` makes of the record's weights."""
    net = recorded_net(tmp_path)
    options = {"target": "lava", "lava_mode": "stock", "lava_dl": "delay_shift=1"}
    artifact = snnc.compile(net, tmp_path / "net", **options)  # type: ignore[arg-type]
    run = artifact.run(raster("loihiInputSpikes", 250)[None], "lava", ["layer0.neuron.s"])
    assert np.array_equal(run.words["layer0.neuron.s"][0], raster("loihiHiddenSpikes", 25))
    assert np.argwhere(run.raw["output"][0]).tolist() == [[58, 0], [61, 0]]  # read a step later


def gesture_net(folder: Path) -> Path:
    """pool4 - conv16c5p2 - pool2 - conv32c3p1 - pool2 - 512 - 11."""
    data = np.load(real_files("loihi_gesture_net", "gesture_loihi_int.npz"))

    def pool(i: int, k: int) -> Layer:
        weight = np.full((1, 1, k, k), data["pool"][i])
        return {"type": "pool", "weight": weight, "stride": k, "neuron": NEURON}

    def conv(name: str, padding: int) -> Layer:
        return {"type": "conv", "weight": data[name], "padding": padding, "neuron": NEURON}

    def dense(name: str) -> Layer:
        return {"type": "dense", "weight": data[name], "neuron": NEURON}

    eyes = {"type": "input", "shape": np.array([2, 128, 128])}
    layers = [eyes, pool(0, 4), conv("conv1", 2), pool(1, 2), conv("conv2", 1), pool(2, 2)]
    flat = {"type": "flatten"}
    return write_net(folder / "gesture.net", *layers, flat, dense("fc1"), dense("fc2"), steps=1450)


def recording(number: int, steps: int) -> npt.NDArray[np.int8]:
    """Events of ``number``.bs2 in steps of a millisecond: (1, T, polarity, row, column)."""
    x, y, p, time = gesture(number)
    t = time // 1000
    found = np.zeros((1, steps, 2, 128, 128), np.int8)
    seen = t < steps
    found[0, t[seen], p[seen], y[seen], x[seen]] = 1
    return found


@pytest.fixture(scope="module")
def gestures(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("gestures")
    net = gesture_net(folder)
    return snnc.compile(net, folder / "net", target="c", lava_dl="readout=sum")


def counts(artifact: Artifact, number: int, steps: int) -> Ints:
    """Spikes of the eleven outputs."""
    found: Ints = artifact.run(recording(number, steps), "c").outputs["output"][0].astype(np.int64)
    return found


def test_a_gesture_in_its_first_third_of_a_second(gestures: Artifact) -> None:
    assert counts(gestures, 5, 300).argmax() == 4


@pytest.mark.slow
def test_six_gestures(gestures: Artifact) -> None:
    for number in range(1, 7):
        found = counts(gestures, number, 1450)
        assert found.argmax() == number - 1
        assert np.sort(found)[-2] <= 56 < 134 <= found.max()
