"""``--module file.py:factory``: the user's own code, named by the user, and nothing else runs."""

from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Snnc

torch = pytest.importorskip("torch")

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.readout = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x):
        v, total = torch.zeros(x.shape[0], 6), 0
        for t in range(x.shape[1]):
            v = 0.9 * v + self.fc(x[:, t])
            s = (v >= 0.3).float()
            v = v - 0.3 * s
            total = total + self.readout(s)
        return total

def make():
    torch.manual_seed(0)
    return {"module": Net(), "example": torch.rand(4, 8, 4), "time_axis": 1}

def crash():
    raise RuntimeError("my own bug")

def leave():
    raise SystemExit(0)

def nothing():
    return None
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NET)
    shapes = {"fc.weight": (6, 4), "fc.bias": (6,), "readout.weight": (3, 6), "readout.bias": (3,)}
    generator = torch.Generator().manual_seed(1)
    state = {k: torch.randn(*s, generator=generator) for k, s in shapes.items()}
    torch.save(state, tmp_path / "weights.pt")
    torch.save({"fc.weight": state["fc.weight"]}, tmp_path / "half.pt")
    return tmp_path


def test_weights_and_code_compile(snnc: Snnc, folder: Path) -> None:
    out = folder / "net"
    factory = f"{folder / 'net.py'}:make"
    assert snnc("compile", folder / "weights.pt", "--module", factory, "-o", out).code == 0
    np.save(folder / "x.npy", np.random.default_rng(0).random((5, 8, 4)))
    document = snnc("verify", out, "--data", folder / "x.npy", "--json").document
    assert document["exact"] is True
    assert document["agreement"]["labels"] == 1.0


def test_weights_and_code_are_trained(snnc: Snnc, folder: Path) -> None:
    np.save(folder / "x.npy", np.random.default_rng(0).random((40, 8, 4)))
    model = (folder / "weights.pt", "--module", f"{folder / 'net.py'}:make")
    args = ("--data", folder / "x.npy", "--bits", 2, "--epochs", 1)
    trained = snnc("finetune", *model, "-o", folder / "tuned", *args)
    assert trained.code == 0, trained.err
    assert f"--module {folder / 'net.py'}:make --reuse" in trained.out
    again = snnc("compile", *model, "--reuse", folder / "tuned", "-o", folder / "net", "--json")
    assert again.document["bits"] == 2


def test_weights_alone_name_both_ways_on(snnc: Snnc, folder: Path) -> None:
    result = snnc("compile", folder / "weights.pt", "-o", folder / "net")
    assert result.code == 3
    assert "SNNC-E110" in result.err
    assert "--module" in result.err
    assert "snnc.export" in result.err


@pytest.mark.parametrize(
    ("weights", "factory", "code", "says"),
    [
        ("weights.pt", "crash", "E112", "my own bug"),
        ("weights.pt", "leave", "E112", "SystemExit"),
        ("weights.pt", "nothing", "E112", "NoneType"),
        ("weights.pt", "absent", "E112", "absent"),
        ("half.pt", "make", "E113", "fit"),
        ("missing.pt", "make", "E101", "missing.pt"),
    ],
)
def test_code_that_does_not_work(
    snnc: Snnc, folder: Path, weights: str, factory: str, code: str, says: str
) -> None:
    source = f"{folder / 'net.py'}:{factory}"
    result = snnc("compile", folder / weights, "--module", source, "-o", folder / "net")
    assert result.code == 3
    assert f"SNNC-{code}" in result.err
    assert says in result.err
    assert not (folder / "net").exists()


def test_a_crash_names_the_users_line(snnc: Snnc, folder: Path) -> None:
    source = f"{folder / 'net.py'}:crash"
    result = snnc("compile", folder / "weights.pt", "--module", source, "-o", folder / "net")
    line = NET.splitlines().index('    raise RuntimeError("my own bug")') + 1
    assert f"net.py:{line}" in result.err
