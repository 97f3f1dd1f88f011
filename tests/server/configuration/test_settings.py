"""Settings: one description of each serves flags, variables, files and docs."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tickwire.server.configuration.quantity import parse_duration, parse_size, show_duration, show_size
from tickwire.server.configuration.settings import SETTINGS, Settings, SettingsError
from tickwire.server.configuration.settings_page import as_markdown

DOCS = Path(__file__).parents[3] / "docs" / "settings.md"


def test_without_anything_configured_the_broker_is_reached_from_this_machine_only() -> None:
    settings = Settings.load(environ={})

    assert (settings.host, settings.port, settings.path) == ("127.0.0.1", 8765, "/ws")
    assert settings == Settings()


def test_flags_win_over_the_environment_which_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tick wire.toml"
    file.write_text('port = 1\nbacklog = 1\nretain_bytes = "1 MiB"\n')
    environ = {"TICKWIRE_PORT": "2", "TICKWIRE_BACKLOG": "2", "HOME": "/"}

    settings = Settings.load(file, environ, {"port": "3", "host": None})

    assert (settings.port, settings.backlog, settings.retain_bytes) == (3, 2, 1 << 20)
    assert settings.host == "127.0.0.1"


def test_every_setting_can_be_given_as_it_is_shown() -> None:
    for name, setting in SETTINGS.items():
        settings = Settings.load(environ={setting.variable: setting.show(setting.default)})

        assert getattr(settings, name) == setting.default


def test_the_constructor_takes_texts_as_a_file_does() -> None:
    given: dict[str, Any] = {"retain_bytes": "64 KiB", "retain_seconds": "60s", "port": "0", "uvloop": "no"}

    assert Settings(**given) == Settings(retain_bytes=64 << 10, retain_seconds=60, port=0, uvloop=False)


def test_settings_can_be_copied_changed_and_pickled() -> None:
    settings = Settings(port=1)

    assert pickle.loads(pickle.dumps(settings)) == copy.deepcopy(settings) == settings
    assert dataclasses.replace(settings, port=2) == Settings(port=2)


def test_an_empty_variable_sets_nothing() -> None:
    assert Settings.load(environ={"TICKWIRE_PORT": "", "TICKWIRE_HOST": ""}) == Settings()


@pytest.mark.parametrize("name", [name for name, setting in SETTINGS.items() if setting.low is not None])
def test_numbers_are_taken_at_their_bounds_and_refused_beyond(name: str) -> None:
    setting = SETTINGS[name]
    kind = type(setting.default)
    low, high = kind(setting.low), kind(setting.high)

    for value in (low, high):
        assert setting.check(value, name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(SettingsError, match=f"^{name} is {value!r}, but must be "):
            Settings(**{name: value})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"port": 70000}, "port is 70000, but must be an integer from 0 to 65535"),
        ({"port": "web"}, "port is 'web', but must be an integer from 0 to 65535"),
        (
            {"retain_bytes": "64 KB0"},
            "retain_bytes is '64 KB0', but must be a size from 0 to 64 GiB, such as 65536 or '64 KiB'",
        ),
        (
            {"retain_second": 3},
            "Settings was given 'retain_second', which is no setting; did you mean retain_seconds?",
        ),
        ({"colour": 3}, "Settings was given 'colour', which is no setting; `tickwire serve --help` lists them"),
        ({"port": True}, "port is true, but must be an integer from 0 to 65535"),
        (
            {"path": "ws"},
            "path is 'ws', but must be '/' and then letters, digits, '/', '.', '-', '_' or '~';"
            " /health, /metrics, /examples, /examples/ are taken",
        ),
        (
            {"payload_bytes": 5_000, "frame_bytes": 4_096},
            "payload_bytes is 5000, but must be at most 3072: a frame of frame_bytes holds no more",
        ),
        ({"host": ""}, "host is '', but must be a text that is not empty"),
        ({"log_level": "loud"}, "log_level is 'loud', but must be one of debug, info, warning, error"),
        ({"uvloop": 1}, "uvloop is 1, but must be true or false"),
        ({"retain_bytes": 1.5}, "retain_bytes is 1.5, but must be a size from 0 to 64 GiB"),
        ({"retry_after": float("nan")}, "retry_after is nan, but must be a duration from 0s to 24h"),
        ({"give_up_after": 20}, "give_up_after is 20s, but must be longer than beat_every, which is 20s"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_a_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings(**given)

    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("TICKWIRE_PORT", "web", "TICKWIRE_PORT is 'web', but must be an integer from 0 to 65535"),
        ("TICKWIRE_UVLOOP", "maybe", "TICKWIRE_UVLOOP is 'maybe', but must be true or false"),
        (
            "TICKWIRE_RETAIN_BYTES",
            "4 XiB",
            "TICKWIRE_RETAIN_BYTES is '4 XiB', but must be a size from 0 to 64 GiB, such as 65536 or '64 KiB'",
        ),
        (
            "TICKWIRE_RETRY_AFTER",
            "soon",
            "TICKWIRE_RETRY_AFTER is 'soon', but must be a duration from 0s to 24h, such as 1.5, '60s' or '500ms'",
        ),
        ("TICKWIRE_PROT", "1", "the environment has TICKWIRE_PROT, which is no setting; did you mean TICKWIRE_PORT?"),
    ],
)
def test_a_variable_that_is_wrong_is_named(variable: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.load(environ={variable: value})

    assert str(refused.value) == sentence


def test_variables_of_others_that_look_like_no_setting_are_left_alone() -> None:
    environ = {"TICKWIRE_URL": "ws://x", "TICKWIRE_TOKEN": "t", "TICKWIRE_DASHBOARD_COLOUR": "red"}

    assert Settings.load(environ=environ) == Settings()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("retain_byte = 1", "{file} has 'retain_byte', which is no setting; did you mean retain_bytes?"),
        ("colour = 1", "{file} has 'colour', which is no setting; `tickwire serve --help` lists them"),
        ("port = 8765.0", "port in {file} is 8765.0, but must be an integer from 0 to 65535"),
        ("port = ", "the settings file '{file}' is not TOML: Invalid value (at end of document)"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "tickwire.toml"
    file.write_text(content)

    with pytest.raises(SettingsError) as refused:
        Settings.load(file, environ={})

    assert str(refused.value) == sentence.format(file=file)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match=r"cannot read the settings file 'nowhere.toml': No such file or directory"):
        Settings.load("nowhere.toml", environ={})


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4 MiB", 4 << 20),
        ("256KiB", 256 << 10),
        ("1_000_000", 1_000_000),
        ("1.5 kB", 1500),
        ("2gib", 2 << 30),
        ("7", 7),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1.5", "4 XiB", "1e3", "0x10", "9" * 400, "4 MiB x"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60.0), ("500ms", 0.5), ("1.5", 1.5), ("2 min", 120.0), ("1h", 3600.0), ("5m", 300.0)]
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


def test_quantities_are_shown_as_they_are_read() -> None:
    assert [show_size(size) for size in (0, 512, 1_000_000, 64 << 10, 3 << 30)] == [
        "0",
        "512",
        "1_000_000",
        "64 KiB",
        "3 GiB",
    ]
    assert [show_duration(seconds) for seconds in (0.0, 0.05, 1.5, 86_400.0)] == ["0s", "50ms", "1.5s", "24h"]


def test_the_documentation_is_what_the_settings_say() -> None:
    assert DOCS.read_text() == as_markdown(), (
        "run `python -m tickwire.server.configuration.settings > docs/settings.md`"
    )


def test_settings_need_neither_asyncio_nor_aiohttp() -> None:
    program = (
        "import sys, tickwire.server.configuration.settings; print({'asyncio', 'aiohttp', 'click'} & set(sys.modules))"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    assert ended.stdout.strip() == "set()"
