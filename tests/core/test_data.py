import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.data import as_data, load_data
from snnc.diagnostics import CompileError
from snnc.manifest import InputEntry

STEP = (InputEntry("x", (2, 3), "step", 0, 1, 1.0, "NT"),)
ONCE = (InputEntry("image", (4,), "once", 0, 255, 1 / 255, "N"),)
TWO = (*STEP, *ONCE)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def save(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "d.npz", **arrays)
    return folder / "d.npz"


def codes(path: Path, inputs: tuple[InputEntry, ...] = STEP, classes: int | None = None) -> str:
    with pytest.raises(CompileError) as e:
        load_data(path, inputs, classes)
    return " ".join(d.code for d in e.value.diagnostics)


def test_reads_samples_and_labels(tmp_path: Path) -> None:
    x, y = np.zeros((5, 7, 2, 3)), np.arange(5)
    data = load_data(save(tmp_path, x=x, y=y), STEP, 5)
    assert len(data) == 5
    assert data.first(2).labels.tolist() == [0, 1]  # type: ignore[union-attr]
    assert data.part(1, 3).arrays["x"].shape == (2, 7, 2, 3)
    np.save(tmp_path / "d.npy", x)
    assert load_data(tmp_path / "d.npy", STEP).labels is None


def test_reads_inputs_by_name(tmp_path: Path) -> None:
    path = save(tmp_path, x=np.zeros((5, 7, 2, 3)), image=np.zeros((5, 4)))
    assert set(load_data(path, TWO).arrays) == {"x", "image"}
    assert codes(save(tmp_path, x=np.zeros((5, 7, 2, 3))), TWO) == "E421"
    assert codes(save(tmp_path, x=np.zeros((5, 7, 2, 3)), image=np.zeros((4, 4))), TWO) == "E421"


@pytest.mark.parametrize(
    ("shape", "note"),
    [((5, 2, 3), "time axis is missing"), ((5, 7, 3, 2), "N samples"), ((5, 7, 6), "N samples")],
)
def test_names_expected_and_found_shape(tmp_path: Path, shape: tuple[int, ...], note: str) -> None:
    with pytest.raises(CompileError) as e:
        load_data(save(tmp_path, x=np.zeros(shape)), STEP)
    text = str(e.value)
    assert "(N, T, 2, 3)" in text
    assert str(shape) in text
    assert note in text


def test_names_a_superfluous_time_axis(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="time axis too many"):
        load_data(save(tmp_path, x=np.zeros((5, 7, 4))), ONCE)


def test_empty_batches_and_sequences_are_fine(tmp_path: Path) -> None:
    assert len(load_data(save(tmp_path, x=np.zeros((0, 7, 2, 3))), STEP)) == 0
    assert len(load_data(save(tmp_path, x=np.zeros((5, 0, 2, 3))), STEP)) == 5


@pytest.mark.parametrize(
    ("y", "classes", "code"),
    [
        (np.zeros(4, int), None, "E423"),
        (np.zeros((5, 10), int), None, "E423"),
        (np.zeros(5, complex), None, "E423"),
        (np.full(5, 0.5), None, "E423"),
        (np.full(5, np.nan), None, "E423"),
        (np.full(5, np.inf), None, "E423"),
        (np.full(5, -1), None, "E423"),
        (np.full(5, 10), 10, "E423"),
    ],
)
def test_checks_labels(tmp_path: Path, y: Any, classes: int | None, code: str) -> None:
    assert codes(save(tmp_path, x=np.zeros((5, 7, 2, 3)), y=y), STEP, classes) == code


def test_labels_may_be_whole_numbers_of_any_type(tmp_path: Path) -> None:
    x, y = np.zeros((5, 7, 2, 3)), np.array([3.0, 0.0, 9.0, 1.0, 1.0], np.float32)
    np.testing.assert_array_equal(load_data(save(tmp_path, x=x, y=y), STEP, 10).labels, y)


def test_refuses_numbers_that_are_none(tmp_path: Path) -> None:
    assert codes(save(tmp_path, x=np.zeros((5, 7, 2, 3), complex))) == "E422"
    assert codes(save(tmp_path, x=np.full((5, 7, 2, 3), "a"))) == "E422"


def npy(header: bytes) -> bytes:
    text = header.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


HUGE = npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999, 9999999, 2, 3), }")


def archive(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in members:
            z.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "E420"),
        (b"junk of some length", "E420"),
        (b"PK\x03\x04 but no archive", "E420"),
        (b"\x93NUMPY", "E420"),
        (HUGE, "E420"),
        (HUGE + b"\0" * 100, "E420"),
        (npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 7, 2, 3), }"), "E420"),
        (npy(b"__import__('os').system('true')"), "E420"),
        (archive(("x.npy", HUGE)), "E420"),
        (archive(("x.npy", b"junk")), "E420"),
        (archive(("../x.npy", b"junk")), "E420"),
        (archive(("readme.txt", b"no arrays")), "E421"),
    ],
)
def test_refuses_damaged_files_without_asking_for_memory(
    tmp_path: Path, content: bytes, code: str
) -> None:
    path = tmp_path / "d"
    path.write_bytes(content)
    assert codes(path) == code


def test_never_unpickles(tmp_path: Path) -> None:
    bomb = np.array([Bomb(tmp_path / "canary")], object)
    np.save(tmp_path / "a.npy", bomb)
    assert codes(tmp_path / "a.npy") == "E422"
    assert codes(save(tmp_path, x=bomb)) == "E422"
    (tmp_path / "c.npy").write_bytes(pickle.dumps(Bomb(tmp_path / "canary")))
    assert codes(tmp_path / "c.npy") == "E420"
    assert not (tmp_path / "canary").exists()


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert codes(tmp_path / "nothing.npz") == "E420"
    assert codes(tmp_path) == "E420"


def test_arrays_from_a_program_get_the_same_checks() -> None:
    assert len(as_data(np.zeros((5, 7, 2, 3)), STEP)) == 5
    assert list(as_data({"x": np.zeros((5, 4))}, ONCE).arrays) == ["image"]
    with pytest.raises(CompileError, match="labels y are 0 to 4 for 3 outputs"):
        as_data(np.zeros((5, 4)), ONCE, np.arange(5), 3)
    for x, y in [(np.zeros((5, 2, 3)), None), (np.zeros((5, 7, 2, 3)), np.zeros(4, int))]:
        with pytest.raises(CompileError):
            as_data(x, STEP, y)
    with pytest.raises(CompileError, match="inputs are"):
        as_data({"z": np.zeros((5, 7, 2, 3))}, STEP)
