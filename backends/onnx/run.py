"""Run this network on integers: ``python run.py IN.npy OUT.npz``; needs NumPy and onnxruntime."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def main(argv: list[str] | None = None) -> int:
    """Run the command line; 0, or 2 with one line on stderr if the inputs do not fit."""
    # isolated Python (-I) does not look beside the script
    sys.path.insert(0, str(FOLDER))
    import arrays  # type: ignore[import-not-found]
    from session import Model  # type: ignore[import-not-found]

    options = arrays.parser("Run a network on integers, in ONNX Runtime.").parse_args(argv)
    model = Model(FOLDER)
    try:
        inputs = arrays.read_inputs(options.inputs, model.inputs)
        words = arrays.chosen_words(options.record, model.words())
        outputs, records = model.run(inputs, options.steps, words)
        arrays.write_results(options.results, outputs, records)
    except (OSError, TypeError, ValueError) as e:
        sys.stderr.write(f"error: {e}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
