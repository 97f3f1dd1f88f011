"""What is measured: each makes ready what it needs, and gives the step that is measured. None has a socket."""

from __future__ import annotations

import random
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path

from micro.house import NOW, TIME_US, House, readers
from tickwire.core.identity import checksum_of
from tickwire.core.index import Index
from tickwire.core.policy import Policy
from tickwire.core.store import Batch, Identity
from tickwire.core.topic import Topic
from tickwire.fanout.frame import Deflater
from tickwire.fanout.log import TopicLog
from tickwire.fanout.section import Section
from tickwire.store.disk import DiskStore
from tickwire.wire.decode import decode_from_client
from tickwire.wire.encode import encode, encode_section
from tickwire.wire.messages import Ack, Delivery, Publish, Run, Subscribe, Subscribed, Welcome
from tickwire_client.messages import Gap
from tickwire_client.runs import Runs
from tickwire_client.session import Session as ClientSession

Step = Callable[[], object]
Workload = Callable[[], Step]

TOPIC = "prices.nasdaq.AAPL"


def tick(number: int, size: int = 64) -> bytes:
    """A payload like a price, of that many bytes; no two of them are alike."""
    text = b'{"symbol": "AAPL", "bid": %d.%02d, "number": %d, "text": "' % (180 + number % 9, number % 97, number)
    return (text + b"x" * size)[: size - 2] + b'"}'


def ticks(count: int, size: int = 64) -> list[bytes]:
    return [tick(number, size) for number in range(count)]


def publish(count: int, size: int = 64, id: int | None = 7) -> bytes:
    """A PUBLISH frame as the SDK sends it."""
    return encode(Publish(id, [Run(TOPIC, ticks(count, size), 1)], sequence=None if id is None else id))


# codec: the bytes of frames and back.


def decode_one() -> Step:
    frame = publish(1)
    return lambda: decode_from_client(frame)


def decode_hundred() -> Step:
    frame = publish(100)
    return lambda: decode_from_client(frame)


def read_hundred_in_place() -> Step:
    from tickwire.wire.in_place import publish_in_place  # here, since a tree that is compared with may not have it

    frame = publish(100, 1_024)
    return lambda: publish_in_place(frame)


def encode_acks() -> Step:
    message = Ack([[number, 1_000 + number] for number in range(16)])
    return lambda: encode(message)


# sections: runs of messages, encoded once.


def sealing(payloads: Sequence[bytes], size: int) -> Step:
    topic = Topic(TOPIC, TopicLog(TOPIC, 0, 1 << 20, 60.0))

    def step() -> None:
        topic.append(payloads, size, 1)
        topic.seal(9, TIME_US, NOW)

    return step


def seal_one() -> Step:
    return sealing(ticks(1), 64)


def seal_hundred() -> Step:
    return sealing(ticks(100), 6_400)


def seal_and_split() -> Step:
    return sealing(ticks(100, 1_024), 102_400)


def seal_in_place() -> Step:
    from tickwire.wire.in_place import publish_in_place

    message = publish_in_place(publish(100, 1_024))
    assert message is not None
    return sealing(message.runs[0].payloads, 102_400)


def checksum_of_hundred() -> Step:
    runs = [Run(TOPIC, ticks(100), 1)]
    return lambda: checksum_of(runs)


# logs: appended to at the end, read from anywhere.


def section(first: int, count: int = 16) -> Section:
    data = encode_section(TOPIC, first, first, TIME_US, ticks(count), 1)
    return Section(first, first + count, first, TIME_US, NOW, data)


