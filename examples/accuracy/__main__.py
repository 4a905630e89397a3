"""``python -m examples.accuracy``: tables of accuracy and spikes by bits and method.

Trains what is not in the cache folder (``~/.cache/snnc/accuracy``) first; a stopped run goes on
where it was.  Needs the package aeon for its data (``pip install --no-deps aeon``), and for
``--large`` the folder ``SNNC_DATA``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from examples.accuracy.campaign import PLANS, Result, results
from examples.accuracy.networks import LARGE, NETWORKS

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
    parser.add_argument("--large", action="store_true", help="also all of MNIST, and Fashion-MNIST")
    parser.add_argument("--bits", default="8,4,3,2", help="numbers with commas between")
    parser.add_argument("--methods", default="mse,gptq,auto,finetune", help="also with commas")
    parser.add_argument("--known", action="store_true", help="only what was measured before")
    options = parser.parse_args(argv)
    there = {**NETWORKS, **LARGE}
    names = options.networks or [*NETWORKS, *(LARGE if options.large else ())]
    if unknown := set(names) - set(there):
        parser.error(f"no network {sorted(unknown)[0]!r}: there are {', '.join(there)}")
    bits, methods = options.bits.split(","), options.methods.split(",")
    plans = [(b, m) for b, m in PLANS if str(b) in bits and m in methods]
    if not plans:
        have = ", ".join(f"{b} {m}" for b, m in PLANS)
        parser.error(f"none of these bits and methods is there: there are {have}")
    found = []
    for r in results(names, options.seeds, plans, known=options.known):
        found.append(r)
        f1 = "" if r.f1 is None else f"  F1 {r.f1:.1f}"
        sys.stderr.write(
            f"{r.network} {r.seed}: {r.bits} bits {r.method}  {r.real:.2f} → {r.accuracy:.2f} %"
            f"{f1}  {r.seconds:.1f} s\n"
        )
        sys.stderr.flush()
    for group in _groups(names):
        sys.stdout.write(table(group, found, options.seeds) + "\n\n")
    judged = list(goals(names, found))
    for text, fine in judged:
        sys.stdout.write(f"{'ok  ' if fine else 'MISS'} {text}\n")
    for text in furthest(names, found):
        sys.stdout.write(f"     {text}\n")
    return int(not all(fine for _, fine in judged))


def _groups(names: list[str]) -> Iterator[list[str]]:
    """The names of one table each: the networks of one row of ``LARGE``, and all others."""
    sources = {LARGE[n].source if n in LARGE else "": None for n in names}
    for source in sources:
        yield [n for n in names if (LARGE[n].source if n in LARGE else "") == source]


def table(names: list[str], found: list[Result], seeds: int) -> str:
    """Change of accuracy in points, the worst training in brackets, and F1: one row by choice.

    What fewer trainings than ``seeds`` were measured of says so, such as ``n=1``; choices that
    nothing was measured of are left out.
    """
    head = ["bits", "method", *names]
    lines = [head, ["---"] * len(head)]
    for bits, method in PLANS:
        row = []
        for name in names:
            own = _of(found, name, bits, method)
            change = [r.accuracy - r.real for r in own]
            f1 = [r.f1 for r in own if r.f1 is not None]
            text = f"{np.mean(change):+.2f} ({min(change):+.1f})" if own else ""
            text += f" F1 {np.mean(f1):.1f}" if f1 else ""
            row.append(text + (f" n={len(own)}" if 0 < len(own) < seeds else ""))
        if any(row):
            lines.append([str(bits), method, *row])
    lines.insert(2, ["float", "", *(_real(found, n) for n in names)])
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def _real(found: list[Result], name: str) -> str:
    """The accuracy in real numbers, the mean over trainings."""
    own = {r.seed: r.real for r in found if r.network == name}
    return f"{np.mean(list(own.values())):.2f} %" if own else ""


def goals(names: list[str], found: list[Result]) -> Iterable[tuple[str, bool]]:
    """What is claimed, with the numbers, and whether it holds.

    A mean is that over the networks that were measured; what none was is not judged.
    """
    for (bits, method), goal in GOALS.items():
        if own := _measured(names, found, bits, (method,)):
            loss = _mean(own, found, bits, method, lambda r: r.real - r.accuracy)
            text = f"{bits} bits, {method}: mean loss {loss:+.2f} points, at most {goal}"
            yield text + _count(own, names), loss <= goal
    eight = [r.real - r.accuracy for r in found if (r.bits, r.method) == (8, "auto")]
    if eight:
        text = f"8 bits, auto: worst loss {max(eight):+.2f} points, at most {WORST}"
        yield text, max(eight) <= WORST
    both = _measured(names, found, 4, ("mse", "gptq"))
    if own := [n for n in both if all(r.f1 is not None for r in _of(found, n, 4, "mse"))]:
        f1 = [_mean(own, found, 4, m, lambda r: r.f1 or 0.0) for m in ("mse", "gptq")]
        text = f"4 bits: F1 {f1[0]:.1f} with mse, {f1[1]:.1f} with gptq, at least {GAIN} more"
        yield text + _count(own, names), f1[1] - f1[0] >= GAIN
    for bits in (8, 4, 3, 2):
        methods = ("mse", "gptq", "auto")
        if own := _measured(names, found, bits, methods):
            behind = _behind(own, found, bits)
            text = f"{bits} bits: auto is {behind:+.2f} points behind the better single method"
            yield f"{text}, at most {AUTO}" + _count(own, names), behind <= AUTO


def _behind(names: list[str], found: list[Result], bits: int) -> float:
    """Points by which ``auto`` is behind the better of the others, over all these networks."""
    mse, gptq, auto = (
        _mean(names, found, bits, m, lambda r: r.accuracy) for m in ("mse", "gptq", "auto")
    )
    return max(mse, gptq) - auto


def furthest(names: list[str], found: list[Result]) -> Iterator[str]:
    """The network that ``auto`` suits least, by bits: a few samples of its test part, often."""
    for bits in (8, 4, 3, 2):
        if own := _measured(names, found, bits, ("mse", "gptq", "auto")):
            behind = {n: _behind([n], found, bits) for n in own}
            worst = max(own, key=behind.__getitem__)
            yield f"{bits} bits: of single networks, auto is most behind on {worst}: " + (
                f"{behind[worst]:+.2f} points"
            )


def _measured(
    names: list[str], found: list[Result], bits: int, methods: tuple[str, ...]
) -> list[str]:
    return [n for n in names if all(_of(found, n, bits, m) for m in methods)]


def _count(own: list[str], names: list[str]) -> str:
    return "" if len(own) == len(names) else f" ({len(own)} of {len(names)} networks)"


def _mean(
    names: list[str], found: list[Result], bits: int, method: str, of: Callable[[Result], float]
) -> float:
    """The mean over networks of their means over trainings."""
    return float(np.mean([np.mean([of(r) for r in _of(found, n, bits, method)]) for n in names]))


def _of(found: list[Result], name: str, bits: int, method: str) -> list[Result]:
    return [r for r in found if (r.network, r.bits, r.method) == (name, bits, method)]


if __name__ == "__main__":
    sys.exit(main())
