"""Modules whose class gives the names of torch's methods another meaning."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from snnc.exporting import export
from snnc.frontends.members import modules_of, parameters_of, tensors_of
from tests.frontends.test_plain_loops import checked


class Named(nn.Module):
    """Lists what is inside by name, as the modules of Rockpool do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(4, 5)
        self.register_buffer("theta", torch.full((5,), 0.5))

    def parameters(self, recurse: bool = True) -> Any:
        return {"fc": dict(self.fc.named_parameters())}

    def modules(self) -> Any:
        return {"fc": self.fc}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, out = torch.zeros(len(x), 5), []
        for t in range(x.shape[1]):
            v = 0.9 * v + self.fc(x[:, t])
            s = (v >= self.theta).float()
            v = v - s
            out.append(s)
        return torch.stack(out, 1)


def test_parameters_and_modules_may_be_dicts() -> None:
    checked(export(Named(), torch.rand(3, 7, 4) * 3, time_axis=1))


def test_members() -> None:
    module = Named()
    assert list(modules_of(module)) == [module, module.fc]
    assert parameters_of(module) == [module.fc.weight, module.fc.bias]
    assert [x.shape for x in tensors_of(module)] == [(5, 4), (5,), (5,)]
