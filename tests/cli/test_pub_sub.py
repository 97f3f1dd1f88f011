"""`tickwire pub` and `tickwire sub` against a real broker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from .shell import COMMAND, Running, broker, environment, running, tickwire


def ready(sub: Running, *patterns: str) -> None:
    for _ in patterns:
        sub.err_until("subscribed to ")


def message(line: str) -> tuple[str, int, Any]:
    facts = json.loads(line)
    assert list(facts) == ["topic", "offset", "time", "data"]
    assert facts["time"] > 1.7e9
    return facts["topic"], facts["offset"], facts["data"]


def test_what_is_published_is_printed_as_a_json_line() -> None:
    with broker() as (_, url), running("sub", "prices.*", "--count", "2", "--url", url) as sub:
        ready(sub, "prices.*")

        pub = tickwire("pub", "prices.AAPL", '{"bid": 1, "name": "Äpfel"}', "--url", url)
        other = tickwire("pub", "other.AAPL", "1", TICKWIRE_URL=url)
        last = tickwire("pub", "prices.AAPL", "[true, null, 0.5]", TICKWIRE_URL=url)

        assert (pub.code, pub.out, pub.err, other.code, last.code) == (0, "", "", 0, 0)
        assert message(sub.out()) == ("prices.AAPL", 0, {"bid": 1, "name": "Äpfel"})
        assert message(sub.out()) == ("prices.AAPL", 1, [True, None, 0.5])
        assert (sub.out(), sub.wait()) == ("", 0)


def test_json_lines_go_in_and_come_out() -> None:
    count = 5_000
    with broker() as (_, url), running("sub", ">", "--count", str(2 * count), "--url", url) as sub:
        ready(sub, ">")

        one = tickwire("pub", "a", "-", "--url", url, stdin="".join(f"{number}\n" for number in range(count)))
        lines = "".join(json.dumps({"topic": f"b.{number % 3}", "data": number}) + "\n" for number in range(count))
        many = tickwire("pub", "-", "--url", url, stdin=lines + "\n")

        assert (one.code, one.err, many.code, many.err) == (0, "", 0, "")
        got = [message(sub.out()) for _ in range(2 * count)]
        assert [(offset, data) for topic, offset, data in got if topic == "a"] == [(n, n) for n in range(count)]
        for topic in range(3):
            expected = list(enumerate(range(topic, count, 3)))
            assert [(offset, data) for name, offset, data in got if name == f"b.{topic}"] == expected
        assert sub.wait() == 0


def test_what_sub_prints_can_be_published_again() -> None:
    with broker() as (_, url), running("sub", ">", "--count", "4", "--url", url) as sub:
        ready(sub, ">")
        assert tickwire("pub", "a", '{"$bytes": "AP8="}', "--url", url).code == 0
        assert tickwire("pub", "b", "hi\x1b", "--bytes", "--url", url).code == 0
        printed = sub.out(), sub.out()

        assert tickwire("pub", "-", "--url", url, stdin="\n".join(printed)).code == 0

        again = sub.out(), sub.out()
        assert [message(line)[::2] for line in printed] == [("a", {"$bytes": "AP8="}), ("b", {"$bytes": "aGkb"})]
        assert [message(line)[::2] for line in again] == [message(line)[::2] for line in printed]


def test_a_topic_that_two_patterns_match_is_printed_once() -> None:
    with broker() as (_, url), running("sub", "a.*", "a.b", "*.c", "--count", "3", "--url", url) as sub:
        ready(sub, "a.*", "a.b", "*.c")

        for topic in ("a.b", "a.c", "z.c"):
            assert tickwire("pub", topic, "1", "--url", url).code == 0

        assert [message(sub.out())[0] for _ in range(3)] == ["a.b", "a.c", "z.c"]
        assert sub.wait() == 0


def test_a_reader_comes_back_by_itself_when_the_broker_was_restarted() -> None:
    with broker() as (serve, url):
        port = int(url.rpartition(":")[2].removesuffix("/ws"))
        with running("sub", "prices.*", "--count", "2", "--url", url) as sub:
            ready(sub, "prices.*")
            assert tickwire("pub", "prices.AAPL", "1", "--url", url).code == 0
            assert message(sub.out())[2] == 1

            assert serve.end() == 0
            assert url in sub.err_until("reconnecting to ")
            with broker(port):
                sub.err_until("connected to ")
                assert tickwire("pub", "prices.AAPL", "2", "--url", url).code == 0
                assert message(sub.out())[2] == 2
                assert sub.wait() == 0


def test_without_a_broker_it_says_what_it_tried_and_what_to_do() -> None:
    for arguments in (("pub", "a", "1"), ("pub", "a", "-"), ("sub", "a")):
        ended = tickwire(*arguments, "--url", "ws://127.0.0.1:1", stdin="1\n")

        assert (ended.code, ended.out) == (1, "")
        assert "ws://127.0.0.1:1/ws" in ended.err
        assert "tickwire serve" in ended.err
        assert "--url" in ended.err
        assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("a", "hello"), "DATA is not JSON (Expecting value at column 1); a text is written '\"hello\"'"),
        (("a",), "no DATA for 'a'"),
        (("a", "NaN"), "DATA holds NaN, which is not JSON; write null"),
        (("a", '{"$bytes": "%%"}'), 'DATA holds a "$bytes" whose text is not base64\n'),
        (("a", "{'bid': 1}"), """JSON has double quotes, so in a shell: '{"bid": 187.2}'"""),
        (("a", "--byte"), "No such option"),
        (("a", "-x"), "No such option"),
        (("a", "18446744073709551616"), "cannot be sent"),
        (("-", "1"), "neither DATA nor --bytes"),
        (("-", "--bytes"), "neither DATA nor --bytes"),
    ],
)
def test_what_is_typed_wrong_ends_with_2_and_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    ended = tickwire("pub", *arguments, "--url", "ws://127.0.0.1:1")

    assert ended.code == 2
    assert sentence in ended.err
    assert ended.err.count("\n") == 1 or "Usage" in ended.err


def test_a_refusal_ends_with_1_and_its_code() -> None:
    with broker(0, "--payload-bytes", "10") as (_, url):
        reserved = tickwire("pub", "$x", "1", "--url", url)
        large = tickwire("pub", "a", '"12345678901"', "--url", url)
        pattern = tickwire("sub", "a..b", "--url", url)

    assert (reserved.code, large.code, pattern.code) == (1, 1, 1)
    assert "[reserved_topic]" in reserved.err
    assert "[payload_too_large]" in large.err
    assert "[bad_pattern]" in pattern.err


def test_a_line_that_is_wrong_is_named_and_those_before_it_are_published() -> None:
    with broker() as (_, url), running("sub", "a", "--count", "2", "--url", url) as sub:
        ready(sub, "a")

        ended = tickwire("pub", "a", "-", "--url", url, stdin="1\n2\nthree\n4\n")

        assert ended.code == 2
        assert ended.err.startswith("tickwire: line 3 is not JSON")
        assert "what stands before it is published" in ended.err
        assert [message(sub.out())[2] for _ in range(2)] == [1, 2]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"topic": "b..x", "data": 1}, "topic 'b..x' has an empty segment; what stands before it is published"),
        ({"topic": "$x", "data": 1}, "topic '$x' starts with '$'"),
        ({"topic": "b", "data": "x" * 200}, "payload of 202 bytes exceeds the limit of 100"),
    ],
)
def test_a_line_that_would_be_refused_is_named_and_those_before_it_are_published(bad: Any, why: str) -> None:
    lines = [json.dumps({"topic": f"b.{number % 3}", "data": number}) + "\n" for number in range(20_000)]
    lines[14_999] = json.dumps(bad) + "\n"
    with (
        broker(0, "--payload-bytes", "100") as (_, url),
        running("sub", ">", "--count", "15000", "--url", url) as sub,
    ):
        ready(sub, ">")

        ended = tickwire("pub", "-", "--url", url, stdin="".join(lines))
        assert tickwire("pub", "end", "-1", "--url", url).code == 0

        assert (ended.code, ended.err.count("\n")) == (1, 1)
        assert ended.err.startswith(f"tickwire: line 15000: {why}")
        got = [message(sub.out())[2] for _ in range(15_000)]
        assert sorted(got[:-1]) == list(range(14_999))
        assert got[-1] == -1


def test_when_the_broker_dies_it_is_told_at_once_and_at_the_end_which_lines_are_stored() -> None:
    with broker() as (serve, url), running("pub", "a", "-", "--timeout", "1", "--url", url) as pub:
        with running("sub", "a", "--count", "5000", "--url", url) as sub:
            ready(sub, "a")
            pub.send("".join(f"{number}\n" for number in range(5_000)))
            assert [message(sub.out())[2] for _ in range(5_000)] == list(range(5_000))

        serve.end(signal.SIGKILL)
        assert pub.err().startswith(f"tickwire: reconnecting to {url}: the connection was lost")
        pub.send("1\n2\n3\n")
        end = pub.err()

        assert end.startswith("tickwire: no connection within ")
        assert "; lines 1 to 5000 are published; lines 5001 to 5003 are not" in end
        assert pub.wait() == 1


@pytest.mark.parametrize("number", ["-1", "-0.5", "-2e-3"])
def test_a_negative_number_is_data(number: str) -> None:
    with broker() as (_, url), running("sub", "a", "--count", "1", "--url", url) as sub:
        ready(sub, "a")

        ended = tickwire("pub", "a", number, "--url", url)

        assert (ended.code, ended.err) == (0, "")
        assert message(sub.out())[2] == float(number)


@pytest.mark.parametrize(("pattern", "says"), [("prices.A*", "`*` stands for"), ("a>", "`>` stands for"), ("*", "")])
def test_a_wildcard_within_a_segment_is_told_of(pattern: str, says: str) -> None:
    ended = tickwire("sub", pattern, "--url", "ws://127.0.0.1:1")

    first, *others = ended.err.splitlines()
    assert says in first
    assert bool(others) == bool(says)


def test_a_line_typed_is_published_before_the_next_is() -> None:
    with broker() as (_, url), running("sub", "a", "--url", url) as sub, running("pub", "a", "-", "--url", url) as pub:
        ready(sub, "a")

        for number in range(3):
            pub.send(f"{number}\n")
            assert message(sub.out())[2] == number

        assert pub.end(signal.SIGINT) == 130
        assert sub.end(signal.SIGINT) == 130


def test_a_refused_line_ends_pub_without_waiting_for_the_next() -> None:
    with broker() as (_, url), running("pub", "$x", "-", "--url", url) as pub:
        pub.send("1\n")

        assert "[reserved_topic]" in pub.err()
        assert pub.wait() == 1


def test_output_that_nobody_reads_any_more_ends_sub_silently() -> None:
    with broker() as (_, url):
        command = subprocess.Popen(
            [*COMMAND, "sub", "a", "--url", url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        with command:
            sub = Running(command)
            ready(sub, "a")
            assert command.stdout is not None
            command.stdout.close()

            assert tickwire("pub", "a", "1", "--url", url).code == 0

            assert sub.wait() == 0
            assert sub.err() == ""


def test_a_slow_reader_of_the_output_does_not_cost_the_connection() -> None:
    """`tickwire sub | less` reads no further for minutes; heartbeats must be answered all the while."""
    with broker(0, "--beat-every", "0.1", "--give-up-after", "1") as (_, url), running("sub", "a", "--url", url) as sub:
        ready(sub, "a")
        line = json.dumps("x" * 10_000) + "\n"
        assert tickwire("pub", "a", "-", "--url", url, stdin=line * 100).code == 0

        # Nothing of it is read for longer than the broker would wait for a peer that answers nothing.
        with pytest.raises(subprocess.TimeoutExpired):
            sub.process.wait(2.5)

        assert [message(sub.out())[1] for _ in range(100)] == list(range(100))


def test_the_command_is_found_by_its_module() -> None:
    ended = subprocess.run([sys.executable, "-m", "tickwire.server.cli"], capture_output=True, text=True, timeout=30)

    assert ended.returncode == 2
    assert "tickwire serve" in ended.stdout + ended.stderr
