"""Who gets what: the peers of a pattern, and the interned tuples of peers that topics have in common."""

from __future__ import annotations

from array import array
from operator import attrgetter
from weakref import WeakValueDictionary

from .peer import BUILT_OF_NONE, Audience, Built, Interest, Peer

_id = attrgetter("id")


class Audiences:
    """Builds each audience at most once between changes, and interns it, so that topics can be joined by identity."""

    def __init__(self) -> None:
        self._built: dict[tuple[Interest, ...], Built] = {}
        self._interned: WeakValueDictionary[tuple[tuple[Peer, ...], tuple[Peer, ...]], Audience] = WeakValueDictionary()

    def of(self, interests: tuple[Interest, ...]) -> Built:
        """The audience of a topic that matches these patterns, which is good until it is None."""
        built = self._built.get(interests)
        return self._build(interests) if built is None else built

    def changed(self, interest: Interest) -> None:
        """A peer came to, left, fell behind or came level in this pattern: build anew what depends on it."""
        for built in interest.built:
            del self._built[built.interests]
            built.audience = None
            for other in built.interests:
                if other is not interest:
                    other.built.discard(built)
        interest.built.clear()

    def _build(self, interests: tuple[Interest, ...]) -> Built:
        if not interests:
            return BUILT_OF_NONE
        peers = set(interests[0].peers).union(*(interest.peers for interest in interests[1:]))
        ordered = sorted(peers, key=_id)
        live = tuple(peer for peer in ordered if not peer.behind)
        plain = [peer for peer in live if not peer.inflates]
        if 0 < len(plain) < len(live):
            live = (*plain, *(peer for peer in live if peer.inflates))
        behind = tuple(peer for peer in ordered if peer.behind) if len(live) < len(ordered) else ()
        audience = self._interned.get((live, behind))
        if audience is None:
            slots = array("I", [peer.slot for peer in live])
            audience = Audience(live, behind, len(live), len(plain), slots, slots.buffer_info()[0], any(slots))
            self._interned[live, behind] = audience
        built = self._built[interests] = Built(interests, audience)
        for interest in interests:
            interest.built.add(built)
        return built
