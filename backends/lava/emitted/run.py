"""Run this network on Lava: ``python run.py IN.npy OUT.npz``; needs lava-nc and NumPy alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0; 2 with one line on stderr if the inputs do not fit.  If Lava fails the process ends
        with status 1, a line that says why and, if a worker raised, its traceback.
    """
    # many processes share the cores already; one thread each for NumPy
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    # isolated Python (-I) does not look beside the script
    sys.path.insert(0, str(FOLDER))
    import arrays  # type: ignore[import-not-found]
    from simulator import Simulator  # type: ignore[import-not-found]

    parser = arrays.parser("Run a network on integers, in Lava.")
    parser.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="S",
        help="give up if no step finishes for S seconds (default: %(default)g)",
    )
    options = parser.parse_args(argv)
    network = Simulator.load(FOLDER)
    try:
        inputs = arrays.read_inputs(options.inputs, network.inputs)
        words = arrays.chosen_words(options.record, network.words())
        samples, steps = network.check(inputs, options.steps)
        if samples * steps == 0:  # nothing for Lava to do
            outputs, records = network.run(inputs, steps, words)
        else:
            outputs, records = _on_lava(network, inputs, samples, steps, words, options.timeout)
        arrays.write_results(options.results, outputs, records)
    except (OSError, TypeError, ValueError) as e:
        sys.stderr.write(f"error: {e}\n")
        return 2
    return 0


def _on_lava(
    network: Any,
    inputs: dict[str, Any],
    samples: int,
    steps: int,
    words: list[str],
    timeout: float,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Outputs and records, as ``Simulator.run`` gives them."""
    import layer  # type: ignore[import-not-found]
    import supervise  # type: ignore[import-not-found]

    built = layer.build(FOLDER, steps, inputs, words)
    progress = {name: job.progress for name, job in built.jobs.items()}
    first = next(iter(built.processes.values()))
    supervise.Supervisor(first, progress, timeout).run(samples * steps)
    outputs, records = built.results, built.words
    return {k: outputs[k] for k in network.outputs}, {k: records[k] for k in words}


if __name__ == "__main__":
    sys.exit(main())
