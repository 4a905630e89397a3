"""``snnc lava``."""

from __future__ import annotations

import click

from snnc.commands.options import common, pass_console
from snnc.console import Console, visible


@click.group("lava")
def lava_command() -> None:
    """Set up the environment that Lava needs."""


@lava_command.command("setup")
@click.option("--force", is_flag=True, help="Make it anew.")
@common
@pass_console
def setup_command(console: Console, force: bool) -> None:
    """Make a Python environment with lava-nc, beside the user's own."""
    from snnc import lava_env

    python = lava_env.setup(
        report=lambda line: console.note(f"  {visible(line)}"), force=force
    ).python
    console.say(f"Lava is ready: {visible(str(python))}")
    console.result = {"python": str(python)}
