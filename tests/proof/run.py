"""The run: lives of a broker, one after another, under acknowledged load; then the final read."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tickwire_client import Gap, Message, connect

from .broker import CALLS, Broker, RunFailed
from .crew import GROUPS, TOPICS, Crew
from .events import Dead, FinalMissed, FinalRead, Killed, Started, sent_of
from .progress import Held, Progress
from .proxy import Link, Proxy
from .recorder import Recorder
from .schedule import Fault, Life
from .skewed import set_clock

SCRAPE_SECONDS = 0.15
GLANCE_SECONDS = 0.25
PATIENCE = 60.0  # seconds for publishers, for readers and for groups to come to an end

Report = Callable[..., None]


@dataclass
class Counts:
    """What the run did, by name."""

    ends: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)  # what no rule is about, and still must not be

    @property
    def kills(self) -> int:
        return sum(count for end, count in self.ends.items() if end != "stopped")


class Run:
    """One broker, one proxy before it, and a crew of clients."""

    def __init__(self, folder: Path, broker: Broker, proxy: Proxy, crew: Crew, session: aiohttp.ClientSession) -> None:
        self.counts = Counts()
        self.broker = broker
        self.crew, self.session = crew, session
        self._folder, self._proxy = folder, proxy
        self._recorder = Recorder(folder / "broker.jsonl")
        self._clock = folder / "clock"
        self._held: set[Held] = set()  # by the final read
        self._tasks: set[asyncio.Task[None]] = set()

    async def live(self, life: Life) -> None:
        """One life of the broker, from its start to its end."""
        await self.begin_life(life.end, life.nth)
        if life.end == "while it opens":
            await asyncio.sleep(life.seconds)
        elif await self.broker.listening():
            await self._until_its_end(life)
        await self.end_life(life.end)

    async def begin_life(self, end: str = "", nth: int = 0) -> None:
        """Start a process. Raises RunFailed where a client has ended by itself."""
        if fallen := self.crew.fallen():
            raise RunFailed(f"{', '.join(fallen)} ended by itself")
        self._recorder.write(Started())
        await self.broker.start(end, nth)

    async def end_life(self, end: str) -> None:
        """Kill or stop the process, unless it has met its end already."""
        if self.broker.alive:
            await self.broker.scrape(self.session)
        if not self.broker.alive:
            self._recorder.write(Killed(end))
        elif end == "stopped":
            self.broker.signal(signal.SIGTERM)
        else:
            end = "at random" if end in CALLS else end  # the call has not come
            self._recorder.write(Killed(end))
            self.broker.signal(signal.SIGKILL)
        await self.broker.ended()
        self.counts.ends[end] = self.counts.ends.get(end, 0) + 1
        self._proxy.heal()

    def cut_all(self) -> None:
        self.count("cut all")
        self._proxy.cut_all()

    def count(self, what: str) -> None:
        self.counts.faults[what] = self.counts.faults.get(what, 0) + 1

    async def _until_its_end(self, life: Life) -> None:
        tasks = [asyncio.create_task(self._break(fault)) for fault in life.faults]
        tasks.append(asyncio.create_task(self._scrape()))
        ended = asyncio.create_task(self.broker.process.wait())
        await asyncio.wait([ended], timeout=life.seconds)
        for task in [*tasks, ended]:
            task.cancel()
        await asyncio.gather(*tasks, ended, return_exceptions=True)
        self.broker.signal(signal.SIGCONT)

    # What goes wrong meanwhile.

    async def _scrape(self) -> None:
        while True:
            await asyncio.sleep(SCRAPE_SECONDS)
            await self.broker.scrape(self.session)

    async def _break(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        self.count(fault.what)
        proxy = self._proxy
        match fault.what:
            case "cut all":
                proxy.cut_all()
            case "cut one":
                proxy.cut_one_at(0, int(fault.amount * 4000))
            case "freeze one":
                await self._cut_later(proxy.freeze_one(), fault.seconds)
            case "delay":
                proxy.delay = fault.amount
            case "throttle":
                proxy.rate = fault.amount
            case "stop":
                self.broker.signal(signal.SIGSTOP)
            case "clock":
                set_clock(self._clock, fault.amount)
            case "kill a client":
                self._in_background(self.crew.kill_one(fault.amount))
        await asyncio.sleep(fault.seconds)
        self._mend(fault)

    def _mend(self, fault: Fault) -> None:
        match fault.what:
            case "delay":
                self._proxy.delay = 0.0
            case "throttle":
                self._proxy.rate = 0.0
            case "stop":
                self.broker.signal(signal.SIGCONT)

    async def _cut_later(self, link: Link | None, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if link is not None:
            link.abort()

    def _in_background(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # The end.

    async def come_to_an_end(self, report: Report) -> None:
        """A last life without faults: everyone finishes, and all that the broker holds is read."""
        self._recorder.write(Started())
        await asyncio.gather(*self._tasks)
        self._proxy.heal()
        await self.broker.start()
        await self.broker.listening()
        scraping = asyncio.create_task(self._scrape())
        report("publishers come to an end")
        self._late(await self.crew.finish("publisher", {}, PATIENCE))
        report("the final read")
        ends = await self._final_read()
        report("readers come to an end")
        self._late(await self.crew.finish("reader", ends, PATIENCE))
        report("groups come to an end")
        await self._finish_groups(ends)
        await self._read_dead_letters()
        self.counts.troubles += [f"{name} ended by itself" for name in self.crew.fallen()]
        scraping.cancel()
        await asyncio.gather(scraping, return_exceptions=True)
        await self.broker.scrape(self.session)
        await self.crew.stop()
        self.broker.signal(signal.SIGTERM)
        await self.broker.ended()

    def _late(self, names: Iterable[str]) -> None:
        self.counts.troubles += [f"{name} did not come to an end" for name in names]

    async def _final_read(self) -> dict[str, int]:
        """Read all topics. Returns where each ends."""
        ends = {}
        async with connect(f"ws://127.0.0.1:{self.broker.port}") as client:
            for topic in TOPICS:
                ends[topic] = 0
                async for batch in client.history(topic, gaps=True).batches():
                    for item in batch:
                        ends[topic] = self._hold(item) or ends[topic]
        return ends

    def _hold(self, item: Message | Gap) -> int | None:
        if isinstance(item, Gap):
            self._recorder.write(FinalMissed(item.topic, item.start, item.end, item.reason))
            return item.end
        self._held.add((item.topic, item.epoch, item.offset))
        read = FinalRead(item.topic, item.epoch, item.offset, [sent_of(bytes(item.data))])
        self._recorder.write(read)
        return item.offset + 1

    async def _finish_groups(self, ends: dict[str, int]) -> None:
        """Wait until every group has acknowledged all, or until it should have."""
        for role in self.crew.roles:
            if role.module == "consumer":
                self.crew.tell(role, ends)
        progress = Progress(self._folder, self._held)
        for _ in range(int(PATIENCE / GLANCE_SECONDS)):
            if not progress.missing():
                break
            await asyncio.sleep(GLANCE_SECONDS)

    async def _read_dead_letters(self) -> None:
        async with connect(f"ws://127.0.0.1:{self.broker.port}") as client:
            for group in GROUPS:
                async for letter in client.history(f"$dead.{group}"):
                    self._recorder.write(Dead(group, letter.data["topic"], letter.data["offset"]))
                    self.counts.troubles.append(f"group {group} gave up {letter.data['topic']} {letter.data['offset']}")
