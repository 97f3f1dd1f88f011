"""Who counts as one address, and what one may do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tickwire.server.door.addresses import (
    AddressBook,
    AddressLimits,
    Entry,
    keys_of,
    parse_address,
    parse_network,
)
from tickwire.server.door.refusals import UpgradeRefused


def book(**limits: object) -> AddressBook:
    return AddressBook(AddressLimits(per_second=0, **limits))  # type: ignore[arg-type]


def enter(book: AddressBook, text: str, now: float = 0.0) -> Entry | str:
    """The place in the book, or the code of the refusal."""
    address = parse_address(text)
    try:
        return book.enter(address, keys_of(address, text), now)
    except UpgradeRefused as refused:
        return refused.code


@pytest.mark.parametrize(
    ("text", "narrow", "wide"),
    [
        ("192.0.2.7", "192.0.2.7", ""),
        ("::ffff:192.0.2.7", "192.0.2.7", ""),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/48"),
        ("/run/tickwire.sock", "/run/tickwire.sock", ""),
        ("", "unknown", ""),
    ],
)
def test_what_counts_as_one_address(text: str, narrow: str, wide: str) -> None:
    keys = keys_of(parse_address(text), text)

    assert (keys.narrow, keys.wide) == (narrow, wide)


def test_the_next_of_an_address_is_refused_and_another_address_is_not() -> None:
    full = book(connections=2, unauthenticated=9)

    entries = [enter(full, "192.0.2.7") for _ in range(2)]

    assert enter(full, "::ffff:192.0.2.7") == "too_many_connections"
    assert isinstance(enter(full, "192.0.2.8"), Entry)
    assert isinstance(entries[0], Entry)
    entries[0].leave()
    entries[0].leave()  # once is enough
    assert isinstance(enter(full, "192.0.2.7"), Entry)
    assert enter(full, "192.0.2.7") == "too_many_connections"


def test_all_networks_of_a_48_count_together_too() -> None:
    full = book(connections=2, wide_connections=3, unauthenticated=9)

    came = [enter(full, f"2001:db8:1:{network}::1") for network in (1, 1, 2, 3)]

    assert came[3] == "too_many_connections"
    assert isinstance(enter(full, "2001:db8:2:1::1"), Entry)


def test_fewer_may_be_there_that_have_not_said_who_they_are() -> None:
    full = book(connections=9, unauthenticated=2)
    entries = [enter(full, "192.0.2.7") for _ in range(2)]
    assert enter(full, "192.0.2.7") == "too_many_connections"

    assert isinstance(entries[0], Entry)
    entries[0].authenticate()
    entries[0].authenticate()

    assert isinstance(enter(full, "192.0.2.7"), Entry)
    assert enter(full, "192.0.2.7") == "too_many_connections"


def test_new_connections_come_at_a_rate_after_a_burst() -> None:
    limits = AddressLimits(per_second=2, burst=3, connections=99)
    slow = AddressBook(limits)

    came = [enter(slow, "192.0.2.7", now=10.0) for _ in range(4)]

    assert came[3] == "connecting_too_fast"
    assert isinstance(enter(slow, "192.0.2.8", now=10.0), Entry)
    assert enter(slow, "192.0.2.7", now=10.4) == "connecting_too_fast"
    assert isinstance(enter(slow, "192.0.2.7", now=10.5), Entry)
    assert enter(slow, "192.0.2.7", now=10.9) == "connecting_too_fast"
    assert [isinstance(enter(slow, "192.0.2.7", now=99.0), Entry) for _ in range(4)] == [True, True, True, False]
    assert len(slow._full_at) == 1  # the others' buckets are full, and need not be remembered


def test_the_lists_are_of_networks_and_deny_wins() -> None:
    listed = book(allow=(parse_network("10.0.0.0/8"), parse_network("::1")), deny=(parse_network("10.1.0.0/16"),))

    assert isinstance(enter(listed, "10.2.0.1"), Entry)
    assert isinstance(enter(listed, "::1"), Entry)
    assert isinstance(enter(listed, "::ffff:10.2.0.1"), Entry)
    assert enter(listed, "10.1.0.1") == "address_forbidden"
    assert enter(listed, "192.0.2.7") == "address_forbidden"
    assert enter(listed, "unix") == "address_forbidden"


@pytest.mark.parametrize(("text", "why"), [("10.0.0.1/8", "did you mean 10.0.0.0/8"), ("ten", "address or a network")])
def test_what_is_no_network_is_told(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_network(text)


@given(st.text(max_size=20) | st.ip_addresses().map(str))
def test_whatever_an_address_looks_like_it_has_keys(text: str) -> None:
    keys = keys_of(parse_address(text), text)

    assert keys.narrow


class Coming(RuleBasedStateMachine):
    """Whoever comes and goes, in whatever order, the counts are of those who are there."""

    def __init__(self) -> None:
        super().__init__()
        self.book = book(connections=4, wide_connections=6, unauthenticated=3)
        self.here: list[tuple[str, Entry, bool]] = []

    @rule(text=st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"]))
    def come(self, text: str) -> None:
        keys = keys_of(parse_address(text))
        narrow = sum(keys_of(parse_address(each)).narrow == keys.narrow for each, _, _ in self.here)
        wide = sum(keys_of(parse_address(each)).wide == keys.wide != "" for each, _, _ in self.here)
        unknown = sum(keys_of(parse_address(each)).narrow == keys.narrow and not known for each, _, known in self.here)
        entry = enter(self.book, text)
        assert isinstance(entry, Entry) is (narrow < 4 and wide < 6 and unknown < 3)
        if isinstance(entry, Entry):
            self.here.append((text, entry, False))

    @rule(which=st.integers(0, 99), twice=st.booleans())
    def go(self, which: int, twice: bool) -> None:
        if self.here:
            _, entry, _ = self.here.pop(which % len(self.here))
            entry.leave()
            if twice:
                entry.leave()
                entry.authenticate()

    @rule(which=st.integers(0, 99))
    def say_who(self, which: int) -> None:
        if self.here:
            at = which % len(self.here)
            text, entry, _ = self.here[at]
            entry.authenticate()
            self.here[at] = text, entry, True

    @invariant()
    def nothing_is_left_of_who_went(self) -> None:
        narrow = [place for place in self.book._places.values() if not place.key.endswith("/48")]
        assert self.book.count == sum(place.connections for place in narrow) == len(self.here)
        assert sum(place.unauthenticated for place in narrow) == sum(not known for _, _, known in self.here)
        assert min((place.connections for place in self.book._places.values()), default=1) > 0


TestComing = Coming.TestCase
