"""The store's threads, by turns: nothing else writes while a commit is under way, with the writer or without it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable

import pytest

from house.kept_store import KeptStore
from tickwire.core.engine import Engine
from tickwire.core.limits import Limits
from tickwire.core.policy import Policies, Policy
from tickwire.core.session import Session
from tickwire.core.store import Batch, Dropped, StoreFailed
from tickwire.fanout.peer import Peer
from tickwire.server.storage import Storage
from tickwire.wire.encode import encode
from tickwire.wire.messages import Hello, Publish, Run


class Beside(KeptStore):
    """Takes each commit beside the writer, and ends it when it is told to. `did` is what was asked of it, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.did: list[str] = []
        self.under_way: Batch | None = None
        self.refuses: Exception | None = None
        self.may_settle = threading.Event()
        self.may_settle.set()
        self.ended = os.eventfd(0, os.EFD_NONBLOCK)

    def begin(self, batch: Batch) -> bool:
        if self.refuses is not None:
            raise self.refuses
        self.did.append("begin")
        self.under_way = batch
        return True

    def end(self) -> None:
        assert self.ended is not None
        os.eventfd_write(self.ended, 1)

    def finish(self) -> bool:
        assert self.ended is not None
        assert self.under_way is not None
        os.eventfd_read(self.ended)
        batch, self.under_way = self.under_way, None
        super().commit(batch)
        self.did.append("finish")
        return True

    def commit(self, batch: Batch) -> None:
        assert self.under_way is None
        super().commit(batch)
        self.did.append("commit")

    def retain(self, policy_of: Callable[[str], Policy], time_us: int) -> list[Dropped]:
        assert self.under_way is None
        self.did.append("retain")
        return []

    def settle(self, alone: bool = True) -> None:
        assert not alone or self.under_way is None
        self.did.append("settle" if alone else "settle in company")
        assert self.may_settle.wait(10)


class Desk:
    """An engine with somebody who publishes, its storage, and no loop that flushes by itself."""

    def __init__(self) -> None:
        self.store = Beside()
        self.engine = Engine(Limits(), self.store)
        self.heard = asyncio.Event()
        self.storage = Storage(self.engine, Policies(), self.heard.set, lambda: None)
        self.session = Session(self.engine, Peer(1, lambda data: None, lambda: 0))
        self.session.receive(encode(Hello([1])), 1.0)

    def publish(self) -> None:
        self.session.receive(encode(Publish(1, [Run("a", [b"x"])])), 1.0)
        self.engine.flush(1.0, 1)
        self.storage.serve()

    async def until_heard(self) -> None:
        await asyncio.wait_for(self.heard.wait(), 10)
        self.heard.clear()


async def test_a_commit_that_was_begun_is_heard_of_when_it_has_ended() -> None:
    desk = Desk()
    desk.publish()
    assert (desk.storage.committing, desk.engine.committing, desk.heard.is_set()) == (True, True, False)

    desk.store.end()
    await desk.until_heard()

    assert (desk.storage.committing, desk.engine.committing) == (False, False)
    assert desk.store.did == ["begin", "finish"]
    await desk.storage.close()


async def test_retention_waits_for_a_commit_that_was_begun() -> None:
    desk = Desk()
    desk.publish()
    desk.storage._timer.cancel()

    desk.storage._retain()
    desk.store.end()
    await desk.until_heard()
    await desk.storage.close()

    assert desk.store.did == ["begin", "finish", "retain"]


async def test_while_the_writer_has_something_to_do_commits_wait_behind_it() -> None:
    desk = Desk()
    desk.storage._timer.cancel()

    desk.storage._retain()
    desk.publish()
    await desk.until_heard()
    desk.publish()
    desk.store.end()
    await desk.until_heard()
    await desk.storage.close()

    assert desk.store.did == ["retain", "commit", "begin", "finish"]


async def test_what_was_put_off_is_done_when_nothing_is_under_way() -> None:
    desk = Desk()
    desk.store.unsettled = True
    desk.store.may_settle.clear()
    desk.publish()
    desk.store.end()
    await desk.until_heard()
    desk.publish()
    desk.store.may_settle.set()
    await desk.until_heard()
    await desk.storage.close()

    assert desk.store.did[:4] == ["begin", "finish", "settle", "commit"]


async def test_commits_go_on_while_what_was_put_off_is_done_unless_that_is_to_be_alone() -> None:
    desk = Desk()
    desk.storage._timer.cancel()
    desk.store.unsettled, desk.store.settles_alone = True, False
    desk.store.may_settle.clear()
    for _ in range(3):
        desk.publish()
        desk.store.end()
        await desk.until_heard()
    desk.storage._retain()  # behind it, and from here on a commit is behind that
    desk.store.unsettled = False
    desk.publish()
    desk.store.may_settle.set()
    await desk.until_heard()
    await desk.storage.close()

    in_company = [each for each in desk.store.did if each != "settle in company"]
    assert in_company == [*["begin", "finish"] * 3, "retain", "commit"]
    assert len(desk.store.did) == len(in_company) + 1


@pytest.mark.parametrize("where", ["begin", "finish"])
async def test_a_store_that_fails_there_is_told_of_as_one_that_fails_in_a_commit(where: str) -> None:
    desk = Desk()
    failed: list[str] = []
    desk.storage.on_failure = lambda: failed.append(desk.storage.status)
    if where == "begin":
        desk.store.refuses = StoreFailed("the disk failed")
    else:
        desk.store.fail = StoreFailed("the disk failed")
    desk.publish()
    desk.store.end()
    await desk.until_heard()
    desk.publish()
    await desk.storage.close()

    assert failed == ["store_failed"]
    assert desk.engine.refuses is not None
    assert desk.store.commits == []


async def test_closing_waits_for_what_was_begun() -> None:
    desk = Desk()
    desk.publish()
    asyncio.get_running_loop().call_later(0.05, desk.store.end)

    await desk.storage.close()

    assert desk.store.did == ["begin", "finish"]


async def test_nothing_is_begun_once_it_closes() -> None:
    """The store is about to go: what comes then is not stored, and not acknowledged."""
    desk = Desk()
    closing = asyncio.create_task(desk.storage.close())
    await closing

    desk.publish()

    assert desk.store.did == []
