"""What the settings mean to the rooms below: the bounds of the core, and the store."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from tickwire.core.holdings import Allowance
from tickwire.core.limits import Limits
from tickwire.core.rates import NAMES, Rates
from tickwire.core.store import Store
from tickwire.store.memory import MemoryStore

from .settings import Settings
from .topic_rules import policies, read_rules

_MADE = ("policies", "rates", "subject_rates", "allowance")  # of several settings each
# Where a setting has another name than the bound.
_NAMES = {"topics": "max_topics", "groups": "consumer_groups"}


def limits_of(settings: Settings) -> Limits:
    """The bounds that the core keeps."""
    names = [field.name for field in fields(Limits) if field.name not in _MADE]
    bounds = {name: getattr(settings, _NAMES.get(name, name)) for name in names}
    on_disk = settings.disk_retain_messages, settings.disk_retain_bytes, settings.disk_retain_seconds
    kept = policies(read_rules(settings.topics), bool(settings.data), *on_disk)
    allowance = Allowance(**{field.name: getattr(settings, f"subject_{field.name}") for field in fields(Allowance)})
    return Limits(
        policies=kept,
        rates=_rates(settings),
        subject_rates=_rates(settings, "subject_"),
        allowance=allowance,
        **bounds,
    )


def _rates(settings: Settings, whose: str = "") -> Rates:
    per_second = {name: float(getattr(settings, f"{whose}{name}_per_second")) for name in NAMES}
    return Rates(**per_second, burst=settings.rate_burst)


def store_of(settings: Settings) -> Store:
    """Where topics last. Nothing is opened yet."""
    if not settings.data:
        return MemoryStore()
    from tickwire.store.disk import DiskStore  # SQLite is loaded by those who want it

    directory = Path(settings.data).expanduser()
    return DiskStore(directory, settings.accept_loss, settings.identity_seconds, settings.identity_frames)
