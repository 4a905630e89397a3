"""Networks over signals, images and volumes: encoders, decoders, U-Nets and event voxels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.frontends.zoo.case import BATCH, Case, loud, spike

STEPS = 5
State = Tensor | float


def fire(x: Tensor, v: State) -> tuple[Tensor, Tensor]:
    """Leak, integrate, fire at 1, subtract."""
    u = 0.8 * v + x
    s = spike(u - 1)
    return s, u - s


class Stages(nn.Module):
    """Spiking stages one behind the other; the output counts spikes."""

    def __init__(self, *stages: nn.Module) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> Tensor:
        states: list[State] = [0.0] * len(self.stages)
        count: State = 0.0
        for t in range(x.shape[1]):
            y = x[:, t]
            for i, stage in enumerate(self.stages):
                y, states[i] = fire(stage(y), states[i])
            count = count + y
        assert isinstance(count, Tensor)
        return count


class UNet(nn.Module):
    """One level: the decoder sees its encoder's spikes and those from below, made larger."""

    def __init__(self, larger: nn.Module) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.low = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.larger = larger
        self.last, self.out = nn.Conv2d(14, 6, 3, padding=1), nn.Conv2d(6, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        first: State = 0.0
        low: State = 0.0
        last: State = 0.0
        total: State = 0.0
        for t in range(x.shape[1]):
            a, first = fire(self.norm(self.first(x[:, t])), first)
            b, low = fire(self.low(a), low)
            y, last = fire(self.last(torch.cat([a, self.larger(b)], 1)), last)
            total = total + self.out(y)
        assert isinstance(total, Tensor)
        return total


class Submanifold(nn.Module):
    """Two convolutions over event voxels that are kept at occupied places only, and a pool."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv3d(1, 5, 3, padding=1, bias=False), nn.BatchNorm3d(5)
        self.second, self.head = nn.Conv3d(5, 5, 3, padding=1, bias=False), nn.Linear(40, 4)

    def forward(self, voxels: Tensor) -> Tensor:
        first: State = 0.0
        second: State = 0.0
        total: State = 0.0
        for t in range(voxels.shape[1]):
            x = voxels[:, t]
            a, first = fire(self.norm(self.first(x)) * x, first)
            coarse = functional.max_pool3d(x, 2)
            pooled = functional.max_pool3d(self.second(a) * x, 2)
            b, second = fire(pooled * coarse, second)
            total = total + self.head(b.flatten(1))
        assert isinstance(total, Tensor)
        return total


def _case(name: str, make: Callable[[], nn.Module], *shape: int) -> Case:
    def build() -> tuple[nn.Module, Tensor]:
        x = (torch.rand(BATCH, STEPS, *shape) < 0.4).float()
        return loud(make(), 4.0), x

    return Case(f"spatial/{name}", build, {"time_axis": 1, "batch_axis": 0})


def _pooled(pool: nn.Module) -> nn.Module:
    return Stages(nn.Conv2d(2, 6, 3, padding=1), nn.Sequential(pool, nn.Conv2d(6, 5, 3)))


def _signal() -> nn.Module:
    dilated = nn.Sequential(nn.Conv1d(8, 8, 3, dilation=2, groups=2), nn.AvgPool1d(2))
    flat = nn.Sequential(nn.MaxPool1d(2), nn.Flatten(), nn.Linear(8, 6))
    return Stages(nn.Conv1d(2, 8, 3, stride=2, padding=1), dilated, flat)


def _volume() -> nn.Module:
    down = nn.Sequential(nn.Conv3d(2, 4, 3, padding=1), nn.BatchNorm3d(4), nn.AvgPool3d(2))
    return Stages(down, nn.ConvTranspose3d(4, 3, 2, stride=2))


def _padded() -> nn.Module:
    causal = nn.Sequential(nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(2, 6, 3))
    return Stages(causal, nn.Conv1d(6, 5, 3, padding=1, padding_mode="circular"))


CASES = [
    _case("signal", _signal, 2, 16),
    _case("causal and circular padding", _padded, 2, 9),
    _case("volume", _volume, 2, 4, 4, 6),
    _case("U-Net, transposed", lambda: UNet(nn.ConvTranspose2d(8, 8, 2, stride=2)), 2, 6, 6),
    _case("U-Net, nearest", lambda: UNet(nn.Upsample(scale_factor=2)), 2, 6, 6),
    _case(
        "average inside", lambda: _pooled(nn.AvgPool2d(3, 2, 1, count_include_pad=False)), 2, 8, 8
    ),
    _case("partial average", lambda: _pooled(nn.AvgPool2d(3, 2, 1, ceil_mode=True)), 2, 8, 8),
    _case("partial maximum", lambda: _pooled(nn.MaxPool2d(3, 2, 1, ceil_mode=True)), 2, 8, 8),
    _case("uneven average", lambda: _pooled(nn.AdaptiveAvgPool2d(4)), 2, 7, 7),
    _case("uneven maximum", lambda: _pooled(nn.AdaptiveMaxPool2d(4)), 2, 7, 7),
    _case("event voxels", Submanifold, 1, 4, 4, 4),
]
