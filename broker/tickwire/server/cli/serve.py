"""`tickwire serve`: a broker in the foreground. Its flags are the settings."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import sys
from collections.abc import Callable
from typing import Any

import click

from tickwire.wire.errors import TickwireError

from ..configuration.settings import SETTINGS, Setting, Settings, SettingsError
from .client import Mistake, note
from .standard import tell_unwritable


class SettingsCommand(click.Command):
    """A command with a flag for every setting, shown in their groups."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [_flag(setting) for setting in SETTINGS.values()]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            setting = SETTINGS.get(parameter.name or "")
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(setting.group if setting else "Options", []).append(record)
        groups = {name: groups[name] for name in (*list(groups)[1:], "Options")}
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)


def _flag(setting: Setting) -> click.Option:
    shown = setting.show(setting.default)
    help = f"{setting.help}  [{shown}]" if shown else setting.help
    if isinstance(setting.default, bool):
        return click.Option([f"{setting.flag}/--no-{setting.flag[2:]}"], default=None, help=help)
    # Texts, whatever they are of: Settings.load reads flags, variables and files alike.
    return click.Option([setting.flag], metavar=setting.metavar, help=help)


@click.command(cls=SettingsCommand, short_help="Run a broker.")
@click.option("--config", metavar="FILE", envvar="TICKWIRE_CONFIG", help="Read settings from this TOML file.")
def serve(config: str | None, **flags: Any) -> int:
    """Run a broker until Ctrl-C or SIGTERM.

    Every flag is also a variable (--retain-bytes is TICKWIRE_RETAIN_BYTES) and a key of the file (retain_bytes).
    Flags win over variables, which win over the file. Sizes may be written 4 MiB, durations 60s or 500ms.

    With --data DIR what is acknowledged is on disk, and there after a restart; without it topics live in memory. What
    is kept of some topics only is said by [[topics]] tables of the file: docs/settings.md.
    """
    if flags["data"] == "":
        raise Mistake("--data is empty, but must name a directory; without --data topics live in memory")
    try:
        settings = Settings.load(config, flags=flags)
    except SettingsError as error:
        raise Mistake(str(error)) from None
    return _run(settings, lambda: Settings.load(config, flags=flags))


def _run(settings: Settings, load: Callable[[], Settings]) -> int:
    from .. import logs
    from ..broker import Broker
    from ..open_files import raise_open_files

    logs.configure(settings.log_level, settings.log_format)
    if sys.stdout.isatty() and sys.stderr.isatty():
        logging.getLogger("tickwire.broker").addFilter(_is_news)
    raise_open_files()
    try:
        broker = Broker(settings)
    except SettingsError as error:
        raise Mistake(str(error)) from None
    _spare_the_garbage_collector()
    try:
        with asyncio.Runner(loop_factory=_loop_factory(settings)) as runner:
            runner.run(broker.run(_ready, load))
    except TickwireError as error:
        raise Mistake(_cannot_open(error)) from None
    except _Unwritable as failed:
        return tell_unwritable(failed.error)
    except OSError as error:
        note(cannot_listen(settings, error))
        return 1
    return 1 if broker.failed else 0


def _spare_the_garbage_collector() -> None:
    """What is loaded by now stays for ever, and what a message makes is in no cycle: looking for some took 6 %.

    That is of single messages from sixteen durable publishers (the median of six pairs); Python's own first number
    is 700, which a burst allocates in a turn of the loop.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _is_news(record: logging.LogRecord) -> bool:
    """Where both streams go to one terminal, the line on standard output says it."""
    return record.getMessage() != "listening"


class _Unwritable(Exception):
    """Nobody can be told the address. Not an OSError, which is one of the address."""

    def __init__(self, error: OSError) -> None:
        self.error = error
        super().__init__(str(error))


def _ready(url: str) -> None:
    try:
        click.echo(f"listening on {url}")
        sys.stdout.flush()
    except OSError as error:
        raise _Unwritable(error) from None


def _cannot_open(error: TickwireError) -> str:
    accepts = getattr(error, "code", "") in ("store_truncated", "store_damaged")
    return f"{error}: --accept-loss" if accepts else str(error)


def cannot_listen(settings: Settings, error: OSError) -> str:
    """Why the address of the settings cannot be had, and what to do."""
    where = f"cannot listen on {settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where}: the address is in use; stop what uses it, or choose another with --port (0 picks a free one)"
    if error.errno == errno.EACCES:
        return f"{where}: ports below 1024 need root; choose another with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{where}: this machine has no such address; choose one that it has with --host, or 0.0.0.0 for all of them"
        )
    return f"{where}: {error.strerror or error}"


def _loop_factory(settings: Settings) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if not settings.uvloop:
        return None
    try:
        import uvloop
    except ImportError:  # Windows has none
        return None
    return uvloop.new_event_loop