def append_to_a_full_log() -> Step:
    log = TopicLog(TOPIC, 0, 64 << 10, 60.0)
    made = section(0)
    size, end = len(made.data), 0

    def append() -> None:
        nonlocal end
        log.extend([Section(end, end + 16, end, TIME_US, NOW, made.data)])
        end += 16

    for _ in range(2 * (64 << 10) // size):
        append()
    return append


def read_from_the_middle() -> Step:
    log = TopicLog(TOPIC, 0, 1 << 20, 60.0)
    for first in range(0, 8_000, 16):
        log.extend([section(first)])
    return lambda: log.read(4_003, 64 << 10)


# index: which patterns match.


def match_among_a_thousand() -> Step:
    index, chosen = Index(), random.Random(7)
    for number in range(1_000):
        index.add(f"prices.{chosen.choice(('*', 'nasdaq', 'nyse'))}.{chosen.choice(('*', f'S{number}'))}")
    index.add("prices.>")
    index.add(TOPIC)
    return lambda: index.match(TOPIC)


# the engine: from a frame to what is written, with peers that have no socket.


def publishing(count: int, to: int, guarded: bool = False) -> Step:
    """So many frames of a message each, acknowledged, and a flush to so many readers."""
    house = House(sockets=True, guarded=guarded)
    writer = house.session()
    readers(house, to, [TOPIC])
    frames = [encode(Publish(number, [Run(TOPIC, [tick(number)], 1)])) for number in range(count)]

    def step() -> None:
        for frame in frames:
            writer.receive(frame, NOW)
        house.flush()

    return step


def flush_to_a_hundred() -> Step:
    return publishing(16, 100)


def plain(size: int, to: int, guarded: bool = False) -> Step:
    """Sixteen frames of so many messages that nobody waits for, in one read, and a flush to so many readers."""
    house = House(sockets=True, guarded=guarded)
    writer = house.session()
    readers(house, to, [TOPIC])
    frames = [encode(Publish(None, [Run(TOPIC, ticks(size))])) for _ in range(16)]

    def step() -> None:
        writer.receive_all(list(frames), NOW, 64)
        house.flush()

    return step


def flush_plain_frames() -> Step:
    return plain(64, 1)


def flush_plain_topics() -> Step:
    """128 frames of single messages in topics drawn by Zipf's law, each of which has four readers."""
    house, chosen = House(sockets=True), random.Random(7)
    writer = house.session()
    topics = [f"prices.nasdaq.S{number}" for number in range(500)]
    readers(house, 100, topics)
    weights = list(accumulate(1 / (number + 1) for number in range(len(topics))))
    drawn = chosen.choices(topics, cum_weights=weights, k=128)
    frames = [encode(Publish(None, [Run(topic, [tick(number)])])) for number, topic in enumerate(drawn)]

    def step() -> None:
        writer.receive_all(list(frames), NOW, len(frames))
        house.flush()

    return step


def flush_many_topics() -> Step:
    """A frame with fifty of two hundred topics, each read by some of a hundred readers."""
    house, chosen = House(sockets=True), random.Random(7)
    writer = house.session()
    topics = [f"prices.nasdaq.S{number}" for number in range(200)]
    readers(house, 100, topics)
    frame = encode(Publish(1, [Run(topic, [tick(1)], 1) for topic in chosen.sample(topics, 50)]))

    def step() -> None:
        writer.receive(frame, NOW)
        house.flush()

    return step


def come_and_go() -> Step:
    """A reader subscribes to a topic of a hundred readers, gets a message, and leaves: the audience is made anew."""
    house = House(sockets=True)
    writer = house.session()
    readers(house, 100, [TOPIC])
    guest = house.session()
    frame, subscribe = publish(1, id=None), encode(Subscribe(99, TOPIC))

    def step() -> None:
        guest.receive(subscribe, NOW)
        writer.receive(frame, NOW)
        house.flush()
        house.engine.readership.unsubscribe(guest.peer, 99)
        house.flush()

    return step


# deflate: once a frame, whoever gets it.


def deflate_hundred() -> Step:
    deflater = Deflater()
    frame = encode_section(TOPIC, 5, 9, TIME_US, ticks(100), 1)
    return lambda: deflater.deflate(frame)


# the store: a commit is one row a section; the sync is the system's and not counted.


def commit(count: int, size: int) -> Step:
    directory = tempfile.mkdtemp(prefix="tickwire-micro-")
    store = DiskStore(Path(directory) / "data")
    store.open()
    weakref.finalize(store, shutil.rmtree, directory, ignore_errors=True)
    end, stamp = 0, 1 << 20
    topic = Topic(TOPIC, TopicLog(TOPIC, 0, 1 << 20, 60.0))
    topic.append(ticks(count, size), count * size, 1)
    made = topic.seal(1, TIME_US, NOW)

    def step() -> None:
        nonlocal end, stamp
        batch, first = Batch(stamp, TIME_US), end
        for each in made:
            batch.sections.append((TOPIC, Section(end, end + each.end - each.first, stamp, TIME_US, NOW, each.data)))
            end += each.end - each.first
        batch.identities.append(Identity("publisher", 1, stamp, 7, [first]))
        stamp += 1
        store.commit(batch)
        if not stamp % 256:
            store.retain(lambda topic: Policy(bytes=1 << 20), TIME_US)

    return step


def commit_one() -> Step:
    return commit(1, 64)


def commit_hundred() -> Step:
    return commit(100, 64)


# the SDK: what an application's messages cost before and behind the socket.


def opened_session() -> ClientSession:
    session = ClientSession(identity=("publisher", 1))
    session.opened()
    session.receive(encode(Welcome(1, 77, 0, {"identity_seconds": 300, "identity_frames": 4_096}, {"ack": "memory"})))
    list(session.frames())
    return session


def sdk_batch() -> Step:
    session, payloads = opened_session(), ticks(100)
    answered = 0

    def step() -> None:
        nonlocal answered
        messages = Runs()
        messages.extend(TOPIC, payloads, 1, session.check)
        session.publish_whole(messages, _done)
        for _ in session.frames():
            answered += 1
            session.receive(encode(Ack([[answered, 0]])))

    return step


def sdk_posts() -> Step:
    session, payloads = opened_session(), ticks(64)

    def step() -> None:
        for payload in payloads:
            session.post(TOPIC, payload, 1)
        for _ in session.frames():
            pass

    return step


def sdk_reads() -> Step:
    """A delivery of 64 messages, each of which is decoded."""
    import msgpack

    session = opened_session()
    feed = session.subscribe(TOPIC)
    list(session.frames())
    session.receive(encode(Subscribed(feed.id, 0, 0, 0)))
    payloads = [msgpack.packb({"bid": 187.2, "number": number}) for number in range(64)]
    first = 0

    def step() -> None:
        nonlocal first
        data = encode_section(TOPIC, first, first + 1, TIME_US, payloads)
        session.receive(b"\x93" + encode(Delivery(0, []))[1:-1] + b"\x91" + data)
        first += 64
        for item in feed.take():
            assert not isinstance(item, Gap)
            for message in item.messages():
                message.data  # noqa: B018 - decoded when it is asked for

    return step


def _done(error: object) -> None:
    """The answer to a batch."""


# What authentication, rights and rates cost: the same without them and with them. `make cost` puts them beside each
# other, with the share that may be added.
GUARDED: dict[str, tuple[Callable[..., Step], float]] = {
    "a publish to 1,000 readers": (partial(publishing, 1, 1_000), 0.05),
    "16 publishes to 100 readers": (partial(publishing, 16, 100), 0.15),
    "16 publishes, acknowledged": (partial(publishing, 16, 0), 0.15),
    "16 plain frames of a message": (partial(plain, 1, 0), 0.15),
    "16 plain frames of 64 messages": (partial(plain, 64, 1), 0.15),
}

SUITES: dict[str, dict[str, Workload]] = {
    "codec": {
        "decode a publish": decode_one,
        "decode a hundred": decode_hundred,
        "read 100 KB in place": read_hundred_in_place,
        "encode 16 acks": encode_acks,
    },
    "sections": {
        "seal one": seal_one,
        "seal a hundred": seal_hundred,
        "seal and split 100 KB": seal_and_split,
        "seal 100 KB in place": seal_in_place,
        "checksum of a hundred": checksum_of_hundred,
    },
    "logs": {"append to a full log": append_to_a_full_log, "read from the middle": read_from_the_middle},
    "index": {"match among a thousand": match_among_a_thousand},
    "audiences": {
        "16 publishes to 100 readers": flush_to_a_hundred,
        "16 plain frames of 64 to 1 reader": flush_plain_frames,
        "128 single messages of many topics": flush_plain_topics,
        "50 of 200 topics to 100 readers": flush_many_topics,
        "a reader comes and goes": come_and_go,
    },
    "deflate": {"a hundred ticks": deflate_hundred},
    "store": {"commit one": commit_one, "commit a hundred": commit_hundred},
    "sdk": {"publish a batch of 100": sdk_batch, "post 64": sdk_posts, "take and decode 64": sdk_reads},
}

# Of these only a tree with a door has both, so that they are compared with each other and not with those of another.
DOOR: dict[str, dict[str, Workload]] = {
    "door": {
        f"{name}, {how}": partial(make, guarded=how == "guarded")
        for name, (make, _) in GUARDED.items()
        for how in ("open", "guarded")
    },
}
