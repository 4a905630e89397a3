"""One line per network of the zoo: ``python -m tests.frontends.zoo [PREFIX]``.

The libraries that are not installed are left out: ``pip install -r
tests/frontends/zoo/requirements.txt -c constraints.txt`` installs all four.
"""

from __future__ import annotations

import sys
from collections import Counter

import torch

from tests.frontends.zoo.catalogue import cases
from tests.frontends.zoo.examine import examine


def main() -> int:
    """Print the table and the counts; the exit code is 1 if anything is not as expected.

    That includes a recovered network of which some comparison or rounding is not active.
    """
    torch.set_num_threads(1)
    counts: Counter[str] = Counter()
    for case in cases(*sys.argv[1:2]):
        outcome = examine(case)
        sys.stdout.write(f"{outcome}\n")
        sys.stdout.flush()
        kind = "wrong" if outcome.wrong else "refused" if outcome.refused else "recovered"
        counts[kind] += 1
        counts["compiled"] += outcome.compiled == ""
        counts["unexpected"] += not outcome.as_expected
        counts["inactive"] += outcome.inactive
    keys = ("recovered", "refused", "wrong", "unexpected", "inactive", "compiled")
    sys.stdout.write(", ".join(f"{counts[k]} {k}" for k in keys) + "\n")
    return 1 if counts["wrong"] or counts["unexpected"] or counts["inactive"] else 0


if __name__ == "__main__":
    sys.exit(main())
