"""`tickwire check-config`: whether a broker would start with these settings, without starting one."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from typing import Any

import click

from ..configuration.settings import Settings, SettingsError
from .client import Mistake
from .serve import SettingsCommand, cannot_listen


@click.command("check-config", cls=SettingsCommand, short_help="Look whether a broker would start.")
@click.option("--config", metavar="FILE", envvar="TICKWIRE_CONFIG", help="Read settings from this TOML file.")
def check_config(config: str | None, **flags: Any) -> int:
    """Look whether `tickwire serve` would start with the same flags, variables and file; start nothing.

    Ends with 0 where it would, and with 2 and a sentence that says what to do where it would not.
    """
    from ..broker import Broker

    try:
        settings = Settings.load(config, flags=flags)
        Broker(settings)
    except SettingsError as error:
        raise Mistake(str(error)) from None
    if settings.data:
        _check_data(Path(settings.data).expanduser())
    try:
        _listen(settings)
    except OSError as error:
        raise Mistake(cannot_listen(settings, error)) from None
    click.echo("the configuration is good")
    return 0


def _check_data(directory: Path) -> None:
    """Raise Mistake unless a broker could keep its topics there. What is in it `check-data` reads."""
    from tickwire.store.disk.errors import NotADirectory, StoreError, StoreReadOnly
    from tickwire.store.disk.lock import Lock

    there = next(path for path in (directory, *directory.parents) if path.exists())
    try:
        if not there.is_dir():
            raise NotADirectory(str(there))
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            raise StoreReadOnly(str(there), (error.strerror or str(error)).lower()) from None
        if (directory / "lock").exists():
            lock = Lock(directory)
            lock.take()
            lock.release()
    except StoreError as error:
        raise Mistake(str(error)) from None


def _listen(settings: Settings) -> None:
    """Raises OSError where the address cannot be had."""
    for family, kind, protocol, _, address in socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        with socket.socket(family, kind, protocol) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(address)
            listening.listen(1)
