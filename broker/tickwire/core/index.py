"""Which patterns match a topic: a trie of segments, with one `Interest` where a pattern ends."""

from __future__ import annotations

from tickwire.fanout.peer import Interest
from tickwire.wire.topics import ONE, REST, is_exact, is_reserved


class _Node:
    __slots__ = ("children", "interest", "rest")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.interest: Interest | None = None  # of the pattern that ends here
        self.rest: Interest | None = None  # of the pattern that goes on with ">"

    @property
    def unused(self) -> bool:
        return not (self.children or self.interest or self.rest)


class Index:
    """The patterns of all subscriptions. `generation` grows whenever what a topic matches may have changed."""

    def __init__(self) -> None:
        self.generation = 0
        self._root = _Node()
        self._interests: dict[str, Interest] = {}

    def __len__(self) -> int:
        return len(self._interests)

    def get(self, pattern: str) -> Interest | None:
        return self._interests.get(pattern)

    def add(self, pattern: str) -> Interest:
        """The interest of a pattern, made where there is none.

        A new exact pattern concerns one topic, which the caller has at hand, so it leaves the generation alone:
        clients that come and go with a topic of their own must not make every other topic match anew.
        """
        interest = self._interests.get(pattern)
        if interest is None:
            interest = self._interests[pattern] = Interest(pattern)
            self._place(pattern, interest)
            self.generation += not is_exact(pattern)
        return interest

    def discard(self, interest: Interest) -> None:
        """Forget a pattern that has no peers left."""
        del self._interests[interest.pattern]
        self._remove(self._root, interest.pattern.split("."))
        self.generation += not is_exact(interest.pattern)

    def match(self, topic: str) -> tuple[Interest, ...]:
        """The interests of all patterns that match a topic."""
        found: list[Interest] = []
        segments = topic.split(".")
        nodes = [self._root]
        wild = not is_reserved(topic)
        for segment in segments:
            below: list[_Node] = []
            for node in nodes:
                if wild and node.rest is not None:
                    found.append(node.rest)
                child = node.children.get(segment)
                if child is not None:
                    below.append(child)
                if wild and (child := node.children.get(ONE)) is not None:
                    below.append(child)
            nodes, wild = below, True
        found += [node.interest for node in nodes if node.interest is not None]
        return tuple(found)

    def _place(self, pattern: str, interest: Interest) -> None:
        node = self._root
        segments = pattern.split(".")
        rest = segments[-1] == REST
        for segment in segments[:-1] if rest else segments:
            node = node.children.setdefault(segment, _Node())
        if rest:
            node.rest = interest
        else:
            node.interest = interest

    def _remove(self, node: _Node, segments: list[str]) -> None:
        if segments == [REST]:
            node.rest = None
        elif not segments:
            node.interest = None
        else:
            child = node.children[segments[0]]
            self._remove(child, segments[1:])
            if child.unused:
                del node.children[segments[0]]
