"""The rules, and what a check has to say about a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

RULES = {
    "lost": "No acknowledged message is lost.",
    "vanished": "Nothing is seen live that the broker does not hold at the end.",
    "reordered": "A publisher's own order is kept in a topic.",
    "position": "One position is one message for ever.",
    "consecutive": "Offsets of a subscription are consecutive, or a gap notice says what is missing.",
    "resume": "A resume starts at the last position + 1, or says what is missing.",
    "epoch": "A change of the epoch is announced.",
    "unsent": "Nothing appears that was not sent.",
    "refused": "Nothing appears that was refused.",
    "repeated": "A message has one position in its topic: repeats are dropped.",
    "unconsumed": "A group acknowledges every message of its topics, or gives it up to its dead letters.",
    "shared": "A group hands a message to one member at a time, and each time with a higher attempt.",
}

_SHOWN = 10  # examples of each rule


@dataclass(slots=True)
class Figures:
    """How much of a run there was to decide about."""

    sent: int = 0
    acks: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # by code
    unknown: int = 0
    deliveries: int = 0
    final: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    kills_in_flight: int = 0
    in_flight: int = 0
    resumes: int = 0
    handed_out: int = 0
    redeliveries: int = 0


@dataclass(slots=True)
class Verdict:
    """How often each rule was broken, with some examples."""

    figures: Figures = field(default_factory=Figures)
    broken: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return not self.broken

    def blame(self, rule: str, text: str) -> None:
        assert rule in RULES
        self.broken[rule] += 1
        examples = self.examples.setdefault(rule, [])
        if len(examples) < _SHOWN:
            examples.append(text)

    def lines(self) -> list[str]:
        """What was broken, for people."""
        said = []
        for rule, count in self.broken.items():
            said.append(f"{rule}: {RULES[rule]} Broken {count} times:")
            said += [f"    {text}" for text in self.examples[rule]]
        return said
