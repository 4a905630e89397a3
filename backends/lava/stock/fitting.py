"""Whether a network fits a chip, and what to do if it does not."""

from __future__ import annotations

import bisect
import json
from weakref import WeakKeyDictionary

from snnc.backends.lava.stock.chips import RESOURCES, Chip, find_chip, names
from snnc.backends.lava.stock.cores import Cores, TooLargeError
from snnc.backends.lava.stock.placement import Placement, place
from snnc.backends.lava.stock.plan import StockPlan
from snnc.diagnostics import Diagnostic, error, remark
from snnc.graph import Graph
from snnc.intops import IntInput
from snnc.types import Clock

Fit = tuple[Placement | None, list[Diagnostic]]
#: What was found, by a plan's own graph and the name of a chip: checked, then emitted.
_FITS: WeakKeyDictionary[Graph, dict[str, tuple[Chip, Fit]]] = WeakKeyDictionary()
#: Rows of the table that an error shows.
ROWS = 12


def fit(plan: StockPlan, chip: Chip) -> Fit:
    """The placement, and an E520 for everything that does not fit; else an R521 says how full."""
    known = _FITS.setdefault(plan.front, {})
    if chip.key not in known:
        known[chip.key] = chip, _fitted(plan, chip)
    if known[chip.key][0] != chip:
        return _fitted(plan, chip)
    return known[chip.key][1]


def _fitted(plan: StockPlan, chip: Chip) -> Fit:
    found: list[Diagnostic] = []
    for source in plan.sources:
        if source.bits > chip.payload_bits.value:
            text = f"{chip.name} takes spikes without values, {source.node} has {source.lo} to "
            why = chip.payload_bits.source
            hint = _elsewhere(plan, chip)
            node = plan.front[source.node]
            if isinstance(node.op, IntInput) and node.type.clock is Clock.STEP:
                hint = f"compile with --encode rate, or {hint}"
            found.append(error("E520", f"{text}{source.hi}", None, why, help=hint))
    if (longest := Cores(plan, chip).longest_delay) > chip.longest_delay.value:
        text = f"{chip.name} delays spikes by at most {chip.longest_delay.value} steps"
        hint = "use shorter delays, or populations in a row"
        found.append(error("E520", f"{text}, {longest} are needed", help=hint))
    try:
        placement = place(plan, chip)
    except TooLargeError as e:
        hint = f"make the layer narrower, or {_elsewhere(plan, chip)}"
        return None, [*found, error("E520", f"{chip.name}: {e}", help=hint)]
    if not placement.fits:
        found.append(_too_many(plan, placement))
    if not found:
        found.append(_success(placement))
    return placement, found


def _success(placement: Placement) -> Diagnostic:
    chip = placement.chip
    core, resource, share = placement.fullest
    text = f"fits {chip.name}: {len(placement.cores)} of {chip.cores.value} cores"
    most = f"fullest: core {core}, {100 * share:.0f} % of its {resource.replace('_', ' ')}"
    inferred = (f"inferred, not published: {', '.join(chip.uncertain)}",) if chip.uncertain else ()
    return remark("R521", text, None, most, *inferred)


def _too_many(plan: StockPlan, placement: Placement) -> Diagnostic:
    chip = placement.chip
    text = f"the network needs {len(placement.cores)} cores, {chip.name} has {chip.cores.value}"
    rows = [f"{n} core(s): {name}" for name, n in list(placement.by_population.items())[:3]]
    table = _lines(placement)
    shown = table[: ROWS + 1] + (
        [f"and {len(table) - ROWS - 1} more"] if len(table) > ROWS + 1 else []
    )
    return error("E520", text, None, *rows, *shown, help=_suggestion(plan, placement))


def _suggestion(plan: StockPlan, placement: Placement) -> str:
    """Something that fits."""
    chip = placement.chip
    sizes = [b for b in chip.synapses.weight_bits if 1 < b < 8]
    fitting = bisect.bisect(sizes, False, key=lambda bits: not place(plan, chip, bits).fits)
    if fitting:  # the most bits with which it fits
        return (
            f"compile with --bits {sizes[fitting - 1]}, and see with `snnc verify` what that costs"
        )
    largest = next(iter(placement.by_population))
    return f"make {largest} smaller, or {_elsewhere(plan, chip)}"


def _elsewhere(plan: StockPlan, chip: Chip) -> str:
    """Another chip on which the network fits, or none."""
    for key in names():
        other = find_chip(key)
        payload = max((s.bits for s in plan.sources), default=1) <= other.payload_bits.value
        try:
            if key != chip.key and payload and place(plan, other).fits:
                return f"--target lava:{key}, which it fits"
        except TooLargeError:
            continue
    return "--target lava --lava-mode stock, without a chip's limits"


def _lines(placement: Placement) -> list[str]:
    rows = placement.table()
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(x.ljust(w) for x, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def report_files(plan: StockPlan, placement: Placement) -> dict[str, str]:
    """The placement for people and for programs."""
    chip = placement.chip
    limits = [f"  {r.replace('_', ' ')}: {chip.limit(r):,} of a core" for r in RESOURCES]
    notes = [
        f"{len(placement.cores)} of {chip.cores.value} cores of {chip.name}, "
        f"{placement.traffic:,} axons between cores and from the host",
        "",
        *_lines(placement),
        "",
        "limits (sources: chip.json)",
        *limits,
        *(
            [f"inferred, not published by the maker: {', '.join(chip.uncertain)}"]
            if chip.uncertain
            else []
        ),
        "An estimate: the chip's own compiler decides.",
    ]
    document = {
        "chip": chip.key,
        "cores": [
            {
                "parts": [
                    {"population": p.population, "start": p.start, "stop": p.stop}
                    for p in core.parts
                ],
                "uses": core.uses,
            }
            for core in placement.cores
        ],
        "traffic": placement.traffic,
    }
    figures = {
        r: {"value": lim.value, "source": lim.source, "certain": lim.certain}
        for r, lim in (
            (r, getattr(chip, r)) for r in ("cores", *RESOURCES, "payload_bits", "longest_delay")
        )
    }
    return {
        "mapping.txt": "\n".join(notes) + "\n",
        "mapping.json": json.dumps(document, indent=1) + "\n",
        "chip.json": json.dumps({"name": chip.name, "limits": figures}, indent=1) + "\n",
    }
