"""`tickwire sub` from the past, up to now, and shared."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tickwire.server.cli.client import Mistake
from tickwire.server.cli.since import At, read_since

from .shell import broker, running, tickwire


def published(url: str, topic: str, *data: int) -> None:
    lines = "".join(f"{n}\n" for n in data)
    assert tickwire("pub", topic, "-", "--url", url, stdin=lines).code == 0


def printed(out: str) -> list[tuple[str, int]]:
    return [(facts["topic"], facts["data"]) for facts in map(json.loads, out.splitlines())]


def test_what_there_is_is_printed_and_then_it_ends() -> None:
    with broker() as (_, url):
        published(url, "a.x", 1, 2)
        published(url, "a.y", 3)

        ended = tickwire("sub", "a.*", "--until-now", "--url", url)
        both = tickwire("sub", "a.x", "a.*", "--since", "earliest", "--until-now", "--url", url)
        two = tickwire("sub", "a.*", "--until-now", "--count", "2", "--url", url)
        none = tickwire("sub", "b", "--until-now", "--url", url)

    assert (ended.code, sorted(printed(ended.out))) == (0, [("a.x", 1), ("a.x", 2), ("a.y", 3)])
    assert (both.code, sorted(printed(both.out))) == (0, [("a.x", 1), ("a.x", 2), ("a.y", 3)])
    assert (two.code, len(printed(two.out))) == (0, 2)
    assert (none.code, none.out, none.err) == (0, "", "")


def test_it_begins_where_it_is_told_and_goes_on_live() -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    begins = {"earliest": 1, "last": 3, "@1": 2, "1h": 1, "2026-01-01": 1, "now": 4, soon: 4}
    with broker() as (_, url):
        for topic, (since, first) in enumerate(begins.items()):
            published(url, str(topic), 1, 2, 3)
            with running("sub", str(topic), "--since", since, "--url", url) as sub:
                sub.err_until("subscribed to")
                published(url, str(topic), 4)

                assert [json.loads(sub.out())["data"] for _ in range(first, 5)] == list(range(first, 5)), since


def test_messages_are_shared_in_a_group() -> None:
    with (
        broker() as (_, url),
        running("sub", "a", "--group", "g", "--count", "1", "--url", url) as one,
        running("sub", "a", "--group", "g", "--count", "1", "--url", url) as other,
    ):
        one.err_until("subscribed to a")
        other.err_until("subscribed to a")
        published(url, "a", *range(600))

        assert {one.wait(), other.wait()} == {0}
        assert json.loads(one.out())["data"] != json.loads(other.out())["data"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86_400), ("1.5m", 90), ("500ms", 0.5)]
)
def test_a_time_ago_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert read_since(text, ("a",)) == timedelta(seconds=seconds)


def test_a_time_without_a_zone_is_local() -> None:
    assert read_since("2026-11-25T14:30", ("a",)) == datetime(2026, 11, 25, 14, 30).astimezone()
    assert read_since("2026-11-25T14:30Z", ("a",)) == datetime(2026, 11, 25, 14, 30, tzinfo=UTC)


def test_an_offset_is_one_of_one_topic() -> None:
    assert read_since("@17", ("a.b",)) == At(17)
    with pytest.raises(Mistake, match="--since @17 is an offset of one topic, so give one topic and no wildcard"):
        read_since("@17", ("a.*",))


@pytest.mark.parametrize("text", ["yesterday", "5", "5x", "", "-5m", "2026", "2026-13-01", "m", "99999999999999d"])
def test_what_is_no_place_to_begin_is_told_what_could_be(text: str) -> None:
    with pytest.raises(Mistake, match=r"^--since is .*, but must be earliest, last, a time ago such as 30s"):
        read_since(text, ("a",))


@pytest.mark.parametrize("text", ["@", "@-1", "@1.5", "@x", "@9007199254740992", "@" + "9" * 5_000, "@¹"])
def test_what_is_no_offset_is_told_how_one_is_written(text: str) -> None:
    with pytest.raises(Mistake, match="but after @ comes an offset, as in @1200"):
        read_since(text, ("a",))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--group", "g", "--since", "5m"), "--group shares what comes from now on"),
        (("--group", "g", "--until-now"), "--group shares what comes from now on"),
        (("--since", "now", "--until-now"), "--until-now ends where --since now begins"),
        (("--group", ""), "group"),
    ],
)
def test_options_that_contradict_each_other_are_refused_with_a_sentence(
    arguments: tuple[str, ...], sentence: str
) -> None:
    with broker() as (_, url):
        ended = tickwire("sub", "a", *arguments, "--url", url)

    assert ended.code == 2
    assert sentence in ended.err
    assert "Traceback" not in ended.err


def test_an_offset_that_was_never_given_is_refused() -> None:
    with broker() as (_, url):
        published(url, "a", 1)

        ended = tickwire("sub", "a", "--since", "@5", "--url", url)

    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "tickwire: offset 5 of 'a' was never given: the next one is 1 [future_position]\n"
