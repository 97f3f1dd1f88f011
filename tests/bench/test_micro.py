"""The hot paths by themselves: they do what they say, and two trees are compared by what callgrind counted."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from micro import compare
from micro.house import House, readers
from micro.workloads import SUITES, Workload, tick

ROOT = Path(__file__).parents[2]
ALL = [pytest.param(make, id=f"{suite}: {name}") for suite, made in SUITES.items() for name, make in made.items()]


@pytest.mark.parametrize("workload", ALL)
def test_a_workload_can_be_repeated(workload: Workload) -> None:
    step = workload()

    for _ in range(3):
        step()


def test_a_flush_to_readers_writes_to_all_of_them() -> None:
    from tickwire.wire.encode import encode
    from tickwire.wire.messages import Publish, Run

    house = House()
    writer = house.session()
    readers(house, 10, ["a"])
    before = house.written

    writer.receive(encode(Publish(None, [Run("a", [tick(1)])])), 1.0)
    house.flush()

    assert 10 * 64 < house.written - before < 10 * 128


def test_instructions_are_those_of_one_step_by_the_name_of_the_workload(tmp_path: Path) -> None:
    header = "version: 1\ndesc: Trigger: Client Request: {}\npositions: line\nevents: Ir\nsummary: {}\nfn=(1) x\n"
    (tmp_path / "out.2").write_text(header.format("codec: two words", 500))
    (tmp_path / "out.10").write_text(header.format("logs: last", 50))
    (tmp_path / "out").write_text("desc: Trigger: Program termination\nsummary: 7\n")

    assert list(compare.counts_in(tmp_path).items()) == [("codec: two words", 10), ("logs: last", 1)]
    assert compare.ratios({"a": 10, "gone": 1}, {"a": 12, "new": 5}) == {"a": 1.2}


def test_a_slower_hot_path_is_noticed_and_the_others_are_as_they_were(tmp_path: Path) -> None:
    for source in ("broker", "clients"):
        shutil.copytree(ROOT / source, tmp_path / "slower" / source, ignore=shutil.ignore_patterns("__pycache__"))
    topics = tmp_path / "slower" / "broker" / "tickwire" / "core" / "topic.py"
    text = topics.read_text(encoding="utf-8")
    topics.write_text(
        text.replace("        if not closed:\n", "        if not closed:\n            sum(map(len, pieces[0]))\n")
    )
    base, slower = compare.Side("base", ROOT, {}), compare.Side("slower", tmp_path / "slower", {})

    for side in (base, slower):
        compare.count_in(side, ["codec", "sections"], tmp_path)
    ratios = compare.ratios(base.counts, slower.counts)

    assert (base.said, slower.said) == ("", "")
    assert ratios.keys() == {f"{suite}: {name}" for suite in ("codec", "sections") for name in SUITES[suite]}
    assert ratios.pop("sections: seal a hundred") > compare.MORE
    assert all(0.98 < ratio < 1.02 for name, ratio in ratios.items() if not name.startswith("sections: seal"))


@pytest.mark.parametrize(
    ("arguments", "says"), [(["no-such-revision"], "git has no no-such-revision"), (["--only", "x"], "Invalid value")]
)
def test_what_cannot_be_compared_is_told(arguments: list[str], says: str) -> None:
    command = [sys.executable, "-m", "micro.compare", *arguments]
    ended = subprocess.run(command, cwd=ROOT / "bench", capture_output=True, text=True, check=False, timeout=60)

    assert ended.returncode == 2
    assert says in ended.stderr
