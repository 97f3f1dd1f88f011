"""What a commit that failed leaves behind: everybody whose publish stood on it is told what became of it."""

from __future__ import annotations

from collections.abc import Callable

from tickwire.fanout.peer import Peer
from tickwire.wire.encode import encode
from tickwire.wire.errors import Refused
from tickwire.wire.messages import Publish, Refusal

from .commits import Commit, Pending, Receipt
from .errors import StoreUnsure
from .identity import Identities, Repeat, repeat_of
from .stats import Stats


class Aftermath:
    """Settles the identities and the answers of a commit, and of what came after it: its offsets stood on it."""

    def __init__(
        self,
        identities: Identities,
        stats: Stats,
        reply: Callable[[Peer, bytes], None],
        acknowledge: Callable[[Peer, Receipt, Repeat], None],
    ) -> None:
        self._identities, self._stats = identities, stats
        self._reply, self._acknowledge = reply, acknowledge

    def settle(self, commit: Commit, pending: Pending, refusal: Refused, unsure: bool) -> None:
        """What was pending is refused, and so is the commit, unless nobody can be sure that it was not stored."""
        doubted = commit.identities if unsure else []
        undone = [*([] if unsure else commit.identities), *self._identities.take_new()[0]]
        self._identities.take_back(undone)
        self._identities.doubt(doubted)
        for each in (commit, pending):
            self._answer_repeats(each, frozenset(map(repeat_of, undone)), frozenset(map(repeat_of, doubted)))
        self._refuse(commit.receipts, commit.publishers, StoreUnsure() if unsure else refusal)
        self._refuse(pending.receipts, pending.publishers, refusal)

    def _answer_repeats(self, answers: Commit | Pending, undone: frozenset[Repeat], doubted: frozenset[Repeat]) -> None:
        """A repeat shares the fate of its first: what was stored before is acknowledged, whatever fails now."""
        for (peer, id), repeat in answers.repeats.items():
            receipts = answers.receipts.get(peer, [])
            receipt = next((each for each in receipts if each[0] == id), None)
            if receipt is None or repeat in undone:
                continue
            receipts.remove(receipt)
            if not receipts:
                del answers.receipts[peer]
            if repeat in doubted:
                self._refuse({peer: [receipt]}, [], StoreUnsure())
            else:
                self._acknowledge(peer, receipt, repeat)

    def _refuse(self, receipts: dict[Peer, list[Receipt]], publishers: list[Peer], why: Refused) -> None:
        """Tell everyone: whoever asked for a receipt by its id, the others once."""
        for peer in dict.fromkeys((*receipts, *publishers)):
            ids: list[int | None] = [receipt[0] for receipt in receipts.get(peer, [])]
            for id in ids or [None]:
                self._stats.refusals += 1
                self._reply(peer, encode(Refusal(Publish.kind, id, why.code, why.text)))
