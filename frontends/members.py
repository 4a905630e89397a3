"""Parts of a torch module, whatever its class calls by the names of torch's own methods.

In Rockpool, ``parameters()`` and ``modules()`` of a torch module are nested dicts by name.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn


def modules_of(module: nn.Module) -> Iterator[nn.Module]:
    """The module and all modules inside it, each once."""
    return nn.Module.modules(module)


def tensors_of(module: nn.Module) -> list[Tensor]:
    """Parameters and buffers of the module and of all modules inside it."""
    return [*nn.Module.parameters(module), *nn.Module.buffers(module)]


def parameters_of(module: nn.Module) -> list[nn.Parameter]:
    """Parameters of the module and of all modules inside it."""
    return list(nn.Module.parameters(module))
