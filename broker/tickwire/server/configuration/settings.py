"""Every setting of the broker, described once: flags, TICKWIRE_* variables, the TOML file and the docs follow."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tickwire.wire.limits import FRAME_BYTES, FRAME_MESSAGES, PAYLOAD_BYTES

from ..door.addresses import parse_network
from ..door.origins import check_setting as check_origin
from ..door.proxies import FORWARDED, X_FORWARDED_FOR
from ..door.rights import RightsTable, read_tables
from .quantity import show_duration
from .setting import (
    DIRECTORY,
    FILE,
    GIB,
    KIB,
    MIB,
    SECRET,
    TIB,
    Setting,
    SettingsError,
    count,
    seconds,
    setting,
    size,
    texts,
)
from .sources import check_names, from_environment, from_file
from .topic_rules import TopicRule, read_rules

__all__ = ["SETTINGS", "Setting", "Settings", "SettingsError"]

_LISTEN, _PEERS, _SIZES = "Listening", "Connections", "Sizes"
_ADDRESSES, _AUTH, _RATES = "Addresses and pages", "Tokens", "Rates"
_KEEP, _DISK, _DELIVERY = "What is kept in memory", "What is kept on disk", "Delivery"
_SLOW, _PUBLISHERS, _DEFLATE, _LOGS = "Slow readers", "Publishers", "Compression", "Logs and metrics"


ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")


def check_algorithm(text: str) -> None:
    """Raises ValueError for what no token here is signed with."""
    if text not in ALGORITHMS:
        raise ValueError(f"must be one of {', '.join(ALGORITHMS)}")


_PATH = re.compile(r"/[A-Za-z0-9/._~-]*")
_OTHER_PATHS = ("/health", "/metrics", "/examples", "/examples/")
_YEARS = 10 * 365 * 86_400.0
_FRAME_OVERHEAD = 1024  # a publish beside its payload: the topic and the headers, generously


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How a broker behaves. Raises SettingsError for a value that is not allowed, or a name that is no setting.

    Sizes and durations may be texts, as in the TOML file: `retain_bytes="64 KiB"`.
    """

    host: str = setting("127.0.0.1", "Address to listen on; 0.0.0.0 for every IPv4 interface.", _LISTEN)
    port: int = count(8765, "Port to listen on; 0 picks a free one.", _LISTEN, low=0, high=65_535)
    path: str = setting("/ws", "Path of the WebSocket.", _LISTEN)
    backlog: int = count(4096, "Connections that may wait to be accepted.", _LISTEN, "connections", high=65_535)
    examples: bool = setting(False, "Serve example pages for browsers at /examples/.", _LISTEN)
    uvloop: bool = setting(True, "Run on uvloop, where it is installed.", _LISTEN)

    tls_certificate: str = setting("", "Certificate of the broker and what it is signed by (PEM): TLS.", _LISTEN, FILE)
    tls_key: str = setting("", "Its key (PEM), where that is not in the same file.", _LISTEN, FILE)
    tls_client_ca: str = setting(
        "", "Whose certificates clients may show: the name in one is who the client is.", _LISTEN, FILE
    )
    tls_client_certificates: str = setting(
        "optional", "Whether they must show one.", _LISTEN, choices=("optional", "required")
    )

    max_connections: int = count(
        0,
        "Connections of all addresses; 0 is as many as the system lets the process have open, less a few.",
        _ADDRESSES,
        "connections",
        low=0,
        high=100_000_000,
    )
    connections_per_ip: int = count(256, "Connections from one IPv4 address or IPv6 /64.", _ADDRESSES, "connections")
    connections_per_48: int = count(
        0, "Connections from one IPv6 /48; 0 is four times connections_per_ip.", _ADDRESSES, "connections", low=0
    )
    unauthenticated_per_ip: int = count(
        0,
        "Of those of one address, connections that have not said who they are; 0 is half of connections_per_ip.",
        _ADDRESSES,
        "connections",
        low=0,
    )
    connects_per_second: int = count(
        50, "New connections of one address a second, in the long run; 0 is no bound.", _ADDRESSES, "connections", low=0
    )
    connects_burst: int = count(
        0,
        "New connections that it may make at once; 0 is twice connections_per_ip, and 200 at least.",
        _ADDRESSES,
        "connections",
        low=0,
    )
    allow: tuple[str, ...] = texts(
        "Networks that may connect, where others may not; none is all.", _ADDRESSES, "NETWORK", parse_network
    )
    deny: tuple[str, ...] = texts(
        "Networks that may not connect, though allowed.", _ADDRESSES, "NETWORK", parse_network
    )
    trusted_proxies: tuple[str, ...] = texts(
        "Networks of the proxies that are believed when they say who the client is.",
        _ADDRESSES,
        "NETWORK",
        parse_network,
    )
    forwarded_header: str = setting(
        X_FORWARDED_FOR, "The header in which they say it.", _ADDRESSES, choices=(X_FORWARDED_FOR, FORWARDED)
    )
    proxy_protocol: bool = setting(
        False, "They say it with the PROXY protocol, v1 or v2, and nobody else may connect.", _ADDRESSES
    )
    origins: tuple[str, ...] = texts(
        "Pages of these origins may connect, exactly; * is all. Others may not, but for those that came from the very "
        "address and port that they connect to, or from localhost and that port.",
        _ADDRESSES,
        "ORIGIN",
        check_origin,
    )

    auth_secret: str = setting("", "Secret that tokens are signed with (HS256), 32 bytes or more.", _AUTH, SECRET)
    auth_secret_file: str = setting("", "File with that secret.", _AUTH, FILE)
    auth_keys: str = setting(
        "", "Public key (PEM) or JWKS that tokens are signed with: a file or an https URL.", _AUTH, FILE
    )
    auth_keys_every: float = seconds(300.0, "How often keys are fetched from a URL.", _AUTH, low=1.0)
    auth_algorithms: tuple[str, ...] = texts(
        "Algorithms of tokens that are accepted; none is all that the keys are for.", _AUTH, "ALG", check_algorithm
    )
    auth_issuer: tuple[str, ...] = texts("Issuers (iss) of which a token must have one; none is any.", _AUTH, "ISS")
    auth_audience: tuple[str, ...] = texts("Audiences (aud) of which a token must have one; none is any.", _AUTH, "AUD")
    auth_revoked: str = setting(
        "",
        "File of what was revoked: on each line a token's id (jti), or sub: and a subject; # begins a comment.",
        _AUTH,
        FILE,
    )
    anonymous: str = setting(
        "auto",
        "Who may come in without a token; auto is nobody where tokens are configured, and this machine where not.",
        _AUTH,
        choices=("auto", "never", "loopback", "always"),
    )

    handshake_timeout: float = seconds(5.0, "Time for the HTTP upgrade to arrive whole.", _PEERS)
    hello_timeout: float = seconds(5.0, "Time for the first message to arrive after the upgrade.", _PEERS)
    slowest_bytes: int = size(
        KIB,
        "A message that has begun must come at so many bytes a second, after the first 5 s; who is behind must take "
        "as many, within give_up_after.",
        _PEERS,
        low=0,
    )
    beat_every: float = seconds(20.0, "How often the broker sends a heartbeat.", _PEERS)
    give_up_after: float = seconds(50.0, "Silence after which a peer is given up; over beat_every.", _PEERS)
    subscriptions: int = count(1024, "Subscriptions of one connection.", _PEERS, "subscriptions")
    drain_timeout: float = seconds(5.0, "Time that connections get to drain when the broker stops.", _PEERS, low=0.0)
    retry_after: float = seconds(1.0, "What clients are told to wait before they come back.", _PEERS, low=0.0)

    frames_per_second: int = count(
        0, "Frames of one connection a second; 0 is no bound.", _RATES, "frames", low=0, high=GIB
    )
    messages_per_second: int = count(0, "Messages that it publishes; the same.", _RATES, "messages", low=0, high=GIB)
    bytes_per_second: int = size(0, "Bytes of its frames, inflated; the same.", _RATES, low=0)
    subscriptions_per_second: int = count(
        500, "Subscriptions and consumers that it begins; the same.", _RATES, "subscriptions", low=0
    )
    subject_frames_per_second: int = count(
        0, "Frames of all connections of one subject a second; 0 is no bound.", _RATES, "frames", low=0, high=GIB
    )
    subject_messages_per_second: int = count(
        0, "Messages that they publish; the same.", _RATES, "messages", low=0, high=GIB
    )
    subject_bytes_per_second: int = size(0, "Bytes of their frames, inflated; the same.", _RATES, low=0)
    subject_subscriptions_per_second: int = count(
        0, "Subscriptions and consumers that they begin; the same.", _RATES, "subscriptions", low=0
    )
    subject_connections: int = count(
        0, "Connections that one subject has; 0 is no bound.", _RATES, "connections", low=0
    )
    subject_topics: int = count(
        0,
        "Topics that one subject has made, by a publish or a subscription; the same.",
        _RATES,
        "topics",
        low=0,
        high=100_000_000,
    )
    subject_groups: int = count(0, "Consumer groups that it has begun; the same.", _RATES, "groups", low=0)
    rate_burst: float = seconds(
        2.0, "How many seconds' worth of a rate may come at once. What is above that is read later.", _RATES, low=0.1
    )

    payload_bytes: int = size(PAYLOAD_BYTES, "The largest payload of one message.", _SIZES, high=PAYLOAD_BYTES)
    frame_bytes: int = size(FRAME_BYTES, "The largest frame from a client, inflated.", _SIZES, 2048, FRAME_BYTES)
    frame_messages: int = count(
        FRAME_MESSAGES, "Messages in one publish frame.", _SIZES, "messages", high=FRAME_MESSAGES
    )

    max_topics: int = count(100_000, "Topics that the broker holds.", _KEEP, "topics", high=100_000_000)
    max_memory: int = size(
        0,
        "Memory of the process, above which it takes no publish and no new connection; 0 is 85 % of what there is.",
        _KEEP,
        low=0,
        high=16 * TIB,
    )
    retain_messages: int = count(
        0, "Messages kept of each topic; 0 is no bound.", _KEEP, "messages", low=0, high=1_000_000_000
    )
    retain_bytes: int = size(4 * MIB, "History kept of each topic.", _KEEP, low=0)
    retain_seconds: float = seconds(60.0, "Age up to which history is kept.", _KEEP, low=0.0, high=31_536_000.0)
    retain_total_bytes: int = size(256 * MIB, "History kept of all topics together.", _KEEP, low=0)
    free_topic_after: float = seconds(60.0, "Time after which a topic without readers or history is freed.", _KEEP)

    data: str = setting("", "Directory in which topics are kept; without it they live in memory.", _DISK, DIRECTORY)
    disk_retain_messages: int = count(
        0, "Messages kept of each topic; 0 is no bound.", _DISK, "messages", low=0, high=1_000_000_000_000
    )
    disk_retain_bytes: int = size(0, "History kept of each topic; 0 is no bound.", _DISK, low=0, high=16 * TIB)
    disk_retain_seconds: float = seconds(
        0.0, "Age up to which history is kept; 0 is no bound.", _DISK, low=0.0, high=_YEARS
    )
    accept_loss: bool = setting(
        False, "Start though the directory has lost something: with what can be read, in a new epoch.", _DISK
    )
    exit_on_store_failure: bool = setting(
        False, "Exit with 1 when the disk fails, and not go on for those who read.", _DISK
    )
    busy_poll: float = seconds(
        0.0005,
        "Time that the broker stays awake for the end of a commit, and then for the next publish, where the last was "
        "as quick. 0 lets the core sleep.",
        _DISK,
        low=0.0,
        high=1.0,
    )
    topics: Iterable[TopicRule | Mapping[str, Any]] = ()
    rights: tuple[RightsTable, ...] = ()  # what subjects may do whose tokens do not say it: tables, as they are given

    identity_seconds: float = seconds(
        300.0, "How long a publish with a sequence is remembered, so that a repeat is dropped.", _DELIVERY, low=1.0
    )
    identity_frames: int = count(4096, "How many of a publisher's last publishes are.", _DELIVERY, "publishes")
    consumer_groups: int = count(1000, "Consumer groups that the broker holds.", _DELIVERY, "groups")
    ack_timeout: float = seconds(
        30.0, "Time that a consumer has to acknowledge a message, where it asks for no other.", _DELIVERY
    )
    attempts: int = count(
        5, "Times that a message is handed out before it goes to $dead.GROUP; the same.", _DELIVERY, "times", high=1000
    )

    unsent_bytes: int = size(256 * KIB, "Unsent bytes over which a peer is behind.", _SLOW)
    unsent_total_bytes: int = size(256 * MIB, "Unsent bytes of all peers, over which the worst are behind.", _SLOW)
    notsent_lowat: int = size(128 * KIB, "Unsent bytes that the kernel holds of a connection.", _SLOW, high=GIB)
    reply_bytes: int = size(64 * KIB, "Unsent replies over which the broker stops reading a peer.", _SLOW)
    reply_timeout: float = seconds(30.0, "Time after which a peer that does not take its replies is closed.", _SLOW)

    pending_bytes: int = size(32 * MIB, "Published bytes not yet flushed, over which publishers pause.", _PUBLISHERS)
    pending_peer_bytes: int = size(
        256 * KIB, "The same for one peer in a turn of the loop; fourfold during a commit.", _PUBLISHERS
    )

    compression: bool = setting(True, "Offer permessage-deflate.", _DEFLATE)
    deflate_level: int = count(1, "Effort of compression, as zlib counts it.", _DEFLATE, high=9)
    deflate_window: int = count(15, "Window of compression, as a power of two.", _DEFLATE, "bits", low=9, high=15)
    deflate_from: int = size(512, "Frames shorter than this are never compressed.", _DEFLATE)
    inflate_ratio: int = count(
        512, "Times its length that a message from a client inflates to, where that is over 64 KiB.", _DEFLATE, "times"
    )

    log_level: str = setting(
        "info", "The least severe log line that is written.", _LOGS, choices=("debug", "info", "warning", "error")
    )
    log_format: str = setting("text", "Log lines for people, or as JSON.", _LOGS, choices=("text", "json"))
    audit_log: str = setting("", "File for who was refused what; without it that goes into the log.", _LOGS, FILE)
    metrics_public: bool = setting(False, "Answer /metrics to everyone, not only to loopback.", _LOGS)

    # Here and not in __init__, which is the dataclass's: its TypeError would not say what was meant.
    def __new__(cls, **given: Any) -> Settings:
        check_names(given, _NAMES, "Settings was given")
        return object.__new__(cls)

    def __post_init__(self) -> None:
        for name, described in SETTINGS.items():
            object.__setattr__(self, name, described.check(described.parse(getattr(self, name)), name))
        object.__setattr__(self, "topics", read_rules(self.topics))
        object.__setattr__(self, "rights", read_tables(self.rights))
        if not _PATH.fullmatch(self.path) or self.path in _OTHER_PATHS:
            taken = ", ".join(_OTHER_PATHS)
            allowed = f"'/' and then letters, digits, '/', '.', '-', '_' or '~'; {taken} are taken"
            raise SettingsError(f"path is {self.path!r}, but must be {allowed}")
        if not self.tls_certificate and (self.tls_key or self.tls_client_ca):
            raise SettingsError(
                "tls_key or tls_client_ca is given, but tls_certificate is not, without which there is no TLS"
            )
        if self.tls_client_certificates == "required" and not self.tls_client_ca:
            raise SettingsError(
                "tls_client_certificates is 'required', but tls_client_ca is not given, which says whose are good"
            )
        if self.proxy_protocol and self.tls_certificate:
            raise SettingsError(
                "proxy_protocol and tls_certificate are given, but the proxy must do the TLS where it speaks"
            )
        if self.proxy_protocol and not self.trusted_proxies:
            raise SettingsError("proxy_protocol is true, but trusted_proxies names nobody who may speak it")
        if self.payload_bytes + _FRAME_OVERHEAD > self.frame_bytes:
            room = self.frame_bytes - _FRAME_OVERHEAD
            allowed = f"at most {room}: a frame of frame_bytes holds no more"
            raise SettingsError(f"payload_bytes is {self.payload_bytes}, but must be {allowed}")
        if self.give_up_after <= self.beat_every:
            beat, given_up = show_duration(self.beat_every), show_duration(self.give_up_after)
            raise SettingsError(f"give_up_after is {given_up}, but must be longer than beat_every, which is {beat}")

    @property
    def authenticates(self) -> bool:
        """Whether tokens can be checked, or certificates are."""
        return bool(self.auth_secret or self.auth_secret_file or self.auth_keys or self.tls_client_ca)

    @classmethod
    def load(
        cls,
        file: str | os.PathLike[str] | None = None,
        environ: Mapping[str, str] = os.environ,
        flags: Mapping[str, Any] | None = None,
    ) -> Settings:
        """The settings of a command: flags win over the environment, which wins over the file. Raises SettingsError.

        `flags` holds those that were given, by name; a value of None was not.
        """
        table = from_file(Path(file), _NAMES) if file is not None else {}
        rules = read_rules(table.pop("topics", ()), f"topics in {file}")
        rights = read_tables(table.pop("rights", ()), f"rights in {file}")
        given: dict[str, tuple[str, Any]] = {name: (f"{name} in {file}", value) for name, value in table.items()}
        given |= from_environment(environ, SETTINGS)
        given |= {name: (SETTINGS[name].flag, value) for name, value in (flags or {}).items() if value is not None}
        checked = {name: SETTINGS[name].check(SETTINGS[name].parse(v), where) for name, (where, v) in given.items()}
        return cls(topics=rules, rights=rights, **checked)


SETTINGS: dict[str, Setting] = {
    field.name: dataclasses.replace(field.metadata["setting"], name=field.name)
    for field in dataclasses.fields(Settings)
    if "setting" in field.metadata
}
_NAMES = [*SETTINGS, "topics", "rights"]
