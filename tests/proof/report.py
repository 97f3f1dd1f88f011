"""What a run showed: its figures, and whether they prove anything."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from .run import Counts
from .verdict import RULES, Verdict


@dataclass(frozen=True, slots=True)
class Proof:
    """A run without an acknowledgment, a kill in flight, a resume, a dropped repeat or a redelivery proves nothing."""

    durable: bool
    full_disk: bool
    verdict: Verdict
    counts: Counts
    repeats: int
    seconds: float

    def must_have(self) -> dict[str, int]:
        figures = self.verdict.figures
        must = {
            "messages acknowledged": figures.acks,
            "kill -9 of the broker": figures.kills,
            "kills with publishes in flight": figures.kills_in_flight,
            "resumes of readers": figures.resumes,
            "messages redelivered to consumers": figures.redeliveries,
        }
        if self.full_disk:
            must["messages refused on a full disk"] = figures.refused["no_space"]
        # Without a disk, what is in flight at a kill is not sent again: the epoch is another one.
        return {**must, "repeats dropped": self.repeats} if self.durable else must

    @property
    def shows_all(self) -> bool:
        """Whether everything happened that it is about."""
        return all(self.must_have().values())

    def beside(self) -> dict[str, int]:
        figures = self.verdict.figures
        return {
            "messages published": figures.sent,
            "messages in flight at kills": figures.in_flight,
            "outcomes unknown": figures.unknown,
            **{f"messages refused: {code}": count for code, count in sorted(figures.refused.items())},
            "messages handed to readers": figures.deliveries - figures.handed_out,
            "messages handed to consumers": figures.handed_out,
            "messages in the final read": figures.final,
        }

    def complaints(self) -> list[str]:
        """Why it does not hold."""
        said = self.verdict.lines() + self.counts.troubles
        said += [
            f"{what}: there was none, so that nothing is shown" for what, count in self.must_have().items() if not count
        ]
        # All is kept, nobody is slow, and the epoch is that of the directory: there is no reason for any other gap.
        due = set() if self.durable else {"epoch"}
        gaps = self.verdict.figures.gaps.items()
        said += [f"{count} gap notices of reason {reason}" for reason, count in gaps if reason not in due]
        return said

    @property
    def holds(self) -> bool:
        return not self.complaints()


def show(proof: Proof, console: Console) -> None:
    table = Table(title=f"{proof.seconds:.0f} seconds", title_justify="left")
    table.add_column("what happened")
    table.add_column("times", justify="right")
    for what, count in proof.must_have().items():
        table.add_row(what, f"{count:,}", style="" if count else "bold red")
    table.add_section()
    for parts in (proof.beside(), _sorted("killed", proof.counts.ends), _sorted("fault", proof.counts.faults)):
        for what, count in parts.items():
            table.add_row(what, f"{count:,}")
        table.add_section()
    console.print(table)
    console.print(_rules(proof))
    for line in proof.complaints():
        console.print(line, style="red", highlight=False, markup=False, soft_wrap=True)
    if proof.holds:
        console.print("the delivery contract was kept", style="bold green")


def _sorted(kind: str, counts: dict[str, int]) -> dict[str, int]:
    return {f"{kind}: {what}": counts[what] for what in sorted(counts)}


def _rules(proof: Proof) -> Table:
    table = Table()
    table.add_column("rule of the delivery contract")
    table.add_column("broken", justify="right")
    for rule, sentence in RULES.items():
        count = proof.verdict.broken[rule]
        table.add_row(sentence, f"{count:,}", style="bold red" if count else "")
    return table
