"""The last step of a flush: everything a peer is due leaves in one write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tickwire.native import native

from . import direct
from .frame import Shared, websocket_frame
from .log import TopicLog
from .peer import Audience, Peer
from .section import Section

# Every data frame leaves from this file. A second writer on the same connection would desynchronise the order of
# replies and deliveries, and one that compresses with a context would corrupt the third message silently.
#
# A transport whose connection is gone may raise (uvloop does, until the session has left). That must never cost the
# others of its flush anything, so no write is without a `try`, which is free where nothing is raised.


class HasLog(Protocol):
    """A topic, as far as it matters here."""

    log: TopicLog


# What one audience gets in this flush: frames, by whether a peer inflates, and the sections of each topic that are in
# them. One for most topics of a flush: a class would take ten times the time to make.
Group = tuple[Audience, Shared, Sequence[tuple[HasLog, list[Section]]]]


@dataclass(slots=True)
class Outcome:
    """What a delivery found out: who fell behind, and who has how many bytes unsent."""

    late: list[Peer]
    unsent: dict[Peer, int]
    gone: int = 0  # connections that were not there any more


def deliver(groups: list[Group], replying: Iterable[Peer], unsent_limit: int) -> Outcome:
    """Write to each peer what it is due: replies first, then its groups' frames, in one write.

    Who has more than `unsent_limit` bytes unsent gets no frame: it falls behind, with a cursor at the first section of
    each topic that it misses.
    """
    outcome = Outcome([], {})
    if native is not None and any(audience.has_sockets for audience, _, _ in groups):
        _deliver_direct(groups, unsent_limit, outcome)
    elif len(groups) == 1:
        _deliver_one(groups[0], unsent_limit, outcome)
    elif groups:
        _deliver_many(groups, unsent_limit, outcome)
    for peer in replying:
        if peer.replies and not peer.behind:
            _reply(peer, unsent_limit, outcome)
    return outcome


# `tickwire bench --case fan-out`. 4.7 us a peer in send(2); all else here must stay below 0.5 us. What a slot of a peer
# holds is called in two steps: as a method of it, it would be looked up in the type each time (200
# instructions a delivery).
def _deliver_one(group: Group, unsent_limit: int, outcome: Outcome) -> None:
    audience, (plain, deflated), _ = group
    for peer in audience.live:
        ask = peer.unsent
        unsent = ask()
        if unsent:
            if unsent > unsent_limit:
                _fall_behind(peer, [group], outcome)
                continue
            outcome.unsent[peer] = unsent
        data = deflated if peer.inflates else plain
        if peer.replies:
            data = b"".join((*map(websocket_frame, peer.take_replies()), data))
        write = peer.write
        try:
            write(data)
        except Exception:
            outcome.gone += 1


def _deliver_many(groups: list[Group], unsent_limit: int, outcome: Outcome) -> None:
    due: dict[Peer, list[Group]] = {}
    for group in groups:
        for peer in group[0].live:
            mine = due.get(peer)
            if mine is None:
                due[peer] = [group]
            else:
                mine.append(group)
    for peer, mine in due.items():
        ask = peer.unsent
        unsent = ask()
        if unsent:
            if unsent > unsent_limit:
                _fall_behind(peer, mine, outcome)
                continue
            outcome.unsent[peer] = unsent
        inflates = peer.inflates
        parts = [shared[inflates] for _, shared, _ in mine]
        if peer.replies:
            parts[:0] = map(websocket_frame, peer.take_replies())
        write = peer.write
        try:
            write(parts[0] if len(parts) == 1 else b"".join(parts))
        except Exception:
            outcome.gone += 1


def _deliver_direct(groups: list[Group], unsent_limit: int, outcome: Outcome) -> None:
    """The same where the C library is there: Python looks only at those whose sockets did not take all at once."""
    if len(groups) == 1:
        audience, shared, _ = groups[0]
        for _, peer, went in direct.send_to_all(audience, shared):
            _deliver_rest(peer, groups, went, unsent_limit, outcome)
        return
    due: dict[Peer, tuple[list[Group], int]] = {}
    for number, peer, went in direct.send_many(groups):
        if peer in due:
            due[peer][0].append(groups[number])
        else:
            due[peer] = [groups[number]], went
    for peer, (mine, went) in due.items():
        _deliver_rest(peer, mine, went, unsent_limit, outcome)


def _deliver_rest(peer: Peer, groups: list[Group], went: int, unsent_limit: int, outcome: Outcome) -> None:
    """What a peer is due, of which so many bytes went already, through its transport; or none of it: it is behind."""
    parts = [shared[peer.inflates] for _, shared, _ in groups]
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    rest: bytes | memoryview = data
    if went != direct.NOT_TRIED:
        rest = memoryview(data)[went:]  # of the frame that is shared: a copy for each who is slow would be much
    else:
        unsent = peer.unsent()
        if unsent > unsent_limit:
            _fall_behind(peer, groups, outcome)
            return
        if peer.replies:
            rest = data = b"".join((*map(websocket_frame, peer.take_replies()), data))
        if unsent:
            outcome.unsent[peer] = unsent
        elif went := direct.send(peer, data):
            rest = memoryview(data)[went:]
    if rest and not write_now(peer, rest):
        outcome.gone += 1


def _reply(peer: Peer, unsent_limit: int, outcome: Outcome) -> None:
    """Through the transport, which writes when the loop's turn ends: first the next commit is to be under way."""
    if peer.unsent() > unsent_limit:
        _fall_behind(peer, [], outcome)
        return
    replies = peer.take_replies()
    frames = websocket_frame(replies[0]) if len(replies) == 1 else b"".join(map(websocket_frame, replies))
    if not write_now(peer, frames):
        outcome.gone += 1


def _fall_behind(peer: Peer, groups: list[Group], outcome: Outcome) -> None:
    cursors = peer.fall_behind()
    for _, _, due in groups:
        for topic, sections in due:
            cursors.setdefault(topic.log, sections[0].first)  # a flush may show a topic twice: of two commits
    outcome.late.append(peer)


def write_frames(peer: Peer, frames: bytes) -> None:
    """Write what catching up gives, behind whatever replies are owed."""
    write_now(peer, b"".join((*map(websocket_frame, peer.take_replies()), frames)) if peer.replies else frames)


def write_now(peer: Peer, frames: bytes | memoryview) -> bool:
    """Write outside the flush: only a beat and the last frame before a close may leave like this.

    Returns whether the connection was still there.
    """
    peer.hold()
    try:
        peer.write(frames)
    except Exception:
        return False
    return True
