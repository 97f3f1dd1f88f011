"""Frames that go past the transport: each reader has the bytes that it is due, all of them, once and in order."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickwire.fanout import deliver as deliver_module
from tickwire.fanout.audience import Audiences
from tickwire.fanout.deliver import Group, deliver, write_now
from tickwire.fanout.descriptors import OPEN
from tickwire.fanout.frame import websocket_frame
from tickwire.fanout.peer import Interest, Peer
from tickwire.native import LIBRARY, native

LIMIT = 1 << 30


class Wire:
    """A peer with a real socket, behind a transport that keeps what the socket does not take, as uvloop's does."""

    def __init__(self, id: int, inflates: bool = False) -> None:
        self.ours, self.theirs = socket.socketpair()
        for sock in (self.ours, self.theirs):
            sock.setblocking(False)
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        self.waiting = bytearray()
        self.came = bytearray()
        self.due = bytearray()
        self.writes = 0
        self.peer = Peer(id, self.write, lambda: len(self.waiting), inflates)
        self.peer.open_socket(self.ours.fileno())

    def write(self, data: bytes) -> None:
        """Nothing goes out before the loop's turn, as with uvloop."""
        self.writes += 1
        self.waiting += data

    def turn(self) -> None:
        """The loop writes what waits, as far as the socket takes it."""
        with contextlib.suppress(BlockingIOError):
            while self.waiting:
                del self.waiting[: self.ours.send(self.waiting)]

    def read(self, size: int = 1 << 20) -> None:
        with contextlib.suppress(BlockingIOError):
            self.came += self.theirs.recv(size)

    def settle(self) -> None:
        for _ in range(10_000):
            before = len(self.came)
            self.turn()
            self.read()
            if len(self.came) == before and not self.waiting:
                return

    def close(self) -> None:
        self.peer.leave()
        self.ours.close()
        self.theirs.close()


class Hall:
    """Some of them, and the audiences that they make."""

    def __init__(self, *inflating: bool) -> None:
        self.wires = [Wire(number, inflates) for number, inflates in enumerate(inflating)]
        self.audiences = Audiences()

    def group(self, members: set[int], plain: bytes, deflated: bytes | None = None) -> Group:
        interest = Interest(repr(members))
        for number in members:
            interest.peers[self.wires[number].peer] = 0
        deflated = plain if deflated is None else deflated
        for number in sorted(members):
            wire = self.wires[number]
            wire.due += deflated if wire.peer.inflates else plain
        audience = self.audiences.of((interest,)).audience
        assert audience is not None
        return audience, (plain, deflated), []


@pytest.fixture
def hall() -> Iterator[Hall]:
    hall = Hall(False, True, False, True)
    yield hall
    for wire in hall.wires:
        wire.close()


@pytest.fixture(autouse=True)
def _library() -> None:
    assert native is not None, f"{LIBRARY} is not there: run make dev"


def test_who_takes_all_at_once_is_written_to_past_its_transport(hall: Hall) -> None:
    deliver([hall.group({0, 1, 2, 3}, b"first")], [], LIMIT)  # what was written before we came may be waiting
    written = [wire.writes for wire in hall.wires]
    deliver([hall.group({0, 1, 2, 3}, b"plain", b"deflated"), hall.group({1, 2}, b"more", b"less")], [], LIMIT)
    deliver([hall.group({0, 1, 2}, b"plain", b"deflated")], [], LIMIT)

    for wire in hall.wires:
        wire.settle()
    assert [bytes(wire.came) for wire in hall.wires] == [bytes(wire.due) for wire in hall.wires]
    assert [wire.writes for wire in hall.wires] == written


