"""Networks trained on real data: an MLP and a residual conv net on MNIST, one on speech.

They fire as often as they learned to.  Weights are learned once and kept in a cache folder.
"""

from __future__ import annotations

import importlib
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from examples.benchmarks.c_speed.case import Case, torch_run
from examples.benchmarks.c_speed.onnx_convolution import quantized, session_run
from examples.benchmarks.c_speed.onnx_trained import unrolled
from examples.families.family import Family, Split, Task
from examples.families.lif_family import FAMILIES
from examples.families.training import trained

SCRIPTS = Path(__file__).parents[2]
CACHE = Path.home() / ".cache" / "snnc" / "families"


def digits_mlp(samples: int) -> Case:
    """784-256-128-10 of ``examples/mlp_digits.py``."""
    return _digits("mlp_digits", samples, epochs=16, lr=2e-3)


def digits_conv(samples: int) -> Case:
    """Three convolutions, one of them residual, of ``examples/conv_digits.py``."""
    return _digits("conv_digits", samples, epochs=10, lr=1e-2)


def spoken_digits(samples: int) -> Case:
    """20-48-48-10, adaptive and recurrent neurons, 40 windows of speech."""
    (family,) = (f for f in FAMILIES if f.name == "D adaptive and recurrent, spoken")
    return _case("speech", family, samples)


def _digits(script: str, samples: int, **training: Any) -> Case:
    sys.path.insert(0, str(SCRIPTS))  # scripts import each other by their bare names
    net, models = importlib.import_module(script), importlib.import_module("models")

    def learn(module: nn.Module, split: Split) -> None:
        models.fit(module, *split[:2], augment=models.shifted, quiet=0.5, **training)

    task = Task("MNIST", models.mnist5k, learn)
    family = Family(script, net.Net, partial(torch.rand, 4, 1, 28, 28), {"static": True}, task)
    return _case(script.removesuffix("_digits"), family, samples)


def _case(name: str, family: Family, samples: int) -> Case:
    module, (_, _, x_test, _) = trained(family, CACHE)
    x = x_test[:samples].numpy()
    model = unrolled(module, x[:1])
    several = [np.float32(sample)[None] for sample in x]
    peers = {
        "torch eager": torch_run(module, x),
        "ONNX Runtime float": session_run(model, several),
        "ONNX Runtime int8": session_run(quantized(model, several), several),
    }
    return Case(name, None, module, x, peers, constant=bool(family.options.get("static")))
