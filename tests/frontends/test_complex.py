"""Complex numbers become pairs of real ones; what they cannot become is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import snnc
from snnc.diagnostics import CompileError

Update = Callable[["Rotor", Tensor, Tensor], Tensor]


class Rotor(nn.Module):
    """One complex state; fires by its real part, or by what ``read`` makes of it."""

    def __init__(self, update: Update, read: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.update, self.read = update, read
        self.fc = nn.Linear(5, 6)
        self.pole = nn.Parameter(torch.polar(torch.full((6,), 0.9), torch.linspace(0.1, 1.5, 6)))
        self.weight = nn.Parameter(torch.randn(6, 5, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        z, out = torch.zeros(x.shape[0], 6, dtype=torch.complex64), []
        for t in range(x.shape[1]):
            z = self.update(self, z, x[:, t])
            s = (self.read(z) > 0.5).float()
            z = z - 0.5 * s
            out.append(s)
        return torch.stack(out, 1)


def real(z: Tensor) -> Tensor:
    return z.real


UPDATES: dict[str, tuple[Update, Callable[[Tensor], Tensor]]] = {
    "complex weights": (
        lambda m, z, x: m.pole * z + x.to(m.pole.dtype) @ m.weight.T,
        lambda z: torch.view_as_real(z)[..., 1],
    ),
    "functions": (
        lambda m, z, x: torch.exp(1j * m.pole.real) * z + torch.polar(m.fc(x), m.fc(x).abs()),
        lambda z: z.abs() - 1,
    ),
    "rearranged": (
        lambda m, z, x: (((m.pole * z).conj() + m.fc(x)) / (m.pole + 0.5))[:, None].reshape(-1, 6),
        real,
    ),
}


@pytest.mark.parametrize("name", UPDATES)
def test_complex_state(name: str) -> None:
    net = nn.Sequential(Rotor(*UPDATES[name]), nn.Linear(6, 3))
    report = snnc.export(net, torch.randn(3, 9, 5), time_axis=1)
    assert set(report.checks["proof"].values()) == {"identical"}
    assert all(share > 0 for share in report.checks["numeric"]["active"].values())


@pytest.mark.parametrize(
    ("read", "message"),
    [(torch.angle, "aten.angle"), (lambda z: torch.view_as_real(z).sum(-1), "view_as_real")],
)
def test_without_a_pair_of_reals(read: Callable[[Tensor], Tensor], message: str) -> None:
    net = Rotor(lambda m, z, x: m.pole * z + m.fc(x), read)
    with pytest.raises(CompileError) as caught:
        snnc.export(net, torch.randn(3, 9, 5), time_axis=1)
    assert {d.code for d in caught.value.diagnostics} == {"E210"}
    assert message in caught.value.diagnostics[0].message


def test_complex_outputs_are_refused() -> None:
    class Sum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            z = torch.zeros(x.shape[0], 5, dtype=torch.complex64)
            for t in range(x.shape[1]):
                z = 0.5j * z + x[:, t]
            return z

    with pytest.raises(CompileError, match="an output is complex"):
        snnc.export(Sum(), torch.randn(3, 9, 5), time_axis=1)
