"""A consumer through the engine: what it is handed again, and what is given up, is counted."""

from __future__ import annotations

from house.link import House
from tickwire.wire.messages import Consume, Publish, Returned, Run, Subscribe


def test_what_is_handed_out_again_and_what_is_given_up_is_counted() -> None:
    house = House()
    worker, mourner = house.link(), house.link()
    mourner.send(Subscribe(1, "$dead.crew"))
    worker.send(Publish(None, [Run("work", [b"1", b"2"])]))
    worker.send(Consume(1, "work", "crew", 10, attempts=3))
    house.settle()

    for _ in range(3):
        worker.send(Returned(1, [("work", 0, 2)]))
        house.settle()

    assert (house.engine.stats.redeliveries, house.engine.stats.dead_letters) == (4, 2)
    assert len(mourner.payloads()) == 2
