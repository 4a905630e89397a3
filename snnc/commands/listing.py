"""``snnc targets``, ``snnc ops`` and ``snnc passes``."""

from __future__ import annotations

import click

from snnc.commands.options import common, pass_console
from snnc.console import Console


@click.command("targets")
@common
@pass_console
def targets_command(console: Console) -> None:
    """List the targets that --target and --backend know."""
    from snnc.backends import SUMMARIES

    console.table(("target", "what it is"), list(SUMMARIES.items()))
    console.result = {"targets": dict(SUMMARIES)}


@click.command("ops")
@common
@pass_console
def ops_command(console: Console) -> None:
    """List the operators: what a model may contain, and what a program is made of."""
    from snnc.intops import INTOPS
    from snnc.kernel import INT_FUNCTIONS, REAL_FUNCTIONS
    from snnc.ops import OPS

    sets = {"model": OPS, "program": INTOPS}
    result: dict[str, object] = {}
    for title, ops in sets.items():
        rows = [(name, _first_line(op.__doc__)) for name, op in ops.items()]
        console.table((f"{title} operator", "what it computes"), rows)
        console.say()
        result[title] = dict(rows)
    functions = {"model": list(REAL_FUNCTIONS), "program": list(INT_FUNCTIONS)}
    for title, known in functions.items():
        console.say(f"  in neurons of a {title}: {', '.join(known)}")
    console.result = {"ops": result, "functions": functions}


@click.command("passes")
@common
@pass_console
def passes_command(console: Console) -> None:
    """List the passes in the order in which they run."""
    from snnc.passes.pipeline import integer_pipeline

    rows = [(p.name, _first_line(type(p).__doc__)) for p in integer_pipeline()]
    console.table(("pass", "what it does"), rows)
    console.result = {"passes": dict(rows)}


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0].rstrip(".").replace("``", "`")
