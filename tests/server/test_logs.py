"""Logs: one event, one line, whatever it holds."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwire.server import logs

NASTY = 'two\nlines\r\x1b[31m\x85\u2028\u202e "quoted" = \\ '


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(format: str, event: str, level: str = "info", **facts: object) -> str:
    stream = io.StringIO()
    logs.configure("debug", format, stream)
    getattr(logs.logger("tickwire.test"), level)(event, **facts)
    return stream.getvalue()


def test_a_text_line_has_time_level_event_and_facts() -> None:
    line = written("text", "listening", url="ws://127.0.0.1:8765/ws", peers=7)

    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO  listening url=ws://127\.0\.0\.1:8765/ws peers=7\n"
    assert re.fullmatch(pattern, line)


def test_a_json_line_has_the_same_as_an_object() -> None:
    line = json.loads(written("json", "peer left", "warning", peer=7, reason="too slow"))

    assert re.fullmatch(r"[0-9-]{10}T[0-9:]{8}\.\d{3}Z", line.pop("time"))
    assert line.pop("logger") == "tickwire.test"
    assert line == {"level": "warning", "event": "peer left", "peer": 7, "reason": "too slow"}


@pytest.mark.parametrize("format", ["text", "json"])
def test_nothing_in_an_event_can_start_another_line(format: str) -> None:
    line = written(format, NASTY, reason=NASTY, **{NASTY: NASTY})

    assert line.endswith("\n")
    assert line[:-1].isprintable()


@given(st.text(), st.text())
def test_a_value_reads_back_from_its_text(event: str, value: str) -> None:
    line = written("text", event, value=value)[:-1]

    assert line.isprintable()
    shown = re.search(r' value=("(?:[^"\\]|\\.)*"|[^ "]+)$', line)
    assert shown
    assert value == (json.loads(shown[1]) if shown[1].startswith('"') else shown[1])


def test_facts_that_are_named_like_parts_of_the_line_do_not_replace_them() -> None:
    line = json.loads(written("json", "x", level="info", logger=1, time=2))

    assert (line["logger"], line["logger_"], line["time_"]) == ("tickwire.test", 1, 2)


def test_json_lines_are_json_whatever_the_numbers() -> None:
    line = written("json", "x", rate=float("nan"), size=float("inf"), data=b"\x00")

    facts = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (facts["rate"], facts["size"], facts["data"]) == ("nan", "inf", "b'\\x00'")


@pytest.mark.parametrize("format", ["text", "json"])
def test_an_error_brings_its_traceback_on_the_same_line(format: str) -> None:
    try:
        raise ValueError("why\nnot")
    except ValueError:
        line = written(format, "failed", "error")

    assert line.count("\n") == 1
    assert "ValueError" in line


def test_a_value_whose_own_code_fails_does_not_stop_the_line() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    assert written("text", "x", value=Broken()).endswith('x value="<Broken: RuntimeError>"\n')


def test_events_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    logs.configure("warning", "text", stream)

    logs.logger("tickwire.test").info("not this")
    logs.logger("tickwire.test").warning("this")

    assert stream.getvalue().split(" ", 1)[1] == "WARN  this\n"


def test_a_logger_configures_nothing_by_itself() -> None:
    before = logging.getLogger().handlers[:]

    logs.logger("tickwire.test").debug("quiet")

    assert logging.getLogger().handlers == before
