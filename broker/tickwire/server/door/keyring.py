"""The keys that the settings name, kept up to date: a file is read anew when asked, a URL every few minutes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from .. import logs
from ..configuration.setting import SettingsError
from ..configuration.settings import Settings

if TYPE_CHECKING:
    from .keys import Key

log = logs.logger("tickwire.door")

_TIMEOUT = aiohttp.ClientTimeout(total=5.0)
_SOONEST = 10.0  # seconds between two fetches, whatever tokens come: each could name a key that does not exist
_PAGE_BYTES = 1 << 20


class Keyring:
    """`current` are the keys that can be used now. Raises SettingsError where the settings name none that can."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.auth_keys if _is_url(settings.auth_keys) else ""
        self._every = settings.auth_keys_every
        self._fetched: list[Key] = []
        self._fetched_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._given: list[Key] = []
        if self._url:
            _check_url(self._url)
        self.read(settings)()

    @property
    def current(self) -> list[Key]:
        return self._given + self._fetched

    def read(self, settings: Settings) -> Callable[[], None]:
        """What takes the keys that are in files now. Raises SettingsError where they cannot be used."""
        if (settings.auth_keys if _is_url(settings.auth_keys) else "") != self._url:
            raise SettingsError("auth_keys is a URL, or was one: another needs another start")
        given = self._in_files(settings)

        def take() -> None:
            self._given = given

        return take

    def _in_files(self, settings: Settings) -> list[Key]:
        if not (settings.auth_secret or settings.auth_secret_file or settings.auth_keys):
            return []
        from . import keys  # what it stands on is loaded by those who want it

        given: list[Key] = []
        if settings.auth_secret:
            given.append(keys.of_secret(settings.auth_secret.encode(), "auth_secret"))
        if settings.auth_secret_file:
            given.append(_secret_in(Path(settings.auth_secret_file).expanduser()))
        if settings.auth_keys and not self._url:
            given += keys.of_file(Path(settings.auth_keys).expanduser())
        return given

    async def start(self) -> None:
        """Fetch, where there is a URL; where that fails now, it may go well later."""
        if self._url:
            await self.renew()
            self._again()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._fetching is not None:
            self._fetching.cancel()

    @property
    def may_renew(self) -> bool:
        """Whether a newer set of keys can be asked for now."""
        if not self._url:
            return False
        now = asyncio.get_running_loop().time()
        return self._fetching is not None or self._fetched_at is None or now - self._fetched_at >= _SOONEST

    async def renew(self) -> None:
        """Fetch anew, once for all who ask meanwhile. What goes wrong is in the log, and the keys of before stay."""
        if self._fetching is None:
            self._fetched_at = asyncio.get_running_loop().time()
            self._fetching = asyncio.ensure_future(self._fetch())
            self._fetching.add_done_callback(self._fetch_ended)
        await asyncio.shield(self._fetching)

    def _fetch_ended(self, task: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _fetch(self) -> None:
        from . import keys

        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as http,
                http.get(self._url, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise keys.BadKeys(f"answered {response.status}")
                self._fetched = keys.of_bytes(await _read(response))
        except (aiohttp.ClientError, OSError, TimeoutError, keys.BadKeys) as error:
            log.warning("cannot fetch keys", url=self._url, why=str(error) or type(error).__name__)
        else:
            log.info("fetched keys", url=self._url, keys=len(self._fetched))

    def _again(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._renew_by_timer)

    def _renew_by_timer(self) -> None:
        self._renewing = asyncio.ensure_future(self.renew())
        self._again()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    from .keys import BadKeys

    data = bytearray()
    async for piece in response.content.iter_chunked(64 << 10):
        data += piece
        if len(data) > _PAGE_BYTES:
            raise BadKeys(f"answered with more than {_PAGE_BYTES} bytes")
    return bytes(data)


def _secret_in(path: Path) -> Key:
    from . import keys

    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"cannot read the secret in {str(path)!r}: {error.strerror}") from None
    return keys.of_secret(secret, f"the secret in {str(path)!r}")


def _is_url(where: str) -> bool:
    return "://" in where


def _check_url(url: str) -> None:
    """Raises SettingsError unless what comes from there is from there: HTTPS, or this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise SettingsError(f"auth_keys is {url!r}, which is no URL") from None
    local = parts.scheme == "http" and host in ("localhost", "127.0.0.1", "::1")
    if not host or not (parts.scheme == "https" or local):
        raise SettingsError(f"auth_keys is {url!r}, but must be an https URL: keys over http could be anybody's")
