"""Real numbers that the constants of the integer program follow while they are trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from snnc.finetuning.gradients import codes
from snnc.finetuning.latent import Latent
from snnc.finetuning.slopes import Slope, Target, size

Floats = npt.NDArray[np.float64]
#: A constant keeps at least this share of its size, and of its distance from 1 on its side.
KEPT_SHARE = 0.25
#: How fast such numbers change, relative to weights: each counts for a whole row.
SLOW = 0.5


@dataclass(frozen=True, eq=False)
class Source:
    """An array of real numbers of the model that is trained.

    Attributes:
        at: Its elements before training.
        power: Whether it is a scale, trained as the logarithm of a factor; else its elements are.
        slopes: What follows it in the program.
    """

    at: Floats
    power: bool
    slopes: tuple[Slope, ...]

    def now(self, latent: Floats) -> Floats:
        """Its elements once it is trained."""
        return self.at * np.exp(latent) if self.power else latent

    @property
    def start(self) -> Floats:
        """The latent before training."""
        return np.zeros(self.at.shape) if self.power else self.at.astype(np.float64)

    @property
    def size(self) -> float:
        """What a change of the latent is measured by."""
        return SLOW * (1.0 if self.power else size(self.at) or 1.0)

    def limits(self) -> tuple[Tensor, Tensor]:
        """Between what the latent stays.

        Positive constants stay positive, and those on one side of 1 on that side: a leak would
        otherwise become a source.
        """
        x = self.at.reshape(-1).astype(np.float64)
        low, high = np.full(x.shape, -np.inf), np.full(x.shape, np.inf)
        if self.power:
            low[:], high[:] = np.log(KEPT_SHARE), -np.log(KEPT_SHARE)
        elif (x > 1).all():
            low = 1 + (x - 1) * KEPT_SHARE
        elif (x > 0).all():
            low = x * KEPT_SHARE
            high = 1 - (1 - x) * KEPT_SHARE if (x < 1).all() else high
        elif (x < 0).all():
            high = x * KEPT_SHARE
        return torch.tensor(low), torch.tensor(high)


class FollowingConstants:
    """Latents of real numbers, and the integer constants as functions of them.

    Args:
        sources: By name.
        latents: Those with which the program was lowered, by name.
        modules: Of the program's nodes.

    Attributes:
        latents: As they are now.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        latents: Mapping[str, Floats],
        modules: Mapping[str, nn.Module],
    ) -> None:
        self._start = {name: torch.tensor(latents[name]).reshape(-1) for name in sources}
        self.latents = {name: nn.Parameter(x.clone()) for name, x in self._start.items()}
        by_target: dict[Target, list[tuple[str, bool, Slope]]] = {}
        for name, source in sources.items():
            for slope in source.slopes:
                by_target.setdefault(slope.target, []).append((name, source.power, slope))
        self._limits = {name: source.limits() for name, source in sources.items()}
        self._sizes = {name: source.size for name, source in sources.items()}
        self._followers = []
        for (node, attribute), found in by_target.items():
            module = modules.get(node)
            known = {} if module is None else dict(module.named_buffers())
            for key in (attribute, f"const_{attribute}"):
                if module is not None and key in known:
                    self._followers.append(_Follower(module, key, known[key].double(), found))

    def trained(self) -> dict[str, Latent]:
        """The latents, with the bounds between which they stay."""
        return {
            name: Latent(x, self._sizes[name], *self._limits[name])
            for name, x in self.latents.items()
        }

    def refresh(self) -> None:
        """Give the modules their constants of now, with gradients to the latents."""
        moved = {name: p - self._start[name] for name, p in self.latents.items()}
        for follower in self._followers:
            follower.refresh(moved)


class _Follower:
    """One integer constant of a module."""

    def __init__(
        self,
        module: nn.Module,
        key: str,
        old: Tensor,
        found: list[tuple[str, bool, Slope]],
    ) -> None:
        self.module, self.key, self.old = module, key, old
        typical = size(old.numpy())
        self.powers: list[tuple[str, Tensor, Tensor]] = []
        self.sums: list[tuple[str, Tensor, Tensor]] = []
        for name, power, slope in found:
            index, value = torch.tensor(slope.index), torch.tensor(slope.value)
            if power:
                self.powers.append((name, index, value))
            else:
                self.sums.append((name, index, value * typical))

    def refresh(self, moved: Mapping[str, Tensor]) -> None:
        value, power = self.old, torch.zeros((), dtype=torch.float64)
        for name, index, slope in self.sums:
            value = value + moved[name][index] * slope
        for name, index, exponent in self.powers:
            power = power + moved[name][index] * exponent
        setattr(self.module, self.key, codes(value * power.exp()))
