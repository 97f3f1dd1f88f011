"""Addresses, backing off, and the public surface."""

from __future__ import annotations

import pytest

import tickwire_client
from tickwire_client import sync
from tickwire_client.addresses import Addresses, complete
from tickwire_client.backoff import Backoff


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("ws://127.0.0.1:8765", "ws://127.0.0.1:8765/ws"),
        ("ws://127.0.0.1:8765/", "ws://127.0.0.1:8765/ws"),
        ("wss://broker.example/feed", "wss://broker.example/feed"),
        ("http://[::1]:80?a=1", "ws://[::1]:80/ws?a=1"),
    ],
)
def test_an_address_without_a_path_gets_the_brokers(written: str, used: str) -> None:
    assert complete(written) == used


@pytest.mark.parametrize("written", ["127.0.0.1:8765", "redis://localhost", "ws://", ""])
def test_what_is_no_address_says_how_one_looks(written: str) -> None:
    with pytest.raises(ValueError, match=r"ws://127\.0\.0\.1:8765"):
        complete(written)


def test_addresses_are_tried_in_turns() -> None:
    addresses = Addresses(["ws://a", "ws://b"])

    tried = []
    for _ in range(3):
        tried.append(addresses.current)
        addresses.rotate()

    assert tried == ["ws://a/ws", "ws://b/ws", "ws://a/ws"]


def test_waiting_is_full_jitter_up_to_a_cap_and_never_less_than_was_asked_for() -> None:
    bounds: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return high / 2

    backoff = Backoff(uniform=uniform)
    waits = [backoff.next(at_least=1.0) for _ in range(8)]

    assert [high for _, high in bounds] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
    assert all(low == 0.0 for low, _ in bounds)
    assert min(waits) >= 1.0
    backoff.connected(0.5)
    backoff.next()
    assert bounds[-1] == (0.0, 5.0)
    backoff.connected(60.0)
    backoff.next()
    assert bounds[-1] == (0.0, 0.1)


def test_the_public_surface_is_this_list() -> None:
    assert sorted(tickwire_client.__all__) == [
        "Batch",
        "BufferFull",
        "Client",
        "ConnectionLost",
        "Consumer",
        "Delivered",
        "Gap",
        "Group",
        "History",
        "Message",
        "Messages",
        "OutcomeUnknown",
        "Position",
        "Receipt",
        "Refused",
        "Subscription",
        "TickwireError",
        "WireError",
        "connect",
    ]
    assert all(hasattr(tickwire_client, name) for name in tickwire_client.__all__)
    verbs = ["batch", "batch_limits", "close", "consume", "consumers", "epoch", "flush", "history"]
    verbs += ["publish", "publish_nowait", "state", "subscribe"]
    for client in (tickwire_client.Client, sync.Client):
        assert [name for name in dir(client) if not name.startswith("_")] == verbs
