"""What the commands that talk to a broker share: its address, and a sentence for each way in which it can fail."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, fields
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from ssl import SSLContext

    from tickwire_client import Client
    from tickwire_client.opening import Opening

F = TypeVar("F", bound=Callable[..., Any])

URL = "ws://127.0.0.1:8765"


@dataclass(frozen=True, slots=True)
class Access:
    """Where the broker is, and what is shown there."""

    url: str
    token: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None

    def connect(self, **more: Any) -> Opening[Client]:
        """As `tickwire_client.connect`. Raises Mistake for files that cannot be used."""
        from tickwire_client import connect

        return connect(self.url, token=self.token, ssl=self._ssl(), on_state=tell_states(self.url), **more)

    def _ssl(self) -> SSLContext | None:
        if self.tls_key and not self.tls_cert:
            raise Mistake("--tls-key is given without --tls-cert, the certificate that it belongs to")
        if not (self.tls_ca or self.tls_cert):
            return None
        import ssl

        try:
            context = ssl.create_default_context(cafile=self.tls_ca)
        except OSError as error:
            raise Mistake(f"--tls-ca cannot be used: {self.tls_ca!r}: {_why(error)}") from None
        if self.tls_cert:
            try:
                context.load_cert_chain(self.tls_cert, self.tls_key)
            except OSError as error:
                files = " or ".join(repr(file) for file in (self.tls_cert, self.tls_key) if file)
                raise Mistake(f"--tls-cert cannot be used: {files}: {_why(error)}") from None
        return context


def _why(error: OSError) -> str:
    import ssl

    if isinstance(error, ssl.SSLError):
        return "not the key of the certificate" if "MISMATCH" in str(error) else "it is not PEM"
    return error.strerror or str(error)


_OPTIONS = (
    click.option(
        "--url", envvar="TICKWIRE_URL", show_envvar=True, default=URL, show_default=True, help="The broker's address."
    ),
    click.option("--token", envvar="TICKWIRE_TOKEN", show_envvar=True, help="What to show the broker as token."),
    click.option(
        "--tls-ca", envvar="TICKWIRE_TLS_CA", show_envvar=True, metavar="FILE", help="Who signed its certificate (PEM)."
    ),
    click.option(
        "--tls-cert", envvar="TICKWIRE_TLS_CERT", show_envvar=True, metavar="FILE", help="A certificate to show it."
    ),
    click.option(
        "--tls-key", envvar="TICKWIRE_TLS_KEY", show_envvar=True, metavar="FILE", help="The key of that certificate."
    ),
)
_NAMES = tuple(field.name for field in fields(Access))


def client_options(command: F) -> F:
    """How to reach a broker; the command gets it as `access`."""

    @functools.wraps(command)
    def with_access(*args: Any, **given: Any) -> Any:
        return command(*args, access=Access(**{name: given.pop(name) for name in _NAMES}), **given)

    for option in reversed(_OPTIONS):
        with_access = option(with_access)
    return cast(F, with_access)


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
