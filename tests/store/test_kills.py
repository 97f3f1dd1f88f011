from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tickwire.core.policy import Policy
from tickwire.store.disk import DiskStore, check

from .made import Author, read_all, time_of

# Commits as fast as it can, and says after each how far it is.
CHILD = """
import os, sys
sys.path.insert(0, sys.argv[2])
from store.made import Author
from tickwire.store.disk import DiskStore
author = Author(DiskStore(sys.argv[1]))
while True:
    author.commit(("a", 2), ("b", 1), size=2_000)
    os.write(1, f"{author.ends['a']} {author.ends['b']}\\n".encode())
"""


def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    chance = random.Random(7)
    ends = {"a": 0, "b": 0}
    for _ in range(8):
        command = [sys.executable, "-c", CHILD, tmp_path, Path(__file__).parent.parent]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(chance.randrange(1, 120)):
            said = child.stdout.readline().split()
        child.send_signal(signal.SIGKILL)
        said = ([line.split() for line in child.communicate()[0].splitlines()] or [said])[-1]

        store = DiskStore(tmp_path)
        found = {topic.name: topic.end for topic in store.open().topics}

        assert int(said[0]) > ends["a"]
        assert found["a"] >= int(said[0])
        assert found["b"] >= int(said[1])
        for topic, end in found.items():
            story = read_all(store, topic, end, cursor=ends[topic], budget=65_536)
            assert (sorted(story.messages), story.gaps) == (list(range(ends[topic], end)), [])
        ends = found
        store.close()

    assert check(tmp_path).sound


@pytest.mark.parametrize("policy", [Policy(), Policy(messages=600)])
def test_one_thread_reads_while_another_commits_and_drops(tmp_path: Path, policy: Policy) -> None:
    author = Author(DiskStore(tmp_path))
    author.commit(("a", 1))
    done = threading.Event()

    def write() -> None:
        for number in range(800):
            author.commit(("a", 3), ("b", 1), size=200)
            if number % 10 == 0:
                author.store.retain(lambda topic: policy, time_of(author.stamp))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    gaps: list[tuple[int, int, str]] = []
    rounds = 0
    while not done.is_set():
        end = author.ends["a"]
        story = read_all(author.store, "a", end, cursor=max(0, end - 900), budget=20_000)
        gaps += story.gaps
        rounds += 1
    writer.join()

    assert rounds > 3
    assert {reason for _, _, reason in gaps} == ({"evicted"} if policy.messages else set())
    author.store.close()
    assert check(tmp_path).sound
