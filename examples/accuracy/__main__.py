"""``python -m examples.accuracy``: tables of accuracy and spikes by bits and method.

Trains what is not in the cache folder (``~/.cache/snnc/accuracy``) first; a stopped run goes on
where it was.  Needs the folder ``SNNC_DATA`` for MNIST, Fashion-MNIST and spoken digits.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable

import numpy as np

from examples.accuracy.campaign import PLANS, Result, results
from examples.accuracy.networks import NETWORKS

#: The largest loss of accuracy that is claimed, the mean over all networks: by bits and method.
GOALS = {(8, "auto"): 0.1, (4, "auto"): 0.4, (3, "auto"): 0.8, (2, "finetune"): 0.5}
#: … of one training with 8 bits.
WORST = 0.5
#: Points of F1 that GPTQ gains over MSE with 4 bits, and accuracy that auto may lose.
GAIN, AUTO = 3.0, 0.2


def main(argv: list[str] | None = None) -> int:
    """Print the tables; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="all but those of --large")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="also the whole MNIST, Fashion-MNIST")
    options = parser.parse_args(argv)
    names = options.networks or list(NETWORKS)[: None if options.large else 6]
    if unknown := set(names) - set(NETWORKS):
        parser.error(f"no network {sorted(unknown)[0]!r}: there are {', '.join(NETWORKS)}")
    found = []
    for r in results(names, options.seeds):
        found.append(r)
        f1 = "" if r.f1 is None else f"  F1 {r.f1:.1f}"
        sys.stderr.write(
            f"{r.network} {r.seed}: {r.bits} bits {r.method}  {r.real:.2f} → {r.accuracy:.2f} %"
            f"{f1}  {r.seconds:.1f} s\n"
        )
    sys.stdout.write(table(names, found) + "\n")
    missed = [text for text, fine in goals(names, found) if not fine]
    for text, fine in goals(names, found):
        sys.stdout.write(f"{'ok  ' if fine else 'MISS'} {text}\n")
    return int(bool(missed))


def table(names: list[str], found: list[Result]) -> str:
    """Change of accuracy in points, the worst training in brackets, and F1: one row by choice."""
    head = ["bits", "method", *names]
    lines = [head, ["---"] * len(head)]
    for bits, method in PLANS:
        row = [str(bits), method]
        for name in names:
            own = _of(found, name, bits, method)
            change = [r.accuracy - r.real for r in own]
            f1 = [r.f1 for r in own if r.f1 is not None]
            text = f"{np.mean(change):+.2f} ({min(change):+.1f})" if own else ""
            row.append(text + (f" F1 {np.mean(f1):.1f}" if f1 else ""))
        lines.append(row)
    real = [f"{np.mean([r.real for r in found if r.network == n]):.2f} %" for n in names]
    lines.insert(2, ["float", "", *real])
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def goals(names: list[str], found: list[Result]) -> Iterable[tuple[str, bool]]:
    """What is claimed, with the numbers, and whether it holds."""
    for (bits, method), goal in GOALS.items():
        loss = _mean(names, found, bits, method, lambda r: r.real - r.accuracy)
        yield f"{bits} bits, {method}: mean loss {loss:+.2f} points, at most {goal}", loss <= goal
    worst = max(r.real - r.accuracy for r in found if (r.bits, r.method) == (8, "auto"))
    yield f"8 bits, auto: worst loss {worst:+.2f} points, at most {WORST}", worst <= WORST
    spiking = [n for n in names if any(r.f1 is not None for r in found if r.network == n)]
    f1 = [_mean(spiking, found, 4, m, lambda r: r.f1 or 0.0) for m in ("mse", "gptq")]
    text = f"4 bits: F1 {f1[0]:.1f} with mse, {f1[1]:.1f} with gptq, at least {GAIN} more"
    yield text, f1[1] - f1[0] >= GAIN
    for bits in (8, 4, 3, 2):
        mean = [_mean(names, found, bits, m, lambda r: r.accuracy) for m in ("mse", "gptq", "auto")]
        behind = max(mean[:2]) - mean[2]
        text = f"{bits} bits: auto is {behind:+.2f} points behind the better single method"
        yield f"{text}, at most {AUTO}", behind <= AUTO


def _mean(
    names: list[str], found: list[Result], bits: int, method: str, of: Callable[[Result], float]
) -> float:
    """The mean over networks of their means over trainings."""
    return float(np.mean([np.mean([of(r) for r in _of(found, n, bits, method)]) for n in names]))


def _of(found: list[Result], name: str, bits: int, method: str) -> list[Result]:
    return [r for r in found if (r.network, r.bits, r.method) == (name, bits, method)]


if __name__ == "__main__":
    sys.exit(main())
