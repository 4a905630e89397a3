"""``snnc explain``."""

from __future__ import annotations

import click

from snnc.codes import FAMILIES, catalogue, exit_of
from snnc.commands.options import common, pass_console
from snnc.console import Console
from snnc.diagnostics import fail


@click.command("explain")
@click.argument("code", required=False)
@common
@pass_console
def explain_command(console: Console, code: str | None) -> None:
    """Explain a diagnostic CODE such as E201; without one, list them all."""
    if code is None:
        for name, entry in catalogue().items():
            console.say(f"  {name}  {entry.title}")
        console.result = {"codes": {name: entry.title for name, entry in catalogue().items()}}
        return
    name = code.upper().removeprefix("SNNC-")
    if name not in catalogue():
        raise fail("E001", f"there is no code {code!r}", help="list all with: snnc explain")
    entry = catalogue()[name]
    family = FAMILIES[name[1]][0]
    result = {"code": f"SNNC-{name}", "title": entry.title, "why": entry.why, "fix": entry.fix}
    console.say(f"SNNC-{name}: {entry.title}  ({family})\n\n{entry.why}\n\nWhat to do: {entry.fix}")
    if name[0] == "E":
        console.say(f"\nThe exit code is {exit_of(name)}.")
        result["exit_code"] = str(exit_of(name))
    console.result = dict(result)
