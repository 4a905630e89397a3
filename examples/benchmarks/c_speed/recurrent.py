"""Net (c): 700-256-256-20 over 100 steps, both hidden layers recurrent."""

from __future__ import annotations

import numpy as np

from examples.benchmarks.c_speed.case import Case
from examples.benchmarks.c_speed.dense import dense_case, random_weights


def recurrent(density: float, samples: int) -> Case:
    """Make the network and its peers."""
    rng = np.random.default_rng(0)
    hidden = 256
    weights = [
        (random_weights(rng, hidden, 700, 4, 127), random_weights(rng, hidden, hidden, 0, 63)),
        (random_weights(rng, hidden, hidden, 4, 127), random_weights(rng, hidden, hidden, 0, 63)),
        (random_weights(rng, 20, hidden, 4, 127), None),
    ]
    return dense_case("c", weights, 100, density, samples)
