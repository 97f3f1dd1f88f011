"""The client's side of a conversation, as its application sees it: what it wants. Pure, like all that it stands on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tickwire.wire.encode import encode
from tickwire.wire.limits import MSGPACK
from tickwire.wire.messages import Beat, Bye, List, Unsubscribe

from .buffer import Buffer
from .checks import check_batch, check_message, check_name, check_pattern
from .conversation import Conversation, Listed
from .errors import TickwireError
from .feed import Feed
from .messages import Receipt
from .positions import Start
from .publishes import Entry, Whole
from .runs import Runs
from .share import Share
from .work import Terms, Work

F = TypeVar("F", bound=Buffer)


class Session(Conversation):
    """What a client knows and wants."""

    def subscribe(
        self,
        pattern: str,
        *,
        start: Start | None = None,
        once: bool = False,
        max_messages: int = 1 << 16,
        max_bytes: int = 16 << 20,
        drop: bool = False,
    ) -> Feed:
        """Ask for the topics that match. Raises Refused where the pattern breaks the grammar."""
        return self._ask(Feed(self._new_id(pattern), pattern, max_messages, max_bytes, drop, start=start, once=once))

    def share(
        self, pattern: str, group: str, *, max_messages: int = 1 << 16, max_bytes: int = 16 << 20, drop: bool = False
    ) -> Share:
        """Ask for a share of what comes from now on, with all who name the same group."""
        check_name(group, "group")
        return self._ask(Share(self._new_id(pattern), pattern, group, max_messages, max_bytes, drop))

    def consume(self, pattern: str, terms: Terms, *, max_bytes: int = 16 << 20) -> Work:
        """Ask for a share of a group's work."""
        check_name(terms.group, "group")
        work = self._ask(Work(self._new_id(pattern), pattern, terms, max_bytes))
        work.answer_soon, work.answer_lost = self._answer_soon, self.outbox.lost_untold
        return work

    def unsubscribe(self, feed: Buffer) -> None:
        """Want no more of it. It gets nothing from here on."""
        if feed.ended:
            return
        if isinstance(feed, Work):
            self._answer(feed)
        feed.end()
        if self._connected:
            self._control.append(encode(Unsubscribe(feed.id)))
        self.feeds.remove(feed.id)

    def list_groups(self, done: Listed) -> int:
        """Ask what consumer groups there are, over the next connection too; returns what `unlist` takes."""
        self._last_id += 1
        self._lists[self._last_id] = done
        if self._connected:
            self._control.append(encode(List(self._last_id)))
        return self._last_id

    def unlist(self, id: int) -> None:
        """Nobody waits for the answer any more."""
        self._lists.pop(id, None)

    def check(self, topic: str, payload: bytes, format: int) -> None:
        """Raise Refused where the broker takes no such topic, or no payload as large as this."""
        check_message(topic, payload, format, self.limits)

    def post(self, topic: str, payload: bytes, format: int = MSGPACK) -> None:
        """Publish without an acknowledgment. Raises Refused where the broker would refuse it."""
        self.outbox.post(topic, payload, format, self.check)

    def publish(
        self, topic: str, payload: bytes, done: Callable[[Receipt | TickwireError], None], format: int = MSGPACK
    ) -> Entry:
        """Publish one message and have `done` called with its receipt. Raises Refused where the broker would."""
        self.check(topic, payload, format)
        entry = Entry(topic, payload, format, done)
        self.outbox.put(entry)
        return entry

    def publish_whole(self, messages: Runs, done: Callable[[TickwireError | None], None]) -> Whole:
        """Publish messages that stand or fall together. Raises Refused where they are more than a frame holds.

        With no message it is a barrier: `done` is called when everything given before has acted.
        """
        check_batch(messages, self.limits)
        whole = Whole(messages, done)
        self.outbox.put(whole)
        return whole

    def beat(self, time_us: int) -> None:
        """Say that the client is there."""
        if self._connected:
            self._control.append(encode(Beat(time_us)))

    def bye(self, text: str) -> None:
        """Say that the close follows, after what there is to say else."""
        while self._answering:
            self._answer(self._answering.popitem()[1])
        if self._connected:
            self._control.append(encode(Bye("going_away", text)))

    def _new_id(self, pattern: str) -> int:
        check_pattern(pattern)
        self._last_id += 1
        return self._last_id

    def _ask(self, feed: F) -> F:
        self.feeds.add(feed)
        if self._connected:
            self._control.append(encode(feed.request(self.limits.frame_bytes)))
        return feed

    def _answer_soon(self, work: Work) -> None:
        if self._connected:
            self._answering[work.id] = work
            self.send_soon()