def test_what_slow_sockets_do_not_take_is_kept_once_and_not_for_each(hall: Hall) -> None:
    deliver([hall.group({0, 1, 2, 3}, b"first")], [], LIMIT)
    waiting: list[object] = []
    for wire in hall.wires:
        wire.peer.write = waiting.append
    large = bytes(1 << 20)
    deliver([hall.group({0, 1, 2, 3}, large)], [], LIMIT)

    assert [type(rest) for rest in waiting] == [memoryview] * 4
    assert all(isinstance(rest, memoryview) and rest.obj is large for rest in waiting)
    for wire in hall.wires:
        wire.peer.write = wire.write


def test_replies_leave_first_and_wait_for_nobody(hall: Hall) -> None:
    wire = hall.wires[0]
    deliver([hall.group({0}, b"a")], [], LIMIT)
    wire.peer.reply(b"reply")
    wire.due += websocket_frame(b"reply")
    deliver([hall.group({0, 1}, b"b")], [wire.peer], LIMIT)

    wire.settle()
    assert wire.came == wire.due


def test_a_held_peer_gets_nothing_past_what_was_written_to_its_transport(hall: Hall) -> None:
    wire = hall.wires[2]
    deliver([hall.group({2}, b"a")], [], LIMIT)
    write_now(wire.peer, b"beat")
    wire.due += b"beat"
    deliver([hall.group({2}, b"b")], [], LIMIT)

    assert wire.waiting == b"beatb"
    wire.settle()
    assert wire.came == wire.due


def test_a_closed_socket_is_not_written_to_whoever_has_its_number_now(hall: Hall) -> None:
    wire = hall.wires[0]
    deliver([hall.group({0}, b"a")], [], LIMIT)
    number = wire.ours.fileno()
    wire.peer.close_socket()
    wire.ours.close()
    left, right = socket.socketpair()
    with left, right:
        assert number in (left.fileno(), right.fileno())
        deliver([hall.group({0, 1}, b"b"), hall.group({0, 2}, b"c")], [], LIMIT)
        for sock in (left, right):
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(1)


def test_a_slot_is_given_to_another_only_when_its_peer_has_left() -> None:
    first, second = Wire(1), Wire(2)
    slots = first.peer.slot, second.peer.slot
    first.close()
    third = Wire(3)

    assert third.peer.slot == slots[0] != slots[1]
    assert OPEN[0] == OPEN[third.peer.slot] == -1
    second.close()
    third.close()


members = st.sets(st.integers(0, 3), min_size=1)
sizes = st.sampled_from([1, 10, 1_000, 5_000, 60_000])
steps = st.one_of(
    st.tuples(st.just("deliver"), st.lists(st.tuples(members, sizes), min_size=1, max_size=3)),
    st.tuples(st.just("reply"), members),
    st.tuples(st.just("beat"), members),
    st.tuples(st.just("turn"), members),
    st.tuples(st.just("read"), members),
)


@pytest.mark.parametrize("library", [True, False])
@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=40))
def test_whatever_happens_everybody_gets_what_is_due_once_and_in_order(library: bool, done: list[tuple]) -> None:
    hall = Hall(False, True, False, True)
    with pytest.MonkeyPatch.context() as patch:
        if not library:
            patch.setattr(deliver_module, "native", None)
        for number, (step, what) in enumerate(done):
            byte = bytes([number])
            if step == "deliver":
                replying = [wire.peer for wire in hall.wires if wire.peer.replies]
                groups = [hall.group(each, byte * size, b"z" + byte * (size // 3)) for each, size in what]
                deliver(groups, replying, LIMIT)
                continue
            for at in what:
                wire = hall.wires[at]
                if step == "reply":
                    wire.peer.reply(byte)
                    wire.due += websocket_frame(byte)
                elif step == "beat" and not wire.peer.replies:
                    write_now(wire.peer, byte)
                    wire.due += byte
                elif step in ("turn", "read"):
                    getattr(wire, step)()
        deliver([], [wire.peer for wire in hall.wires if wire.peer.replies], LIMIT)
    for wire in hall.wires:
        wire.settle()
        wire.close()
    assert [bytes(wire.came) for wire in hall.wires] == [bytes(wire.due) for wire in hall.wires]
