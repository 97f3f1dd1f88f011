"""What a publisher hears that asks again about a frame, when commits fail and after a restart."""

from __future__ import annotations

import pytest

from house.kept_store import KeptStore
from house.link import House, Link
from tickwire.core.errors import IdentityConflict, WindowExpired
from tickwire.core.identity import Identities, checksum_of
from tickwire.core.limits import Limits
from tickwire.core.store import Identity, StoreFailed, StoreFull
from tickwire.wire.messages import Ack, Hello, Publish, Refusal, Run


def kept_house() -> House:
    return House(Limits(identity_seconds=60.0, identity_frames=4), store=KeptStore())


def publisher(house: House) -> Link:
    """Welcomed, without letting a commit end that is under way."""
    link = house.link(greet=False)
    link.send(Hello(publisher="p", incarnation=1))
    house.flush()
    link.take()
    return link


def send(link: Link, sequence: int, payload: bytes = b"x", retry: bool | None = None) -> None:
    """The id of the publish is its sequence."""
    link.send(Publish(sequence, [Run("a", [payload])], sequence, retry))


def answers(link: Link) -> list[tuple[int | None, str]]:
    """(id, "ack" or a code) in the order in which they came."""
    found: list[tuple[int | None, str]] = []
    for message in link.take():
        if isinstance(message, Ack):
            found += [(receipt[0], "ack") for receipt in message.receipts]
        elif isinstance(message, Refusal):
            found.append((message.id, message.code))
    return found


def test_a_repeat_waits_for_the_commit_of_the_first_and_is_stored_once() -> None:
    house = kept_house()
    first = publisher(house)
    send(first, 1)
    house.flush()

    again = publisher(house)
    send(again, 1, retry=True)
    house.engine.flush(house.clock.now, house.clock.time_us)
    assert answers(again) == []

    house.settle()
    assert answers(again) == [(1, "ack")]
    assert list(house.store.messages) == [("a", 0)]


@pytest.mark.parametrize(
    ("error", "code"), [(StoreFull("full"), "no_space"), (StoreFailed("fsync"), "outcome_unknown")]
)
def test_a_repeat_of_what_fails_shares_its_fate(error: Exception, code: str) -> None:
    house = kept_house()
    send(publisher(house), 1)
    house.flush()
    again = publisher(house)
    send(again, 1, retry=True)

    house.store.fail = error
    house.commit()
    house.flush()

    assert answers(again) == [(1, code)]


@pytest.mark.parametrize("error", [StoreFull("full"), StoreFailed("fsync")])
@pytest.mark.parametrize("pending", [False, True])
def test_a_repeat_of_what_was_stored_before_is_acknowledged_whatever_fails_now(error: Exception, pending: bool) -> None:
    house = kept_house()
    link = publisher(house)
    send(link, 1)
    house.settle()
    link.take()

    if not pending:
        send(link, 1, retry=True)
    send(link, 2)
    house.flush()
    if pending:
        send(link, 1, retry=True)
    house.store.fail = error
    house.commit()
    house.flush()

    assert (1, "ack") in answers(link)


def test_what_nobody_knows_the_outcome_of_is_never_acknowledged_in_this_life() -> None:
    house = kept_house()
    send(publisher(house), 1)
    house.flush()
    house.store.fail = StoreFailed("fsync")
    house.commit()
    house.flush()

    again = publisher(house)
    send(again, 1, retry=True)
    send(again, 2)
    house.settle()

    assert answers(again) == [(1, "outcome_unknown"), (2, "store_failed")]


def test_what_a_full_disk_did_not_take_may_come_again_and_is_remembered_from_then_on() -> None:
    house = kept_house()
    link = publisher(house)
    send(link, 1)
    house.store.fail = StoreFull("full")
    house.settle()
    house.wait(40)
    house.engine.has_room()
    send(link, 1)
    house.settle()
    assert answers(link) == [(1, "no_space"), (1, "ack")]

    house.wait(40)
    send(link, 1, retry=True)
    house.settle()

    assert answers(link) == [(1, "ack")]
    assert len(house.store.messages) == 1


def test_windows_are_there_again_after_a_restart_and_the_time_between_does_not_count() -> None:
    house = kept_house()
    link = publisher(house)
    send(link, 1)
    house.settle()
    house.wait(50)
    send(link, 2)
    house.settle()

    house.clock.now += 1_000_000
    house.restart()
    house.wait(1)
    back = publisher(house)
    send(back, 1, retry=True)
    send(back, 1, b"other", retry=True)
    house.settle()
    assert answers(back) == [(1, "identity_conflict"), (1, "ack")]

    house.wait(20)
    send(back, 1, retry=True)
    send(back, 2, retry=True)
    house.settle()
    assert answers(back) == [(1, "window_expired"), (2, "ack")]
    assert len(house.store.messages) == 2


def test_a_checksum_tells_where_one_payload_ends_and_the_next_begins() -> None:
    identities = Identities(60.0, 10)
    identities.add(("p", 1), 1, checksum_of([Run("a", [b"ab", b"c"])]), [0], 0.0, True)

    with pytest.raises(IdentityConflict):
        identities.find(("p", 1), 1, checksum_of([Run("a", [b"a", b"bc"])]), True, 0.0)


def test_a_clock_that_has_just_begun_expires_nothing() -> None:
    assert Identities(300.0, 10).find(("p", 1), 1, 0, True, 5.0) is None


def test_who_had_to_be_forgotten_for_want_of_room_is_refused_what_it_repeats(monkeypatch) -> None:
    monkeypatch.setattr("tickwire.core.identity._FRAMES", 3)
    identities = Identities(60.0, 10)
    for number in range(4):
        identities.add((f"p{number}", 1), 1, 7, [number], float(number), True)

    with pytest.raises(WindowExpired):
        identities.find(("p0", 1), 1, 7, True, 4.0)
    assert identities.find(("p0", 1), 1, 7, False, 4.0) is None
    assert identities.find(("p3", 1), 1, 7, True, 4.0) == [3]


def test_restored_frames_are_forgotten_before_newer_ones() -> None:
    identities = Identities(60.0, 10)
    identities.restore(
        [(10_000_000, Identity("p", 1, 1, 7, [0])), (40_000_000, Identity("p", 1, 2, 7, [1]))], 50_000_000
    )
    identities.add(("p", 1), 3, 7, [2], 1_000.0, True)
    identities.tick(1_000.0)

    identities.tick(1_025.0)

    with pytest.raises(WindowExpired):
        identities.find(("p", 1), 1, 7, True, 1_025.0)
    assert identities.find(("p", 1), 2, 7, True, 1_025.0) == [1]
    assert identities.find(("p", 1), 3, 7, True, 1_025.0) == [2]
