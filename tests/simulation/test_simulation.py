"""A few hundred histories hold, the bugs that are planted are found, and a seed says all."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.history import History
from simulation.plants import PLANTS
from simulation.run import simulate

HISTORIES = 300
ENOUGH = 1_000  # histories in which each plant must be found; most are in the first ten


def test_histories_keep_the_contract_and_have_something_in_them() -> None:
    total = simulate(range(HISTORIES), jobs=2)

    assert [(outcome.seed, outcome.faults) for outcome in total.failed] == []
    assert total.histories == HISTORIES
    assert total.counts["operations"] >= 50 * HISTORIES
    for what in ("power cuts", "kills", "cuts", "failed syncs", "full disks", "acks", "unknown outcomes", "refused",
                 "resumes", "gaps", "redeliveries", "acks awaited at a crash"):  # fmt: skip
        assert total.counts[what] >= HISTORIES // 10, what


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_bug_is_found(plant: str) -> None:
    total = simulate(range(ENOUGH), plant, jobs=1)

    assert len(total.failed) == 1, f"{plant} was not found in {ENOUGH} histories"


def test_a_seed_gives_the_same_history_in_another_process() -> None:
    here = [digest_of(seed) for seed in range(5)]

    code = "from simulation.test_simulation import digest_of; print(*map(digest_of, range(5)))"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONHASHSEED": "1"}
    there = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert there.stdout.split() == here


def digest_of(seed: int) -> str:
    """All that the clients of a history were told, and when."""
    history = History(seed)
    epoch = history.world.broker.engine.epoch
    outcome = history.run()
    told = [(client.name, client.events) for client in history.world.clients]
    return hashlib.sha256(f"{outcome.faults} {told}".replace(str(epoch), "").encode()).hexdigest()
