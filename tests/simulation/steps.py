"""What may happen in a history, one step at a time, and how often."""

from __future__ import annotations

from collections.abc import Callable

from tickwire_client.positions import Start

from .world import World

TOPICS = ["a.x", "a.y", "short.s", "old.o", "memory.m", "b"]
PATTERNS = [*TOPICS, "a.*", "*.x", "short.*", ">"]


def publish(world: World) -> None:
    client = world.random.choice(world.publishers)
    for _ in range(world.random.choice((1, 1, 3))):
        client.publish(world.random.choice(TOPICS), _filler(world))


def publish_batch(world: World) -> None:
    topics = world.random.choices(TOPICS, k=world.random.randint(2, 6))
    world.random.choice(world.publishers).publish_batch(topics, _filler(world))


def post(world: World) -> None:
    client = world.random.choice(world.publishers)
    for _ in range(world.random.randint(1, 3)):
        client.post(world.random.choice(TOPICS), _filler(world))


def exchange(world: World) -> None:
    world.random.choice(world.clients).exchange(world.random.choice((1, 3, 1 << 30)))


def flush(world: World) -> None:
    world.broker.flush()


def commit(world: World) -> None:
    """The writer does what it was given, or comes to say what it did, or both."""
    if world.random.random() < 0.7:
        world.write()
    if world.random.random() < 0.7:
        world.broker.hear()


def turn(world: World) -> None:
    """A bit of everything, as a broker does that has nothing else to do."""
    world.exchange_all()
    world.broker.flush()
    world.broker.write()
    if not world.is_dark():
        while world.broker.hear():
            pass
        world.broker.read()


def look_up(world: World) -> None:
    world.broker.read()
    if world.random.random() < 0.7:
        world.broker.hear()


def sweep(world: World) -> None:
    world.broker.sweep()


def cut(world: World) -> None:
    client = world.random.choice(world.clients)
    if client.link is not None:
        world.outcome.counts["cuts"] += 1
        client.exchange(world.random.choice((0, 2)))
        client.cut()
    else:
        client.connect()


def cut_all(world: World) -> None:
    """The network goes, and comes back."""
    for client in world.clients:
        client.cut()
    world.connect_all()
    world.exchange_all()
    world.exchange_all()


def stop_or_go_on_reading(world: World) -> None:
    link = world.random.choice(world.readers).link
    if link is not None:
        link.reading = not link.reading
        if not link.reading:
            _a_burst(world)


def _a_burst(world: World) -> None:
    """Enough for somebody who does not read to fall behind."""
    for _ in range(world.random.randint(0, 3)):
        publish(world)
        turn(world)


def subscribe(world: World) -> None:
    client = world.random.choice(world.readers)
    if len(client.readers) < 4:
        pattern, start = _start(world, world.random.choice(PATTERNS))
        once = start is not None and world.random.random() < 0.25
        reader = client.subscribe(pattern, start, once)
        if reader.feed.request().since and reader.feed.request().since[0] == "offset":
            reader.expected.add("future_position")


def unsubscribe(world: World) -> None:
    client = world.random.choice(world.readers)
    if len(client.readers) > 1:
        client.unsubscribe(world.random.choice(client.readers))


def share(world: World) -> None:
    for client in world.workers:
        if len(client.readers) < 2:
            client.share("a.*", "shared")


def work(world: World) -> None:
    client = world.random.choice(world.workers)
    for reader in client.readers:
        if reader.held:
            count = world.random.randint(1, len(reader.held))
            if world.random.random() < 0.75:
                reader.settle(count)
            else:
                reader.give_back(count, world.random.choice((0.0, 5.0)))


def time_passes(world: World) -> None:
    world.clock.now += world.random.choice((0.1, 1.0, 12.0, 25.0))
    world.broker.tick()
    world.broker.sweep()


def a_quiet_minute(world: World) -> None:
    """Topics whose messages are too old by now are forgotten, where nobody reads them."""
    for _ in range(4):
        world.clock.now += 21.0
        retain(world)
        world.broker.hear()
        world.broker.tick()


def the_clock_is_set(world: World) -> None:
    world.clock.set_by += world.random.choice((-3600.0, -1.0, 1.0, 30.0))


def retain(world: World) -> None:
    if not world.broker.writing and not world.broker.down:
        world.broker.retain()
        world.is_dark()


def settle(world: World) -> None:
    """What commits have put off is done, between two of them."""
    if not world.broker.down and not world.broker.begun:
        world.broker.settle()
        world.is_dark()


def the_disk_fails(world: World) -> None:
    if world.random.random() < 0.4:
        world.outcome.counts["failed syncs"] += 1
        world.medium.fail_next_sync()
        if world.random.random() < 0.5:
            _nobody_hears_of_the_next_commit(world)


def the_disk_is_full(world: World) -> None:
    world.outcome.counts["full disks"] += 1
    world.medium.fill(world.random.choice((0, 5_000)))
    if world.random.random() < 0.3:
        _nobody_hears_of_the_next_commit(world)


def _nobody_hears_of_the_next_commit(world: World) -> None:
    """The network goes before the answers have come, so that publishers ask again."""
    world.exchange_all()
    for _ in range(2):
        world.broker.flush()
        world.broker.write()
        world.broker.hear()
    cut_all(world)


def there_is_room(world: World) -> None:
    world.medium.heal()
    world.broker.probe()


def the_broker_is_started_again(world: World) -> None:
    if world.broker.down:
        crash(world)


def crash(world: World) -> None:
    """kill -9, or the power goes: now, or in the middle of the next write."""
    random = world.random
    power = random.random() < 0.6
    if power and random.random() < 0.5:
        world.medium.power_fails_in(random.randint(0, 12))
        world.broker.flush()
        world.broker.write()
        if world.is_dark():
            return
    world.crash(power)


def _filler(world: World) -> int:
    return world.random.choice((0, 0, 20, 300))


def _start(world: World, pattern: str) -> tuple[str, Start | None]:
    random = world.random
    known = [position for client in world.publishers for position in client.known]
    kind = random.choice(("now", "earliest", "last", "time", "offset", "offset"))
    if kind == "offset" and known:
        topic, epoch, offset = random.choice(known)
        return topic, ("offset", epoch, offset + random.choice((0, 1, 1, 1_000)))
    if kind == "time":
        return pattern, ("time", world.clock.time_us - int(random.choice((0, 1e6, 1e7))))
    return pattern, None if kind in ("now", "offset") else (kind,)


STEPS: dict[Callable[[World], None], int] = {
    publish: 12,
    publish_batch: 6,
    post: 4,
    exchange: 10,
    World.exchange_all: 10,
    flush: 8,
    commit: 10,
    turn: 12,
    look_up: 6,
    sweep: 3,
    cut: 6,
    cut_all: 3,
    World.connect_all: 3,
    stop_or_go_on_reading: 5,
    subscribe: 6,
    unsubscribe: 3,
    share: 1,
    work: 8,
    time_passes: 5,
    a_quiet_minute: 2,
    the_clock_is_set: 1,
    retain: 4,
    settle: 6,
    the_disk_fails: 2,
    the_disk_is_full: 1,
    there_is_room: 3,
    the_broker_is_started_again: 2,
}
