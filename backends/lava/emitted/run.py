"""Run this network on Lava: ``python run.py IN.npy OUT.npz``; needs lava-nc and NumPy alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent


def main(argv: list[str] | None = None) -> int:
    """Run the command line; see ``command.main``."""
    # many processes share the cores already; one thread each for NumPy
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    # isolated Python (-I) does not look beside the script
    sys.path.insert(0, str(FOLDER))
    import command  # type: ignore[import-not-found]

    return int(command.main(FOLDER, argv, _on_lava))


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
    supervise.Supervisor(first, progress, timeout).run(built.total)
    return built.results, built.words


if __name__ == "__main__":
    sys.exit(main())
