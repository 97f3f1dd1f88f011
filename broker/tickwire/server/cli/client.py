"""What the commands that talk to a broker share: its address, and a sentence for each way in which it can fail."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import IO, Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

URL = "ws://127.0.0.1:8765"


def client_options(command: F) -> F:
    """--url and --token."""
    token = click.option("--token", envvar="TICKWIRE_TOKEN", show_envvar=True, help="What to show the broker as token.")
    url = click.option(
        "--url", envvar="TICKWIRE_URL", show_envvar=True, default=URL, show_default=True, help="The broker's address."
    )
    return url(token(command))


class Mistake(click.ClickException):
    """What was typed or configured is wrong; the sentence says what to do."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        note(self.message)


def note(text: str) -> None:
    """A line for the person, beside the output."""
    click.echo(f"tickwire: {text}", err=True)


def run_client(work: Coroutine[Any, Any, int], url: str) -> int:
    """Run the work of a command to its exit code; what goes wrong becomes a sentence."""
    try:
        return _run_client(work, url)
    finally:
        work.close()  # Ctrl-C may come before it has begun


def _run_client(work: Coroutine[Any, Any, int], url: str) -> int:
    from tickwire_client import ConnectionLost, OutcomeUnknown, TickwireError
    from tickwire_client.addresses import complete

    try:
        complete(url)
    except ValueError as error:
        raise Mistake(str(error)) from None
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(work)
    except OutcomeUnknown as error:
        note(f"it may have been published or not: {error}")
    except ConnectionLost as error:
        note(f"{error}; another address is given with --url or TICKWIRE_URL")
    except TickwireError as error:
        note(str(error))
    except (ValueError, TypeError, OverflowError) as error:
        note(f"cannot be sent: {error}")
        return 2
    return 1


def tell_states(url: str) -> Callable[[str, str], None]:
    """Tells when the connection goes and when it is back; not of every attempt between."""
    before = ""

    def on_state(state: str, why: str) -> None:
        nonlocal before
        if state == "reconnecting" and before != state:
            note(f"reconnecting to {url}: {why}")
        if state == "connected" and before == "reconnecting":
            note(f"connected to {url} again")
        before = state

    return on_state


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
