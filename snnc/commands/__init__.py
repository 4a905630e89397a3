"""The commands of ``snnc``, one module each (see ``snnc.cli.COMMANDS``)."""
