"""The command line: `tickwire serve | pub | sub | consumers | token | check-config | check-data | wire | demo | bench`.

Only the command that runs is imported, and what is heavy when it runs: scripts start one for every message.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from tickwire import __version__

from .standard import DISK_FULL, discard_output, open_missing, tell_unwritable

__all__ = ["main"]

INTERRUPTED = 130  # 128 + SIGINT, as shells count


_COMMANDS = ("serve", "pub", "sub", "consumers", "token", "check-config", "check-data", "wire", "demo", "bench")


class Commands(click.Group):
    """The commands, in the order in which one needs them; each is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        name = name.replace("-", "_")
        command: click.Command = getattr(import_module(f".{name}", __package__), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            discard_output()  # whoever read it has enough (`| head`)
            return 0


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="tickwire")
def tickwire() -> None:
    """A binary message broker for backends that push.

    \b
    In one terminal:    tickwire serve
    in a second one:    tickwire sub 'prices.*'
    in a third one:     tickwire pub prices.AAPL '{"bid": 187.2}'

    Or see it all at once: tickwire demo
    """


def main() -> None:
    """The entry point: ends the process with 0, 1 (refused or lost), 2 (usage) or 130 (Ctrl-C)."""
    open_missing()
    try:
        code = tickwire.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        code = tell_unwritable(error)
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    sys.exit(code)
