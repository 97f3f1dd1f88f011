"""`tickwire serve`: how it starts, what it says, how it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tickwire.server.configuration.settings import SETTINGS

from .shell import COMMAND, broker, environment, running, tickwire


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_with_0_when_told(number: int) -> None:
    with broker() as (serve, url):
        assert re.fullmatch(r"ws://127\.0\.0\.1:\d+/ws", url)
        health = url.replace("ws://", "http://").replace("/ws", "/health")
        assert urllib.request.urlopen(health, timeout=10).status == 200

        assert serve.end(number) == 0


def test_settings_come_from_flags_variables_and_a_file_in_a_path_with_spaces(tmp_path: Path) -> None:
    file = tmp_path / "my settings.toml"
    file.write_text('path = "/file"\nlog_format = "json"\nport = 1\n')

    with running("serve", "--config", str(file), "--port", "0", TICKWIRE_PATH="/variable") as serve:
        assert serve.out().endswith("/variable")
        assert serve.err().startswith('{"time":')


def test_an_address_in_use_is_told_in_one_sentence() -> None:
    with broker() as (_, url):
        port = url.rpartition(":")[2].removesuffix("/ws")
        ended = tickwire("serve", "--port", port)

    assert ended.code == 1
    assert ended.out == ""
    assert ended.err == (
        f"tickwire: cannot listen on 127.0.0.1:{port}: the address is in use; "
        "stop what uses it, or choose another with --port (0 picks a free one)\n"
    )


def test_an_address_of_another_machine_is_told_in_one_sentence() -> None:
    ended = tickwire("serve", "--port", "0", "--host", "192.0.2.1")

    assert ended.code == 1
    assert ended.err.endswith(
        "this machine has no such address; choose one that it has with --host, or 0.0.0.0 for all of them\n"
    )


def test_at_a_terminal_the_address_is_said_once() -> None:
    terminal, its_end = os.openpty()
    with subprocess.Popen(
        [*COMMAND, "serve", "--port", "0"], stdout=its_end, stderr=its_end, env=environment()
    ) as serve:
        os.close(its_end)
        shown = b""
        while b"listening on ws://" not in shown:
            shown += os.read(terminal, 4096)
        serve.terminate()
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            while block := os.read(terminal, 4096):
                shown += block
        assert serve.wait(30) == 0
    os.close(terminal)
    assert shown.count(b"listening") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--port", "99999"), "--port is 99999, but must be an integer from 0 to 65535"),
        (("--retain-bytes", "lots"), "--retain-bytes is 'lots', but must be a size from 0 to 64 GiB"),
        (("--config", "nowhere.toml"), "cannot read the settings file 'nowhere.toml'"),
        (("--prot", "1"), "No such option '--prot'"),
    ],
)
def test_a_wrong_setting_ends_it_with_2_and_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    ended = tickwire("serve", *arguments)

    assert ended.code == 2
    assert sentence in ended.err


def test_help_shows_every_setting_in_its_group() -> None:
    help = tickwire("serve", "--help").out

    for setting in SETTINGS.values():
        assert setting.flag in help
        assert f"{setting.group}:\n" in help


def test_the_version_is_told() -> None:
    ended = tickwire("--version")

    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(r"tickwire, version \d+\.\d+\.\d+\n", ended.out)


def test_help_does_not_wait_for_the_import_of_a_server() -> None:
    heavy = "{'aiohttp', 'uvloop', 'rich', 'tickwire_client'}"
    program = f"import sys, tickwire.server.cli; print({heavy} & set(sys.modules))"

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    assert ended.stdout == "set()\n"
