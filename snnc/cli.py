"""The command line: finds the command, runs it, and turns whatever happens into an exit code."""

from __future__ import annotations

import importlib
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

import click

from snnc.codes import exit_code
from snnc.console import Console
from snnc.diagnostics import CompileError, error
from snnc.version import __version__

#: Every command: module, function, and its line in ``snnc --help``; imported when called.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "convert": ("converting", "convert_command", "Convert a ReLU network to a spiking one."),
    "compile": ("compiling", "compile_command", "Compile a model to an artifact."),
    "finetune": ("finetuning", "finetune_command", "Train the integers of a model on data."),
    "verify": ("verifying", "verify_command", "Compare float model, integer program, backends."),
    "sweep": ("sweeping", "sweep_command", "Accuracy against size, over bits and methods."),
    "run": ("running", "run_command", "Run an artifact on data."),
    "cost": ("costing", "cost_command", "Count operations, estimate energy."),
    "report": ("reporting", "report_command", "Write one HTML page about an artifact."),
    "inspect": ("inspecting", "inspect_command", "Show the layers of a model or an artifact."),
    "board": ("board", "board_command", "Write a project for a microcontroller; run it in QEMU."),
    "lava": ("lava", "lava_command", "Set up the environment that Lava needs."),
    "targets": ("listing", "targets_command", "List the targets."),
    "ops": ("listing", "ops_command", "List the operators."),
    "passes": ("listing", "passes_command", "List the passes."),
    "explain": ("explaining", "explain_command", "Explain a diagnostic, e.g. E201."),
}


class Commands(click.Group):
    """A group that imports a command only to run it, so that ``--help`` is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, function, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"snnc.commands.{module}"), function)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry[2]) for name, entry in COMMANDS.items()])


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Results go to stdout, progress and diagnostics to stderr. "
    "Exit codes: 0 ok, 1 bug in snnc, 2 usage, 3 input refused, 4 model not supported, 5 numbers, "
    "6 target limits, 7 verify mismatch, 8 missing tool, 9 files and disk, 130 stopped.",
)
@click.version_option(__version__, message="snnc %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Compile trained spiking neural networks to integer-only code, proven and verified."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the program: run and exit."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run a command line; the value is the exit code."""
    quiet = "--quiet" in argv or "-q" in argv
    console = Console("--json" in argv, quiet, "--debug" in argv)
    console.command = next((a for a in argv if a in COMMANDS), "")
    code = _guarded(argv, console)
    if code is None:
        return 0
    console.finish(code)
    return code


def _guarded(argv: Sequence[str], console: Console) -> int | None:
    """The exit code; None if click has answered by itself (``--help``, ``--version``)."""
    try:
        value = cli.main(list(argv), prog_name="snnc", standalone_mode=False, obj=console)
        return None if isinstance(value, int) or not console.command else _verdict(console)
    except CompileError as e:
        console.report(*e.diagnostics)
        for note in getattr(e, "__notes__", []):
            console.note(f"  ({note})")
        return _verdict(console)
    except click.ClickException as e:
        hint = "see snnc --help" if not console.command else f"see snnc {console.command} --help"
        console.report(error("E001", e.format_message(), help=hint))
    except (KeyboardInterrupt, click.Abort):
        console.report(error("E009", "stopped; nothing was written"))
    except BrokenPipeError:
        return 0
    except OSError as e:
        text = f"{e.filename}: {e.strerror}" if e.filename else str(e)
        console.report(error("E433", text, help="check the path, its permissions and the disk"))
    except MemoryError:
        hint = "use fewer samples, e.g. --samples 100"
        console.report(error("E434", "not enough memory", help=hint))
    except Exception as e:
        if console.debug:
            traceback.print_exc()
        text = f"{type(e).__name__}: {e}"
        hint = "please report it with the output of the same command and --debug"
        console.report(error("E901", text, None, "this is a bug of snnc", help=hint))
    return _verdict(console)


def _verdict(console: Console) -> int:
    return exit_code(console.diagnostics)


def _stop(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
