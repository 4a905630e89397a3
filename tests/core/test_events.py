"""Event lists: read, counted per step, and refused where they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.data import load_data
from snnc.diagnostics import CompileError
from snnc.events import Binning, Events
from snnc.manifest import InputEntry
from tests.realdata import real_files

SENSOR = (2, 3, 4)
IMAGE = (InputEntry("x", SENSOR, "step", 0, 9, 1.0, "NT..."),)
FLAT = (InputEntry("x", (24,), "step", 0, 9, 1.0, "NT."),)


def recorded(samples: int = 5, count: int = 200, end: int = 100) -> dict[str, Any]:
    """Random events in the order of time, one sample without any."""
    rng = np.random.default_rng(0)
    offset = np.sort(rng.integers(0, count, samples - 1))
    offset[1] = offset[0]
    columns = {
        k: rng.integers(0, n, count).astype(np.uint8) for k, n in zip("pyx", SENSOR, strict=True)
    }
    start = np.array([0, *offset, count])
    time = np.concatenate([np.sort(rng.integers(0, end, n)) for n in np.diff(start)])
    time[-1] = end - 1
    label = np.arange(samples) % 3
    return {**columns, "t": time.astype(np.uint32), "offset": start, "label": label}


def counted(d: dict[str, Any], dt: int, steps: int) -> np.ndarray[Any, Any]:
    """Event by event."""
    x = np.zeros((len(d["offset"]) - 1, steps, *SENSOR), int)
    for i in range(len(x)):
        for k in range(d["offset"][i], d["offset"][i + 1]):
            if d["t"][k] // dt < steps:
                x[i, d["t"][k] // dt, d["p"][k], d["y"][k], d["x"][k]] += 1
    return x


def save(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "events.npz", **arrays)
    return folder / "events.npz"


@pytest.mark.parametrize(
    ("binning", "dt", "steps"),
    [
        (Binning(dt=10), 10, 10),
        (Binning(dt=30), 30, 4),
        (Binning(bins=8), 13, 8),
        (Binning(bins=100), 1, 100),
        (Binning(dt=10, bins=12), 10, 12),
        (Binning(dt=10, bins=6), 10, 6),
    ],
)
def test_events_are_counted_per_step(tmp_path: Path, binning: Binning, dt: int, steps: int) -> None:
    d = recorded()
    data = load_data(save(tmp_path, **d), IMAGE, 3, binning)
    expected = counted(d, dt, steps)
    events = data.arrays["x"]
    assert isinstance(events, Events)
    assert (events.shape, len(data)) == (expected.shape, 5)
    np.testing.assert_array_equal(data.dense["x"], expected)
    np.testing.assert_array_equal(data.part(1, 4).dense["x"], expected[1:4])
    np.testing.assert_array_equal(data.part(2, 5).first(2).dense["x"], expected[2:4])
    assert data.part(1, 4).labels.tolist() == [1, 2, 0]  # type: ignore[union-attr]
    assert data.first(0).dense["x"].shape == (0, *expected.shape[1:])
    late = np.count_nonzero(d["t"] >= dt * steps)
    assert [x.code for x in data.diagnostics] == ["W426"] * bool(late)


def test_other_forms_of_the_same_events(tmp_path: Path) -> None:
    d = recorded()
    expected = counted(d, 10, 10)
    table = np.zeros(len(d["t"]), [("t", "i8"), ("x", "i2"), ("y", "i2"), ("p", "?")])
    for k in "txyp":
        table[k] = d[k]
    one = Binning(dt=10)
    path = save(tmp_path, events=table, offset=d["offset"])
    np.testing.assert_array_equal(load_data(path, IMAGE, None, one).dense["x"], expected)
    flat = load_data(path, FLAT, None, Binning(dt=10, sensor=SENSOR))
    np.testing.assert_array_equal(flat.dense["x"], expected.reshape(5, 10, 24))
    line = (InputEntry("x", (4,), "step", 0, 9, 1.0, "NT."),)
    path = save(tmp_path, t=d["t"], x=d["x"], offset=d["offset"])
    np.testing.assert_array_equal(load_data(path, line, None, one).dense["x"], expected.sum((2, 3)))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "column": ({"x": np.full(200, 4)}, "event 0 has x = 4, possible are 0 to 3"),
    "row": ({"y": np.full(200, 3)}, "event 0 has y = 3"),
    "sign": ({"p": np.full(200, -1)}, "polarities count from 0"),
    "time": ({"t": np.full(200, -5)}, "event 0 has the time -5"),
    "float": ({"t": np.zeros(200)}, "must be a list of whole numbers"),
    "length": ({"p": np.zeros(199, int)}, "not of one length"),
    "falling": ({"offset": np.array([0, 150, 100, 200])}, "must rise from 0"),
    "short": ({"offset": np.array([0, 100])}, "must rise from 0"),
    "matrix": ({"offset": np.zeros((2, 2), int)}, "a list of positions"),
    "labels": ({"label": np.arange(4)}, "E423"),
    "classes": ({"label": np.arange(5)}, "E423"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(tmp_path: Path, name: str) -> None:
    changed, part = BAD[name]
    with pytest.raises(CompileError) as e:
        load_data(save(tmp_path, **{**recorded(), **changed}), IMAGE, 3, Binning(dt=10))
    assert part in str(e.value)
    assert {d.code for d in e.value.diagnostics} <= {"E426", "E423"}


def test_refused_for_the_network(tmp_path: Path) -> None:
    d = recorded()
    path = save(tmp_path, **d)
    static = (InputEntry("x", SENSOR, "once", 0, 9, 1.0, "N..."),)
    plane = (InputEntry("x", (3, 4), "step", 0, 9, 1.0, "NT.."),)
    cases: list[tuple[tuple[InputEntry, ...], Binning, str]] = [
        (IMAGE, Binning(), "--dt 1000"),
        (static, Binning(dt=10), "one input per step"),
        ((*IMAGE, *FLAT), Binning(dt=10), "one input per step"),
        (FLAT, Binning(dt=10), "--sensor"),
        (FLAT, Binning(dt=10, sensor=(2, 3, 5)), "--sensor"),
        (plane, Binning(dt=10), "has a column 'p'"),
    ]
    for inputs, binning, part in cases:
        with pytest.raises(CompileError) as e:
            load_data(path, inputs, None, binning)
        assert e.value.diagnostics[0].code == "E426"
        assert part in str(e.value)
    del d["p"]
    with pytest.raises(CompileError, match="no column 'p'"):
        load_data(save(tmp_path, **d), IMAGE, None, Binning(dt=10))
    with pytest.raises(CompileError, match="holds no events"):
        load_data(save(tmp_path, x=np.zeros((2, 3, 24))), FLAT, None, Binning(dt=10))


def test_no_events_and_no_samples(tmp_path: Path) -> None:
    empty = {k: np.zeros(0, int) for k in "txyp"}
    data = load_data(save(tmp_path, **empty, offset=[0, 0, 0]), IMAGE, None, Binning(bins=3))
    assert not data.dense["x"].any()
    assert data.dense["x"].shape == (2, 3, *SENSOR)
    assert len(load_data(save(tmp_path, **empty, offset=[0]), IMAGE, None, Binning(bins=3))) == 0


def test_recordings_of_nmnist() -> None:
    path = real_files("nmnist", "nmnist_test_first50.npz")
    entry = InputEntry("x", (2, 34, 34), "step", 0, 9, 1.0, "NT...")
    data = load_data(path, (entry,), 10, Binning(dt=1000, bins=300))
    d = np.load(path)
    assert [x.code for x in data.diagnostics] == ["W426"]
    x = data.part(7, 8).dense["x"][0]
    s = slice(d["offset"][7], d["offset"][8])
    assert x.sum() == (d["t"][s] < 300_000).sum()
    np.testing.assert_array_equal(x.sum((0, 2, 3)), np.bincount(d["p"][s][d["t"][s] < 300_000]))
