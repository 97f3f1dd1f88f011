"""Rules for some topics: what a file or a program says of them, and what the core makes of it."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from pathlib import Path
from typing import Any

import pytest

from tickwire.core.policy import Policies, Policy
from tickwire.server.configuration.configured import limits_of
from tickwire.server.configuration.settings import Settings, SettingsError

FILE = """
port = 0
[[topics]]
pattern = "prices.>"
durable = false
retain_messages = 1000
retain_seconds = "5m"

[[topics]]
pattern = "*.trades"
retain_bytes = "1 GiB"
"""


def policies(**settings: Any) -> Policies:
    return limits_of(Settings(**settings)).policies


def test_a_file_says_what_is_kept_of_which_topics(tmp_path: Path) -> None:
    file = tmp_path / "tickwire.toml"
    file.write_text(FILE)

    settings = Settings.load(file, environ={"TICKWIRE_DATA": "here"}, flags={"disk_retain_seconds": "30d"})

    of = limits_of(settings).policies.of
    assert of("prices.AAPL") == Policy(1000, None, 300.0, durable=False)
    assert of("x.trades") == Policy(None, 1 << 30, 30 * 86_400.0)
    assert of("else") == Policy(None, None, 30 * 86_400.0)


def test_the_first_rule_that_matches_a_topic_is_the_one() -> None:
    rules = [{"pattern": "a.b", "retain_messages": 1}, {"pattern": "a.*", "retain_messages": 2}]

    of = policies(data="here", topics=rules).of

    assert [of(topic).messages for topic in ("a.b", "a.c", "b")] == [1, 2, None]


def test_on_disk_a_zero_is_no_bound_also_against_one_for_all_topics() -> None:
    rule = {"pattern": "a", "retain_messages": 0, "retain_bytes": 0, "retain_seconds": 0}

    of = policies(data="here", topics=[rule], disk_retain_messages=5, disk_retain_bytes=5, disk_retain_seconds=5).of

    assert of("a") == Policy()
    assert of("b") == Policy(5, 5, 5.0)


def test_without_a_disk_a_rule_bounds_what_memory_keeps() -> None:
    of = policies(topics=[{"pattern": "a", "retain_bytes": "1 MiB"}], disk_retain_bytes=5).of

    assert of("a") == Policy(bytes=1 << 20, durable=False)
    assert of("b") == Policy()


def test_settings_with_rules_can_be_copied_changed_and_pickled() -> None:
    settings = Settings(topics=[{"pattern": "a", "retain_bytes": 5}])

    assert pickle.loads(pickle.dumps(settings)) == copy.deepcopy(settings) == settings
    assert dataclasses.replace(settings, port=2).topics == settings.topics


@pytest.mark.parametrize(
    ("topics", "sentence"),
    [
        (
            100,
            "topics is 100, but must be a list of tables, each with a pattern: [[topics]];"
            " how many topics the broker may hold is max_topics",
        ),
        (
            {"pattern": "a"},
            "topics is {'pattern': 'a'}, but must be a list of tables, each with a pattern: [[topics]];"
            " how many topics the broker may hold is max_topics",
        ),
        ([{"pattern": "a"}, 3], "table 2 of topics is 3, but must be a table with a pattern"),
        ([{}], "table 1 of topics has no pattern; it says which topics the table is for, such as 'prices.>'"),
        ([{"pattern": 3}], "pattern of table 1 of topics is 3, but must be a text, such as 'prices.>'"),
        (
            [{"pattern": "a..b"}],
            "pattern of table 1 of topics cannot be used: pattern 'a..b' has an empty segment",
        ),
        (
            [{"pattern": "a", "retain_byte": 3}],
            "table 1 of topics has 'retain_byte', which is no key of it; did you mean retain_bytes?",
        ),
        (
            [{"pattern": "a", "colour": 3}],
            "table 1 of topics has 'colour', which is no key of it;"
            " there are pattern, durable, retain_messages, retain_bytes, retain_seconds",
        ),
        ([{"pattern": "a", "durable": 1}], "durable of table 1 of topics is 1, but must be true or false"),
        (
            [{"pattern": "a", "retain_bytes": "3 XB"}],
            "retain_bytes of table 1 of topics is '3 XB', but must be a size from 0 to 16 TiB,"
            " such as 65536 or '64 KiB'",
        ),
        (
            [{"pattern": "a", "retain_messages": -1}],
            "retain_messages of table 1 of topics is -1, but must be an integer from 0 to 1000000000000",
        ),
    ],
)
def test_a_rule_that_is_wrong_is_refused_with_a_sentence(topics: Any, sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings(topics=topics)

    assert str(refused.value) == sentence


def test_a_rule_that_is_wrong_in_a_file_is_named_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tickwire.toml"
    file.write_text("[[topics]]\nretain_bytes = 1\n")

    with pytest.raises(SettingsError) as refused:
        Settings.load(file, environ={})

    assert str(refused.value).startswith(f"table 1 of topics in {file} has no pattern; ")


def test_a_variable_cannot_hold_rules_and_says_what_was_meant() -> None:
    with pytest.raises(SettingsError, match="did you mean TICKWIRE_MAX_TOPICS"):
        Settings.load(environ={"TICKWIRE_TOPICS": "1000"})
