"""Where a subscription may be asked to start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tickwire_client import Message, Position, Receipt
from tickwire_client.messages import Section
from tickwire_client.positions import start_of

NOW_US = 1_700_000_000_000_000


@pytest.mark.parametrize(
    ("since", "start"),
    [
        ("now", None),
        ("last", ("last",)),
        ("earliest", ("earliest",)),
        (Position("a.b", 77, 5), ("offset", 77, 5)),
        (datetime(2023, 11, 14, 22, 13, 20, 7, UTC), ("time", NOW_US + 7)),
        (datetime(2023, 11, 14, 23, 13, 20, tzinfo=timezone(timedelta(hours=1))), ("time", NOW_US)),
        (datetime(1900, 1, 1, tzinfo=UTC), ("time", 0)),
        (timedelta(minutes=5), ("time", NOW_US - 300_000_000)),
        (timedelta(days=999_999_999), ("time", 0)),
    ],
)
def test_each_way_to_say_where(since: object, start: object) -> None:
    assert start_of(since, "a.b", NOW_US) == start  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("since", "pattern", "error", "says"),
    [
        ("newest", "a", ValueError, r'"newest".*|since=\'newest\' is none of "now", "last", "earliest", a Position'),
        (5, "a", TypeError, "a timedelta, not int"),
        (None, "a", TypeError, "not NoneType"),
        (datetime(2024, 1, 1), "a", TypeError, r"time zone.*datetime\.now\(UTC\), or since\.astimezone\(\)"),
        (timedelta(seconds=-1), "a", ValueError, r"future: timedelta\(minutes=5\) means five minutes ago"),
        (Position("a.b", 1, 1), "a.*", ValueError, r"'a\.\*' may match several"),
        (Position("a.b", 1, 1), "a.c", ValueError, r"one of 'a\.b', not of 'a\.c'"),
        (Position("a.b", 1, -1), "a.b", ValueError, "no position that a broker gave"),
        (Position("a.b", 1, 1.5), "a.b", ValueError, "no position that a broker gave"),  # type: ignore[arg-type]
        (Position("a.b", "1", 1), "a.b", ValueError, "no position that a broker gave"),  # type: ignore[arg-type]
        (Receipt("a.b", 1, 1), "a.b", TypeError, r"not Receipt: its \.position is one"),
    ],
)
def test_what_cannot_be_says_how_it_is_said(since: object, pattern: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        start_of(since, pattern, NOW_US)  # type: ignore[arg-type]


def test_a_position_is_that_of_its_message_and_the_next_one_is_after_it() -> None:
    message = Message(Section("a", 77, 10, 1, [b"\x01", b"\x02"], 0), 1)

    assert message.position == Position("a", 77, 11)
    assert message.position.next == Position("a", 77, 12)
    assert Receipt("a", 77, 11).position == message.position
    assert message.attempt == 1
