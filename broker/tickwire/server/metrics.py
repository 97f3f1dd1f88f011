"""What Prometheus sees. Read from the engine when asked; no label comes from a user's data."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tickwire.core.engine import Engine

_COUNTERS = {
    "frames_in": "Frames received from clients.",
    "messages_in": "Messages accepted from publishers.",
    "payload_bytes_in": "Payload bytes accepted from publishers.",
    "flushes": "Flushes of the engine.",
    "sections": "Sections encoded.",
    "deliveries": "Messages times the live readers they were written to.",
    "acks": "Publishes acknowledged.",
    "refusals": "Frames refused.",
    "fell_behind": "Times that a peer fell behind.",
    "came_level": "Times that a peer came level again.",
    "writes_lost": "Writes to connections that had just gone.",
}


class EngineCollector(Collector):
    def __init__(self, engine: Engine, connections: Callable[[], int], refused: Callable[[], int]) -> None:
        self._engine, self._connections, self._refused = engine, connections, refused

    def collect(self) -> Iterable[Metric]:
        engine = self._engine
        for name, help in _COUNTERS.items():
            yield CounterMetricFamily(f"tickwire_{name}", help, value=getattr(engine.stats, name))
        yield CounterMetricFamily(
            "tickwire_offsets_lost", "Offsets that readers were told they will not get.", engine.catch_up.offsets_lost
        )
        yield CounterMetricFamily("tickwire_connections_refused", "Upgrades over the cap.", value=self._refused())
        yield GaugeMetricFamily("tickwire_connections", "Connections open now.", value=self._connections())
        yield GaugeMetricFamily("tickwire_peers_behind", "Peers behind now.", value=len(engine.catch_up.behind))
        yield GaugeMetricFamily("tickwire_topics", "Topics held.", value=len(engine.topics))
        yield GaugeMetricFamily("tickwire_patterns", "Patterns subscribed to.", value=len(engine.readership.index))
        retained = engine.topics.retention.bytes
        yield GaugeMetricFamily("tickwire_retained_bytes", "Bytes of all topic logs.", value=retained)


def exposition(collector: Collector) -> Callable[[], bytes]:
    """A function that gives the text for Prometheus."""
    registry = CollectorRegistry()
    registry.register(collector)
    return lambda: generate_latest(registry)
