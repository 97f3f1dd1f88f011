"""Who reads what: the subscriptions of all peers, and the audiences that follow from them."""

from __future__ import annotations

from collections.abc import Iterator

from tickwire.fanout.audience import Audiences
from tickwire.fanout.log import TopicLog
from tickwire.fanout.peer import NOT_BUILT, Audience, Interest, Peer, Restricted
from tickwire.wire.topics import is_exact, matcher

from .holdings import Holding
from .index import Index
from .topic import Topic
from .topics import Topics

_CHANGE_BITS = 24
_STRAYED = 1_000  # subscriptions ended by one peer while it was behind that are remembered


class Readership:
    """Answers, for a topic, which peers get it live and which have fallen behind; both may change between flushes."""

    def __init__(self, topics: Topics, stamp: int) -> None:
        self.index = Index()
        self._topics = topics
        self._audiences = Audiences()
        self._stamp = stamp
        self._changes = 0  # of subscriptions, since that stamp
        self._falls = 0  # grows whenever some peer that is behind may lack a cursor

    def stamped(self, stamp: int) -> None:
        """A flush begins."""
        self._stamp, self._changes = stamp, 0

    def subscribe(
        self,
        peer: Peer,
        id: int,
        pattern: str,
        now: float,
        readable: tuple[str, ...] | None = None,
        holding: Holding | None = None,
    ) -> int | None:
        """Give the peer a subscription under a new id; returns the topic's next offset, if the pattern names one.

        `readable` are the patterns of what it may read of it, where that is not all.
        """
        offset = None
        if is_exact(pattern):
            topic = self._topics.of(pattern, now, holding)
            topic.matched = -1
            offset = topic.log.end
        if readable is None or readable == (pattern,):
            peer.subscriptions[id] = self._join(peer, pattern)
        else:
            interests = tuple(self._join(peer, each) for each in readable)
            peer.subscriptions[id] = Restricted(pattern, interests)
        return offset

    def resubscribe(self, peer: Peer, id: int, readable: tuple[str, ...], now: float) -> None:
        """The peer may read more or less of what it has subscribed to; what it may still read goes on without a gap."""
        subscription = peer.subscriptions[id]
        if tuple(interest.pattern for interest in subscription.interests) == readable:
            return
        self.subscribe(peer, id, subscription.pattern, now, readable)
        self._drop(peer, subscription)

    def unsubscribe(self, peer: Peer, id: int) -> None:
        """Take a subscription that the peer has from it."""
        self._drop(peer, peer.subscriptions.pop(id))

    def leave(self, peer: Peer) -> None:
        """The peer's connection is gone."""
        for interest in set(self._interests_of(peer)):
            self._forsake(peer, interest)
        peer.subscriptions.clear()

    def regroup(self, peer: Peer) -> None:
        """The peer is level again: no audience with it is right any more."""
        for interest in self._interests_of(peer):
            self._audiences.changed(interest)

    def fell(self, peers: list[Peer]) -> None:
        """These peers are behind from here on."""
        for peer in peers:
            self.regroup(peer)
        self._falls += bool(peers)

    def interests(self, topic: Topic) -> tuple[Interest, ...]:
        """Those whose pattern matches the topic."""
        if topic.matched != self.index.generation:
            topic.interests, topic.matched = self.index.match(topic.name), self.index.generation
            topic.built = NOT_BUILT
        return topic.interests

    def audience(self, topic: Topic, first: int) -> Audience:
        """Who gets the topic, of which the offset `first` comes next: who is behind has a cursor there, or before."""
        audience = topic.built.audience if topic.matched == self.index.generation else None
        if audience is None:
            topic.built = self._audiences.of(self.interests(topic))
            audience = topic.built.audience
            assert audience is not None
        if audience.behind and topic.told != self._falls:
            for peer in audience.behind:
                if peer.cursors is not None:
                    peer.cursors.setdefault(topic.log, first)
            topic.told = self._falls
        return audience

    def reads_since(self, peer: Peer, log: TopicLog) -> int | None:
        """The stamp from which on the peer has read a topic without a break, or None where it does not read it."""
        topic = log.topic
        if topic not in self._topics or self._topics[topic].log is not log:
            return None  # freed while nobody read it
        since = min((i.peers[peer] for i in self.index.match(topic) if peer in i.peers), default=None)
        if since is not None:
            # The last that ended comes first; each may reach further back.
            for pattern, joined, left in reversed(peer.strayed or ()):
                if left > since > joined and matcher(pattern).fullmatch(topic):
                    since = joined
        return None if since is None else since >> _CHANGE_BITS

    def _join(self, peer: Peer, pattern: str) -> Interest:
        interest = self.index.add(pattern)
        if peer not in interest.peers:
            interest.peers[peer] = self._moment()
            self._audiences.changed(interest)
            self._falls += peer.behind
        return interest

    def _drop(self, peer: Peer, subscription: Interest | Restricted) -> None:
        """The peer has a subscription no more; what no other of its subscriptions needs goes with it."""
        for interest in subscription.interests:
            if interest not in self._interests_of(peer):
                if peer.behind:
                    self._stray(peer, interest)
                self._forsake(peer, interest)

    @staticmethod
    def _interests_of(peer: Peer) -> Iterator[Interest]:
        return (interest for each in peer.subscriptions.values() for interest in each.interests)

    def _moment(self) -> int:
        """Now, as a number that orders the subscriptions of one stamp too."""
        self._changes += 1
        return self._stamp << _CHANGE_BITS | self._changes

    def _stray(self, peer: Peer, interest: Interest) -> None:
        """Remember what a peer that is behind read until now: of that it is owed what follows without a break."""
        strayed = (peer.strayed or [])[-_STRAYED:]
        peer.strayed = [*strayed, (interest.pattern, interest.peers[peer], self._moment())]

    def _forsake(self, peer: Peer, interest: Interest) -> None:
        del interest.peers[peer]
        self._audiences.changed(interest)
        if interest.peers:
            return
        self.index.discard(interest)
        topic = self._topics.get(interest.pattern)
        if topic is not None:
            topic.matched = -1
