"""The table of families: ``python -m examples.families [NAME…] [--train] [--lava]``.

A row is a network written from its equations: compiled to 8 bits, compared with its float
original, with the same model of quantized weights, and word for word between the backends.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from examples.families.catalogue import families
from examples.families.family import Family
from examples.families.measure import Row, measure
from examples.families.table import markdown, summary
from examples.families.training import cached, trained

CACHE = Path.home() / ".cache" / "snnc" / "families"


def row(family: Family, train: bool, lava: bool, cache: Path) -> Row:
    """Measure a family, with the weights of the cache if there are some."""
    if family.task is not None and (train or cached(family, cache)):
        net, split = trained(family, cache)
        return measure(family, net, split, lava)
    return measure(family, family.awake()[0], None, lava)


def main() -> int:
    """Print the table; the exit code is 1 if a row that compiles is not as it should be."""
    parser = argparse.ArgumentParser(prog="examples.families", description=__doc__)
    parser.add_argument("names", nargs="*", help="how names begin; all families if none")
    parser.add_argument("--train", action="store_true", help="train what the cache does not hold")
    parser.add_argument("--lava", action="store_true", help="run the small ones on Lava, too")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of trained weights")
    parser.add_argument("--markdown", type=Path, help="file for the table in Markdown")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for family in families():
        if options.names and not any(family.name.startswith(n) for n in options.names):
            continue
        start = time.perf_counter()
        try:
            rows.append(row(family, options.train, options.lava, options.cache))
        except Exception as e:  # a row that crashes is a fault of its own, and not of the others
            rows.append(Row(family, blocked=f"CRASHED {type(e).__name__}: {e}"))
        sys.stdout.write(f"{rows[-1]}  {time.perf_counter() - start:.0f} s\n")
        sys.stdout.flush()
    sys.stdout.write(f"{summary(rows)}\n")
    if options.markdown:
        options.markdown.write_text(markdown(rows), encoding="utf-8")
    return 1 if any(r.problems or "CRASHED" in r.blocked for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
