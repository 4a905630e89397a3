"""The table as Markdown: one line for each family, and what it says together."""

from __future__ import annotations

from examples.families.measure import Row

_TITLES = ("family", "T", "parameters", "float → integer", "labels", "spikes", "bits", "exact on")


def markdown(rows: list[Row]) -> str:
    """All rows, and below them a line of totals."""
    lines = [_line(_TITLES), _line(("---",) * len(_TITLES))]
    lines += [_line(_cells(row)) for row in rows]
    return "\n".join([*lines, "", f"{summary(rows)}.", ""])


def summary(rows: list[Row]) -> str:
    """How many rows compile, and are exact on each backend."""
    done = [r for r in rows if not r.blocked]
    names = dict.fromkeys(n for r in done for n in r.exact)
    exact = (f"{sum(r.exact.get(n) is True for r in done)} exact on {n}" for n in names)
    wrong = sum(bool(r.problems) for r in rows)
    return ", ".join([f"{len(rows)} families", f"{len(done)} compile", *exact, f"{wrong} wrong"])


def _cells(row: Row) -> tuple[str, ...]:
    head = (row.family.name, str(row.steps), f"{row.parameters:,}")
    if row.blocked:
        return (*head, f"blocked: {row.blocked}", "", "", "", "")
    exact = ", ".join(name for name, same in row.exact.items() if same)
    wrong = f"; {'; '.join(row.problems)}" if row.problems else ""
    score = row.score().replace("->", "→")
    shares = _share(row.labels), _share(row.spikes)
    return (*head, score, *shares, str(row.proven[0]), exact + wrong)


def _share(x: float | None) -> str:
    return "-" if x is None else f"{int(x * 1e4) / 1e2:.2f} %"  # not rounded up to 100


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
