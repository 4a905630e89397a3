"""Train what the table claims accuracy for, once: weights go to a cache folder."""

from __future__ import annotations

import hashlib
import inspect
import math
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.families.family import Family, Split

Loss = Callable[[Tensor, Tensor], Tensor]


def trained(family: Family, cache: Path) -> tuple[nn.Module, Split]:
    """The trained network and its data; from the cache if it is there."""
    assert family.task is not None, "nothing to learn"
    torch.set_num_threads(1)
    torch.manual_seed(0)
    split = family.task.data()
    net, path = family.make(), weights(family, cache)
    if path.exists():
        net.load_state_dict(torch.load(path, weights_only=True))
    else:
        family.task.fit(net, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        torch.save(net.state_dict(), partial)
        partial.replace(path)
    return net.eval(), split


def cached(family: Family, cache: Path) -> bool:
    """Whether the family was trained before."""
    return family.task is not None and weights(family, cache).exists()


def weights(family: Family, cache: Path) -> Path:
    """The file of a family's weights; another one when network, data or training change."""
    assert family.task is not None, "nothing to learn"
    module = inspect.getmodule(family.make)
    assert module is not None, "families are made in files"
    sources = [inspect.getsource(part) for part in (module, fit, family.task.data)]
    text = "".join(sources)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return cache / f"{family.name.replace(' ', '_').replace('/', '-')}-{digest}.pt"


def fit(
    net: nn.Module,
    split: Split,
    *,
    epochs: int,
    lr: float,
    batch: int = 50,
    loss: Loss = functional.cross_entropy,
    augment: Callable[[Tensor], Tensor] = lambda x: x,
    seed: int = 0,
) -> None:
    """Train with AdamW and a one-cycle schedule on the training part."""
    torch.manual_seed(seed)
    x, y = split[:2]
    adam = torch.optim.AdamW(net.parameters(), lr, weight_decay=1e-2)
    steps = epochs * math.ceil(len(x) / batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, lr, steps)
    net.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch):
            out = net(augment(x[rows]))
            value = loss(out[0] if isinstance(out, tuple) else out, y[rows])
            adam.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            adam.step()
            schedule.step()
    net.eval()
