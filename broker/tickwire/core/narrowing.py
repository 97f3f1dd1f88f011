"""What becomes of subscriptions and consumers when the rights of their connection change."""

from __future__ import annotations

from collections.abc import Callable

from tickwire.fanout.peer import Peer
from tickwire.wire.errors import Refused
from tickwire.wire.messages import Subscribe

from .engine import Engine
from .rights import Rights
from .trails import Trail

Refuse = Callable[[int, int, Refused], None]  # the kind of the frame that is refused from here on, its id, and why


def narrow(
    engine: Engine, peer: Peer, consumers: frozenset[int], rights: Rights, refuse: Refuse, now: float
) -> frozenset[int]:
    """Let everything go on with what the rights leave of it, and end that of which they leave nothing.

    Returns the consumers that are left.
    """
    _narrow_live(engine, peer, rights, refuse, now)
    _narrow_trails(peer, rights, refuse)
    if rights.subscribe is not None and peer.cursors:
        allows = rights.subscribe.allows
        peer.cursors = {log: cursor for log, cursor in peer.cursors.items() if allows(log.topic)}
    return frozenset(id for id in consumers if _may_stay(engine, peer, id, rights, refuse))


def _narrow_live(engine: Engine, peer: Peer, rights: Rights, refuse: Refuse, now: float) -> None:
    for id, subscription in list(peer.subscriptions.items()):
        try:
            engine.readership.resubscribe(peer, id, rights.readable(subscription.pattern), now)
        except Refused as refused:
            engine.readership.unsubscribe(peer, id)
            refuse(Subscribe.kind, id, refused)


def _narrow_trails(peer: Peer, rights: Rights, refuse: Refuse) -> None:
    for trail in peer.trails:
        assert isinstance(trail, Trail)
        try:
            trail.narrow(rights.readable(trail.pattern))
        except Refused as refused:
            peer.trails = tuple(each for each in peer.trails if each is not trail)
            refuse(Subscribe.kind, trail.id, refused)


def _may_stay(engine: Engine, peer: Peer, id: int, rights: Rights, refuse: Refuse) -> bool:
    """Whether a connection stays a member of a group; else it leaves that."""
    kind, pattern, live = engine.groups.membership(peer, id)
    try:
        (rights.check_share if live else rights.check_consume)(pattern)
    except Refused as refused:
        engine.groups.leave(peer, id)
        refuse(kind, id, refused)
        return False
    return True
