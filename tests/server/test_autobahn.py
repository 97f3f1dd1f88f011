"""The cases of the Autobahn suite, all but those of performance (9.*), against our reader, writer and compression.

Those of compression (12.* and 13.*) send 1,000 messages each, of up to 128 KiB. Here it is 20 of them, so that all 216
cases take ten seconds and not five minutes; `make autobahn` runs them as they are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import kosoku
import pytest

TESTS = Path(__file__).parent.parent
WHOLE = os.environ.get("TICKWIRE_AUTOBAHN") == "whole"
MESSAGES = 20

pytestmark = [
    pytest.mark.timeout(900 if WHOLE else 120),
    # The suite leaves its own files to the garbage collector.
    pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


@pytest.fixture
def echo() -> Iterator[str]:
    """The URL of a server that says what it hears, in a process of its own."""
    command = [sys.executable, "-m", "house.echo"]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:  # type: ignore[call-overload]
        yield process.stdout.readline().strip()
        process.stdin.close()


async def run(url: str, cases: Sequence[str], but: Sequence[str] = ()) -> dict[str, kosoku._kosoku.CaseResult]:
    try:
        results = await kosoku.run_fuzzingclient(url, cases=cases, exclude_cases=but, concurrency=4)
    except kosoku.FailureError as failure:
        results = failure.results
    return {result.case_id: result for result in results}


def shorten() -> None:
    """Of the cases of compression, which the suite has loaded by now."""
    module = sys.modules["case12_x_x"]
    for case in (*module.Case12_X_X, *module.Case13_X_X):
        case.COUNT = MESSAGES


async def test_all_cases_of_autobahn_pass(echo: str) -> None:
    results = await run(echo, ["*"], but=["9.*", "12.*", "13.*"])
    if not WHOLE:
        shorten()
    results |= await run(echo, ["12.*", "13.*"])

    assert {id: result.result for id, result in results.items() if not result.passed} == {}
    assert [id for id, result in results.items() if result.behavior.value == "UNIMPLEMENTED"] == []
    assert len(results) == 463
    assert {"7.9.5", "13.7.18"} <= results.keys()
