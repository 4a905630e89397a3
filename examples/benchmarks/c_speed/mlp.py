"""Nets of dense layers without feedback."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from examples.benchmarks.c_speed.case import Case
from examples.benchmarks.c_speed.dense import dense_case, random_weights


def mlp(density: float, samples: int) -> Case:
    """Net (a): 784-1024-1024-10 over 25 steps."""
    return _case("a", (784, 1024, 1024, 10), density, samples)


def reference(density: float, samples: int) -> Case:
    """The reference net: 784-512-512-10 over 25 steps."""
    return _case("ref", (784, 512, 512, 10), density, samples)


def large(density: float, samples: int) -> Case:
    """A net whose weights fit no cache of the second level: 1024-4096-4096-10 over 25 steps."""
    case = _case("large", (1024, 4096, 4096, 10), density, samples)
    few = ("torch layer-major", "ONNX Runtime float", "ONNX Runtime int8")
    return replace(case, peers={name: case.peers[name] for name in few})


def _case(name: str, sizes: tuple[int, ...], density: float, samples: int) -> Case:
    rng = np.random.default_rng(0)
    pairs = itertools.pairwise(sizes)
    weights = [(random_weights(rng, out, fan_in, 4, 127), None) for fan_in, out in pairs]
    return dense_case(name, weights, 25, density, samples)
