"""The command line of a network on Lava, whatever its processes are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import arrays  # type: ignore[import-not-found]
from simulator import Simulator  # type: ignore[import-not-found]

#: Runs inputs for so many samples and steps, keeps words, gives up after seconds without a step.
OnLava = Callable[
    [Any, dict[str, Any], int, int, list[str], float], tuple[dict[str, Any], dict[str, Any]]
]


def main(folder: Path, argv: list[str] | None, on_lava: OnLava) -> int:
    """Run the command line.

    Returns:
        0; 2 with one line on stderr if the inputs do not fit.  If Lava fails the process ends
        with status 1, a line that says why and, if a worker raised, its traceback.
    """
    parser = arrays.parser("Run a network on integers, in Lava.")
    parser.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="S",
        help="give up if no step finishes for S seconds (default: %(default)g)",
    )
    options = parser.parse_args(argv)
    network = Simulator.load(folder)

    def run(inputs: dict[str, Any], steps: int | None, words: list[str]) -> Any:
        samples, count = network.check(inputs, steps)
        if samples * count == 0:  # nothing for Lava to do
            return network.run(inputs, count, words)
        outputs, records = on_lava(network, inputs, samples, count, words, options.timeout)
        return {k: outputs[k] for k in network.outputs}, {k: records[k] for k in words}

    return int(arrays.run_files(options, network.inputs, network.words(), run))
