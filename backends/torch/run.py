"""Run this network on integers: ``python run.py IN.npy OUT.npz``; needs torch and NumPy alone."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def main(argv: list[str] | None = None) -> int:
    """Run the command line; 0, or 2 with one line on stderr if the inputs do not fit."""
    # isolated Python (-I) does not look beside the script
    sys.path.insert(0, str(FOLDER))
    import arrays  # type: ignore[import-not-found]
    from snnc_torch.batches import run  # type: ignore[import-not-found]
    from snnc_torch.network import IntegerNetwork  # type: ignore[import-not-found]

    parser = arrays.parser("Run a network on integers, in torch.")
    parser.add_argument("--device", default="cpu", help="where torch runs it: cpu, cuda, cuda:1")
    no = "leave neurons to torch where a C compiler is found"
    parser.add_argument("--no-compiler", action="store_true", help=no)
    options = parser.parse_args(argv)
    network = IntegerNetwork.load(FOLDER, not options.no_compiler).to(options.device)
    program = network.program
    return int(arrays.run_files(options, program.inputs, program.words(), partial(run, network)))


if __name__ == "__main__":
    sys.exit(main())
