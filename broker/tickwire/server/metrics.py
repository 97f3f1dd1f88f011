"""What Prometheus sees. Read from the engine when asked; no label comes from a user's data."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from .pump import Pump
from .storage import NO_SPACE, STORE_FAILED, Storage

_COUNTERS = {
    "frames_in": "Frames received from clients.",
    "messages_in": "Messages accepted from publishers.",
    "payload_bytes_in": "Payload bytes accepted from publishers.",
    "flushes": "Flushes of the engine.",
    "sections": "Sections encoded.",
    "deliveries": "Messages times the live readers they were written to.",
    "acks": "Publishes acknowledged.",
    "refusals": "Frames refused.",
    "repeats": "Publishes dropped, since they had been stored before.",
    "resumes": "Subscriptions that went on where they had been.",
    "redeliveries": "Messages handed to a consumer once more.",
    "dead_letters": "Messages given up, and put into the dead letters.",
    "fell_behind": "Times that a peer fell behind.",
    "came_level": "Times that a peer came level again.",
    "writes_lost": "Writes to connections that had just gone.",
}


@dataclass(frozen=True, slots=True)
class BrokerCollector(Collector):
    """The figures of a broker; those of the disk only where it has one."""

    pump: Pump
    data: str
    connections: int
    refused: int
    certificate_days: float | None = None

    def collect(self) -> Iterable[Metric]:
        engine = self.pump.engine
        for name, help in _COUNTERS.items():
            yield CounterMetricFamily(f"tickwire_{name}", help, value=getattr(engine.stats, name))
        yield CounterMetricFamily(
            "tickwire_offsets_lost", "Offsets that readers were told they will not get.", engine.catch_up.offsets_lost
        )
        yield CounterMetricFamily("tickwire_connections_refused", "Upgrades refused.", value=self.refused)
        if self.certificate_days is not None:
            yield GaugeMetricFamily(
                "tickwire_certificate_days_left", "Days until the certificate expires.", value=self.certificate_days
            )
        yield GaugeMetricFamily("tickwire_connections", "Connections open now.", value=self.connections)
        yield GaugeMetricFamily("tickwire_peers_behind", "Peers behind now.", value=len(engine.catch_up.behind))
        yield GaugeMetricFamily("tickwire_topics", "Topics held.", value=len(engine.topics))
        yield GaugeMetricFamily("tickwire_patterns", "Patterns subscribed to.", value=len(engine.readership.index))
        yield GaugeMetricFamily("tickwire_consumer_groups", "Consumer groups held.", value=len(engine.groups))
        retained = engine.topics.retention.bytes
        yield GaugeMetricFamily("tickwire_retained_bytes", "Bytes of all topic logs in memory.", value=retained)
        if self.pump.storage is not None:
            yield from self._of_disk(self.pump.storage)

    def _of_disk(self, storage: Storage) -> Iterable[Metric]:
        commits = self.pump.engine.stats.commits
        yield CounterMetricFamily("tickwire_commits", "Commits to the disk that went well.", value=commits)
        times = storage.commit_seconds
        yield HistogramMetricFamily(
            "tickwire_commit_seconds", "What the commits took, as the broker saw it.", times.buckets(), times.sum
        )
        failed, full = storage.status == STORE_FAILED, storage.status == NO_SPACE
        yield GaugeMetricFamily("tickwire_store_failed", "1 after the disk failed.", value=failed)
        yield GaugeMetricFamily("tickwire_store_full", "1 while the disk is full.", value=full)
        yield GaugeMetricFamily("tickwire_store_bytes", "Bytes of the files on disk.", value=_bytes_in(self.data))


def exposition(collector: Collector) -> bytes:
    """The text for Prometheus."""
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry)


def _bytes_in(directory: str) -> int:
    try:
        with os.scandir(Path(directory).expanduser()) as files:
            return sum(file.stat().st_size for file in files)
    except OSError:  # a file may go while it is looked at
        return 0
