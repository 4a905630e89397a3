"""What the definition gives for random inputs, and where another backend gives something else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pytest

from snnc.backends.base import Arrays
from snnc.graph import Graph
from tests.intgraphs import fitting, has_steps, random_inputs, simulator
from tests.randomgraphs import random_graph
from tests.shrink import shrink

Results = tuple[Arrays, Arrays]


@dataclass(frozen=True)
class Reference:
    """A run of the definition.

    Attributes:
        inputs: Integers by name.
        steps: The number of steps where no input gives it.
        results: Outputs, and all words that can be recorded.
    """

    inputs: Arrays
    steps: int | None
    results: Results

    @property
    def words(self) -> list[str]:
        """What to record, in the order of the results."""
        return list(self.results[1])

    def difference(self, actual: Results) -> str:
        """The first place in which another run of the same differs, or an empty string."""
        for expected, found in zip(self.results, actual, strict=True):
            if list(expected) != list(found):
                return f"words {list(found)}, expected {list(expected)}"
            for word, value in expected.items():
                a, b = (f"{x.dtype}{x.shape}" for x in (found[word], value))
                if a != b:
                    return f"{word}: {a}, expected {b}"
                if not np.array_equal(found[word], value):
                    place = tuple(np.argwhere(found[word] != value)[0].tolist())
                    return f"{word}{[*place]}: {found[word][place]}, expected {value[place]}"
        return ""


def reference(graph: Graph, inputs: Arrays, steps: int | None = None) -> Reference:
    """Run the definition."""
    sim = simulator(graph)
    return Reference(inputs, steps, sim.run(inputs, steps, sim.words()))


def random_reference(graph: Graph, seed: int, samples: int, steps: int) -> Reference:
    """Run the definition over random inputs, as near to ``steps`` steps as the graph takes."""
    x = random_inputs(graph, np.random.default_rng(seed), samples, steps)
    return reference(graph, x, None if has_steps(graph) else fitting(graph, steps))


def agree_on_random_graphs(seeds: Iterable[int], difference: Callable[[Graph, int], str]) -> None:
    """Fail with the smallest graph found in which a backend still differs.

    Args:
        seeds: Of the graphs.
        difference: Gives the first difference of a graph and a seed for its inputs.
    """
    for seed in seeds:
        graph = random_graph(seed)
        if difference(graph, seed):
            small = shrink(graph, lambda g, s=seed: bool(difference(g, s)))  # type: ignore[misc]
            pytest.fail(f"seed {seed} differs at {difference(small, seed)}:\n{small}")
