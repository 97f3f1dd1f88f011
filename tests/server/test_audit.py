"""One line each, whatever the input contains, never more than the disk bears."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tickwire.server.audit import LINES_PER_SECOND, Audit


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@given(st.text(), st.text())
def test_whatever_it_contains_it_is_one_line_that_can_be_read_back(subject: str, text: str) -> None:
    path = Path(tempfile.gettempdir()) / f"audit-{os.getpid()}"
    audit = Audit(str(path), clock=lambda: 5.0)

    audit.record("refused", subject=subject, text=text, peer=7)
    audit.close()

    (line,) = path.read_bytes().split(b"\n")[:-1]
    path.unlink()
    said = json.loads(line)
    assert (said["event"], said["peer"]) == ("refused", 7)
    assert said["subject"] == (subject if len(subject) <= 300 else subject[:297] + "...")
    assert line.isascii()


def test_beyond_so_many_a_second_they_are_counted(tmp_path: Path) -> None:
    now = [5.0]
    audit = Audit(str(tmp_path / "audit"), clock=lambda: now[0])
    for number in range(LINES_PER_SECOND + 50):
        audit.record("refused", number=number, code="connecting_too_fast")
    audit.record("refused", number=-1, code="forbidden")  # a flood of one thing hides no other
    now[0] = 6.0
    audit.record("refused", number=-2, code="connecting_too_fast")
    audit.close()

    *flood, other, left_out, last = lines(tmp_path / "audit")
    assert len(flood) == LINES_PER_SECOND
    assert (other["number"], last["number"]) == (-1, -2)
    assert (left_out["event"], left_out["code"], left_out["lines"]) == ("left out", "connecting_too_fast", 50)


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    audit = Audit(str(tmp_path / "audit"))
    audit.record("one")
    (tmp_path / "audit").rename(tmp_path / "audit.1")
    audit.reopen()()
    audit.record("two")
    audit.close()

    assert [line["event"] for line in lines(tmp_path / "audit.1") + lines(tmp_path / "audit")] == ["one", "two"]
