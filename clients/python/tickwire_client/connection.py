"""Keeps a session connected: opens links one after another, and moves frames between link and session meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from functools import partial
from ssl import SSLContext

from .addresses import Addresses, advice
from .backoff import Backoff
from .brake import Brake
from .errors import ConnectionLost, Refused, TickwireError, WireError
from .link import STIRRED, HttpRefused, Link, NoAnswer, open_link
from .session import Session
from .tokens import NoToken, Token, current, renew_in

log = logging.getLogger("tickwire_client")

HANDSHAKE_TIMEOUT = 10.0  # seconds for the WebSocket and the welcome
_LEAVING_TIMEOUT = 2.0
_DAY_S = 86_400.0
_TURN_BYTES = 256 << 10  # sent before others get their turn of the loop
# What a broker says before the welcome and will say again: coming back would not help.
_FINAL_CODES = {
    "version_unsupported", "subprotocol_required", "bad_upgrade", "token_in_url", "unauthorized", "token_expired",
    "token_revoked", "forbidden", "address_forbidden", "origin_forbidden"
}  # fmt: skip

OnState = Callable[[str, str], None]


class Connection:
    """The states are "connecting", "connected", "reconnecting" and "closed"; `on_state` is called with each and why."""

    def __init__(
        self,
        session: Session,
        addresses: Addresses,
        *,
        token: Token = None,
        ssl: SSLContext | None = None,
        compress: bool,
        timeout: float,
        reconnect: bool,
        on_state: OnState | None,
    ) -> None:
        self.state = "connecting"
        self._session, self._addresses = session, addresses
        self._ssl = ssl
        self.ended: TickwireError | None = None  # why it came to an end by itself
        self._asking = False  # the application for a token
        self._token, self._compress, self._reconnect, self._on_state = token, compress, reconnect, on_state
        self._handshake_s = min(HANDSHAKE_TIMEOUT, timeout)
        session.send_soon = self.send_soon
        self._backoff = Backoff()
        self._loop = asyncio.get_running_loop()
        self._wanted = asyncio.Event()
        self.soon = False  # `_send_at_once` is about to be called
        self._sending = False  # the task is at it
        self._fault: Exception | None = None  # of what is done at once: the task that receives ends with it
        self.brake = Brake()
        self._heard = 0.0
        self._leaving = False
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect for the first time, trying each address once. Raises what the last one failed with."""
        self._say("connecting", self._addresses.current)
        try:
            self._task = asyncio.create_task(self._run(await self._open_first()), name="tickwire client")
            # A task that is cancelled before its first step never runs, and nobody would close its link.
            await asyncio.sleep(0)
        except BaseException as error:
            await self.close(str(error) or "the application gave up connecting")
            raise

    @property
    def unsent(self) -> bool:
        """Whether something waits to be sent, on this connection or the next."""
        return bool(self._session.outbox) or (self._link is not None and self._link.unsent)

    @property
    def over(self) -> bool:
        """Whether nothing more is sent, now or after another connection."""
        return self._leaving or self.state == "closed"

    @property
    def url(self) -> str:
        """Where the broker is, or is looked for."""
        return self._addresses.current

    def send_soon(self) -> None:
        """There is something to send; it leaves in the next turn of the loop, with all that is added until then."""
        if not self.soon:
            self.soon = True
            self._loop.call_soon(self._send_at_once)

    async def close(self, text: str) -> None:
        """Say goodbye and close the link, within a bounded time."""
        self._leaving = True
        link, self._link = self._link, None
        try:
            if link is not None:
                await self._leave(link, text)
        finally:
            if link is not None:
                await link.abort()
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)
            if self.state != "closed":
                self._say("closed", text)

    async def _leave(self, link: Link, text: str) -> None:
        with contextlib.suppress(TimeoutError, ConnectionLost):
            async with asyncio.timeout(_LEAVING_TIMEOUT):
                self._session.bye(text)
                for frame in self._session.frames(self._loop.time()):
                    await link.send(frame)
                await link.close()

    def _say(self, state: str, detail: str) -> None:
        self.state = state
        if self._on_state is not None:
            try:
                self._on_state(state, detail)
            except Exception:
                log.exception("on_state raised")

    # One link after another.

    async def _run(self, link: Link) -> None:
        try:
            while True:
                began = self._loop.time()
                why = await self._serve(link)
                goodbye = self._session.goodbye
                self._session.closed()
                if self._leaving:
                    return
                self._backoff.connected(self._loop.time() - began)
                if not self._reconnect:
                    raise ConnectionLost(f"the client was connected to {self._addresses.current}: {why}")
                if goodbye is not None:
                    self._addresses.rotate()
                link = await self._open_again(why, ((goodbye and goodbye.retry_after_ms) or 0) / 1000)
        except Exception as error:
            if not isinstance(error, TickwireError):
                log.exception("the client came to an end by a fault of its own")
                error = ConnectionLost(f"the client came to an end by a fault of its own: {error!r}")
            self._session.closed()
            self.ended = error
            self._session.give_up(error, error)
            self._say("closed", str(error))

    async def _open_first(self) -> Link:
        try:
            return await self._open_one()
        except NoToken as error:
            raise error.__cause__ or error from None  # the application's own, as it raised it

    async def _open_one(self) -> Link:
        for _ in self._addresses.urls[1:]:
            try:
                return await self._open()
            except TickwireError:
                self._addresses.rotate()
        return await self._open()

    async def _open_again(self, why: str, at_least: float) -> Link:
        """The next link, however long it takes. Raises Refused where coming back would not help."""
        while True:
            wait = self._backoff.next(at_least)
            log.info("reconnecting to %s in %.1f s: %s", self._addresses.current, wait, why)
            self._say("reconnecting", why)
            await asyncio.sleep(wait)
            try:
                return await self._open()
            except Refused as error:
                if self._is_final(error):
                    raise
                why, at_least = str(error), _retry_after(error)
            except NoAnswer as error:
                why, at_least = error.why, 0.0
            except TickwireError as error:
                why, at_least = str(error), 0.0
            self._addresses.rotate()

    def _is_final(self, error: Refused) -> bool:
        """Whether the broker would say the same again; but where another token can be had, one that expired is none."""
        return error.code in _FINAL_CODES and not (error.code == "token_expired" and callable(self._token))

    async def _open(self) -> Link:
        """A link on which the broker has said welcome."""
        url = self._addresses.current
        link: Link | None = None
        self._asking = False
        try:
            async with asyncio.timeout(self._handshake_s):
                link = await open_link(url, compress=self._compress, ssl=self._ssl)
                await self._greet(link)
            self._link = link
            self._say("connected", url)
            return link
        except BaseException as error:
            self._session.closed()
            if link is not None:
                await link.abort()
            if isinstance(error, TimeoutError) and self._asking:
                raise NoToken(f"the token function gave none within {self._handshake_s:g} s") from None
            if isinstance(error, TimeoutError):
                raise NoAnswer(f"{url} did not answer within {self._handshake_s:g} s", advice(url)) from None
            raise

    async def _greet(self, link: Link) -> None:
        session = self._session
        session.token = await self._current_token()
        await link.send(session.opened())
        for frame in session.frames():
            await link.send(frame)
        while session.welcome is None:
            answer = await link.receive()
            if answer is not None:
                self._take_welcome(answer)
            elif session.goodbye is not None:
                goodbye = session.goodbye
                raise Refused(goodbye.code, goodbye.text, {"retry_after_ms": goodbye.retry_after_ms or 0})
            else:
                raise ConnectionLost(f"{self._addresses.current} said no welcome: {link.why}")

    async def _current_token(self) -> str | None:
        self._asking = True  # and so it stays where this is given up
        try:
            token = await current(self._token)
        except Exception as error:
            raise NoToken(f"the token function failed: {error!r}") from error
        self._asking = False
        return token

    def _take_welcome(self, answer: bytes) -> None:
        try:
            self._session.receive(answer)
        except WireError as error:
            if error.code in _FINAL_CODES:
                raise Refused(error.code, error.text, {}) from None
            raise ConnectionLost(f"{self._addresses.current} broke the protocol: {error}") from None

    # One link, while it is good.

    async def _serve(self, link: Link) -> str:
        """Move frames until the link is of no use any more, and say why."""
        self._heard, self._fault = self._loop.time(), None
        self._wanted.set()
        tasks = [asyncio.create_task(step(link)) for step in (self._receive, self._send, self._keep)]
        if callable(self._token):
            tasks.append(asyncio.create_task(self._renew()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in tasks:
                task.cancel()
            self._link, self.brake.on = None, False
            if not self._leaving:  # else `close` does it, when the goodbye is said
                await link.abort()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self, link: Link) -> str:
        link.listen(partial(self._take_at_once, link))
        try:
            while (frame := await link.receive()) is not None:
                if self._fault is not None:
                    return self._broken()
                if frame is not STIRRED:
                    self._take(frame)
                if self.brake.wanted:
                    await self.brake.wait()
                    self._heard = self._loop.time()
        except WireError as error:
            self._fault = error
            return self._broken()
        goodbye = self._session.goodbye
        return link.why if goodbye is None else goodbye.text

    def _broken(self) -> str:
        """What the fault says of the connection; raises it where it is none of the broker's."""
        fault = self._fault
        if not isinstance(fault, WireError):
            raise fault or RuntimeError("there is no fault")
        log.error("the broker at %s broke the protocol: %s", self._addresses.current, fault)
        return f"the broker broke the protocol: {fault}"

    def _take(self, frame: bytes) -> None:
        self._heard = self._loop.time()
        self._session.receive(frame)
        if self._session.outbox:
            self.send_soon()  # what was refused together goes again one by one

    def _take_at_once(self, link: Link, frame: bytes) -> None:
        """Act on a frame within the read that brought it."""
        try:
            self._take(frame)
        except Exception as error:
            self._fault = error
        if self.brake.wanted or self._fault is not None:
            link.stir()

    def _send_at_once(self) -> None:
        """Send from here what the transport takes at once; the task sends what it does not, and what is much."""
        self.soon = False
        link = self._link
        if link is None or self._sending or self._wanted.is_set() or not link.writable:
            self._wanted.set()
            return
        try:
            self._write(link)
        except Exception as error:
            self._fault = error
            self._wanted.set()

    def _write(self, link: Link) -> None:
        frames, turn = [], 0
        for frame in self._session.frames(self._loop.time()):
            frames.append(frame)
            turn += len(frame)
            if turn >= _TURN_BYTES:
                self._wanted.set()
                break
        if frames:
            link.write(frames)

    async def _send(self, link: Link) -> str:
        try:
            while True:
                self._sending = False
                await self._wanted.wait()
                self._sending = True
                self._wanted.clear()
                if self._fault is not None:
                    return self._broken()
                turn = 0
                for frame in self._session.frames(self._loop.time()):
                    await link.send(frame)
                    turn += len(frame)
                    if turn >= _TURN_BYTES:
                        await asyncio.sleep(0)
                        turn = 0
        except ConnectionLost as error:
            # The broker's last words may still be unread; they say more than a failed write.
            await asyncio.sleep(1.0)
            return str(error)

    async def _keep(self, link: Link) -> str:
        """Beat, whether the application reads or not; and watch that the broker does too, while it can be heard."""
        limits, loop = self._session.limits, self._loop
        every, deadline = limits.beat_ms / 1000, limits.deadline_ms / 1000
        next_beat = loop.time() + every
        while True:
            silent_at = math.inf if self.brake.on else self._heard + deadline
            due = min(next_beat, silent_at)
            await asyncio.sleep(max(0.0, due - loop.time()))
            now = loop.time()
            if now >= next_beat:
                next_beat = now + every
                self._session.beat(time.time_ns() // 1000)
                self._wanted.set()
            # Where this timer itself is late, the application held the loop, and nothing could be heard.
            if now - due > min(1.0, deadline / 4):
                self._heard = max(self._heard, now - deadline / 2)
            elif not self.brake.on and now - self._heard >= deadline:
                return f"nothing was heard for {deadline:g} s"

    async def _renew(self) -> str:
        """Show a newer token, each time before the last expires. Where none is had, the next connection asks again."""
        while True:
            await asyncio.sleep(min(renew_in(self._token, self._session.expires_at, time.time()), _DAY_S))
            if math.isinf(renew_in(self._token, self._session.expires_at, time.time())):
                continue
            try:
                token = await current(self._token)
            except Exception:
                log.exception("no newer token could be had")
                continue
            self._session.refresh(token or "")
            self._wanted.set()


def _retry_after(error: Refused) -> float:
    if isinstance(error, HttpRefused):
        return error.retry_after
    return float(error.details.get("retry_after_ms") or 0) / 1000
